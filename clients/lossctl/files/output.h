/*
 * Tensors into files: .npy, safetensors, JSON and CSV, standard output among them.
 */
#ifndef LOSSCTL_FILES_OUTPUT_H
#define LOSSCTL_FILES_OUTPUT_H

#include "cli/lossctl.h"
#include "files/archive.h"
#include "files/input.h"

enum { OUTPUTS = 2 * LOSS_MAX_TENSORS + 4 };

/* A tensor that is to be written. */
struct output {
    char name[64];    /* in a safetensors file */
    const char *path; /* borrowed; "-" is standard output */
    enum file_format format;
    const struct loss_tensor *tensor; /* float32 or float64, contiguous; set before outputs_write */
};
struct outputs {
    struct output output[OUTPUTS];
    int count;
};

/* Adds an output, of which only the name and where it goes are known yet: a path, "-",
   "FORMAT:PATH". EXIT_USAGE where the format is not known, or two tensors would go to one file that
   holds but one. */
enum exit_code outputs_add(struct outputs *outputs, const char *name, const char *spec);
/* Whether standard output is one of the files, so that nothing else may go there. */
bool outputs_take_stdout(const struct outputs *outputs);
/* Writes all; a file appears whole or not at all. */
enum exit_code outputs_write(const struct outputs *outputs, int threads);

#endif
