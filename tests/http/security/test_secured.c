/*
 * All clients against a server with TLS, a private certificate authority and tokens: the Python and
 * JavaScript packages, lossctl, and the page in Chromium. Clients that are not installed are
 * skipped with a line on stderr.
 */
#include "suites.h"
#include "support/command.h"
#include "support/folder.h"
#include "support/server_process.h"

#include <stdlib.h>
#include <string.h>

enum { PATH = 200, PRINTED = 1 << 16, TOKEN = 64 };

static struct server_process server;
static char token[TOKEN], printed[PRINTED];

static void make_token(void)
{
    char line[SERVER_TEXT], said[SERVER_TEXT];
    ck_assert_int_eq(
        server_process_run((const char *const[]){"--new-token", "alice", NULL}, line, said), 0);
    const char *const secret = strrchr(said, ' ');
    ck_assert_ptr_nonnull(secret);
    ck_assert_int_eq(sscanf(secret, " %63s", token), 1);
    folder_write("tokens", line);
}

static void setup(void)
{
    folder_make();
    folder_write_certificates();
    make_token();
    /* Listens on every address of the name, because Node 18 tries only the first. */
    server_process_start(&server,
                         (const char *const[]){"--listen", "localhost:0", "--threads=2",
                                               "--log-level=error", "--tls-cert",
                                               folder_path("cert"), "--tls-key", folder_path("key"),
                                               "--token-file", folder_path("tokens"), NULL});
}

static void teardown(void)
{
    server_process_end(&server);
    folder_remove();
}

/* Runs a shell command with the server's address, the token and the authority's certificate in
 * variables. */
static void run(const char *command)
{
    const int status = command_run(printed, sizeof printed,
                                   "export URL=https://localhost:%d TOKEN=%s CA=%s; { %s; } 2>&1",
                                   server.port, token, folder_path("ca"), command);
    ck_assert_msg(status == 0, "exited with %d and printed: %s", status, printed);
}

START_TEST(secured_python_client_is_accepted)
{
    if (!numpy_is_there()) {
        fprintf(stderr, "secured: the Python client is skipped: python3-numpy is not installed\n");
        return;
    }
    run("PYTHONPATH=clients/python/src /usr/bin/python3 -B -c '\n"
        "import asyncio, os\n"
        "import lossd\n"
        "\n"
        "url, token, ca = (os.environ[name] for name in (\"URL\", \"TOKEN\", \"CA\"))\n"
        "\n"
        "def mse(**options):\n"
        "    with lossd.Client(url, retries=0, **options) as client:\n"
        "        return client.mse([1, 2], [0, 0]).loss\n"
        "\n"
        "async def awaited():\n"
        "    async with lossd.AsyncClient(url, cafile=ca, token=token) as client:\n"
        "        return (await client.mse([1, 2], [0, 0])).loss\n"
        "\n"
        "def refused(error, **options):\n"
        "    try:\n"
        "        mse(**options)\n"
        "    except error:\n"
        "        return True\n"
        "\n"
        "assert mse(cafile=ca, token=token) == mse(verify=False, token=token) == "
        "asyncio.run(awaited()) == 2.5\n"
        "assert refused(lossd.AccessDenied, cafile=ca)\n"
        "assert refused(lossd.AccessDenied, cafile=ca, token=token[:-1])\n"
        "assert refused(lossd.ConnectionFailed, token=token)\n"
        "'");
}
END_TEST

START_TEST(secured_javascript_client_is_accepted)
{
    if (!command_succeeds("command -v node")) {
        fprintf(stderr, "secured: the JavaScript client is skipped: node is not installed\n");
        return;
    }
    run("cat > ${CA%/*}/ask.mjs <<'END'\n"
        "import assert from 'node:assert/strict';\n"
        "const {Client} = await import(`${process.cwd()}/clients/js/index.js`);\n"
        "const {URL: url, TOKEN: token} = process.env;\n"
        "const ask = (options) => new Client(url, {retries: 0, ...options}).mse({input: [1, 2], "
        "target: [0, 0]});\n"
        "if (process.argv[2]) {\n"
        "    assert.equal((await ask({token})).loss, 2.5);\n"
        "    await assert.rejects(ask(), {status: 401});\n"
        "    await assert.rejects(ask({token: 'another'}), {status: 403});\n"
        "} else {\n"
        "    await assert.rejects(ask({token}), {status: 0, message: /certificate/});\n"
        "}\n"
        "END\n"
        "NODE_EXTRA_CA_CERTS=$CA node ${CA%/*}/ask.mjs trusted && node ${CA%/*}/ask.mjs");
}
END_TEST

START_TEST(secured_lossctl_is_accepted)
{
    const char *const lossd = getenv("LOSSD");
    char program[PATH];
    snprintf(program, sizeof program, "%s", lossd ? lossd : "build/lossd");
    ck_assert_ptr_nonnull(strrchr(program, '/'));
    snprintf(strrchr(program, '/'), 10, "/lossctl");
    setenv("LOSSCTL", program, 1);
    if (!command_succeeds("test -x \"$LOSSCTL\"")) {
        fprintf(stderr,
                "secured: lossctl is skipped: it was not built (needs libcurl4-openssl-dev)\n");
        return;
    }
    run("printf %s \"$TOKEN\" > ${CA%/*}/token && \"$LOSSCTL\" doctor --url $URL --cacert $CA "
        "--token-file ${CA%/*}/token");
    ck_assert_ptr_nonnull(strstr(printed, "bit-identical"));
    run("LOSSD_URL=$URL LOSSD_TOKEN=$TOKEN \"$LOSSCTL\" bench --cacert $CA --duration 0.1 "
        "--warm-up 0 --limit errors=0 -q");
    run("LOSSD_TOKEN=another \"$LOSSCTL\" doctor --url $URL --cacert $CA; test $? = 4");
    ck_assert_ptr_nonnull(strstr(printed, "unknown token"));
    run("LOSSD_TOKEN=$TOKEN \"$LOSSCTL\" doctor --url $URL; test $? = 3");
    ck_assert_ptr_nonnull(strstr(printed, "; set the certificate authority with --cacert"));
    run("\"$LOSSCTL\" doctor --url http://${URL#https://}; test $? = 3");
    ck_assert_ptr_nonnull(strstr(printed, "; does it expect https://?"));
}
END_TEST

START_TEST(secured_page_asks_for_the_token)
{
    if (!browser_is_there() || !npm_packages_are_there("tests/web")) {
        fprintf(stderr,
                "secured: the page is not tested: node, npm or Chromium is not installed; make "
                "check-web installs them\n");
        return;
    }
    run("cd tests/web && LOSSD_URL=$URL LOSSD_TOKEN=$TOKEN node --test secured.test.mjs");
}
END_TEST

Suite *secured_suite(void)
{
    Suite *suite = suite_create("secured");
    TCase *tcase = suite_add_case(suite, "secured", 300, setup, teardown);
    tcase_set_tags(tcase, TAG_SLOW);
    CASE_ADD(tcase, secured_python_client_is_accepted, secured_javascript_client_is_accepted,
             secured_lossctl_is_accepted, secured_page_asks_for_the_token);
    return suite;
}
