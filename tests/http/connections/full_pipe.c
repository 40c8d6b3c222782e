#include "full_pipe.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

int full_pipe[2] = {-1, -1};

void full_pipe_make(void)
{
    char filling[4096];
    memset(filling, '\n', sizeof filling);
    ck_assert_int_eq(pipe2(full_pipe, O_CLOEXEC), 0);
    ck_assert_int_eq(fcntl(full_pipe[1], F_SETFL, O_NONBLOCK), 0);
    while (write(full_pipe[1], filling, sizeof filling) > 0)
        ;
    ck_assert_int_eq(errno, EAGAIN);
    ck_assert_int_eq(fcntl(full_pipe[1], F_SETFL, 0), 0);
}

void full_pipe_close(void)
{
    for (int i = 0; i < 2; i++) {
        if (full_pipe[i] >= 0)
            close(full_pipe[i]);
        full_pipe[i] = -1;
    }
}

void full_pipe_as_stderr(void)
{
    dup2(full_pipe[1], STDERR_FILENO);
}

void full_pipe_as_stdout(void)
{
    dup2(full_pipe[1], STDOUT_FILENO);
}
