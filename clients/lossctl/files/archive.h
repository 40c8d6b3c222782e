/*
 * safetensors files as a client meets them: any tensors under any names
 * (proto/evaluation/safetensors_request.h knows those of one loss alone).
 */
#ifndef LOSSCTL_FILES_ARCHIVE_H
#define LOSSCTL_FILES_ARCHIVE_H

#include <jansson.h>

#include "loss.h"
#include "memory/buffer.h"

struct archive {
    json_t *header;   /* owned */
    const char *data; /* borrowed, from the file */
    size_t len;
};

/* Whether bytes may be such a file: the length of a header that fits, and its opening brace. */
bool archive_begins(const char *bytes, size_t len);
/* Opens the file in [bytes, bytes + len), which must outlive it. LOSS_MALFORMED where its header is
 * not sound. */
enum loss_status archive_open(struct archive *archive, const char *bytes, size_t len,
                              struct loss_error *error);
/* Finds a tensor, whose numbers are used where they stand. LOSS_NOT_FOUND, with the nearest name or
   all of them, if there is none; LOSS_MALFORMED where what the header says of it is not sound. */
enum loss_status archive_find(const struct archive *archive, const char *name,
                              struct loss_tensor *tensor, struct loss_error *error);
/* The name of the only tensor, NULL if there are several or none. */
const char *archive_only(const struct archive *archive);
/* Whether there is a tensor of that name. */
bool archive_has(const struct archive *archive, const char *name);
/* A value of the metadata, NULL if there is none. */
const char *archive_metadata(const struct archive *archive, const char *name);
void archive_close(struct archive *archive);

/* A tensor that goes into a file; contiguous. */
struct archive_entry {
    char name[64];
    const struct loss_tensor *tensor;
};
/* Appends the length and the header of a file of these tensors, which follow one behind the other
   in this order. It ends at a multiple of 64 bytes. Running out of memory shows in out->failed. */
void archive_header(struct buffer *out, const struct archive_entry *entry, int count);

#endif
