#include "lossctl_run.h"

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "support/folder.h"

enum { PATH = 512 };

struct server_process lossctl_server;
char lossctl_out[LOSSCTL_TEXT], lossctl_err[LOSSCTL_TEXT];

static char program[PATH], lossd[PATH];

const char *lossctl_find(void)
{
    char path[PATH];
    const char *const named = getenv("LOSSD");
    if (!realpath(named && *named ? named : "build/lossd", lossd))
        return NULL;
    snprintf(path, sizeof path, "%.*slossctl", (int)(strrchr(lossd, '/') + 1 - lossd), lossd);
    return realpath(path, program);
}

void lossctl_setup(void)
{
    ck_assert_ptr_nonnull(lossctl_find());
    folder_make();
    server_process_start(&lossctl_server, server_process_defaults);
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%d", lossctl_server.port);
    setenv("LOSSD_URL", url, 1);
}

void lossctl_teardown(void)
{
    folder_remove();
    server_process_end(&lossctl_server);
}

int lossctl_run(const char *format, ...)
{
    char line[4096], command[8192];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    snprintf(command, sizeof command, "cd %s && L=%s D=%s && { %s; } >.out 2>.err </dev/null",
             folder_name(), program, lossd, line);
    const int status = system(command); /* NOLINT(cert-env33-c): tests the shell interface */
    folder_read(".out", lossctl_out, sizeof lossctl_out);
    folder_read(".err", lossctl_err, sizeof lossctl_err);
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* ---- Small tensors ---- */

void write_npy(const char *name, const char *header, const void *numbers, size_t len)
{
    char file[512];
    const size_t header_len = strlen(header);
    memcpy(file, "\x93NUMPY\x01", 8);
    file[8] = (char)header_len;
    file[9] = 0;
    memcpy(file + 10, header, header_len);
    memcpy(file + 10 + header_len, numbers, len);
    folder_write_bytes(name, file, 10 + header_len + len);
}

void write_small_tensors(void)
{
    static const float input[] = {2.5F, 0, 2}, target[] = {3, -0.5F, 2};
    static const char header[] = "{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}\n";
    write_npy("x.npy", header, input, sizeof input);
    write_npy("y.npy", header, target, sizeof target);
    folder_write("x.csv", "prediction\n2.5\n0\n2\n");
    folder_write("y.csv", "# measured\n3\n\n-0.5\r\n2");
    folder_write("both.json",
                 "{\"input\": [2.5, 0, 2], \"y\": {\"shape\": [3], \"data\": [3, -0.5, "
                 "2]}, \"target\": null}");
}

const char small_tensors_loss[] = "0.16666666666666666\n";
