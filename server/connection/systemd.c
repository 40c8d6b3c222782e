/*
 * Sockets passed by systemd.
 */
#include "connection/systemd.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "system/environment.h"

enum { SYSTEMD_FIRST_FD = 3 }; /* sd_listen_fds(3): SD_LISTEN_FDS_START */

/* Returns true if the first name of a colon-separated list is "admin". Moves to the next name. */
static bool next_is_admin(const char **names)
{
    static const char admin[] = "admin";
    const size_t len = strcspn(*names, ":");
    const bool found = len == sizeof admin - 1 && memcmp(*names, admin, len) == 0;
    *names += len + ((*names)[len] == ':');
    return found;
}

bool systemd_inherit(struct listener *listener, char *message, size_t size)
{
    const char *names = getenv("LISTEN_FDNAMES");
    const long count =
        environment_number("LISTEN_PID") == (long)getpid() ? environment_number("LISTEN_FDS") : 0;
    bool ok = true;
    names = names ? names : "";
    for (int i = 0; ok && i < count; i++) {
        const bool admin = next_is_admin(&names);
        ok = listener_inherit(listener, SYSTEMD_FIRST_FD + i, admin, message, size);
    }
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    return ok;
}
