/*
 * The fields of a request: what they are called, and the values of those that are no tensors, which
 * are the same in every format. A value is JSON text in a body, or plain text that has been taken
 * out of whatever held it: a query, metadata, a form.
 */
#ifndef PROTO_EVALUATION_REQUEST_FIELDS_H
#define PROTO_EVALUATION_REQUEST_FIELDS_H

#include "evaluation/evaluation.h"

enum {
    FIELD_KEY = 256, /* bytes of the longest key, with a NUL; a longer one can be none of ours */
    FIELD_PARAMS = EVALUATION_TENSORS,
    FIELD_COMMON = FIELD_PARAMS + LOSS_MAX_PARAMS,
};

/* Reading fields, one after the other. */
struct fields {
    struct evaluation *out;
    struct loss_error *error;
    const struct allowance *allowance; /* asked whether to go on; may be NULL */
    const char *body; /* NULL where values are plain text: then no error names a byte */
    const char *end;  /* of the text that `at` moves through; a NUL stands there */
    const char *at;   /* at the value of the field that is being read */
    char key[FIELD_KEY];
    char path[128]; /* "/key" */
    uint32_t seen;  /* fields that were read */
};

/* Starts reading at the beginning of the evaluation's body. */
void fields_begin(struct fields *fields, struct evaluation *evaluation, struct loss_error *error);
/* The same of a body that is not one evaluation's: `out` is NULL, and what asks for its loss may
 * not be called. */
void fields_begin_body(struct fields *fields, const char *body, size_t len,
                       const struct allowance *allowance, struct loss_error *error);
/* Which field of the loss's requests a name is: below EVALUATION_TENSORS that tensor
 * (evaluation.h); -1 if there is none. */
int field_find(const struct loss_descriptor *loss, const char *name);
/* Reads the JSON object at `at` and moves behind it: calls `member` for each key, with `at` at its
   value, for it to move behind that or fail. */
enum loss_status
fields_read_object(struct fields *fields,
                   enum loss_status (*member)(struct fields *fields, void *context), void *context);
/* Reads the JSON list at `at` and moves behind it: calls `element` for each, with `at` at it, for
   it to move behind that or fail. */
enum loss_status fields_read_list(struct fields *fields,
                                  enum loss_status (*element)(struct fields *fields, size_t index,
                                                              void *context),
                                  void *context);
/* Moves behind the JSON value at `at`, whatever it is. */
enum loss_status fields_skip_value(struct fields *fields);
/* Moves behind a value of which nothing will be used. It must be JSON in full; NaN and the
 * infinities are taken as in tensors. */
enum loss_status fields_ignore_value(struct fields *fields);
/* Fails with LOSS_MALFORMED: something else was expected at a byte. */
enum loss_status fields_unexpected(struct fields *fields, const char *at, const char *expected);
/* Sets the key and the path for errors. */
void fields_set_key(struct fields *fields, const char *key);
/* Notes that a field was met; false if it had been before. */
bool fields_first(struct fields *fields, int field);
/* Reads the value of a field that is no tensor, and moves behind it. Plain text is read to its end;
   a list in it is one of names with commas between them. */
enum loss_status fields_read_value(struct fields *fields, int field);
/* Fails with LOSS_MALFORMED: the key is no field's; names the nearest. `what` is what there is none
 * of: "field". */
enum loss_status fields_unknown(struct fields *fields, const char *what);

/* Whether the key is a field of PyTorch's that is not taken; then the error says what is. */
bool fields_deprecated(struct fields *fields);
/* Tries the name of every field that the loss has. */
void fields_try_names(struct loss_nearest *search, const struct loss_descriptor *loss);

/* Reads a field that has a name and a value of plain text: also grad_output, if it is a number.
   Those in `settled` have been read from where it counts more, and are let be. */
enum loss_status fields_read_plain(struct fields *fields, const char *name, const char *value,
                                   uint32_t settled);

/* Whether the encoding of the answer was among the fields. */
bool fields_have_encoding(const struct fields *fields);

#endif
