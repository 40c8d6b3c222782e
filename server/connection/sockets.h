/*
 * Sockets to listen on: bound to the addresses of a host or to a path, or inherited from systemd.
 * These functions do not call listen().
 */
#ifndef SERVER_CONNECTION_SOCKETS_H
#define SERVER_CONNECTION_SOCKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "connection/address.h"

enum { SOCKETS_MAX = 8 }; /* addresses used per host name; others are ignored */

/* The sockets of one address. */
struct sockets {
    int fd[SOCKETS_MAX];
    size_t count;
    struct address address; /* includes the port that was bound */
    bool loopback;          /* reachable only from this machine */
    bool inherited;         /* another process may also have the socket open */
    bool made;              /* a Unix socket created here; its file is removed on close */
    dev_t device;           /* identifies the file if `made` */
    ino_t inode;            /* likewise */
};

/* Binds every address of a host to the same port, or binds a Unix socket. The socket file gets the
   mode `permissions`; a stale file of a server that no longer runs is removed first. On failure,
   returns false and writes a one-line reason to `message`. */
bool sockets_bind(struct sockets *sockets, const struct address *address, unsigned permissions,
                  char *message, size_t size);

/* Uses a listening socket that was open when the program started. If it is not a listening stream
   socket for IP or Unix addresses, returns false and writes a one-line reason to `message`. */
bool sockets_inherit(struct sockets *sockets, int fd, char *message, size_t size);

/* Drops new connection attempts; connections already in the queue can still be accepted. New
   clients get no answer to their SYN and send it again after a second; once the socket is closed,
   they are refused. Removes the file of a Unix socket. Leaves inherited sockets unchanged. */
void sockets_reject_new(struct sockets *sockets);

/* Closes the sockets. Removes the file of a Unix socket unless another process has replaced it. */
void sockets_close(struct sockets *sockets);

#endif
