/* Splits a multipart/form-data body (RFC 7578) into its parts. */
#ifndef PROTO_CONTENT_MULTIPART_H
#define PROTO_CONTENT_MULTIPART_H

#include "loss.h"

enum { MULTIPART_BOUNDARY = 70, MULTIPART_NAME = 256 };

struct multipart {
    const char *body, *end;
    const char *at;                         /* after the delimiter before the next part */
    char delimiter[MULTIPART_BOUNDARY + 5]; /* "\r\n--boundary" */
    size_t delimiter_len;
    struct loss_error *error;
};

struct multipart_part {
    char name[MULTIPART_NAME];
    bool is_file; /* it has a filename */
    const char *data;
    size_t len;
};

/* Starts reading a body; the boundary is in the Content-Type. Text before the first boundary is
   ignored. Borrows the body and the error. Returns LOSS_MALFORMED if the Content-Type has no valid
   boundary, or the body does not contain it. */
enum loss_status multipart_begin(struct multipart *form, const char *content_type, const char *body,
                                 size_t len, struct loss_error *error);
/* Finds the next part. Sets *found to false after the last one. Returns LOSS_MALFORMED with the
   offset if the part is invalid. */
enum loss_status multipart_next(struct multipart *form, struct multipart_part *part, bool *found);

#endif
