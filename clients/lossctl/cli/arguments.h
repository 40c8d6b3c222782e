/* Parses the command line: options of the option table, and options of the named losses. */
#ifndef LOSSCTL_CLI_ARGUMENTS_H
#define LOSSCTL_CLI_ARGUMENTS_H

#include "cli/loss_options.h"
#include "formats/csv.h"

enum {
    MAX_FIELDS = 64,   /* maximum number of loss options on a command line */
    MAX_REPEATED = 32, /* and of options of the table */
};

/* A loss option with the value given for it. */
struct loss_argument {
    struct loss_option option;
    const char *value;
};

struct arguments {
    const struct command *command;
    const char **argument; /* owned: positional arguments, after the command's name */
    int count;
    const struct loss_descriptor **loss; /* owned: the loss that each argument names, or NULL */
    const char *value[OPT_COUNT]; /* NULL: not given; "": no value; the last value if repeated */
    bool from_environment[OPT_COUNT];
    struct {
        enum option_id option;
        const char *value;
    } repeated[MAX_REPEATED]; /* every option of the table that was given, in order */
    int repeats;
    struct loss_argument field[MAX_FIELDS];
    int fields;
};

/* Parses argv[1...], which `arguments` borrows, and selects the instruction set of --isa. Returns
   EXIT_USAGE if the command line is invalid. Missing arguments are not an error if --help is given.
   Call arguments_free() in any case. */
enum exit_code arguments_read(struct arguments *arguments, int argc, char *const argv[]);
void arguments_free(struct arguments *arguments);

/* Returns the loss called `name`. If there is none, reports that with the nearest name and returns
   NULL. */
const struct loss_descriptor *arguments_find_loss(const char *name);
/* Like arguments_find_loss(), for a name that values can follow: huber:delta=0.5. */
const struct loss_descriptor *arguments_find_loss_spec(const char *spec);

/* Reads an option that is an integer in [min, max]. Writes `fallback` if the option was not given.
   Returns EXIT_USAGE if the value is invalid. */
enum exit_code arguments_integer(const struct arguments *arguments, enum option_id option, long min,
                                 long max, long fallback, long *value);
/* Like arguments_integer(), for a number that need not be an integer. */
enum exit_code arguments_number(const struct arguments *arguments, enum option_id option,
                                double min, double max, double fallback, double *value);
/* Reads --header: whether CSV files have a header row. */
enum exit_code arguments_header(const struct arguments *arguments, enum csv_header *header);
/* Reads --threads: the number of compute threads of this process. Default: the available CPUs. */
enum exit_code arguments_threads(const struct arguments *arguments, int *threads);

#endif
