/*
 * The command line, taken apart: options of the table, and those that the descriptor of a loss
 * brings: every tensor and parameter by its name, reduction, dtype, sample_weight and grad_output,
 * and --grad-NAME and --hess-NAME for its derivatives. Where names have underscores, options have
 * hyphens; either is taken.
 */
#ifndef LOSSCTL_CLI_ARGUMENTS_H
#define LOSSCTL_CLI_ARGUMENTS_H

#include "cli/commands.h"
#include "formats/csv.h"

enum { MAX_ARGUMENTS = 64, MAX_FIELDS = 64, MAX_REPEATED = 32 };

/* What an option of a loss is. */
enum loss_option_kind {
    LOSS_OPTION_TENSOR, /* its value is a file */
    LOSS_OPTION_VALUE,  /* a parameter or another small field; its value is a text */
    LOSS_OPTION_GRAD,   /* its value is the file to which a derivative goes */
    LOSS_OPTION_HESS,
};
struct loss_option {
    enum loss_option_kind kind;
    const char *name; /* as the API has it: of the tensor or field */
    int tensor;       /* of the evaluation (evaluation.h); -1 for a LOSS_OPTION_VALUE */
    bool boolean;     /* may stand without a value */
    char option[64];  /* as it is written: "--pos-weight" without its dashes */
    char value[24];   /* what help calls its value */
    char doc[320];
};
/* The option of a loss at a place, in the order in which help shows them; false behind the last. */
bool loss_option_at(const struct loss_descriptor *loss, int place, struct loss_option *option);

/* Whether a command takes such an option of its losses: derivatives go only where files for them
 * can be named. */
bool command_takes_loss_option(const struct command *command, const struct loss_option *option);

/* An option of a loss as it was given. */
struct given {
    struct loss_option option;
    const char *value;
};

struct arguments {
    const struct command *command;
    const char *argument[MAX_ARGUMENTS]; /* behind the command's name */
    int count;
    const struct loss_descriptor
        *loss[MAX_ARGUMENTS]; /* the argument as a loss, where the command takes losses */
    const char
        *value[OPT_COUNT]; /* NULL: not given; of several the last; "" for those without a value */
    bool from_environment[OPT_COUNT];
    struct {
        enum option_id option;
        const char *value;
    } repeated[MAX_REPEATED]; /* every option of the table that was given, in order */
    int repeats;
    struct given field[MAX_FIELDS];
    int fields;
};

/* Reads argv[1...]; `arguments` borrows it. EXIT_USAGE where it makes no sense. A command line that
   asks for help is not complained of. */
enum exit_code arguments_read(struct arguments *arguments, int argc, char *const argv[]);

/* The loss of a name; NULL, having said so with the nearest, if there is none. And that of a name
   behind which values may stand: huber:delta=0.5. */
const struct loss_descriptor *find_loss(const char *name);
const struct loss_descriptor *find_loss_spec(const char *spec);

/* The value of an option that is a whole number or a number in [least, most]; `fallback` where it
 * was not given. */
enum exit_code argument_integer(const struct arguments *arguments, enum option_id option,
                                long least, long most, long fallback, long *value);
enum exit_code argument_number(const struct arguments *arguments, enum option_id option,
                               double least, double most, double fallback, double *value);
/* Whether tables have a header: --header. */
enum exit_code argument_header(const struct arguments *arguments, enum csv_header *header);
/* How many threads are to compute in this process: what --threads says, else the CPUs that are
 * allowed. */
enum exit_code argument_threads(const struct arguments *arguments, int *threads);

#endif
