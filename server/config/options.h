/*
 * The options of the server. They come from the command line, the environment and a config file;
 * option_table.c lists them.
 */
#ifndef SERVER_CONFIG_OPTIONS_H
#define SERVER_CONFIG_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "admission/limits.h"
#include "connection/address.h"
#include "memory/buffer.h"
#include "observe/log.h"

enum {
    OPTION_MAX = 64,        /* options */
    OPTION_RENAME_MAX = 16, /* former names of options */
    OPTION_PATH = 1024,     /* size of a text value, including the NUL */
    OPTION_ORIGIN = 240,
    OPTION_MESSAGE = 640,
};

struct options {
    struct address_list listen;
    struct address_list admin_listen; /* may be empty */
    int socket_mode;                  /* permissions of Unix sockets */
    char token_file[OPTION_PATH];     /* this and the other text options are empty if not given */
    bool allow_unauthenticated;
    char allowed_hosts[OPTION_PATH];
    char cors_origins[OPTION_PATH];
    char tls_cert[OPTION_PATH];
    char tls_key[OPTION_PATH];
    char tls_client_ca[OPTION_PATH];
    int threads;
    int io_threads;
    struct limits limits;
    int64_t drain_delay;      /* milliseconds */
    int64_t watchdog_timeout; /* milliseconds */
    bool watchdog_exit;
    bool compress;
    bool seccomp;
    int log_level;          /* enum log_level */
    int log_format;         /* enum log_format */
    int access_log;         /* enum access_log */
    int isa;                /* index into isa_names */
    const char *token_name; /* NAME of --new-token and --hash-token */
    /* The source of each option, in the order of the table: "default", "--threads", "LOSSD_THREADS"
       or "lossd.conf, line 3". */
    char origin[OPTION_MAX][OPTION_ORIGIN];
    /* The source of each option given by a former name, in the order of option_renames. Empty if it
       was not given. */
    char old_origin[OPTION_RENAME_MAX][OPTION_ORIGIN];
};

/* The names of the instruction sets that --isa accepts, NULL-terminated. The first, "auto", lets
   the library choose. */
extern const char *const isa_names[];

/* The action that the command line requests. */
enum options_action {
    OPTIONS_SERVE,
    OPTIONS_HELP,
    OPTIONS_VERSION,
    OPTIONS_MAN,
    OPTIONS_PRINT,
    OPTIONS_NEW_TOKEN,
    OPTIONS_HASH_TOKEN,
    OPTIONS_INVALID
};

/* Reads the command line, the environment and the config file. Flags override the environment,
   which overrides the file, which overrides the defaults. Returns OPTIONS_INVALID and writes a
   one-line reason to `message` if a value is invalid, even if it is overridden. */
enum options_action options_read(struct options *options, int argc, char *const argv[],
                                 char message[OPTION_MESSAGE]);

/* Logs a warning for each option that was given by a former name. */
void options_log_deprecated(const struct options *options);

/* Appends the limits as a JSON object, in bytes and seconds. Returns false if memory is
   insufficient. */
bool options_write_limits(const struct limits *limits, struct buffer *out);

/* Print the output of --help, --man and --version. */
void options_help(FILE *out);
void options_man(FILE *out);
void options_version(FILE *out);

/* Prints the options in effect as a config file, with the source of each in a comment. */
void options_print(FILE *out, const struct options *options);

#endif
