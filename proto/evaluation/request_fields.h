/*
 * The fields of a request: what they are called, and the values of those that are no tensors, which
 * are the same in every format. A value is JSON text in a body, or plain text that has been taken
 * out of whatever held it: a query, metadata, a form.
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

/* Which field of the loss's requests a name is: below EVALUATION_TENSORS that tensor
 * (evaluation.h); -1 if there is none. */
int fields_find(const struct loss_descriptor *loss, const char *name);
/* Notes that a field was met; false if it had been before. */
bool fields_first(struct fields *fields, int field);
/* Reads the value of a field that is no tensor, and moves behind it. Plain text is read to its end;
   a list in it is one of names with commas between them. */
enum loss_status fields_read_value(struct fields *fields, int field);
/* Fails with LOSS_MALFORMED: the key is no field's; names the nearest. `what` is what there is none
 * of: "field". */
enum loss_status fields_unknown(struct fields *fields, const char *what);

/* Whether the key is a field of PyTorch's that is not taken; then the error says what is. */
bool fields_deprecated(struct object_reader *json);
/* Tries the name of every field that the loss has. */
void fields_try_names(struct loss_nearest *search, const struct loss_descriptor *loss);

/* Reads a field that has a name and a value of plain text: also grad_output, if it is a number.
   Those in `settled` have been read from where it counts more, and are let be. */
enum loss_status fields_read_plain(struct fields *fields, const char *name, const char *value,
                                   uint32_t settled);

/* Whether the encoding of the answer was among the fields. */
bool fields_have_encoding(const struct fields *fields);

#endif
