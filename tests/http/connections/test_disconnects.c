/* Tests clients that disconnect while their requests wait or are computed. */
#include "suites.h"
#include "support/body.h"
#include "support/long_requests.h"
#include "support/metric_values.h"
#include "support/server_fixture.h"
#include "util/clock.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SOON_MS = 10000 }; /* less than a second on an idle machine */

/* Waits until a metric has a value. Returns the milliseconds that this took. */
static int64_t time_until(const char *line, double value)
{
    const int64_t began = clock_ms();
    metric_wait(line, value);
    return clock_ms() - began;
}

/* ---- Reset and close ---- */

START_TEST(reset_cancels_computation)
{
    struct http_client waiting_too;
    START_SERVER("--log-level=info");
    ask_for_minutes(&client);
    metric_wait(METRIC_BUSY, 1);
    ck_assert(http_client_connect(&waiting_too, "127.0.0.1", server.port));
    ask_for_minutes(&waiting_too);
    metric_wait(METRIC_QUEUED, 1);
    http_client_reset(&waiting_too);
    http_client_reset(&client);
    metric_wait(METRIC_DISCONNECTED, 2);
    metric_wait(METRIC_BUSY, 0);
    metric_wait(METRIC_RESERVED, 0);
    ck_assert(http_client_connect(&client, "127.0.0.1", server.port));
    ask_for_much();
    ck_assert(http_client_read(&client, &response, false));
    ck_assert_int_eq(response.status, 200);
    char *log = server_process_log(&server);
    ck_assert_ptr_nonnull(strstr(log, " 499 "));
    free(log);
}
END_TEST

/* The queue position and the memory of a waiting request are released at once, not when its turn
 * comes. */
START_TEST(queued_work_is_cancelled_at_once)
{
    struct http_client waiting_too;
    START_SERVER("--threads=1");
    ask_for_minutes(&client);
    metric_wait(METRIC_BUSY, 1);
    ck_assert(http_client_connect(&waiting_too, "127.0.0.1", server.port));
    ask_for_minutes(&waiting_too);
    metric_wait(METRIC_QUEUED, 1);
    const double both = metric_value(METRIC_RESERVED);
    http_client_reset(&waiting_too);
    metric_wait(METRIC_QUEUED, 0);
    metric_wait(METRIC_DISCONNECTED, 1);
    ck_assert(metric_value(METRIC_RESERVED) <=
              both - 2.0 * ROWS_MINUTE * ROWS_COLUMNS * sizeof(float));
    ck_assert(metric_value(METRIC_BUSY) == 1);
    http_client_reset(&client);
    metric_wait(METRIC_BUSY, 0);
    ck_assert(http_client_connect(&client, "127.0.0.1", server.port));
}
END_TEST

/* For a minute, the kernel of a client that has closed a connection reports this only in reply to
 * data. */
START_TEST(close_cancels_computation)
{
    struct http_client waiting_too;
    START_SERVER("--compute-timeout=0");
    ask_for_minutes(&client);
    metric_wait(METRIC_BUSY, 1);
    ck_assert(http_client_connect(&waiting_too, "127.0.0.1", server.port));
    ask_for_minutes(&waiting_too);
    metric_wait(METRIC_QUEUED, 1);
    http_client_close(&waiting_too);
    ck_assert_int_lt(time_until(METRIC_QUEUED, 0), SOON_MS);
    ck_assert(metric_value(METRIC_BUSY) == 1);
    http_client_close(&client);
    ck_assert_int_lt(time_until(METRIC_BUSY, 0), SOON_MS);
    metric_wait(METRIC_DISCONNECTED, 2);
    metric_wait(METRIC_RESERVED, 0);
    ck_assert(http_client_connect(&client, "127.0.0.1", server.port));
}
END_TEST

START_TEST(close_of_unix_socket_cancels_computation)
{
    char listen[128], path[64];
    snprintf(path, sizeof path, "/tmp/lossd-test-%d.sock", (int)getpid());
    snprintf(listen, sizeof listen, "--listen=127.0.0.1:0,unix:%s", path);
    START_SERVER("--compute-timeout=0", listen);
    http_client_close(&client);
    ck_assert(http_client_connect_path(&client, path));
    ask_for_minutes(&client);
    metric_wait(METRIC_BUSY, 1);
    http_client_close(&client);
    ck_assert_int_lt(time_until(METRIC_BUSY, 0), SOON_MS);
    metric_wait(METRIC_DISCONNECTED, 1);
    ck_assert(http_client_connect_path(&client, path));
    ask_for_rows(&client, ROWS_MOMENT, "");
    ck_assert(http_client_shut(&client));
    ck_assert(http_client_read(&client, &response, false));
    ck_assert_int_eq(response.status, 200);
    ck_assert(metric_value(METRIC_DISCONNECTED) == 1);
}
END_TEST

