/*
 * What systemd and the service agree on.
 */
#include "connection/systemd.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "observe/log.h"
#include "util/clock.h"

enum { ACTIVATION_FIRST = 3 }; /* the descriptor of the first socket */

/* ---- sockets ---- */

/* Reads a number from the environment, -1 if there is none. */
static long number_of(const char *name)
{
    const char *text = getenv(name);
    char *end = NULL;
    errno = 0;
    const long number = text && *text ? strtol(text, &end, 10) : -1;
    return end && *end == '\0' && errno == 0 ? number : -1;
}

/* Whether the name at the head of a list is "admin"; moves on to the next. */
static bool next_is_admin(const char **names)
{
    static const char admin[] = "admin";
    const size_t len = strcspn(*names, ":");
    const bool found = len == sizeof admin - 1 && memcmp(*names, admin, len) == 0;
    *names += len + ((*names)[len] == ':');
    return found;
}

bool activation_inherit(struct listener *listener, char *message, size_t size)
{
    const char *names = getenv("LISTEN_FDNAMES");
    const long count = number_of("LISTEN_PID") == (long)getpid() ? number_of("LISTEN_FDS") : 0;
    bool right = true;
    names = names ? names : "";
    for (int i = 0; right && i < count; i++) {
        const bool admin = next_is_admin(&names);
        right = listener_inherit(listener, ACTIVATION_FIRST + i, admin, message, size);
    }
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    return right;
}

/* ---- telling ---- */

/* Sends a message of lines `NAME=value`. The log tells where that fails, since the service manager
 * will only run out of patience. */
static void notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (!path || !*path)
        return;
    const size_t len = strlen(path);
    if (len >= sizeof to.sun_path) {
        log_message(LOG_LEVEL_WARNING, "NOTIFY_SOCKET is too long for a socket's path");
        return;
    }
    memcpy(to.sun_path, path, len);
    if (to.sun_path[0] == '@') /* a name that is in no file system */
        to.sun_path[0] = '\0';
    const socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    const struct timeval patience = {.tv_sec = 1}; /* the service manager may be too busy to read */
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) != 0 ||
        sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)(void *)&to, size) < 0)
        log_message(LOG_LEVEL_WARNING, "cannot tell NOTIFY_SOCKET how things stand: %s",
                    strerror(errno));
    if (fd >= 0)
        close(fd);
}

/* No other state is told after STOPPING=1, though a reload may still be under way on another
 * thread. */
static pthread_mutex_t state_mutex = PTHREAD_MUTEX_INITIALIZER;
static bool stopping;

static void notify_unless_stopping(const char *state)
{
    pthread_mutex_lock(&state_mutex);
    if (!stopping)
        notify(state);
    pthread_mutex_unlock(&state_mutex);
}

void activation_ready(void)
{
    notify_unless_stopping("READY=1\nSTATUS=Serving");
}

void activation_reloading(void)
{
    char state[96];
    snprintf(state, sizeof state, "RELOADING=1\nMONOTONIC_USEC=%" PRId64 "\nSTATUS=Reloading",
             clock_ns() / 1000);
    notify_unless_stopping(state);
}

void activation_stopping(void)
{
    pthread_mutex_lock(&state_mutex);
    stopping = true;
    notify("STOPPING=1\nSTATUS=Finishing the requests under way");
    pthread_mutex_unlock(&state_mutex);
}

void activation_alive(void)
{
    const long pid = number_of("WATCHDOG_PID");
    if (number_of("WATCHDOG_USEC") > 0 && (pid < 0 || pid == (long)getpid()))
        notify("WATCHDOG=1");
}
