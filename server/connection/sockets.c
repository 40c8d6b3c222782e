/*
 * Sockets to listen on.
 */
#include "connection/sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* Maximum number of attempts to find a port that is free on every address of the host. */
enum { SOCKETS_PORT_TRIES = 16 };

/* A socket address of any supported family. */
union any_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un local;
};

static bool fail_listen(char *message, size_t size, const struct address *address,
                        const char *reason)
{
    char text[ADDRESS_TEXT];
    snprintf(message, size, "cannot listen on %s: %s", address_text(address, text), reason);
    return false;
}

/* ---- IP addresses ---- */

static void set_port(struct sockaddr *address, int port)
{
    if (address->sa_family == AF_INET6)
        ((struct sockaddr_in6 *)(void *)address)->sin6_port = htons((uint16_t)port);
    else
        ((struct sockaddr_in *)(void *)address)->sin_port = htons((uint16_t)port);
}

static int port_of(int fd)
{
    union any_address address = {.v6 = {0}};
    socklen_t len = sizeof address;
    if (getsockname(fd, &address.any, &len) != 0)
        return 0;
    return ntohs(address.any.sa_family == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port);
}

/* Returns true if an address is [::], which must also accept IPv4. */
static bool is_any6(const struct sockaddr *address)
{
    return address->sa_family == AF_INET6 &&
           memcmp(&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, &in6addr_any,
                  sizeof in6addr_any) == 0;
}

static bool is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr) >> 24 ==
               127;
    const struct in6_addr *v6 = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
    return IN6_IS_ADDR_LOOPBACK(v6) || (IN6_IS_ADDR_V4MAPPED(v6) && v6->s6_addr[12] == 127);
}

