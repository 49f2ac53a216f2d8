/* SPDX-License-Identifier: Apache-2.0
 *
 * Which URLs may be fetched, and how they are shown.
 */
#pragma once

#include <stdbool.h>
#include <sys/socket.h>

#include "engine/base/error.h"

#define URL_HOST_MAX 256

struct url {
    char host[URL_HOST_MAX]; /* lower case, no brackets */
    bool http;               /* plain http */
};

/* Takes https and, where `http_allowed`, http; refuses other schemes, credentials and control
 * characters: ERROR_USAGE. */
bool url_read(struct url *url, const char *text, bool http_allowed, struct error *error);

#define URL_SHOWN_MAX 400
/* Without credentials, query and fragment, which may hold secrets; for messages and proxies too. */
const char *url_shown(const char *text, char shown[URL_SHOWN_MAX]);

/* Loopback, link-local, private and unspecified addresses: no place for a redirect to lead to. */
bool address_is_private(const struct sockaddr *address);
/* The same for a host that is written as an address, and for localhost. */
bool host_is_private(const char *host);
