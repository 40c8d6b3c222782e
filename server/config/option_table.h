/*
 * The table of options. Add an option by adding one row to option_table.c and one field to struct
 * options: the flag, the environment variable, the config file, --help, the manual page and
 * --print-config all derive from the row.
 */
#ifndef SERVER_CONFIG_OPTION_TABLE_H
#define SERVER_CONFIG_OPTION_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "config/options.h"

/* The type of an option's field in struct options, and how its text is read. */
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
    size_t offset;             /* of its field in struct options */
    const char *fallback;      /* default value; NULL: depends on the machine (option_default) */
    const char *default_of;    /* an earlier option whose value is the default; else NULL */
    uint64_t min, max;         /* of numbers; of seconds in milliseconds; of the address count */
    const char *const *names;  /* of choices; NULL-terminated */
    const char *bare;          /* value of the flag without "=value"; NULL: a value is required */
    const char *value;         /* placeholder of the value in --help */
    const char *limits_member; /* member of GET /v1/limits; NULL: the name, with underscores */
    const char *doc;           /* sentences, without the last full stop */
};

extern const struct option option_table[];
extern const size_t option_count;

/* A former name of an option. Flag, environment variable and config file accept it, with a warning
   in the log. */
struct option_rename {
    const char *old_name, *name;
};
extern const struct option_rename option_renames[];
extern const size_t option_rename_count;

/* Flags that are not options: they cannot be set in the environment or in a file. */
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

/* Finds an option by name or former name. Returns false if there is none. */
bool option_find(const char *name, size_t len, struct option_match *match);
const struct option_command *option_find_command(const char *name, size_t len);

enum { OPTION_ENV = 48 }; /* size of the buffer for option_env */
/* Writes the environment variable of an option, "LOSSD_MAX_BODY" for "max-body", and returns it. */
const char *option_env(const char *name, char env[OPTION_ENV]);

#endif
