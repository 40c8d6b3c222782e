/*
 * Addresses to listen on.
 */
#include "connection/address.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

static const char unix_prefix[] = "unix:";
enum { UNIX_PREFIX = sizeof unix_prefix - 1 };

static bool parse_unix(const char *path, size_t len, struct address *address)
{
    if (len == 0 || len >= sizeof((struct sockaddr_un *)NULL)->sun_path)
        return false;
    *address = (struct address){.is_unix = true};
    memcpy(address->host, path, len);
    return true;
}

static bool parse_port(const char *text, size_t len, int *port)
{
    if (len == 0 || len > 5 || strspn(text, "0123456789") < len)
        return false;
    *port = (int)strtol(text, NULL, 10);
    return *port <= 65535;
}

static bool parse(const char *text, size_t len, struct address *address)
{
    if (len > UNIX_PREFIX && memcmp(text, unix_prefix, UNIX_PREFIX) == 0)
        return parse_unix(text + UNIX_PREFIX, len - UNIX_PREFIX, address);
    const char *colon = memrchr(text, ':', len), *host = text;
    if (!colon)
        return false;
    size_t host_len = (size_t)(colon - text);
    const bool bracketed = host_len >= 2 && host[0] == '[' && host[host_len - 1] == ']';
    if (bracketed) {
        host++;
        host_len -= 2;
    }
    /* Without brackets, it is ambiguous where the port of an IPv6 address begins. */
    if (host_len == 0 || host_len >= sizeof address->host ||
        (memchr(host, ':', host_len) && !bracketed) || memchr(host, ' ', host_len))
        return false;
    *address = (struct address){.port = 0};
    memcpy(address->host, host, host_len);
    return parse_port(colon + 1, len - (size_t)(colon + 1 - text), &address->port);
}

bool address_list_parse(const char *text, struct address_list *list)
{
    *list = (struct address_list){.count = 0};
    while (*text) {
        size_t len = strcspn(text, ",");
        const char *next = text + len + (text[len] == ',');
        while (len > 0 && isspace((unsigned char)*text)) {
            text++;
            len--;
        }
        while (len > 0 && isspace((unsigned char)text[len - 1]))
            len--;
        if (list->count == ADDRESS_MAX || !parse(text, len, &list->at[list->count]) ||
            (*next == '\0' && next[-1] == ','))
            return false;
        list->count++;
        text = next;
    }
    return true;
}

const char *address_text(const struct address *address, char text[ADDRESS_TEXT])
{
    if (address->is_unix)
        snprintf(text, ADDRESS_TEXT, "%s%s", unix_prefix, address->host);
    else
        snprintf(text, ADDRESS_TEXT, strchr(address->host, ':') ? "[%s]:%d" : "%s:%d",
                 address->host, address->port);
    return text;
}
