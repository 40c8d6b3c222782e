/*
 * Host names and origins.
 */
#include "auth/origins.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* ---- Hosts ---- */

static bool is_host(const char *text, size_t len)
{
    const bool bracketed = len > 2 && text[0] == '[' && text[len - 1] == ']';
    for (size_t i = 0; i < len; i++) {
        if (!isalnum((unsigned char)text[i]) && !strchr(bracketed ? "[]:." : ".-_", text[i]))
            return false;
    }
    return len > 0;
}

/* Returns the length of a host without its port and without the final dot of a fully qualified
   name. Only digits after the last colon are a port; otherwise the colon is part of an IPv6 address
   or the host is invalid. */
static size_t host_len(const char *host, size_t len)
{
    const char *colon = memrchr(host, ':', len);
    const size_t before = colon ? (size_t)(colon - host) : len;
    const bool port = colon && before + 1 + strspn(colon + 1, "0123456789") >= len;
    size_t found = port ? before : len;
    if (found > 1 && host[found - 1] == '.')
        found--;
    return found;
}

static bool is_same(const char *a, size_t a_len, const char *b, size_t b_len)
{
    return a_len == b_len && strncasecmp(a, b, a_len) == 0;
}

/* Returns true if `text` is an IPv4 address in 127.0.0.0/8. */
static bool is_loopback_number(const char *text, size_t len)
{
    unsigned parts[4];
    char copy[16], rest;
    if (len >= sizeof copy || strspn(text, "0123456789.") < len)
        return false;
    memcpy(copy, text, len);
    copy[len] = '\0';
    return sscanf(copy, "%3u.%3u.%3u.%3u%c", &parts[0], &parts[1], &parts[2], &parts[3], &rest) ==
               4 &&
           parts[0] == 127 && parts[1] < 256 && parts[2] < 256 && parts[3] < 256;
}

bool origins_host_is_local(const char *host)
{
    static const char name[] = "localhost", below[] = ".localhost";
    const size_t len = host_len(host, strlen(host));
    return is_same(host, len, name, sizeof name - 1) || is_same(host, len, "[::1]", 5) ||
           is_loopback_number(host, len) ||
           (len > sizeof below - 1 && is_host(host, len) &&
            strncasecmp(host + len - (sizeof below - 1), below, sizeof below - 1) == 0);
}

bool origins_same_host(const char *host, const char *other, size_t len)
{
    return is_same(host, host_len(host, strlen(host)), other, host_len(other, len));
}

/* ---- Origins ---- */

/* Returns the host of an http or https origin, or NULL for others, such as "null", the origin of
   sandboxed pages. Sets `port` to a colon and the default port of the scheme. */
static const char *host_of(const char *origin, const char **port)
{
    static const char http[] = "http://", https[] = "https://";
    const bool secure = strncasecmp(origin, https, sizeof https - 1) == 0;
    *port = secure ? ":443" : ":80";
    if (secure)
        return origin + sizeof https - 1;
    return strncasecmp(origin, http, sizeof http - 1) == 0 ? origin + sizeof http - 1 : NULL;
}

/* Returns the length of a host and its port, without the default port. */
static size_t authority_len(const char *host, const char *port)
{
    const size_t len = strlen(host), tail = strlen(port);
    return len > tail && strcmp(host + len - tail, port) == 0 ? len - tail : len;
}

bool origins_is_host(const char *origin, const char *host)
{
    const char *port, *origin_host = host_of(origin, &port);
    return origin_host &&
           is_same(origin_host, authority_len(origin_host, port), host, authority_len(host, port));
}

/* ---- Lists ---- */

/* Gets the next item and moves `list` past it. Returns false at the end of the list. */
static bool next_item(const char **list, const char **item, size_t *len)
{
    *list += strspn(*list, ", \t");
    *item = *list;
    *len = strcspn(*list, ", \t");
    *list += *len;
    return *len > 0;
}

static bool is_any(const char *item, size_t len)
{
    return len == 1 && item[0] == '*';
}

bool origins_list_has_host(const char *list, const char *host)
{
    const char *item;
    size_t len;
    while (next_item(&list, &item, &len)) {
        if (is_any(item, len) || origins_same_host(host, item, len))
            return true;
    }
    return false;
}

bool origins_list_has_origin(const char *list, const char *origin)
{
    const char *item;
    size_t len;
    while (next_item(&list, &item, &len)) {
        if (is_any(item, len) || is_same(origin, strlen(origin), item, len))
            return true;
    }
    return false;
}

static bool is_host_item(const char *item, size_t len)
{
    return is_any(item, len) || is_host(item, len);
}

/* Returns true if an item is "*" or an origin as browsers write it: "null", or scheme, host, and
   the port unless it is the default. */
static bool is_origin_item(const char *item, size_t len)
{
    char origin[256];
    const char *port;
    if (is_any(item, len) || is_same(item, len, "null", 4))
        return true;
    if (len >= sizeof origin)
        return false;
    memcpy(origin, item, len);
    origin[len] = '\0';
    const char *host = host_of(origin, &port);
    if (!host || authority_len(host, port) < strlen(host))
        return false;
    const char *colon = strrchr(host, ':');
    const bool has_port = colon && !strchr(colon, ']');
    const size_t digits = has_port ? strspn(colon + 1, "0123456789") : 1;
    return is_host(host, has_port ? (size_t)(colon - host) : strlen(host)) && digits > 0 &&
           digits <= 5 && (!has_port || colon[1 + digits] == '\0');
}

static bool are_valid(const char *list, bool (*is_item)(const char *item, size_t len), char *item,
                      size_t size)
{
    const char *found;
    size_t len;
    while (next_item(&list, &found, &len)) {
        if (!is_item(found, len)) {
            snprintf(item, size, "%.*s", (int)len, found);
            return false;
        }
    }
    return true;
}

bool origins_check_hosts(const char *list, char *item, size_t size)
{
    return are_valid(list, is_host_item, item, size);
}

bool origins_check_origins(const char *list, char *item, size_t size)
{
    return are_valid(list, is_origin_item, item, size);
}
