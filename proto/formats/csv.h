/*
 * Tables of numbers as text (CSV and its relatives): one row per line; commas, semicolons, tabs or
 * spaces separate the numbers.
 *
 *     predicted,sd
 *     0.25,1e-3
 *     -1,nan
 *
 * The separator of the first row is the only one accepted: "1,5;2,5" is an error, not four numbers.
 * Empty lines and lines that begin with '#' are skipped. Besides the numbers of RFC 8259, nan, inf
 * and infinity (with an optional sign) and true and false (1 and 0) are accepted in any case.
 * Fields may be in double quotes.
 *
 * The first row is a header only if each of its fields looks like a name: it begins with a letter,
 * an underscore or a non-ASCII byte, and is neither one of the words above nor a common spelling of
 * a missing value (NA, null, ...). Otherwise it is a row of numbers.
 *
 * Reading takes two steps, as for JSON (tensor_json.h): the plan needs the shape before it chooses
 * the dtype.
 */
#ifndef PROTO_FORMATS_CSV_H
#define PROTO_FORMATS_CSV_H

#include "loss.h"

struct csv {
    struct loss_tensor
        shape; /* (rows, columns), or (rows,) for one column; no data; dtype LOSS_ANY */
    const char *text, *end; /* borrowed */
    const char *first;      /* the first row after the header */
    char separator;         /* ',' or ';'; ' ' means tabs and spaces */
};

/* Determines whether the first row is a header. */
enum csv_header { CSV_HEADER_AUTO, CSV_HEADER_YES, CSV_HEADER_NO };

/* Finds the shape of the table in [text, text + len); text[len] is NUL. Reads no number. Returns
   LOSS_MALFORMED with line, column and offset if rows differ in length or separators are invalid.
   `name` is the tensor's, for error->path. */
enum loss_status csv_scan(struct csv *csv, const char *text, size_t len, enum csv_header header,
                          const char *name, struct loss_error *error);

/* Reads the numbers into `out` as float32, float64 or int64. Returns LOSS_MALFORMED with line,
   column and offset of the first field that is not a number, or, for int64, not a whole number. */
enum loss_status csv_decode(const struct csv *csv, enum loss_dtype dtype, void *out,
                            const char *name, struct loss_error *error);

#endif
