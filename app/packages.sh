# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
#
# The Debian 12 packages that building and running AllMem needs, and those that its tests need beside
# them: the one list, sourced by app/quickstart.sh and tests/run.sh. Without those of the line with
# Vulkan it builds and runs too.

allmem_packages="
gcc libc6-dev pkg-config meson ninja-build git ca-certificates
python3 python3-pip
libssl-dev libcurl4-openssl-dev libarchive-dev libxml2-dev libsqlite3-dev
libjansson-dev libinih-dev libutf8proc-dev libstemmer-dev
libncurses-dev libmd4c-dev
poppler-utils
libcmocka-dev openssl
libvulkan-dev glslc
"
# A Vulkan device in software.
# shellcheck disable=SC2034 # tests/run.sh takes it
test_packages="mesa-vulkan-drivers"

# The packages of the list that are not installed, on one line.
missing_packages() {
    for package in $allmem_packages; do
        case $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) in
        *' installed') ;;
        *) printf '%s ' "$package" ;;
        esac
    done
}

# Installs what is missing and says so before it does. Where there is no apt-get the compiler and
# meson are left to tell what they miss.
install_packages() {
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        echo "no apt-get here; these Debian packages (or their like) are needed: $allmem_packages"
        return 0
    fi
    missing=$(missing_packages)
    if [ -z "$missing" ]; then
        return 0
    fi
    as_root=
    if [ "$(id -u)" -ne 0 ]; then
        as_root=sudo
    fi
    echo "+ ${as_root:+sudo }apt-get update"
    $as_root apt-get update -q || echo "apt-get update failed; going on with the lists that are here"
    echo "+ ${as_root:+sudo }apt-get install -y --no-install-recommends $missing"
    # shellcheck disable=SC2086 # a list of words
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing
}