/* Returns a socket bound to one address. On failure, returns -1 and sets errno. */
static int bind_one(const struct addrinfo *found, int port)
{
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    const int on = 1;
    int v6only = !is_any6(found->ai_addr);
    bool set = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
               (found->ai_family != AF_INET6 ||
                setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof v6only) == 0);
    set_port(found->ai_addr, port);
    if (set && bind(fd, found->ai_addr, found->ai_addrlen) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

/* Binds all addresses in the list that exist on this machine to the same port. Returns 0 on
   success. On failure, binds nothing and returns an errno value. */
static int bind_all(struct sockets *sockets, const struct addrinfo *found, int port)
{
    int missing = 0;
    sockets->loopback = true;
    for (; found && sockets->count < SOCKETS_MAX; found = found->ai_next) {
        int fd = bind_one(found, port);
        if (fd >= 0) {
            sockets->fd[sockets->count++] = fd;
            sockets->loopback = sockets->loopback && is_loopback(found->ai_addr);
            port = port_of(fd);
        } else if (errno == EADDRNOTAVAIL || errno == EAFNOSUPPORT) {
            missing = errno; /* "localhost" includes ::1 even if the machine has no IPv6 */
        } else {
            int error = errno;
            sockets_close(sockets);
            return error;
        }
    }
    sockets->address.port = port;
    return sockets->count > 0 ? 0 : missing;
}

static bool bind_host(struct sockets *sockets, char *message, size_t size)
{
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    const struct address wanted = sockets->address;
    struct addrinfo *found = NULL;
    int failure = getaddrinfo(wanted.host, NULL, &hints, &found);
    if (failure != 0)
        return fail_listen(message, size, &wanted,
                           failure == EAI_SYSTEM ? strerror(errno) : gai_strerror(failure));
    int error = bind_all(sockets, found, wanted.port);
    for (int tries = 1; error == EADDRINUSE && wanted.port == 0 && tries < SOCKETS_PORT_TRIES;
         tries++)
        error = bind_all(sockets, found, wanted.port);
    freeaddrinfo(found);
    if (error == 0)
        return true;
    fail_listen(message, size, &wanted, strerror(error));
    if (error == EADDRINUSE)
        strncat(message, "; is another server running? choose another port",
                size - strlen(message) - 1);
    return false;
}

/* ---- Unix sockets ---- */

/* Removes a stale socket file, on which no process listens. If anything else uses the path, returns
   false and writes a one-line reason to `message`. */
static bool clear_path(const struct address *wanted, const struct sockaddr_un *at, char *message,
                       size_t size)
{
    struct stat file;
    if (lstat(wanted->host, &file) != 0)
        return errno == ENOENT || fail_listen(message, size, wanted, strerror(errno));
    if (!S_ISSOCK(file.st_mode))
        return fail_listen(message, size, wanted, "the path exists and is not a socket");
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fail_listen(message, size, wanted, strerror(errno));
    const bool connected = connect(fd, (const struct sockaddr *)(const void *)at, sizeof *at) == 0;
    const int error = connected ? EAGAIN : errno; /* EAGAIN: the queue of connections is full */
    close(fd);
    if (error == EAGAIN)
        return fail_listen(message, size, wanted, "another server is listening on it");
    if (error != ECONNREFUSED)
        return fail_listen(message, size, wanted, strerror(error));
    return unlink(wanted->host) == 0 || errno == ENOENT ||
           fail_listen(message, size, wanted, strerror(errno));
}

static bool bind_path(struct sockets *sockets, unsigned permissions, char *message, size_t size)
{
    const struct address *wanted = &sockets->address;
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    struct stat file;
    /* address_list_parse has checked the length. */
    memcpy(at.sun_path, wanted->host, strnlen(wanted->host, sizeof at.sun_path - 1));
    if (!clear_path(wanted, &at, message, size))
        return false;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fail_listen(message, size, wanted, strerror(errno));
    sockets->fd[sockets->count++] = fd;
    if (bind(fd, (const struct sockaddr *)(const void *)&at, sizeof at) != 0) {
        fail_listen(message, size, wanted, strerror(errno));
        sockets_close(sockets);
        return false;
    }
    /* No client can connect before listen(), so it is safe to set the permissions now. */
    if (chmod(wanted->host, permissions) != 0 || lstat(wanted->host, &file) != 0) {
        fail_listen(message, size, wanted, strerror(errno));
        unlink(wanted->host);
        sockets_close(sockets);
        return false;
    }
    sockets->made = true;
    sockets->device = file.st_dev;
    sockets->inode = file.st_ino;
    sockets->loopback = true;
    return true;
}

/* ---- Interface ---- */

bool sockets_bind(struct sockets *sockets, const struct address *address, unsigned permissions,
                  char *message, size_t size)
{
    *sockets = (struct sockets){.address = *address};
    return address->is_unix ? bind_path(sockets, permissions, message, size)
                            : bind_host(sockets, message, size);
}

static int socket_option(int fd, int name)
{
    int value = -1;
    socklen_t len = sizeof value;
    return getsockopt(fd, SOL_SOCKET, name, &value, &len) == 0 ? value : -1;
}

bool sockets_inherit(struct sockets *sockets, int fd, char *message, size_t size)
{
    union any_address at = {.v6 = {0}};
    socklen_t len = sizeof at;
    *sockets = (struct sockets){.fd = {fd}, .count = 1, .inherited = true};
    const bool listens =
        socket_option(fd, SO_TYPE) == SOCK_STREAM && socket_option(fd, SO_ACCEPTCONN) == 1;
    if (!listens || getsockname(fd, &at.any, &len) != 0) {
        snprintf(message, size, "descriptor %d from LISTEN_FDS is not a listening stream socket",
                 fd);
        return false;
    }
    struct address *const address = &sockets->address;
    if (at.any.sa_family == AF_UNIX) {
        address->is_unix = sockets->loopback = true;
        const int path = (int)((size_t)len - offsetof(struct sockaddr_un, sun_path));
        snprintf(address->host, sizeof address->host, "%.*s", path, at.local.sun_path);
    } else if (at.any.sa_family == AF_INET || at.any.sa_family == AF_INET6) {
        sockets->loopback = is_loopback(&at.any);
        getnameinfo(&at.any, len, address->host, sizeof address->host, NULL, 0, NI_NUMERICHOST);
        address->port = port_of(fd);
    } else {
        snprintf(message, size, "descriptor %d from LISTEN_FDS is neither an IP nor a Unix socket",
                 fd);
        return false;
    }
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    return true;
}

static void remove_file(struct sockets *sockets)
{
    struct stat file;
    const char *path = sockets->address.host;
    if (sockets->made && lstat(path, &file) == 0 && file.st_dev == sockets->device &&
        file.st_ino == sockets->inode)
        unlink(path);
    sockets->made = false;
}

void sockets_reject_new(struct sockets *sockets)
{
    /* Drops TCP segments with SYN but without ACK. The flags are at byte offset 13. */
    static struct sock_filter no_syn[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, TH_SYN | TH_ACK),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, TH_SYN, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
    };
    const struct sock_fprog filter = {.len = sizeof no_syn / sizeof *no_syn, .filter = no_syn};
    remove_file(sockets);
    for (size_t i = 0; i < sockets->count && !sockets->address.is_unix && !sockets->inherited; i++)
        setsockopt(sockets->fd[i], SOL_SOCKET, SO_ATTACH_FILTER, &filter,
                   sizeof filter); /* best effort: the kernel may not permit filters */
}

void sockets_close(struct sockets *sockets)
{
    remove_file(sockets);
    while (sockets->count > 0)
        close(sockets->fd[--sockets->count]);
}
