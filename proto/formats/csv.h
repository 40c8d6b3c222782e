/*
 * Tables of numbers as text (CSV and its relatives): a row a line, with commas, semicolons, tabs or
 * spaces between the numbers.
 *
 *     predicted,sd
 *     0.25,1e-3
 *     -1,nan
 *
 * The separator is the one of the first row, and the only one: "1,5;2,5" is refused, not read as
 * four numbers. Empty lines and those that begin with '#' are passed over. Beside the numbers of
 * RFC 8259 there are nan, inf and infinity, with or without a sign, and true and false for 1 and 0,
 * in any case. Fields may be in double quotes.
 *
 * A first row is taken for a header only if each of its fields looks like a name: it begins with a
 * letter, an underscore or a byte of UTF-8, and is neither one of the words above nor what other
 * programs write for a missing value (NA, null, ...). Anything else is a row of numbers, and an
 * error if it holds none.
 *
 * As with JSON (tensor_json.h), reading takes two steps: the plan decides from the shape what the
 * numbers are to become.
 */
#ifndef PROTO_FORMATS_CSV_H
#define PROTO_FORMATS_CSV_H

#include "loss.h"

struct csv {
    struct loss_tensor
        shape; /* (rows, columns), or (rows,) where there is one column; no data, dtype LOSS_ANY */
    const char *text, *end; /* borrowed */
    const char *first;      /* of the rows: behind the header */
    char separator;         /* ',' or ';'; ' ' stands for tabs and spaces */
};

/* Whether the first row is a header: as it looks, or as the user says. */
enum csv_header { CSV_HEADER_AUTO, CSV_HEADER_YES, CSV_HEADER_NO };

/* Finds out the shape of the table in [text, text + len), behind which stands a NUL: lines of one
   length, a separator between every two numbers. Looks at no number. LOSS_MALFORMED with line,
   column and offset where it is no such table; `name` is the tensor's, for error.path. */
enum loss_status csv_scan(struct csv *csv, const char *text, size_t len, enum csv_header header,
                          const char *name, struct loss_error *error);

/* Reads the numbers into `out`, which holds them as float32, float64 or int64. LOSS_MALFORMED, with
   line, column and offset, where something is no number, or for int64 no whole one. */
enum loss_status csv_decode(const struct csv *csv, enum loss_dtype dtype, void *out,
                            const char *name, struct loss_error *error);

#endif
