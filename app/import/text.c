/* SPDX-License-Identifier: Apache-2.0
 *
 * Plain text, Markdown and source code: decode, and mark the headings. Takes whatever no other
 * importer wants, and is the one that finds a file binary.
 */
#include <string.h>

#include "app/import/encoding.h"
#include "app/import/importers.h"
#include "app/import/sections.h"

static const char markdown_names[] = ".md\0.markdown\0.mkd\0.mdown\0";
static const char code_names[] =
    ".c\0.h\0.cc\0.cpp\0.cxx\0.hpp\0.hh\0.m\0.mm\0.rs\0.go\0.py\0.pyi\0.pyx\0.js\0.jsx\0.ts\0"
    ".tsx\0.mjs\0.java\0.kt\0.kts\0.scala\0.swift\0.rb\0.php\0.pl\0.pm\0.lua\0.sh\0.bash\0.zsh\0"
    ".ps1\0.cs\0.fs\0.hs\0.ml\0.mli\0.ex\0.exs\0.erl\0.clj\0.el\0.lisp\0.scm\0.r\0.jl\0.sql\0"
    ".css\0.scss\0.vue\0.dart\0.zig\0.nim\0.d\0.asm\0.s\0.comp\0.glsl\0.vert\0.frag\0.cl\0.cu\0"
    ".cmake\0.mk\0.build\0.bazel\0.gradle\0.tf\0.proto\0.json\0.yaml\0.yml\0.toml\0.ini\0.cfg\0"
    ".xml\0makefile\0cmakelists.txt\0dockerfile\0.awk\0.tcl\0.f90\0.pas\0.adb\0.ads\0.v\0.sv\0";

static bool matches(const uint8_t *data, size_t size, const char *name) {
    (void)data, (void)size, (void)name;
    return true;
}

static bool decode(const uint8_t *data, size_t size, struct bytes *utf8, struct error *error) {
    const char *charset = encoding_guess(data, size);
    if (!charset) {
        return error_set(error, ERROR_INCOMPATIBLE, "binary");
    }
    return encoding_decode(data, size, charset, utf8) ||
           error_set(error, ERROR_FAILURE, "the system's iconv does not know %s", charset);
}

static bool read_text(const uint8_t *data, size_t size, const struct import_limits *limits,
                      struct document *document, struct error *error) {
    (void)limits;
    document->kind = import_has_extension(document->name, markdown_names) ? DOCUMENT_MARKDOWN
                     : import_has_extension(document->name, code_names)   ? DOCUMENT_CODE
                                                                          : DOCUMENT_TEXT;
    struct bytes text = {0};
    bytes_put(&text, data, size);
    if (!document_take_text(document, &text) ||
        (document->kind != DOCUMENT_CODE && !sections_find(document))) {
        bytes_finish(&text);
        return error_set(error, ERROR_NO_SPACE, "out of memory");
    }
    return true;
}

const struct importer importer_text = {"text", false, matches, decode, read_text};
