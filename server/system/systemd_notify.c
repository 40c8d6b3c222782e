/*
 * Notifies systemd of the state of the service.
 */
#include "system/systemd_notify.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "observe/log.h"
#include "system/environment.h"
#include "util/clock.h"

/* Sends a message of NAME=value lines. Logs failures, because the service manager would only see a
   timeout. */
static void notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (!path || !*path)
        return;
    const size_t len = strlen(path);
    if (len >= sizeof to.sun_path) {
        log_message(LOG_LEVEL_WARNING,
                    "NOTIFY_SOCKET has %zu bytes; the path of a socket has at most %zu", len,
                    sizeof to.sun_path - 1);
        return;
    }
    memcpy(to.sun_path, path, len);
    if (to.sun_path[0] == '@') /* an abstract socket */
        to.sun_path[0] = '\0';
    const socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    const struct timeval timeout = {.tv_sec = 1}; /* in case the service manager does not read */
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout) != 0 ||
        sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)(void *)&to, size) < 0)
        log_message(LOG_LEVEL_WARNING, "cannot send the state to NOTIFY_SOCKET: %s",
                    strerror(errno));
    if (fd >= 0)
        close(fd);
}

/* No state is sent after STOPPING=1, even if another thread is still reloading. */
static pthread_mutex_t state_mutex = PTHREAD_MUTEX_INITIALIZER;
static bool stopping;

static void notify_unless_stopping(const char *state)
{
    pthread_mutex_lock(&state_mutex);
    if (!stopping)
        notify(state);
    pthread_mutex_unlock(&state_mutex);
}

void systemd_notify_ready(void)
{
    notify_unless_stopping("READY=1\nSTATUS=Serving");
}

void systemd_notify_reloading(void)
{
    char state[96];
    snprintf(state, sizeof state, "RELOADING=1\nMONOTONIC_USEC=%" PRId64 "\nSTATUS=Reloading",
             clock_ns() / 1000);
    notify_unless_stopping(state);
}

void systemd_notify_stopping(void)
{
    pthread_mutex_lock(&state_mutex);
    stopping = true;
    notify("STOPPING=1\nSTATUS=Finishing running requests");
    pthread_mutex_unlock(&state_mutex);
}

void systemd_notify_alive(void)
{
    const long pid = environment_number("WATCHDOG_PID");
    if (environment_number("WATCHDOG_USEC") > 0 && (pid < 0 || pid == (long)getpid()))
        notify("WATCHDOG=1");
}