/* ---- Half-closed connections ---- */

START_TEST(half_close_does_not_cancel_computation)
{
    START_SERVER("--threads=1");
    ask_for_much();
    ck_assert(http_client_shut(&client));
    ck_assert(http_client_read(&client, &response, false));
    ck_assert_int_eq(response.status, 200);
    ck_assert(metric_value(METRIC_DISCONNECTED) == 0);
}
END_TEST

/* The server probes them by sending the first bytes of their responses early. */
START_TEST(half_closed_connections_stay_in_the_queue)
{
    struct http_client half;
    char byte = 0;
    START_SERVER("--threads=1", "--compute-timeout=0");
    ask_for_minutes(&client);
    metric_wait(METRIC_BUSY, 1);
    ck_assert(http_client_connect(&half, "127.0.0.1", server.port));
    for (int i = 0; i < 2; i++)
        ask_for_rows(&half, ROWS_MOMENT, "");
    ck_assert(http_client_shut(&half));
    ck_assert_int_eq(recv(half.fd, &byte, 1, MSG_PEEK), 1);
    ck_assert_int_eq(byte, 'H');
    wait_ms(1500); /* for the next byte */
    ck_assert(metric_value(METRIC_QUEUED) == 1);
    ck_assert(metric_value(METRIC_DISCONNECTED) == 0);
    http_client_reset(&client);
    for (int i = 0; i < 2; i++) {
        ck_assert(http_client_read(&half, &response, false));
        ck_assert_msg(strncmp(response.head, "HTTP/1.1 200 OK\r\n", 17) == 0, "%s", response.head);
    }
    ck_assert(http_client_closed(&half));
    http_client_close(&half);
    ck_assert(http_client_connect(&client, "127.0.0.1", server.port));
}
END_TEST

START_TEST(half_close_before_response_is_accepted)
{
    START_SERVER("--compute-timeout=0");
    ask_for_minutes(&client);
    metric_wait(METRIC_BUSY, 1);
    ck_assert(http_client_shut(&client));
    wait_ms(1000);
    ck_assert(metric_value(METRIC_BUSY) == 1);
    http_client_close(&client);
    ck_assert_int_lt(time_until(METRIC_BUSY, 0), SOON_MS);
    metric_wait(METRIC_DISCONNECTED, 1);
    ck_assert(http_client_connect(&client, "127.0.0.1", server.port));
}
END_TEST

/* ---- Silent connections ---- */

enum { LONG_MS = 60000 };

/* Reads the kind of timer that runs on the server side of a connection, and the ticks until it
   expires, from /proc/net/tcp. Returns false if the connection is not listed. */
static bool find_socket(int client_port, unsigned *timer, unsigned long *ticks)
{
    char line[512];
    bool found = false;
    FILE *const file = fopen("/proc/net/tcp", "r");
    ck_assert_ptr_nonnull(file);
    while (!found && fgets(line, sizeof line, file)) {
        unsigned local = 0, remote = 0;
        found = sscanf(line, " %*d: %*x:%x %*x:%x %*x %*x:%*x %x:%lx", &local, &remote, timer,
                       ticks) == 4 &&
                local == (unsigned)server.port && remote == (unsigned)client_port;
    }
    fclose(file);
    return found;
}

/* A machine without power sends nothing, so the kernel must probe it. */
START_TEST(silent_connections_have_keepalive_probes)
{
    struct sockaddr_in address;
    socklen_t len = sizeof address;
    unsigned timer = 0;
    unsigned long ticks = 0;
    const unsigned keepalive = 2; /* the number of the keep-alive timer */
    START_SERVER("--threads=1");
    expect_evaluated();
    ck_assert_int_eq(getsockname(client.fd, (struct sockaddr *)&address, &len), 0);
    for (int waited = 0; waited < LONG_MS;
         waited += 10) { /* a retransmission timer may run first */
        ck_assert(find_socket(ntohs(address.sin_port), &timer, &ticks));
        if (timer == keepalive)
            break;
        wait_ms(10);
    }
    ck_assert_uint_eq(timer, keepalive);
    ck_assert_uint_le(ticks, 31UL * (unsigned long)sysconf(_SC_CLK_TCK));
}
END_TEST

/* ---- Suite ---- */

Suite *disconnects_suite(void)
{
    Suite *suite = suite_create("disconnects");
    TCase *const slow = suite_add_case(suite, "disconnects", 300, NULL, end_server);
    tcase_set_tags(slow, TAG_SLOW);
    CASE_ADD(slow, reset_cancels_computation, half_close_does_not_cancel_computation,
             close_cancels_computation, close_of_unix_socket_cancels_computation,
             half_closed_connections_stay_in_the_queue, half_close_before_response_is_accepted,
             silent_connections_have_keepalive_probes, queued_work_is_cancelled_at_once);
    return suite;
}
