/*
 * libFuzzer: any bytes sent to a whole server, which runs in this process: its main function, on a
 * Unix socket. The first byte says where the rest is split in two. The response must be HTTP,
 * neither status 500 nor an HTML page of libmicrohttpd; and the server must close the connection
 * after the end of the input.
 */
#define main lossd_main
#include "../../server/main.c"
#undef main

#include <linux/sockios.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PATIENCE_MS = 20000, ANSWERS = 1 << 20 };

/* Includes the end of the head: responses echo text of the request, but no line ends. */
static const char library_page[] = "\r\n\r\n<html><head><title>";

static struct sockaddr_un address = {.sun_family = AF_UNIX};

static void remove_socket(void)
{
    unlink(address.sun_path);
}

static void *serve_in_thread(void *argument)
{
    static char listen[sizeof address.sun_path + 16],
        program[] = "lossd", threads[] = "--threads=1", io[] = "--io-threads=1",
        level[] = "--log-level=error", hosts[] = "--allowed-hosts=*", option[] = "--listen";
    snprintf(listen, sizeof listen, "unix:%s", address.sun_path);
    char *arguments[] = {program, threads, io, level, hosts, option, listen, NULL};
    (void)argument;
    _exit(lossd_main(7, arguments)); /* returns only after a signal */
}

static int connect_client(void)
{
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static void start_server(void)
{
    pthread_t thread;
    snprintf(address.sun_path, sizeof address.sun_path, "/tmp/lossd-fuzz-%d.sock", (int)getpid());
    setenv("OMP_WAIT_POLICY", "passive", 1); /* otherwise lossd executes itself again */
    atexit(remove_socket);
    if (pthread_create(&thread, NULL, serve_in_thread, NULL) != 0)
        abort();
    for (int fd; (fd = connect_client()) < 0 || close(fd) != 0;)
        poll(NULL, 0, 10);
}

/* Sends bytes and waits until they have been received, so that the next ones arrive separately.
   Returns false if the server has closed. */
static bool send_all(int fd, const uint8_t *bytes, size_t len)
{
    int left = 1;
    while (len > 0) {
        const ssize_t sent = send(fd, bytes, len, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        bytes += sent;
        len -= (size_t)sent;
    }
    for (int turns = 0; turns < 100000 && ioctl(fd, SIOCOUTQ, &left) == 0 && left > 0; turns++)
        sched_yield();
    return true;
}

/* Reads to the end; aborts on a timeout. */
static size_t receive_all(int fd, char *answers)
{
    size_t len = 0;
    for (;;) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        if (poll(&wait, 1, PATIENCE_MS) == 0)
            abort(); /* the server hangs */
        const ssize_t got = recv(fd, answers + len, ANSWERS - len, 0);
        if (got <= 0 || len + (size_t)got == ANSWERS)
            return len;
        len += (size_t)got;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char answers[ANSWERS];
    static bool started;
    if (!started)
        start_server();
    started = true;
    if (size == 0)
        return 0;
    const int fd = connect_client();
    if (fd < 0)
        abort();
    const size_t cut = (size - 1) * data[0] / 256;
    if (send_all(fd, data + 1, cut) && send_all(fd, data + 1 + cut, size - 1 - cut))
        shutdown(fd, SHUT_WR);
    const size_t len = receive_all(fd, answers);
    close(fd);
    if (len > 0 &&
        (len < 12 || memcmp(answers, "HTTP/1.1 ", 9) != 0 || memcmp(answers + 9, "500", 3) == 0))
        abort();
    if (memmem(answers, len, library_page, sizeof library_page - 1))
        abort();
    return 0;
}
