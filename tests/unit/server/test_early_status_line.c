/* Bytes of a response that are sent early. The rest of the response is sent without them. */
#include "mhd_workarounds/early_status_line.h"
#include "suites.h"

#include <check.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
enum { LEN = sizeof answer - 1, HEAD = LEN - 2, COMMON = 7 };

static int here, there;

static void setup(void)
{
    int pair[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    here = pair[0];
    there = pair[1];
    ck_assert(early_status_line_open((size_t)here + 1));
}

static void teardown(void)
{
    early_status_line_close();
    close(here);
    close(there);
}

/* Checks that the peer received exactly the response. */
static void expect_answer(void)
{
    char text[2 * LEN];
    ck_assert_int_eq(recv(there, text, sizeof text, MSG_DONTWAIT), LEN);
    ck_assert_mem_eq(text, answer, LEN);
}

/* Sends bytes in pieces of `piece` bytes. */
static void send_all(const char *bytes, size_t len, size_t piece)
{
    while (len > 0) {
        const ssize_t sent = send(here, bytes, len < piece ? len : piece, 0);
        ck_assert_int_gt(sent, 0);
        bytes += sent;
        len -= (size_t)sent;
    }
}

START_TEST(prefix_is_omitted_from_the_response)
{
    for (size_t early = 0; early < COMMON + 3; early++) {
        for (size_t piece = 1; piece <= LEN; piece++) {
            for (size_t i = 0; i < early; i++)
                early_status_line_send(here);
            send_all(answer, LEN, piece);
            expect_answer();
        }
    }
}
END_TEST

START_TEST(prefix_is_omitted_from_a_response_in_parts)
{
    for (size_t early = 0; early < COMMON + 3; early++) {
        char copy[sizeof answer];
        memcpy(copy, answer, sizeof answer);
        struct iovec parts[] = {{copy, HEAD}, {copy + HEAD, LEN - HEAD}};
        const struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
        for (size_t i = 0; i < early; i++)
            early_status_line_send(here);
        const ssize_t sent = sendmsg(here, &message, 0);
        ck_assert_int_eq(sent, early == 0 ? LEN : HEAD); /* libmicrohttpd sends the rest */
        send_all(answer + sent, LEN - (size_t)sent, LEN);
        expect_answer();
    }
}
END_TEST

START_TEST(prefix_is_forgotten_when_the_connection_closes)
{
    char byte;
    early_status_line_send(here);
    ck_assert_int_eq(recv(there, &byte, 1, MSG_DONTWAIT), 1);
    ck_assert_int_eq(byte, 'H');
    early_status_line_end(here);
    send_all(answer, LEN, LEN);
    expect_answer();
}
END_TEST

/* The socket buffer is full, so the byte is not sent. */
START_TEST(prefix_that_is_not_sent_is_not_omitted)
{
    static char full[4096];
    size_t filled = 0;
    for (ssize_t sent; (sent = send(here, full, sizeof full, MSG_DONTWAIT)) > 0;)
        filled += (size_t)sent;
    early_status_line_send(here);
    while (filled > 0) {
        const ssize_t got = recv(there, full, sizeof full, MSG_DONTWAIT);
        ck_assert_int_gt(got, 0);
        filled -= (size_t)got;
    }
    send_all(answer, LEN, LEN);
    expect_answer();
}
END_TEST

/* Every response must begin with the prefix. If one does not, only its connection is closed. */
START_TEST(response_with_another_prefix_closes_the_connection)
{
    char bytes[4];
    early_status_line_send(here);
    early_status_line_send(here);
    errno = 0;
    ck_assert_int_eq(send(here, "HELLO", 5, 0), -1);
    ck_assert_int_eq(errno, ECONNRESET);
    ck_assert_int_eq(recv(there, bytes, sizeof bytes, MSG_DONTWAIT), 2);
    ck_assert_mem_eq(bytes, "HT", 2);
}
END_TEST

Suite *early_status_line_suite(void)
{
    Suite *suite = suite_create("early_status_line");
    TCase *tcase = suite_add_case(suite, "early_status_line", 60, setup, teardown);
    CASE_ADD(tcase, prefix_is_omitted_from_the_response, prefix_is_omitted_from_a_response_in_parts,
             prefix_is_forgotten_when_the_connection_closes, prefix_that_is_not_sent_is_not_omitted,
             response_with_another_prefix_closes_the_connection);
    return suite;
}
