/*
 * Tensors out of files: .npy, safetensors, JSON and CSV, standard input among them. A file is read
 * once, however many tensors come out of it.
 */
#ifndef LOSSCTL_FILES_INPUT_H
#define LOSSCTL_FILES_INPUT_H

#include "cli/lossctl.h"
#include "evaluation/evaluation.h"
#include "files/archive.h"
#include "formats/csv.h"

enum { INPUT_FILES = EVALUATION_TENSORS + 1 };

enum file_format {
    FILE_NPY,
    FILE_SAFETENSORS,
    FILE_JSON,
    FILE_CSV,
    FILE_FORMATS,
    FILE_UNKNOWN = FILE_FORMATS
};
/* "npy" and so on. */
extern const char *const file_format_names[FILE_FORMATS];
/* The format that the ending of a path tells, FILE_UNKNOWN if it tells none. */
enum file_format file_format_of(const char *path);
/* Moves behind a prefix such as "npy:", of which it returns the format; FILE_UNKNOWN, not having
 * moved, if there is none. */
enum file_format file_format_prefix(const char **path);

/* A file that has been read. */
struct input_file {
    char *path;        /* owned; "-" is standard input */
    const char *whole; /* borrowed: the tensor that is all of it; NULL: none yet */
    const char *label; /* what messages call it */
    enum file_format format;
    char *bytes; /* owned, of block_cache.h; bytes[len] is NUL */
    size_t len, size;
    struct archive archive; /* of FILE_SAFETENSORS */
};
struct input_files {
    enum csv_header header;     /* of tables */
    const char *standard_input; /* borrowed: the tensor that is all of it; NULL: none */
    struct input_file file[INPUT_FILES];
    int count;
};

/* Where a tensor came from. Points into itself and the files. */
struct input {
    bool there;
    const struct input_file *file; /* NULL: no file; the source has its numbers */
    struct source source;          /* with data NULL: text, of JSON or of the table */
    struct csv csv;
    void *decoded; /* owned, of block_cache.h: what the text has become */
    size_t decoded_size;
};

/* Finds the tensor `name` in what `spec` says: a path, "-", "FILE:NAME", "FORMAT:FILE". EXIT_INPUT
   where that cannot be, EXIT_USAGE where another tensor is already all of standard input. `files`
   borrows the name. */
enum exit_code input_open(struct input *input, struct input_files *files, const char *spec,
                          const char *name);
/* The same for a file that may hold a tensor of that name or not; then input->file is NULL.
   EXIT_USAGE if it is of a format that knows no names. */
enum exit_code input_open_batch(struct input *input, struct input_files *files, const char *spec,
                                const char *name);
/* Turns text into numbers of a dtype, and points the source at them; does nothing where bytes stand
 * already. */
enum exit_code input_decode(struct input *input, enum loss_dtype dtype, const char *name,
                            int threads);

void input_free(struct input *input);
void input_files_free(struct input_files *files);

#endif
