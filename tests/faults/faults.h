/*
 * Faults on demand: what a test and the library that is loaded into the server before all others
 * (faults.c) share. The library stands between the program and the C library's functions that can
 * fail, counts their calls, and lets the one fail that the test has asked for. It also has calls of
 * one thread wait, as if what they need did not come. It is plain memory of a file, which both map:
 * $LOSSD_FAULTS is its path.
 */
#ifndef TESTS_FAULTS_H
#define TESTS_FAULTS_H

#include <stdatomic.h>

/* What can be made to fail; a set of them. */
enum fault_kind {
    FAULT_MEMORY = 1 << 0,    /* malloc and all others that give memory, mmap and mremap included */
    FAULT_THREAD = 1 << 1,    /* pthread_create */
    FAULT_ACCEPT = 1 << 2,    /* accept4 */
    FAULT_SEND = 1 << 3,      /* send, sendmsg, sendfile */
    FAULT_RECEIVE = 1 << 4,   /* recvfrom, which the server's recv calls */
    FAULT_EPOLL = 1 << 5,     /* epoll_ctl, where it adds */
    FAULT_WAIT = 1 << 6,      /* epoll_wait, poll */
    FAULT_EVENT = 1 << 7,     /* eventfd, epoll_create1 */
    FAULT_DUPLICATE = 1 << 8, /* fcntl that duplicates */
    FAULT_SOCKET = 1 << 9,    /* socket, bind, listen, setsockopt */
};

struct faults {
    atomic_uint kinds;           /* that are counted; 0: none */
    atomic_ullong first;         /* the call, from 1, that fails; 0: none */
    atomic_bool all;             /* those after it too */
    atomic_int error;            /* what errno becomes */
    atomic_ullong calls, faults; /* that were counted, that failed */
    atomic_llong blocks;         /* of memory that have not been freed */
    atomic_bool trace;           /* where each fault was is written to stderr */
    atomic_uint stall_kinds;     /* calls of these kinds wait ... */
    atomic_int stall_ms;         /* ... for so long, as long as that is not 0, ... */
    char stall_thread[16];       /* ... in threads whose names begin so; set before stall_kinds */
    atomic_ullong stalls;        /* calls that have waited */
};

#endif
