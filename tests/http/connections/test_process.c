/* Tests the process of the server: options, start-up line, addresses, log. */
#include "loss.h"
#include "suites.h"
#include "support/server_fixture.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- Options ---- */

START_TEST(prints_one_line_with_its_port)
{
    char expected[256], more;
    start_server(ARGUMENTS("--threads=2", "--io-threads=3"));
    snprintf(expected, sizeof expected,
             "lossd " LOSS_VERSION " listening on http://127.0.0.1:%d (threads 2, io-threads 3)",
             server.port);
    ck_assert_str_eq(server.line, expected);
    ask("GET", "/readyz", NULL, NULL);
    ck_assert_int_eq(response.status, 200);
    ck_assert_str_eq(response.body, "ready\n");
    http_client_close(&client);
    ck_assert_int_eq(server_process_stop(&server), 0);
    ck_assert_int_eq(read(server.out, &more, 1), 0);
}
END_TEST

START_TEST(rejects_invalid_options_with_one_line)
{
    char out[SERVER_TEXT], err[SERVER_TEXT];
    ck_assert_int_eq(server_process_run(ARGUMENTS("--thread", "2"), out, err), 2);
    ck_assert_str_eq(err, "lossd: unknown option --thread; did you mean --threads?\n");
    ck_assert_str_eq(out, "");
    ck_assert_int_eq(server_process_run(ARGUMENTS("--max-body", "much"), out, err), 2);
    ck_assert_ptr_eq(strchr(err, '\n'), err + strlen(err) - 1);
    ck_assert_int_eq(server_process_run(ARGUMENTS("--config", "/no/such/file"), out, err), 2);
    ck_assert_ptr_nonnull(strstr(err, "/no/such/file"));
}
END_TEST

/* Checks the text of --version: the version, the compiler and the instruction sets. */
static void check_version(const char *text)
{
    char sets[256] = "\ninstruction sets:";
    for (size_t i = 0; loss_isa_at(i); i++)
        snprintf(sets + strlen(sets), sizeof sets - strlen(sets), "%s %s", i > 0 ? "," : "",
                 loss_isa_at(i));
    snprintf(sets + strlen(sets), sizeof sets - strlen(sets), "; in use: %s\n", loss_isa());
    ck_assert_ptr_eq(strstr(text, "lossd " LOSS_VERSION "\nbuilt with "), text);
    ck_assert_ptr_nonnull(strstr(text, ", libmicrohttpd "));
    ck_assert_msg(strstr(text, sets) != NULL, "%s lacks %s", text, sets);
}

START_TEST(prints_help_version_and_config)
{
    char out[SERVER_TEXT], err[SERVER_TEXT];
    ck_assert_int_eq(server_process_run(ARGUMENTS("--help"), out, err), 0);
    ck_assert_ptr_nonnull(strstr(out, "--max-body BYTES"));
    ck_assert_int_eq(server_process_run(ARGUMENTS("--version"), out, err), 0);
    check_version(out);
    setenv("LOSSD_THREADS", "3", 1);
    ck_assert_int_eq(server_process_run(ARGUMENTS("--print-config", "--io-threads", "1"), out, err),
                     0);
    unsetenv("LOSSD_THREADS");
    ck_assert_ptr_nonnull(strstr(out, "\nthreads = 3    # LOSSD_THREADS\n"));
    ck_assert_ptr_nonnull(strstr(out, "\nio-threads = 1    # --io-threads\n"));
    ck_assert_str_eq(err, "");
}
END_TEST

