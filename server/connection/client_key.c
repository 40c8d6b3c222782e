/*
 * Identifies clients by their addresses.
 */
#include "connection/client_key.h"

#include <netinet/in.h>
#include <string.h>

/* Returns the lower half of the IPv4-mapped address. No IPv6 address begins with it, because
   0:ffff::/32 is not assigned. */
static uint64_t key_of_v4(const void *bytes)
{
    uint32_t address;
    memcpy(&address, bytes, sizeof address);
    return UINT64_C(0xffff) << 32 | ntohl(address);
}

uint64_t client_key(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET)
        return key_of_v4(&((const struct sockaddr_in *)(const void *)address)->sin_addr);
    if (address->sa_family != AF_INET6)
        return 0;
    const struct in6_addr *const v6 =
        &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(v6))
        return key_of_v4(&v6->s6_addr[12]);
    uint64_t key = 0;
    for (int i = 0; i < 8; i++)
        key = key << 8 | v6->s6_addr[i];
    return key != 0 ? key : 1; /* for ::/64, which contains ::1; 0 would mean no address */
}
