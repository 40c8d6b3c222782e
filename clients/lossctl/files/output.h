/* Tensors and texts written to files, or to standard output. Tensors are written as .npy,
   safetensors, JSON or CSV. */
#ifndef LOSSCTL_FILES_OUTPUT_H
#define LOSSCTL_FILES_OUTPUT_H

#include "cli/fail.h"
#include "files/archive.h"
#include "files/file_format.h"

enum { OUTPUTS = 2 * LOSS_MAX_TENSORS + 4 };

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

/* Adds an output to `spec`: a path, "-" or "FORMAT:PATH". Its tensor is set later. Returns
   EXIT_USAGE if the format is unknown, or if two tensors would go to one file that can contain only
   one. */
enum exit_code outputs_add(struct outputs *outputs, const char *name, const char *spec);
/* Returns true if an output goes to standard output; then nothing else may be printed there. */
bool outputs_use_stdout(const struct outputs *outputs);
/* Writes all outputs. Each file is replaced atomically (replacement.h). */
enum exit_code outputs_write(const struct outputs *outputs, int threads);

/* Appends the header of a .npy file; the elements follow it. */
void output_npy_header(struct buffer *out, const struct loss_tensor *tensor);

/* Writes a text to a path, or to standard output for "-". A file is replaced atomically: even a
   crash of the system leaves the old or the new content, and after this returns, the new one. */
enum exit_code output_write_text(const char *path, const struct buffer *text);

/* Prints the text of a result, and frees it: to standard output or, if other data goes there
   (`taken`), to stderr unless `quiet`. Returns EXIT_FAILED if standard output cannot be written. */
enum exit_code output_print(struct buffer *text, bool taken, bool quiet);

#endif
