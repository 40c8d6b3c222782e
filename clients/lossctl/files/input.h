/*
 * Tensors read from files: .npy, safetensors, JSON and CSV, or from standard input. Each file is
 * read once, even if several tensors come from it.
 */
#ifndef LOSSCTL_FILES_INPUT_H
#define LOSSCTL_FILES_INPUT_H

#include "cli/fail.h"
#include "evaluation/evaluation.h"
#include "files/archive.h"
#include "files/file_format.h"
#include "formats/csv.h"

enum { INPUT_FILES = EVALUATION_TENSORS + 1 };

/* A file in memory. */
struct input_file {
    char *path;        /* owned; "-" is standard input */
    const char *label; /* borrowed from `path`, or static: the name in messages */
    enum file_format format;
    char *bytes; /* owned, of block_cache.h; bytes[len] is NUL */
    size_t len, size;
    struct archive archive; /* of FILE_SAFETENSORS */
};
/* Returns what messages call a file. */
const char *input_label(const char *path);
/* Reads the whole file at `path`, or standard input for "-". Does not detect its format. Returns
   EXIT_INPUT if the file cannot be read. Call input_file_free() in any case. */
enum exit_code input_file_read(struct input_file *file, const char *path);
void input_file_free(struct input_file *file);

struct input_files {
    enum csv_header header;     /* of CSV files */
    const char *standard_input; /* borrowed: the tensor that uses all of it; NULL: none */
    struct input_file file[INPUT_FILES];
    int count;
};

/* A tensor and its file. Points into itself and the files. */
struct input {
    bool present;
    const struct input_file *file; /* NULL: the data in `source` come from memory */
    struct source source;          /* data is NULL until text (JSON, CSV) is decoded */
    struct csv csv;
    void *decoded; /* the decoded text; owned, allocated by block_cache.h */
    size_t decoded_size;
};

/* Opens the tensor `name` from `spec`: a path, "-", "FILE:NAME" or "FORMAT:FILE". Returns
   EXIT_INPUT if it cannot be read. Returns EXIT_USAGE if `spec` selects a tensor by name from a
   format without names, or if another tensor already uses all of standard input. `files` borrows
   `name`. */
enum exit_code input_open(struct input *input, struct input_files *files, const char *spec,
                          const char *name);
/* Opens the tensor `name` if the file contains it; otherwise, or if it is null in JSON, sets
   input->present to false. Returns EXIT_USAGE if the format of the file has no tensor names. */
enum exit_code input_open_batch(struct input *input, struct input_files *files, const char *spec,
                                const char *name);
/* Decodes text to `dtype` and points the source at it. No-op for binary data. */
enum exit_code input_decode(struct input *input, enum loss_dtype dtype, const char *name,
                            int threads);

void input_free(struct input *input);
void input_files_free(struct input_files *files);

#endif
