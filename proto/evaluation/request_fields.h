/*
 * The fields of an evaluation request: the names of all, and the values of those that are not
 * tensors. Both are the same in every format. A value is JSON text in a body, or plain text from a
 * query string, metadata or a multipart part.
 */
#ifndef PROTO_EVALUATION_REQUEST_FIELDS_H
#define PROTO_EVALUATION_REQUEST_FIELDS_H

#include "evaluation/evaluation.h"
#include "json/object_reader.h"

enum {
    FIELD_PARAMS = EVALUATION_TENSORS, /* the loss's parameters come after the tensors */
    FIELD_COMMON = FIELD_PARAMS + LOSS_MAX_PARAMS,
};

/* Reads the fields of one evaluation. */
struct fields {
    struct object_reader json; /* json.body is NULL while a value is plain text */
    struct evaluation *out;
    uint32_t seen; /* bit set of the fields that have been read */
};

/* Starts at the beginning of the evaluation's body. */
void fields_begin(struct fields *fields, struct evaluation *evaluation, struct loss_error *error);

/* Returns the index of the field of that name in requests for the loss: below EVALUATION_TENSORS,
   that tensor (evaluation.h); -1 if there is none. */
int fields_find(const struct loss_descriptor *loss, const char *name);
/* Records that a field has been read. Returns false if it had been read before. */
bool fields_first(struct fields *fields, int field);
/* Reads the value of a field that is not a tensor, and moves past it. Plain text is read to its
   end; names in it are separated by commas. */
enum loss_status fields_read_value(struct fields *fields, int field);
/* Fails with LOSS_MALFORMED because the loss has no field of that key; suggests the nearest one.
   `what` is the kind of name in the message, such as "field". */
enum loss_status fields_unknown(struct fields *fields, const char *what);

/* If the key is a deprecated argument of PyTorch, returns true and sets an error that names the
   replacement. */
bool fields_deprecated(struct object_reader *json);
/* Adds the name of every field of the loss to a search. */
void fields_try_names(struct loss_nearest *search, const struct loss_descriptor *loss);

/* Reads the field `name` from plain text; grad_output only if it is a number. The cursor does not
   move. Fields in `overridden` are ignored, because the values that they already have take
   precedence. */
enum loss_status fields_read_plain(struct fields *fields, const char *name, const char *value,
                                   uint32_t overridden);

/* Returns true if the request sets `encoding`. */
bool fields_have_encoding(const struct fields *fields);

#endif
