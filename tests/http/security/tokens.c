#include "tokens.h"

#include <check.h>
#include <stdio.h>

#include "support/folder.h"
#include "support/server_fixture.h"

/* 43 characters, and their sha256sum. */
const char alice_token[] = "alice-0123456789abcdefghijklmnopqrstuvwxyz_";

const char alice_line[] =
    "alice:dc5c3a900295ccecb6bbc567b71e916d43d6a890c4d4f0a7b53969b0ae9535a7\n";

const char bob_token[] = "bob+0123456789abcdefghijklmnopqrstuvwxyz/==";

const char bob_line[] = "bob:62ada03e8eda4f3eaf2223215f79995eb87043ea355558a5b5a297adf475eab4\n";

void ask_with_token(const char *path, const char *token)
{
    char headers[512];
    snprintf(headers, sizeof headers, "Authorization: Bearer %s\r\n", token);
    ask("GET", path, headers, NULL);
}

void expect_known(const char *token)
{
    ask_with_token(mse_path, token);
    ck_assert_msg(response.status == 200, "%s%s", response.head, response.body);
}

void start_with_tokens(const char *lines)
{
    folder_write("tokens", lines);
    server_process_start(&server, ARGUMENTS("--threads=2", "--listen=127.0.0.1:0",
                                            folder_option("--token-file=", "tokens")));
    connect_port(server.port);
}
