/*
 * Sockets to listen on: bound to the addresses of a host or to a path, or inherited from systemd.
 * None of them listens yet.
 */
#ifndef SERVER_CONNECTION_SOCKETS_H
#define SERVER_CONNECTION_SOCKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "connection/address.h"

enum { SOCKETS_MAX = 8 }; /* addresses that one host may stand for; further ones are not used */

/* The sockets of one address. */
struct sockets {
    int fd[SOCKETS_MAX];
    size_t count;
    struct address address; /* with the port that was bound */
    bool loopback;          /* only this machine can reach it */
    bool inherited;         /* others may have it too */
    bool made;              /* a Unix socket that was made here and is to be removed */
    dev_t device;           /* of its file, where `made` */
    ino_t inode;
};

/* Binds every address of a host to one port; or a Unix socket, its file with these permissions,
   having removed what a server that is gone has left there. False with one line in `message` if
   that cannot be. */
bool sockets_bind(struct sockets *sockets, const struct address *address, unsigned permissions,
                  char *message, size_t size);

/* Takes over a listening socket that was open when the program started. False with one line in
 * `message` if it is none. */
bool sockets_inherit(struct sockets *sockets, int fd, char *message, size_t size);

/* Lets nobody connect any more, though those who have begun to can be accepted: new attempts are
   not answered, so that clients try again in a second, when they are refused; and the file of a
   Unix socket is removed. Inherited sockets are let be. */
void sockets_turn_away(struct sockets *sockets);

/* Closes them, and removes the file of a Unix socket unless somebody has put another into its
 * place. */
void sockets_close(struct sockets *sockets);

#endif
