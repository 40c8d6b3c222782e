#include "tls_server.h"

#include <check.h>
#include <stdio.h>

#include "support/folder.h"
#include "support/server_fixture.h"

struct certificate tls_authority;
static struct certificate own; /* the server's */

void tls_setup(void)
{
    folder_make();
    certificate_make(&tls_authority, CERTIFICATE_AUTHORITY, "authority", NULL, 1);
    certificate_make(&own, CERTIFICATE_SERVER, "localhost", &tls_authority, 1);
    certificate_write(&tls_authority, folder_path("ca"), NULL);
    certificate_write(&own, folder_path("cert"), folder_path("key"));
}

void tls_teardown(void)
{
    kill_server();
    certificate_free(&tls_authority);
    certificate_free(&own);
    folder_remove();
}

void start_tls_server(const char *const more[])
{
    const char *arguments[16] = {"--threads=2", "--tls-cert", folder_path("cert"), "--tls-key",
                                 folder_path("key")};
    for (int i = 0; more && more[i]; i++)
        arguments[5 + i] = more[i];
    server_process_start(&server, arguments);
}

bool connects_tls(struct http_client *to, const char *certificate, const char *key)
{
    const struct http_client_tls tls = {
        .ca = folder_path("ca"), .certificate = certificate, .key = key};
    http_client_close(to);
    return http_client_connect_tls(to, server.port, &tls);
}

void connect_tls(void)
{
    ck_assert(connects_tls(&client, NULL, NULL));
}

void make_client_certificate(const char *name, enum certificate_use use,
                             const struct certificate *by, int hours)
{
    char key[32];
    struct certificate made;
    snprintf(key, sizeof key, "%s.key", name);
    certificate_make(&made, use, name, by, hours);
    certificate_write(&made, folder_path(name), folder_path(key));
    certificate_free(&made);
}

void connect_as(const char *name)
{
    char key[32];
    snprintf(key, sizeof key, "%s.key", name);
    ck_assert(connects_tls(&client, folder_path(name), folder_path(key)));
}
