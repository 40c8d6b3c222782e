/* safetensors files: valid and invalid ones to send, and received ones. */
#ifndef TESTS_TENSOR_FILE_H
#define TESTS_TENSOR_FILE_H

#include "memory/buffer.h"

#include <jansson.h>

/* A file under construction. */
struct tensor_file {
    struct buffer header, data;
};

/* Adds a tensor; `shape` is like "2,3". */
void tensor_file_add(struct tensor_file *file, const char *name, const char *dtype,
                     const char *shape, const void *data, size_t len);
/* Adds a member of the header as JSON: "\"__metadata__\":{...}". */
void tensor_file_add_raw(struct tensor_file *file, const char *member);
/* Returns the file with `spaces` spaces after the header, and empties `file`. Free the result with
   buffer_free. */
struct buffer tensor_file_end(struct tensor_file *file, size_t spaces);
/* Returns a file with this header and `len` zero bytes. */
struct buffer tensor_file_raw(const char *header, size_t len);

/* A received file. */
struct tensor_answer {
    json_t *header; /* owned */
    const char *data;
    size_t len;
};
/* Parses a file. Fails the test if it is invalid. */
struct tensor_answer tensor_answer_read(const char *bytes, size_t len);
/* Returns the data of a tensor. Fails the test if it is missing or has another dtype or shape
   (NULL: any). */
const void *tensor_answer_data(const struct tensor_answer *answer, const char *name,
                               const char *dtype, const char *shape, size_t *len);
/* Returns a value of the metadata, or NULL. */
const char *tensor_answer_metadata(const struct tensor_answer *answer, const char *name);
void tensor_answer_free(struct tensor_answer *answer);

#endif
