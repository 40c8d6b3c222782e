/*
 * What the server can be told: one table, from which the command line, the environment, the config
 * file, --help and
 * --print-config derive.
 */
#ifndef SERVER_CONFIG_OPTIONS_H
#define SERVER_CONFIG_OPTIONS_H

#include <stddef.h>
#include <stdio.h>

#include "admission/limits.h"
#include "connection/address.h"
#include "memory/buffer.h"
#include "observe/log.h"

enum { OPTION_MOST = 64, OPTION_PATH = 1024, OPTION_ORIGIN = 240, OPTION_MESSAGE = 640 };

struct options {
    struct address_list listen;
    struct address_list admin_listen; /* may be empty */
    int socket_mode;                  /* permissions of Unix sockets */
    char token_file[OPTION_PATH];     /* may be empty */
    int insecure_open;                /* 0 for on, 1 for off */
    char allowed_hosts[OPTION_PATH];  /* these may be empty, too */
    char cors_origins[OPTION_PATH];
    char tls_cert[OPTION_PATH];
    char tls_key[OPTION_PATH];
    char tls_client_ca[OPTION_PATH];
    int threads;
    int io_threads;
    struct limits limits;
    int64_t drain_delay;      /* milliseconds */
    int64_t watchdog_timeout; /* likewise */
    int watchdog_exit;        /* 0 for on, 1 for off */
    int compress;             /* 0 for on, 1 for off */
    int seccomp;              /* 0 for on, 1 for off */
    int log_level;            /* enum log_level */
    int log_format;           /* enum log_format */
    int log_requests;         /* enum log_requests */
    int isa;                  /* a place in isa_names */
    const char *token_name;   /* of OPTIONS_NEW_TOKEN and OPTIONS_HASH_TOKEN; an argument of the
                                 command line */
    char origin[OPTION_MOST][OPTION_ORIGIN]; /* where each came from, in the order of the table:
                                                "default" and so on */
};

/* The instruction sets that can be asked for; NULL ends them. The first leaves the choice to the
 * library. */
extern const char *const isa_names[];

/* What the command line asks to be done. */
enum options_action {
    OPTIONS_SERVE,
    OPTIONS_HELP,
    OPTIONS_VERSION,
    OPTIONS_MAN,
    OPTIONS_PRINT,
    OPTIONS_NEW_TOKEN,
    OPTIONS_HASH_TOKEN,
    OPTIONS_WRONG
};

/* Reads command line, environment and config file; of two that name the same option the stronger
   wins: flag, environment, file, default. OPTIONS_WRONG with one line in `message` where something
   is not right, even if a stronger source overrides it. */
enum options_action options_read(struct options *options, int argc, char *const argv[],
                                 char message[OPTION_MESSAGE]);

/* Appends limits as a JSON object, by the names of their options, in bytes and seconds. False where
 * memory has run out. */
bool options_write_limits(const struct limits *limits, struct buffer *out);

/* --help, --man, --version and --print-config; what the last prints is a config file. */
void options_help(FILE *out);
void options_man(FILE *out);
void options_version(FILE *out);
void options_print(FILE *out, const struct options *options);

#endif
