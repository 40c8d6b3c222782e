/*
 * The tables of commands and options. The command line parser, --help, the manual page and the
 * shell completions use them. Options of losses come from their descriptors (loss_options.h).
 */
#ifndef LOSSCTL_CLI_COMMANDS_H
#define LOSSCTL_CLI_COMMANDS_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/fail.h"

enum option_id {
    /* server, and where to compute */
    OPT_URL,
    OPT_LOCAL,
    OPT_TOKEN_FILE,
    OPT_CACERT,
    OPT_CERT,
    OPT_CERT_KEY,
    OPT_TIMEOUT,
    OPT_THREADS,
    OPT_ISA,
    /* eval */
    OPT_BATCH,  /* also of compare */
    OPT_HEADER, /* also of compare */
    OPT_TERMS,
    OPT_GRAD,
    OPT_HESS,
    OPT_PARTIAL, /* also of merge */
    OPT_PART,
    OPT_STEP_ROWS,
    OPT_CHECKPOINT,
    OPT_CHECKPOINT_EVERY,
    OPT_RESTART,
    /* bench */
    OPT_LOSSES,
    OPT_SIZES,
    OPT_CLASSES,
    OPT_FORMATS,
    OPT_CONNECTIONS,
    OPT_RATE,
    OPT_WARM_UP,
    OPT_DURATION,
    OPT_WITH_GRAD,
    OPT_LIMIT,
    OPT_JSON_FILE,
    OPT_HTML,
    /* every command */
    OPT_JSON,
    OPT_QUIET,
    OPT_HELP,
    OPT_COUNT
};

/* What shells complete after an option or as an argument. */
enum completion { COMPLETE_NOTHING, COMPLETE_FILES, COMPLETE_WORDS, COMPLETE_LOSSES };

struct option_spec {
    const char *name;
    const char *value; /* placeholder for the value; NULL: takes no value */
    const char *env;   /* environment variable that sets the option; NULL: none */
    const char *doc;
    enum completion completion;
    const char *words; /* for COMPLETE_WORDS, separated by spaces */
};
extern const struct option_spec option_specs[OPT_COUNT];

struct arguments;

/* How a command runs if a launcher such as mpirun has started several ranks. */
enum command_ranks {
    RANKS_ALONE,    /* each rank runs it */
    RANKS_REFUSED,  /* it fails, because each rank would do all of the work */
    RANKS_TOGETHER, /* the ranks divide the work among themselves */
};

struct command {
    const char *name;
    const char *arguments; /* placeholders for the arguments: "LOSS" */
    const char *summary;   /* at most half a line */
    const char *doc;       /* paragraphs, separated by newlines */
    const char *examples;  /* command lines, separated by newlines; NULL: none */
    uint64_t options;      /* bit set of 1 << enum option_id */
    int min, max;          /* number of arguments; INT_MAX: no limit */
    enum completion completion;
    const char *words; /* for COMPLETE_WORDS: possible arguments */
    bool loss_options; /* the arguments are losses, whose tensors and parameters are options */
    enum command_ranks ranks;
    enum exit_code (*run)(const struct arguments *arguments);
};
extern const struct command commands[];
extern const int command_count;

/* Returns true if `command` accepts `option`. */
bool command_takes(const struct command *command, enum option_id option);

enum exit_code command_list(const struct arguments *arguments);
enum exit_code command_show(const struct arguments *arguments);
enum exit_code command_eval(const struct arguments *arguments);
enum exit_code command_compare(const struct arguments *arguments);
enum exit_code command_merge(const struct arguments *arguments);
enum exit_code command_bench(const struct arguments *arguments);
enum exit_code command_doctor(const struct arguments *arguments);
enum exit_code command_completions(const struct arguments *arguments);

#endif
