#include "support/folder.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/certificates.h"
#include "support/command.h"

enum { PATH = 200, PATHS = 16 };

static char folder[PATH];

void folder_make(void)
{
    strcpy(folder, "/tmp/lossd-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

void folder_remove(void)
{
    char printed[PATH];
    ck_assert_int_eq(command_run(printed, sizeof printed, "rm -rf '%s'", folder), 0);
}

const char *folder_name(void)
{
    return folder;
}

const char *folder_path(const char *name)
{
    static char paths[PATHS][PATH];
    static unsigned turn;
    char *const path = paths[turn++ % PATHS];
    ck_assert_int_lt(snprintf(path, PATH, "%s/%s", folder, name), PATH);
    return path;
}

const char *folder_option(const char *text, const char *name)
{
    static char options[PATHS][2 * PATH];
    static unsigned turn;
    char *const option = options[turn++ % PATHS];
    ck_assert_int_lt(snprintf(option, 2 * PATH, "%s%s", text, folder_path(name)), 2 * PATH);
    return option;
}

void folder_write_bytes(const char *name, const void *bytes, size_t len)
{
    FILE *const file = fopen(folder_path(name), "we");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, len, file), len);
    ck_assert_int_eq(fclose(file), 0);
}

void folder_write(const char *name, const char *text)
{
    folder_write_bytes(name, text, strlen(text));
}

size_t folder_read(const char *name, char *bytes, size_t size)
{
    FILE *const file = fopen(folder_path(name), "re");
    ck_assert_msg(file != NULL, "cannot open %s", name);
    const size_t len = fread(bytes, 1, size - 1, file);
    bytes[len] = '\0';
    fclose(file);
    return len;
}

void folder_write_certificates(void)
{
    struct certificate authority, own;
    certificate_make(&authority, CERTIFICATE_AUTHORITY, "authority", NULL, 1);
    certificate_make(&own, CERTIFICATE_SERVER, "localhost", &authority, 1);
    certificate_write(&authority, folder_path("ca"), NULL);
    certificate_write(&own, folder_path("cert"), folder_path("key"));
    certificate_free(&own);
    certificate_free(&authority);
}
