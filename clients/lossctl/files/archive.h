/*
 * safetensors files with any number of tensors under any names.
 * (proto/evaluation/safetensors_request.h accepts only the tensors of one loss.)
 */
#ifndef LOSSCTL_FILES_ARCHIVE_H
#define LOSSCTL_FILES_ARCHIVE_H

#include <jansson.h>

#include "loss.h"
#include "memory/buffer.h"

struct archive {
    json_t *header;   /* owned */
    const char *data; /* borrowed from the file */
    size_t len;
};

/* Returns true if the bytes look like a safetensors file: a valid header length, then a brace. */
bool archive_begins(const char *bytes, size_t len);
/* Opens the file in [bytes, bytes + len), which must outlive `archive`. Returns LOSS_MALFORMED if
   the header is invalid. */
enum loss_status archive_open(struct archive *archive, const char *bytes, size_t len,
                              struct loss_error *error);
/* Finds a tensor and points `tensor` at its data in the file. Returns LOSS_NOT_FOUND, and names the
   nearest or all tensors in `error`, if there is no such tensor. Returns LOSS_MALFORMED if its
   entry in the header is invalid. */
enum loss_status archive_find(const struct archive *archive, const char *name,
                              struct loss_tensor *tensor, struct loss_error *error);
/* Returns the name of the only tensor, or NULL if the number of tensors is not one. */
const char *archive_only(const struct archive *archive);
/* Returns true if there is a tensor called `name`. */
bool archive_has(const struct archive *archive, const char *name);
/* Returns a value of the metadata, or NULL if it is missing. It is valid until archive_close(). */
const char *archive_metadata(const struct archive *archive, const char *name);
void archive_close(struct archive *archive);

/* A contiguous tensor to write. */
struct archive_entry {
    char name[64];
    const struct loss_tensor *tensor;
};
/* Appends the header, with its length, of a file of these tensors. The caller writes their data
   after it, contiguously, in the same order. The header ends at a multiple of 64 bytes. Sets
   out->failed if memory runs out. */
void archive_header(struct buffer *out, const struct archive_entry *entry, int count);

#endif
