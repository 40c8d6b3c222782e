/* lossctl eval over tensors in files that are read whole, here or by a server. */
#ifndef LOSSCTL_EVALUATE_EVAL_H
#define LOSSCTL_EVALUATE_EVAL_H

#include "cli/arguments.h"

/* Evaluates the loss that the command line names, writes its files and prints the result. */
enum exit_code eval_files(const struct arguments *arguments);

#endif
