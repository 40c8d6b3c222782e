/*
 * Tests the configurations of deploy/haproxy and deploy/nginx with the real programs and two
 * servers. Only the ports are changed.
 */
#include "suites.h"
#include "support/command.h"
#include "support/folder.h"
#include "support/http_client.h"
#include "support/server_process.h"
#include "support/wait.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct {
    const char *name;
    const char *config;
    const char *run;    /* a command, run in the folder of the test, that reads the file `config` */
    const char *around; /* text around the content of the file, which replaces %s; NULL: none */
} proxies[] = {
    {"haproxy", "deploy/haproxy/haproxy.cfg", "haproxy -db -f config", NULL},
    {"nginx", "deploy/nginx/lossd.conf", "nginx -p . -e log -c config",
     "daemon off; master_process off; pid pid; error_log stderr info; events {}\n"
     "http { access_log off; client_body_temp_path spool; proxy_temp_path spool; fastcgi_temp_path "
     "spool;\n"
     "uwsgi_temp_path spool; scgi_temp_path spool;\n%s}\n"},
};
enum {
    PROXIES = sizeof proxies / sizeof *proxies,
    SERVERS = 2,
    CLIENTS = 4,
    ENOUGH = 200, /* requests between two steps */
    PATH = 64,
    COMMAND = 256,
    CONFIG = 1 << 14,
    PATIENCE_MS = 30000,
    LARGE = 12 << 20, /* bytes of a large body: more than all buffers */
    MAX_BODY = 16 << 20,
};

/* The host name that clients use for the proxy. */
#define NAME "losses.example.org"

static const char evaluate_path[] = "/v1/losses/mse";
static const char small[] = "{\"input\":[1,2,3],\"target\":[1,2,5]}";
static const char small_answer[] = "\"loss\":1.3333333333333333,";

static struct server_process server[SERVERS];
static pid_t proxy;
static int proxy_port;
static struct http_client client;
static struct http_response response;

/* ---- Set-up ---- */

/* Returns a port that is currently free. */
static int free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert(fd >= 0 && bind(fd, (struct sockaddr *)&address, len) == 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    close(fd);
    return ntohs(address.sin_port);
}

/* Replaces the only occurrence of an address. */
static void replace_address(char *config, const char *old, int port)
{
    char new[PATH], *const at = strstr(config, old);
    ck_assert_msg(at != NULL, "%s is not in the configuration", old);
    snprintf(new, sizeof new, "127.0.0.1:%d", port);
    memmove(at + strlen(new), at + strlen(old), strlen(at + strlen(old)) + 1);
    memcpy(at, new, strlen(new));
    ck_assert_msg(!strstr(config, old), "%s is in the configuration more than once", old);
}

static void write_config(int which)
{
    static char config[CONFIG], text[CONFIG + 1024];
    FILE *const from = fopen(proxies[which].config, "re");
    ck_assert_ptr_nonnull(from);
    memset(config, 0, sizeof config);
    ck_assert_uint_lt(fread(config, 1, sizeof config / 2, from), sizeof config / 2);
    fclose(from);
    replace_address(config, "127.0.0.1:8080", proxy_port);
    replace_address(config, "127.0.0.1:8081", server[0].port);
    replace_address(config, "127.0.0.1:8082", server[1].port);
    const char *const place = proxies[which].around ? strstr(proxies[which].around, "%s") : NULL;
    if (place)
        snprintf(text, sizeof text, "%.*s%s%s", (int)(place - proxies[which].around),
                 proxies[which].around, config, place + 2);
    else
        snprintf(text, sizeof text, "%s", config);
    folder_write("config", text);
}

/* Starts the proxy. Its output goes to the file `log` of the folder. It is killed if the test dies.
 */
