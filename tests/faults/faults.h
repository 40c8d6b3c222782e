/*
 * Fault injection: memory shared by a test and the library that is preloaded into a program
 * (faults.c). The library wraps functions of the C library that can fail, counts their calls, and
 * makes the call that the test selected fail, or it and all later ones. It can also delay calls in
 * threads that the test selects. The memory is a file that both map; $LOSSD_FAULTS is its path.
 */
#ifndef TESTS_FAULTS_H
#define TESTS_FAULTS_H

#include <stdatomic.h>

/* A set of kinds of calls that can fail. */
enum fault_kind {
    FAULT_MEMORY = 1 << 0,    /* malloc and its relatives, mmap, mremap */
    FAULT_THREAD = 1 << 1,    /* pthread_create */
    FAULT_ACCEPT = 1 << 2,    /* accept4 */
    FAULT_SEND = 1 << 3,      /* send, sendmsg, sendfile */
    FAULT_RECEIVE = 1 << 4,   /* recvfrom, which recv calls */
    FAULT_EPOLL = 1 << 5,     /* epoll_ctl with EPOLL_CTL_ADD */
    FAULT_WAIT = 1 << 6,      /* epoll_wait, poll */
    FAULT_EVENT = 1 << 7,     /* eventfd, epoll_create1 */
    FAULT_DUPLICATE = 1 << 8, /* fcntl with F_DUPFD or F_DUPFD_CLOEXEC */
    FAULT_SOCKET = 1 << 9,    /* socket, bind, listen, setsockopt */
    FAULT_SYNC = 1 << 10,     /* fsync, fdatasync, syncfs */
};

struct faults {
    atomic_uint kinds;           /* kinds that are counted; 0: none */
    atomic_ullong first;         /* the number, from 1, of the call that fails; 0: none */
    atomic_bool all;             /* all calls after it fail too */
    atomic_int error;            /* errno after the failed call */
    atomic_ullong calls, faults; /* numbers of counted and of failed calls */
    atomic_llong blocks;         /* memory blocks that have not been freed */
    atomic_bool trace;           /* write the backtrace of each fault to stderr */
    atomic_uint stall_kinds;     /* calls of these kinds wait */
    atomic_int stall_ms;         /* the duration of each wait; 0 ends all waits */
    char stall_thread[16]; /* in threads whose name begins with this; set it before stall_kinds */
    atomic_ullong stalls;  /* number of calls that waited */
};

#endif
