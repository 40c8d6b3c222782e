/*
 * A minimal libmicrohttpd server, the lower bound for receiving and sending bytes with that
 * library. It copies each body into a fixed buffer and answers POST /BYTES with BYTES bytes of
 * another.
 *
 *     bare PORT
 */
#include <arpa/inet.h>
#include <microhttpd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CONNECTION_MEMORY = 32 << 10 /* as in lossd */, ROOM = 128 << 20 };

static char *incoming, *outgoing;

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection,
                                  const char *target, const char *method, const char *version,
                                  const char *data, size_t *size, void **slot)
{
    static size_t received; /* there is one connection at a time */
    (void)context, (void)method, (void)version;
    if (!*slot) {
        *slot = &received;
        received = 0;
        return MHD_YES;
    }
    if (*size > 0) {
        if (*size > ROOM - received)
            return MHD_NO;
        memcpy(incoming + received, data, *size);
        received += *size;
        *size = 0;
        return MHD_YES;
    }
    const size_t len = strtoul(target + 1, NULL, 10);
    struct MHD_Response *response =
        len <= ROOM ? MHD_create_response_from_buffer(len, outgoing, MHD_RESPMEM_PERSISTENT) : NULL;
    if (!response)
        return MHD_NO;
    const enum MHD_Result result = MHD_queue_response(connection, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    return result;
}

int main(int argc, char *argv[])
{
    if (argc != 2) {
        fprintf(stderr, "usage: bare PORT\n");
        return 2;
    }
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = htons((uint16_t)atoi(argv[1])),
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    incoming = malloc(ROOM);
    outgoing = malloc(ROOM);
    if (incoming && outgoing) { /* fault the pages in */
        memset(incoming, 0, ROOM);
        memset(outgoing, 1, ROOM);
    }
    struct MHD_Daemon *daemon =
        incoming && outgoing
            ? MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, on_request, NULL,
                               MHD_OPTION_SOCK_ADDR, (const struct sockaddr *)&address,
                               MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
                               MHD_OPTION_END)
            : NULL;
    if (!daemon) {
        fprintf(stderr, "bare: cannot start a server on port %s\n", argv[1]);
        return 1;
    }
    for (;;)
        pause();
}
