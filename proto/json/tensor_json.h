/*
 * Tensors as JSON: nested arrays, {"shape", "dtype", "data"} objects and base64 buffers.
 *
 * Reading takes two steps, because the plan needs the shapes before it chooses the dtype of the
 * elements, and because a tensor of known size can be decoded in parallel to its final location:
 *
 *     tensor_json_scan    finds the end, shape and form of the value; reads no number
 *     tensor_json_decode  converts the text to elements of a given dtype
 */
#ifndef PROTO_JSON_TENSOR_JSON_H
#define PROTO_JSON_TENSOR_JSON_H

#include "loss.h"
#include "memory/buffer.h"
#include "memory/quota.h"

enum tensor_form { FORM_NESTED, FORM_FLAT, FORM_BASE64, FORM_COUNT };

/* Maximum number of marks: positions of elements at which the text can be split for parallel
   decoding. */
enum { TENSOR_JSON_MARKS = 64 };
struct tensor_json_mark {
    const char *text;
    size_t element;
};

/* A tensor in a request body, which it borrows. */
struct tensor_json {
    enum tensor_form form;
    bool is_object;        /* {"shape": ..., "data": ...}: errors point below /data */
    enum loss_dtype dtype; /* as declared; LOSS_ANY if it is not */
    int rank;
    size_t shape[LOSS_MAX_RANK];
    size_t count;           /* elements */
    const char *text, *end; /* the numbers: the value after "data", or the whole value; of base64,
                               the characters between the quotes */
    int marks;
    struct tensor_json_mark
        mark[TENSOR_JSON_MARKS]; /* in order and about equally far apart; none in short text */
};

/* Scans the JSON value at `text` in the body [body, body_end) (body_end[0] is NUL) and sets *end to
   the byte after it. `path` ("/input") is the prefix of error->path. Fails if the JSON is invalid
   outside of elements, if arrays are ragged or have more than LOSS_MAX_RANK dimensions, if the
   shape does not match the data, if a field or dtype is unknown, or if base64 has the wrong length;
   returns LOSS_CANCELLED if `quota` (may be NULL) is cancelled. */
enum loss_status tensor_json_scan(struct tensor_json *tensor, const char *text, const char *body,
                                  const char *body_end, const char *path, const struct quota *quota,
                                  const char **end, struct loss_error *error);

/* Reads a shape, such as [2, 3], at `text` into rank and shape of a tensor, and sets *end to the
   byte after it. Sets the error as above. */
enum loss_status tensor_json_shape(struct loss_tensor *shape, const char *text, const char *body,
                                   const char *body_end, const char *path, const char **end,
                                   struct loss_error *error);

/* Returns true if scanned nested or flat data can be the elements of a tensor of that shape, whose
   element count must not overflow. Flat data must have the same number of elements; nested data
   must have the same shape, as written by NumPy's tolist(). The nesting of an empty tensor ends at
   its first dimension of 0: [[]] for (1, 0) and for (1, 0, 5). */
bool tensor_json_fits(const struct tensor_json *data, const struct loss_tensor *shape);

/* Decodes into `out`, of `count` elements of `dtype`, which is not LOSS_ANY and equals
   tensor->dtype if that is declared. Long text is decoded on up to `threads` threads (1 opens no
   parallel region); the result and the error do not depend on their number. Fails, with error->path
   at the element, if it is not a number, or for an integer dtype, if it is a fraction, NaN,
   infinite or out of range; fails if base64 is invalid; returns LOSS_CANCELLED if `quota` (may be
   NULL) is cancelled. */
enum loss_status tensor_json_decode(const struct tensor_json *tensor, enum loss_dtype dtype,
                                    void *out, const char *body, const char *path, int threads,
                                    const struct quota *quota, struct loss_error *error);

/* Sets error->path to row-major element `element` of the tensor, in the form that the client wrote
   ("/input/3/1", "/input/data/7"). */
void tensor_json_point(const struct tensor_json *tensor, const char *path, size_t element,
                       struct loss_error *error);

/* Appends a contiguous float32 or float64 tensor in the given form: nested arrays (a single number
   for rank 0), or an object with "shape", "dtype" and flat or base64 "data". FORM_NESTED becomes
   FORM_FLAT for an empty tensor that does not have one dimension. As text, non-finite numbers
   become the strings "NaN", "Infinity" and "-Infinity". Large tensors are written as text on up to
   `threads` threads (1 opens no parallel region). If memory runs out or the request is cancelled,
   sets out->failed. */
void tensor_json_encode(struct buffer *out, const struct loss_tensor *tensor, enum tensor_form form,
                        int threads);

/* Appends a double: the shortest text, or a string as above if it is not finite. */
void json_append_number(struct buffer *out, double value);
/* Appends a quoted and escaped JSON string. Bytes that are not UTF-8 become U+FFFD, so that the
   output is always valid. */
void json_append_string(struct buffer *out, const char *text);

#endif