START_TEST(prefers_flag_to_environment_to_file)
{
    char path[] = "/tmp/lossd-config-XXXXXX";
    int fd = mkstemp(path);
    const char text[] = "threads = 3\nio-threads = 3\nlog-format = json\n";
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    setenv("LOSSD_THREADS", "2", 1);
    setenv("LOSSD_IO_THREADS", "2", 1);
    setenv("LOSSD_CONFIG", path, 1);
    start_server(ARGUMENTS("--threads=1"));
    unsetenv("LOSSD_THREADS");
    unsetenv("LOSSD_IO_THREADS");
    unsetenv("LOSSD_CONFIG");
    unlink(path);
    ck_assert_ptr_nonnull(strstr(server.line, "(threads 1, io-threads 2)"));
    expect_usable();
    http_client_close(&client);
    ck_assert_int_eq(server_process_stop(&server), 0);
    char *log = server_process_log(&server);
    ck_assert_ptr_nonnull(strstr(log, "{\"ts\":\""));
    free(log);
}
END_TEST

START_TEST(rejects_a_thread_count_that_cannot_start)
{
    /* Limits address space, in which 1024 stacks of 8 MiB do not fit. A limit on processes does not
     * apply to root. */
    char command[512], out[256] = "";
    const char *program = getenv("LOSSD") && *getenv("LOSSD") ? getenv("LOSSD") : "build/lossd";
    snprintf(command, sizeof command,
             "ulimit -s 8192; ulimit -v 2000000; '%s' --threads 1024 --listen 127.0.0.1:0 2>&1",
             program);
    FILE *pipe = popen(command, "r");
    ck_assert_ptr_nonnull(pipe);
    size_t got = fread(out, 1, sizeof out - 1, pipe);
    out[got] = '\0';
    int status = pclose(pipe);
    if (strstr(out, "Sanitizer") || WEXITSTATUS(status) > 2)
        return; /* sanitizers cannot start with this limit */
    ck_assert_int_eq(WEXITSTATUS(status), 1);
    ck_assert_msg(strstr(out, "lossd: cannot create 1024 compute threads: ") == out, "%s", out);
    ck_assert_ptr_eq(strchr(out, '\n'), out + strlen(out) - 1);
}
END_TEST

/* ---- Addresses ---- */

START_TEST(rejects_a_port_in_use)
{
    char out[SERVER_TEXT], err[SERVER_TEXT], listen[64];
    server_process_start(&server, NULL);
    snprintf(listen, sizeof listen, "127.0.0.1:%d", server.port);
    ck_assert_int_eq(server_process_run(ARGUMENTS("--listen", listen), out, err), 1);
    ck_assert_str_eq(out, "");
    ck_assert_ptr_nonnull(strstr(err, "Address already in use"));
    ck_assert_ptr_eq(strchr(err, '\n'), err + strlen(err) - 1);
    ck_assert_int_eq(server_process_stop(&server), 0);
}
END_TEST

START_TEST(rejects_an_unknown_host)
{
    char out[SERVER_TEXT], err[SERVER_TEXT];
    ck_assert_int_eq(server_process_run(ARGUMENTS("--listen", "192.0.2.1:0"), out, err), 1);
    ck_assert_ptr_nonnull(strstr(err, "cannot listen on 192.0.2.1"));
    ck_assert_ptr_eq(strchr(err, '\n'), err + strlen(err) - 1);
}
END_TEST

/* Returns true if the loopback of this machine has IPv6. */
static bool has_ipv6(void)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool has = fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0;
    if (fd >= 0)
        close(fd);
    return has;
}

START_TEST(listens_on_ipv6)
{
    if (!has_ipv6())
        return;
    server_process_start(&server, ARGUMENTS("--listen=[::1]:0"));
    ck_assert_ptr_nonnull(strstr(server.line, "http://[::1]:"));
    ck_assert(http_client_connect(&client, "::1", server.port));
    expect_usable();
    http_client_close(&client);
    ck_assert(!http_client_connect(&client, "127.0.0.1", server.port));
    ck_assert_int_eq(server_process_stop(&server), 0);
}
END_TEST

START_TEST(listens_on_both_families_for_the_any_address)
{
    if (!has_ipv6())
        return;
    start_server(ARGUMENTS("--listen=[::]:0", "--allow-unauthenticated"));
    expect_usable();
    http_client_close(&client);
    ck_assert(http_client_connect(&client, "::1", server.port));
    expect_usable();
    http_client_close(&client);
    ck_assert_int_eq(server_process_stop(&server), 0);
}
END_TEST

