/*
 * The table of options. To add an option, add a row to option_table.c and a field to struct
 * options. The flag, the environment variable, the config file, --help, the manual page and
 * --print-config are derived from the row.
 */
#ifndef SERVER_CONFIG_OPTION_TABLE_H
#define SERVER_CONFIG_OPTION_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "config/options.h"

/* The type of an option's field in struct options, and the format of its text. */
enum option_type {
    OPTION_ADDRESSES, /* struct address_list */
    OPTION_INTEGER,   /* int */
    OPTION_MODE,      /* int: permissions, in octal */
    OPTION_BYTES,     /* size_t; k, M and G are powers of 1024 */
    OPTION_AMOUNT,    /* size_t; k, M and G are powers of 1000 */
    OPTION_SECONDS,   /* int64_t: milliseconds */
    OPTION_CHOICE,    /* int: the index of the text in `names` */
    OPTION_SWITCH,    /* bool: on or off */
    OPTION_TEXT       /* char[OPTION_PATH] */
};

struct option {
    const char *name; /* "max-body": --max-body, LOSSD_MAX_BODY, and `max-body = ` in a file */
    enum option_type type;
    size_t offset;          /* of its field in struct options */
    const char *fallback;   /* default value; NULL: depends on the machine (option_default) */
    const char *default_of; /* an earlier option whose value is the default; else NULL */
    uint64_t min,
        max; /* range of numbers, of seconds (in milliseconds), or of the number of addresses */
    const char *const *names;  /* of the choices; NULL-terminated */
    const char *bare;          /* value of the flag without "=value"; NULL: a value is required */
    const char *value;         /* placeholder for the value in --help */
    const char *limits_member; /* member in GET /v1/limits; NULL: the name with underscores */
    const char *doc;           /* description: sentences, without the final full stop */
};

extern const struct option option_table[];
extern const size_t option_count;

/* A former name of an option. It is still accepted as a flag, an environment variable and in the
   config file, with a warning in the log. */
struct option_rename {
    const char *old_name, *name;
};
extern const struct option_rename option_renames[];
extern const size_t option_rename_count;

/* Flags that are not options. They cannot be set in the environment or in a config file. */
struct option_command {
    const char *name, *value, *doc;
    enum options_action action;
};
extern const struct option_command option_commands[];
extern const size_t option_command_count;

/* What a name refers to. `rename` is NULL unless it is a former name. */
struct option_match {
    const struct option *option;
    const struct option_rename *rename;
};

/* Finds an option by its name or a former name. Returns false if it does not exist. */
bool option_find(const char *name, size_t len, struct option_match *match);
const struct option_command *option_find_command(const char *name, size_t len);

enum { OPTION_ENV = 48 }; /* size of the buffer for option_env */
/* Writes the name of the environment variable of an option, such as "LOSSD_MAX_BODY" for
   "max-body". Returns `env`. */
const char *option_env(const char *name, char env[OPTION_ENV]);

#endif
