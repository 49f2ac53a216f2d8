/* SPDX-License-Identifier: Apache-2.0
 *
 * URL rules on top of libcurl's parser, so that what is checked is what is fetched.
 */
#include "app/download_url.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

/* A part of the URL into `out`; "" when it has none. False when it does not fit. */
static bool get_part(CURLU *u, CURLUPart part, char *out, size_t size) {
    char *text = NULL;
    out[0] = '\0';
    if (curl_url_get(u, part, &text, 0) != CURLUE_OK) {
        return true;
    }
    int n = snprintf(out, size, "%s", text);
    curl_free(text);
    return n >= 0 && (size_t)n < size;
}

const char *url_shown(const char *text, char shown[URL_SHOWN_MAX]) {
    CURLU *u = curl_url();
    char *clean = NULL;
    snprintf(shown, URL_SHOWN_MAX, "(a URL that cannot be read)");
    if (u && curl_url_set(u, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME | CURLU_GUESS_SCHEME) ==
                 CURLUE_OK) {
        curl_url_set(u, CURLUPART_USER, NULL, 0);
        curl_url_set(u, CURLUPART_PASSWORD, NULL, 0);
        curl_url_set(u, CURLUPART_QUERY, NULL, 0);
        curl_url_set(u, CURLUPART_FRAGMENT, NULL, 0);
        if (curl_url_get(u, CURLUPART_URL, &clean, 0) == CURLUE_OK) {
            snprintf(shown, URL_SHOWN_MAX, "%s", clean);
        }
    }
    curl_free(clean);
    curl_url_cleanup(u);
    return shown;
}

static bool check(struct url *url, CURLU *u, const char *shown, bool http_allowed,
                  struct error *error) {
    char scheme[16], user[4], password[4];
    get_part(u, CURLUPART_SCHEME, scheme, sizeof scheme);
    url->http = strcmp(scheme, "http") == 0;
    if (!url->http && strcmp(scheme, "https") != 0) {
        return error_set(error, ERROR_USAGE, "%s: the scheme is %s, expected https", shown, scheme);
    }
    if (url->http && !http_allowed) {
        return error_set(error, ERROR_USAGE, "%s: http where https is expected", shown);
    }
    /* What does not fit into `user` is a user too. */
    if (!get_part(u, CURLUPART_USER, user, sizeof user) || *user ||
        !get_part(u, CURLUPART_PASSWORD, password, sizeof password) || *password) {
        return error_set(error, ERROR_USAGE, "%s: credentials in a URL are not used", shown);
    }
    char host[URL_HOST_MAX];
    if (!get_part(u, CURLUPART_HOST, host, sizeof host) || !*host) {
        return error_set(error, ERROR_USAGE, "%s: no host in it", shown);
    }
    size_t n = 0;
    for (const char *c = host; *c; c++) {
        if (*c != '[' && *c != ']') {
            url->host[n++] = (char)tolower((unsigned char)*c);
        }
    }
    /* "localhost." is localhost. */
    url->host[n > 1 && url->host[n - 1] == '.' ? n - 1 : n] = '\0';
    return true;
}

bool url_read(struct url *url, const char *text, bool http_allowed, struct error *error) {
    *url = (struct url){0};
    char shown[URL_SHOWN_MAX];
    url_shown(text, shown);
    for (const char *c = text; *c; c++) {
        if (iscntrl((unsigned char)*c) || *c == ' ') {
            return error_set(error, ERROR_USAGE, "%s: a blank or control character in it", shown);
        }
    }
    CURLU *u = curl_url();
    if (!u) {
        return error_set(error, ERROR_NO_SPACE, "out of memory");
    }
    CURLUcode code = curl_url_set(u, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME);
    bool ok = code == CURLUE_OK
                  ? check(url, u, shown, http_allowed, error)
                  : error_set(error, ERROR_USAGE, "%s: %s", text, curl_url_strerror(code));
    curl_url_cleanup(u);
    return ok;
}

static bool ip4_is_private(uint32_t address) {
    static const struct {
        uint32_t net, mask;
    } nets[] = {
        {0x00000000, 0xff000000}, /* 0/8: this network */
        {0x0a000000, 0xff000000}, /* 10/8 */
        {0x64400000, 0xffc00000}, /* 100.64/10: shared by a provider's customers */
        {0x7f000000, 0xff000000}, /* 127/8 */
        {0xa9fe0000, 0xffff0000}, /* 169.254/16: link-local, cloud metadata */
        {0xac100000, 0xfff00000}, /* 172.16/12 */
        {0xc0a80000, 0xffff0000}, /* 192.168/16 */
    };
    for (size_t i = 0; i < sizeof nets / sizeof *nets; i++) {
        if ((address & nets[i].mask) == nets[i].net) {
            return true;
        }
    }
    return false;
}

static bool ip6_is_private(const struct in6_addr *a) {
    if (IN6_IS_ADDR_V4MAPPED(a) || IN6_IS_ADDR_V4COMPAT(a)) {
        uint32_t v4;
        memcpy(&v4, a->s6_addr + 12, sizeof v4);
        return ip4_is_private(ntohl(v4));
    }
    return IN6_IS_ADDR_LOOPBACK(a) || IN6_IS_ADDR_UNSPECIFIED(a) || IN6_IS_ADDR_LINKLOCAL(a) ||
           IN6_IS_ADDR_SITELOCAL(a) || (a->s6_addr[0] & 0xfe) == 0xfc;
}

bool address_is_private(const struct sockaddr *address) {
    if (address->sa_family == AF_INET) {
        return ip4_is_private(ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr));
    }
    return address->sa_family != AF_INET6 ||
           ip6_is_private(&((const struct sockaddr_in6 *)address)->sin6_addr);
}

bool host_is_private(const char *host) {
    struct in_addr v4;
    struct in6_addr v6;
    size_t n = strlen(host);
    if (inet_aton(host, &v4)) {
        return ip4_is_private(ntohl(v4.s_addr));
    }
    if (inet_pton(AF_INET6, host, &v6) == 1) {
        return ip6_is_private(&v6);
    }
    return strcmp(host, "localhost") == 0 || (n > 10 && strcmp(host + n - 10, ".localhost") == 0);
}