START_TEST(listens_on_a_host_name)
{
    start_server(ARGUMENTS("--listen=localhost:0"));
    ck_assert_ptr_nonnull(strstr(server.line, "http://localhost:"));
    expect_usable();
    http_client_close(&client);
    ck_assert_int_eq(server_process_stop(&server), 0);
}
END_TEST

/* ---- Log ---- */

START_TEST(logs_a_line_per_request_without_raw_bytes)
{
    start_server(ARGUMENTS("--log-format=json"));
    ask("POST", mse_path, "X-Request-Id: log-1\r\n", mse_body);
    ask_raw("GET /a\x1b[31mb\"c HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: log-2\r\n\r\n");
    ck_assert_int_eq(response.status, 400);
    http_client_close(&client);
    ck_assert_int_eq(server_process_stop(&server), 0);
    char *log = server_process_log(&server), expected[160];
    snprintf(expected, sizeof expected,
             "\"id\":\"log-1\",\"method\":\"POST\",\"path\":\"/v1/losses/"
             "mse\",\"status\":200,\"bytes_in\":%zu,",
             strlen(mse_body));
    ck_assert_msg(strstr(log, expected) != NULL, "%s", log);
    ck_assert_msg(strstr(log, "\"id\":\"log-2\",\"method\":\"GET\",\"path\":\"/"
                              "a\\u001b[31mb\\\"c\",\"status\":400") != NULL,
                  "%s", log);
    ck_assert_ptr_null(strchr(log, '\x1b'));
    free(log);
}
END_TEST

START_TEST(logs_only_received_bytes_of_a_request_line)
{
    static const struct {
        const char *text, *logged;
    } lines[] = {{"\nGET /healthz HTTP/1.1\r\n\r\n", "\"method\":\"-\",\"path\":\"-\""},
                 {" GET /healthz HTTP/1.1\r\n\r\n", "\"method\":\"-\",\"path\":\"-\""},
                 {"GET\r\n\r\n", "\"method\":\"GET\",\"path\":\"-\""},
                 {"\x16\x03\x01\r\n", "\"method\":\"\\u0016\\u0003\\u0001\",\"path\":\"-\""},
                 {"GET /healthz HTTP/3.1\r\n\r\n", "\"method\":\"GET\",\"path\":\"/healthz\""}};
    start_server(ARGUMENTS("--log-format=json"));
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        reconnect();
        ask_raw(lines[i].text);
        ck_assert_int_ge(response.status, 400);
        server_process_expect_log(&server, lines[i].logged);
    }
    http_client_close(&client);
    ck_assert_int_eq(server_process_stop(&server), 0);
}
END_TEST

START_TEST(logs_nothing_below_its_level)
{
    start_server(ARGUMENTS("--log-level=error"));
    expect_usable();
    http_client_close(&client);
    ck_assert_int_eq(server_process_stop(&server), 0);
    char *log = server_process_log(&server);
    ck_assert_str_eq(log, "");
    free(log);
}
END_TEST

/* ---- Suite ---- */

Suite *process_suite(void)
{
    Suite *suite = suite_create("process");
    TCase *const process = suite_add_case(suite, "process", 120, NULL, kill_server);
    CASE_ADD(process, prints_one_line_with_its_port, rejects_an_unknown_host,
             rejects_invalid_options_with_one_line, prints_help_version_and_config,
             prefers_flag_to_environment_to_file, listens_on_ipv6,
             listens_on_both_families_for_the_any_address, listens_on_a_host_name,
             rejects_a_thread_count_that_cannot_start, logs_a_line_per_request_without_raw_bytes,
             logs_only_received_bytes_of_a_request_line, logs_nothing_below_its_level);
    TCase *const slow = suite_add_case(suite, "process_slow", 120, NULL, kill_server);
    tcase_set_tags(slow, TAG_SLOW);
    CASE_ADD(slow, rejects_a_port_in_use);
    return suite;
}