static void start_proxy(int which)
{
    char command[COMMAND];
    snprintf(command, sizeof command, "cd %s && mkdir spool && exec %s >log 2>&1 </dev/null",
             folder_name(), proxies[which].run);
    proxy = fork();
    ck_assert_int_ge(proxy, 0);
    if (proxy == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
}

static char *proxy_log(void)
{
    enum { ROOM = 1 << 18 };
    char *const text = calloc(1, ROOM);
    FILE *const file = fopen(folder_path("log"), "re");
    ck_assert(text && file);
    ck_assert_uint_lt(fread(text, 1, ROOM - 1, file), ROOM);
    fclose(file);
    return text;
}

/* Connects to the proxy and waits until a server is available. */
static void await_proxy(void)
{
    for (int ms = 0; ms < PATIENCE_MS; ms += 50) {
        if (http_client_connect(&client, "127.0.0.1", proxy_port) &&
            http_client_ask(&client, "GET", "/readyz", NULL, NULL, 0, &response) &&
            response.status == 200)
            return;
        http_client_close(&client);
        ck_assert_msg(waitpid(proxy, NULL, WNOHANG) == 0, "the proxy has exited; its log: %s",
                      proxy_log());
        wait_ms(50);
    }
    ck_abort_msg("the proxy does not serve; its log: %s", proxy_log());
}

static void start(int which, const char *log)
{
    folder_make();
    for (int i = 0; i < SERVERS; i++)
        server_process_start(&server[i],
                             (const char *const[]){"--log-format=json", log, "--threads=1",
                                                   "--max-body=16M", "--drain-delay=4",
                                                   "--allowed-hosts=" NAME, NULL});
    proxy_port = free_port();
    write_config(which);
    start_proxy(which);
    await_proxy();
}

static void teardown(void)
{
    http_client_close(&client);
    http_response_free(&response);
    kill(proxy, SIGTERM);
    waitpid(proxy, NULL, 0);
    for (int i = 0; i < SERVERS; i++)
        server_process_free(&server[i]);
    folder_remove();
}

/* ---- Stopping a server ---- */

struct load {
    pthread_t thread[CLIENTS];
    atomic_bool end;
    atomic_int answered;
    atomic_int failed;
    char *medium; /* a body that is larger than a buffer of a proxy; the executor computes it */
};

static void has_failed(struct load *load, const char *what, const struct http_response *answer)
{
    fprintf(stderr, "proxies: a request failed: %s: %s%s\n", what, answer->head ? answer->head : "",
            answer->body ? answer->body : "");
    atomic_fetch_add(&load->failed, 1);
}

/* Sends requests continuously, on one connection as long as it stays open. */
static void *keep_asking(void *argument)
{
    struct load *const load = argument;
    struct http_client asking = {.fd = -1};
    struct http_response answer = {.status = 0};
    char connection[PATH];
    for (int i = 0; !atomic_load(&load->end); i++) {
        const char *const body = i % 8 == 0 ? load->medium : small;
        if (asking.fd < 0 && !http_client_connect(&asking, "127.0.0.1", proxy_port))
            has_failed(load, "no connection", &answer);
        else if (!http_client_ask(&asking, "POST", evaluate_path, NULL, body, strlen(body),
                                  &answer))
            has_failed(load, "no response", &(struct http_response){.status = 0});
        else if (answer.status != 200 || (body == small && !strstr(answer.body, small_answer)))
            has_failed(load, "wrong response", &answer);
        else
            atomic_fetch_add(&load->answered, 1);
        if (answer.head &&
            http_response_header(&answer, "Connection", connection, sizeof connection) &&
            strcmp(connection, "close") == 0)
            http_client_close(&asking);
        if (atomic_load(&load->failed) > 0)
            break;
    }
    http_response_free(&answer);
    http_client_close(&asking);
    return NULL;
}

static void await_answers(struct load *load, int more)
{
    const int wanted = atomic_load(&load->answered) + more;
    for (int ms = 0; atomic_load(&load->answered) < wanted && atomic_load(&load->failed) == 0;
         ms += 5) {
        ck_assert_int_lt(ms, PATIENCE_MS);
        wait_ms(5);
    }
}

/* Returns a request of about `size` bytes; the caller frees it. */
static char *body_of(size_t size)
{
    char *const body = malloc(size + 64);
    ck_assert_ptr_nonnull(body);
    size_t len = 0;
    for (int tensor = 0; tensor < 2; tensor++) {
        len += (size_t)sprintf(body + len, "%s:[0.25", tensor == 0 ? "{\"input\"" : "],\"target\"");
        for (size_t i = 1; i < size / 12; i++)
            len += (size_t)sprintf(body + len, ",0.25");
    }
    sprintf(body + len, "]}");
    return body;
}

/* Returns the number of evaluations of a server. */
static int evaluations_of(const struct server_process *of)
{
    static const char sample[] =
        "lossd_evaluations_total{loss=\"mse\",protocol=\"v1\",status=\"200\"} ";
    struct http_client asking = {.fd = -1};
    struct http_response answer = {.status = 0};
    ck_assert(http_client_connect(&asking, "127.0.0.1", of->port));
    ck_assert(http_client_ask(&asking, "GET", "/metrics", NULL, NULL, 0, &answer));
    const char *const found = strstr(answer.body, sample);
    ck_assert_ptr_nonnull(found);
    const int count = (int)strtol(found + strlen(sample), NULL, 10);
    http_response_free(&answer);
    http_client_close(&asking);
    return count;
}

START_TEST(proxy_loses_no_request_when_a_server_stops)
{
    struct load load = {.answered = 0};
    start(_i, "--access-log=failed");
    load.medium = body_of(200000);
    for (int i = 0; i < CLIENTS; i++)
        ck_assert_int_eq(pthread_create(&load.thread[i], NULL, keep_asking, &load), 0);
    await_answers(&load, ENOUGH);
    ck_assert_int_gt(evaluations_of(&server[0]), 0);
    const int code = server_process_stop(&server[0]); /* the server exits after the drain */
    const int after = evaluations_of(&server[1]);
    await_answers(&load, ENOUGH);
    atomic_store(&load.end, true);
    for (int i = 0; i < CLIENTS; i++)
        pthread_join(load.thread[i], NULL);
    ck_assert_int_eq(atomic_load(&load.failed), 0);
    ck_assert_int_eq(code, 0);
    /* Requests that were active at the start or the end may be counted by the client or the server
       only. */
    ck_assert_int_ge(evaluations_of(&server[1]), after + ENOUGH - 2 * CLIENTS);
    ck_assert_int_eq(server_process_stop(&server[1]), 0);
    free(load.medium);
}
END_TEST

/* ---- Proxied requests ---- */

START_TEST(proxy_streams_large_bodies_and_the_server_limits_them)
{
    char headers[] = "X-Request-Id: large\r\ntraceparent: "
                     "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n",
         found[PATH];
    start(_i, "--access-log=all");
    char *body = body_of(LARGE);
    ck_assert(http_client_ask(&client, "POST", "/v1/losses/mse?", headers, body, strlen(body),
                              &response));
    ck_assert_msg(response.status == 200 && strstr(response.body, "\"loss\":0,"), "%s%s",
                  response.head, response.body);
    ck_assert(http_response_header(&response, "X-Request-Id", found, sizeof found));
    ck_assert_str_eq(found, "large");
    ck_assert(http_response_header(&response, "traceparent", found, sizeof found));
    free(body);

    /* A large response. */
    body = body_of(LARGE / 2);
    strcpy(strrchr(body, '}'), ",\"grad\":true}");
    ck_assert(http_client_ask(&client, "POST", evaluate_path, NULL, body, strlen(body), &response));
    ck_assert_int_eq(response.status, 200);
    ck_assert_uint_gt(response.body_len, 1 << 20);
    free(body);

    /* The server, not the proxy, rejects a body with one byte too many. */
    char *const text = malloc(MAX_BODY + 1);
    ck_assert_ptr_nonnull(text);
    memset(text, ' ', MAX_BODY + 1);
    memcpy(text, small, strlen(small));
    ck_assert(http_client_ask(&client, "POST", evaluate_path, NULL, text, MAX_BODY, &response));
    ck_assert_msg(response.status == 200, "%s%s", response.head, response.body);
    http_client_close(&client);
    ck_assert(http_client_connect(&client, "127.0.0.1", proxy_port));
    snprintf(found, sizeof found, "%d", MAX_BODY + 1);
    ck_assert(http_client_send_text(
        &client, "POST /v1/losses/mse HTTP/1.1\r\nHost: localhost\r\nContent-Length: "));
    ck_assert(http_client_send_text(&client, found) && http_client_send_text(&client, "\r\n\r\n"));
    ck_assert(http_client_send(&client, text, 1 << 16));
    ck_assert(http_client_read(&client, &response, false));
    ck_assert_msg(response.status == 413 && strstr(response.body, "--max-body"), "%s%s",
                  response.head, response.body);
    free(text);

    char *const log = proxy_log();
    /* nginx logs each body that it buffers on disk. */
    ck_assert_msg(!strstr(log, "temporary file"), "%s", log);
    free(log);
}
END_TEST

START_TEST(proxy_adds_request_id_that_both_log)
{
    char id[PATH], line[2 * PATH];
    start(_i, "--access-log=all");
    snprintf(line, sizeof line,
             "POST /v1/losses/mse HTTP/1.1\r\nHost: " NAME "\r\nContent-Length: %zu\r\n\r\n",
             strlen(small));
    ck_assert(http_client_send_text(&client, line) && http_client_send_text(&client, small));
    ck_assert(http_client_read(&client, &response, false));
    ck_assert_msg(response.status == 200, "%s%s", response.head, response.body);
    ck_assert(http_response_header(&response, "X-Request-Id", id, sizeof id));
    snprintf(line, sizeof line, "\"id\":\"%s\"", id);
    wait_ms(100);
    char *const first = server_process_log(&server[0]), *const second =
                                                            server_process_log(&server[1]);
    ck_assert_msg(strstr(first, line) || strstr(second, line), "%s is in neither %s nor %s", line,
                  first, second);
    /* The id is that of the proxy. Those of the server are shorter: 16 digits, a hyphen and a
       number. */
    ck_assert_uint_ge(strlen(id), 32);
    free(first);
    free(second);
}
END_TEST

Suite *proxies_suite(void)
{
    Suite *suite = suite_create("proxies");
    TCase *tcase = tcase_create("proxies");
    tcase_set_timeout(tcase, 120);
    tcase_set_tags(tcase, TAG_SLOW);
    tcase_add_checked_fixture(tcase, NULL, teardown);
    for (int i = 0; i < PROXIES; i++) {
        char command[COMMAND];
        snprintf(command, sizeof command, "command -v %s", proxies[i].name);
        if (command_succeeds(command)) {
            tcase_add_loop_test(tcase, proxy_loses_no_request_when_a_server_stops, i, i + 1);
            tcase_add_loop_test(tcase, proxy_streams_large_bodies_and_the_server_limits_them, i,
                                i + 1);
            tcase_add_loop_test(tcase, proxy_adds_request_id_that_both_log, i, i + 1);
        } else {
            fprintf(stderr, "proxies: the configuration of %s is not tested: it is not installed\n",
                    proxies[i].name);
        }
    }
    suite_add_tcase(suite, tcase);
    return suite;
}
