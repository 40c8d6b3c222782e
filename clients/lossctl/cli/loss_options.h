/*
 * Options that come from the descriptor of a loss: each tensor and parameter by name, reduction,
 * dtype, sample_weight, grad_output, and --grad-NAME and --hess-NAME for its derivatives. Option
 * names have hyphens where API names have underscores; the command line accepts both.
 */
#ifndef LOSSCTL_CLI_LOSS_OPTIONS_H
#define LOSSCTL_CLI_LOSS_OPTIONS_H

#include "cli/commands.h"

enum loss_option_kind {
    LOSS_OPTION_TENSOR, /* the value is a file */
    LOSS_OPTION_VALUE,  /* a parameter or another small field; the value is text */
    LOSS_OPTION_GRAD,   /* the value is the file to write a derivative to */
    LOSS_OPTION_HESS,
};
struct loss_option {
    enum loss_option_kind kind;
    const char *name; /* the API name of the tensor or field */
    int tensor;       /* index in the evaluation (evaluation.h); -1 for a LOSS_OPTION_VALUE */
    bool boolean;     /* the value can be omitted */
    char option[64];  /* the option name without its dashes: "pos-weight" */
    char value[24];   /* placeholder for the value in help texts */
    char doc[320];
};
/* Writes the option at `index`, in the order of help texts. Returns false after the last. */
bool loss_option_at(const struct loss_descriptor *loss, int index, struct loss_option *option);

/* Returns true if `command` accepts `option`. Derivatives are accepted only by commands that can
   write them to files. */
bool loss_option_applies(const struct command *command, const struct loss_option *option);

#endif
