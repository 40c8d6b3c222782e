/*
 * Tensors as JSON: nested arrays, {"shape", "dtype", "data"} objects, base64 buffers, and back.
 *
 * Reading takes two steps, because the plan decides from shapes alone what the numbers are to
 * become, and because a tensor whose count is known can be decoded in parallel, straight into its
 * place: tensor_json_scan    finds where the value ends, its shape and form, and that its brackets
 * are sound; reads no number; tensor_json_decode  turns the text into elements of a given dtype.
 */
#ifndef PROTO_JSON_TENSOR_JSON_H
#define PROTO_JSON_TENSOR_JSON_H

#include "loss.h"
#include "memory/buffer.h"
#include "memory/quota.h"

enum tensor_form { FORM_NESTED, FORM_FLAT, FORM_BASE64, FORM_COUNT };

/* Where some elements of a tensor begin, so that its text can be cut there. */
enum { TENSOR_JSON_MARKS = 64 };
struct tensor_json_mark {
    const char *text;
    size_t element;
};

/* One tensor of a request as it stands in the body. Borrows the body. */
struct tensor_json {
    enum tensor_form form;
    bool is_object;        /* {"shape": ..., "data": ...}: errors point below /data */
    enum loss_dtype dtype; /* as declared; LOSS_ANY where it was not */
    int rank;
    size_t shape[LOSS_MAX_RANK];
    size_t count;           /* elements */
    const char *text, *end; /* the numbers: the value after "data", else the whole value; for base64
                               what stands between the quotes */
    int marks;
    struct tensor_json_mark
        mark[TENSOR_JSON_MARKS]; /* in order, about as far from each other; none in short text */
};

/* Scans the JSON value at `text` in the body [body, body_end) (body_end[0] is NUL). On success sets
   `*end` behind the value. Refuses ragged arrays, more than LOSS_MAX_RANK dimensions, a shape that
   does not agree with the data, unknown fields and dtypes, base64 of the wrong length. `path`
   ("/input") goes before error.path. LOSS_CANCELLED where the quota, which may be NULL, says
   so. */
enum loss_status tensor_json_scan(struct tensor_json *tensor, const char *text, const char *body,
                                  const char *body_end, const char *path, const struct quota *quota,
                                  const char **end, struct loss_error *error);

/* Reads a shape, [2, 3], at `text` into rank and shape of a tensor, and sets `*end` behind it. What
   it refuses, and where, is as above. */
enum loss_status tensor_json_shape(struct loss_tensor *shape, const char *text, const char *body,
                                   const char *body_end, const char *path, const char **end,
                                   struct loss_error *error);

/* Returns true if scanned nested or flat data may be the elements of a tensor of that shape, whose
   count is known not to overflow: flat data has as many, nested data has the shape, as NumPy's
   tolist() writes it. Lists of an empty tensor end at its first dimension of 0: [[]] for (1, 0) and
   for (1, 0, 5). */
bool tensor_json_fits(const struct tensor_json *data, const struct loss_tensor *shape);

/* Decodes into `out`, which holds `count` elements of `dtype` (never LOSS_ANY; where tensor->dtype
   is declared it is the same), long text on up to `threads` threads (1 opens no parallel region);
   the result, and the error, are the same for any number of them. Numbers outside an integer
   dtype's range, fractions for integers, NaN spellings in integer tensors are refused with
   error.path at the element; LOSS_CANCELLED where the quota, which may be NULL, says so. */
enum loss_status tensor_json_decode(const struct tensor_json *tensor, enum loss_dtype dtype,
                                    void *out, const char *body, const char *path, int threads,
                                    const struct quota *quota, struct loss_error *error);

/* Points error.path at row-major element `element` of the tensor, as the client wrote it
 * ("/input/3/1", "/input/data/7"). */
void tensor_json_point(const struct tensor_json *tensor, const char *path, size_t element,
                       struct loss_error *error);

/* Appends a contiguous float32 or float64 tensor in the given form: nested arrays (a bare number
   for no dimensions), or an object with "shape", "dtype" and flat or base64 "data". Non-finite
   numbers become the strings "NaN", "Infinity", "-Infinity". Large ones are written on up to
   `threads` threads (1 opens no parallel region). Running out of memory shows in out->failed.
 */
void tensor_json_encode(struct buffer *out, const struct loss_tensor *tensor, enum tensor_form form,
                        int threads);

/* Appends one double the same way: shortest text, or a string where it is not finite. */
void json_append_number(struct buffer *out, double value);
/* Appends a JSON string with quotes and escapes; bytes that are not UTF-8 become U+FFFD, so that
 * the body is always valid. */
void json_append_string(struct buffer *out, const char *text);

#endif
