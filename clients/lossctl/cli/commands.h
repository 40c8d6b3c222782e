/*
 * What lossctl can be told to do: the table of commands and the table of options, from which the
 * command line is read and from which --help, the manual and the completions are made. What a loss
 * takes besides is not here: it comes from the loss's descriptor (arguments.h).
 */
#ifndef LOSSCTL_CLI_COMMANDS_H
#define LOSSCTL_CLI_COMMANDS_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/lossctl.h"

enum option_id {
    /* where to compute */
    OPT_URL,
    OPT_LOCAL,
    OPT_TOKEN_FILE,
    OPT_CACERT,
    OPT_CERT,
    OPT_KEY,
    OPT_TIMEOUT,
    OPT_THREADS,
    OPT_ISA,
    /* of eval */
    OPT_BATCH,
    OPT_HEADER,
    OPT_TERMS,
    OPT_GRAD,
    OPT_HESS,
    /* of bench */
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
    /* of every command */
    OPT_JSON,
    OPT_QUIET,
    OPT_HELP,
    OPT_COUNT
};

/* What may stand behind an option, for completion. */
enum completion { COMPLETE_NOTHING, COMPLETE_FILES, COMPLETE_WORDS, COMPLETE_LOSSES };

struct option_spec {
    const char *name;
    const char *value; /* what help calls its value; NULL: it takes none */
    const char *env;   /* the environment variable that stands for it; NULL: none */
    const char *doc;
    enum completion completion;
    const char *words; /* for COMPLETE_WORDS, spaces between them */
};
extern const struct option_spec option_specs[OPT_COUNT];

struct arguments;

struct command {
    const char *name;
    const char *arguments; /* what help calls what stands behind the name: "LOSS" */
    const char *summary;   /* half a line */
    const char *doc;       /* paragraphs, a newline between them */
    const char *examples;  /* command lines, a newline between them; NULL: none */
    uint64_t options;      /* bit set of 1 << enum option_id */
    int least, most;       /* how many arguments it takes */
    enum completion completion;
    const char *words; /* for COMPLETE_WORDS: what its arguments can be */
    bool loss_options; /* its arguments are losses, whose tensors and parameters are options */
    enum exit_code (*run)(const struct arguments *arguments);
};
extern const struct command commands[];
extern const int command_count;

/* Whether a command takes an option. */
bool command_takes(const struct command *command, enum option_id option);

enum exit_code command_list(const struct arguments *arguments);
enum exit_code command_show(const struct arguments *arguments);
enum exit_code command_eval(const struct arguments *arguments);
enum exit_code command_compare(const struct arguments *arguments);
enum exit_code command_bench(const struct arguments *arguments);
enum exit_code command_doctor(const struct arguments *arguments);
enum exit_code command_completions(const struct arguments *arguments);

#endif
