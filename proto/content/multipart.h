/* The parts of a multipart/form-data body (RFC 7578), one after the other; knows nothing of what
 * they hold. */
#ifndef PROTO_CONTENT_MULTIPART_H
#define PROTO_CONTENT_MULTIPART_H

#include "loss.h"

enum { MULTIPART_BOUNDARY = 70, MULTIPART_NAME = 256 };

struct multipart {
    const char *body, *end;
    const char *at;                         /* behind the delimiter in front of the next part */
    char delimiter[MULTIPART_BOUNDARY + 5]; /* "\r\n--boundary" */
    size_t delimiter_len;
    struct loss_error *error;
};

struct multipart_part {
    char name[MULTIPART_NAME];
    bool is_file; /* it has a file's name */
    const char *data;
    size_t len;
};

/* Starts taking a body apart; the boundary is in the Content-Type. Borrows the body and the error.
   LOSS_MALFORMED, with the byte, where it is no such body. */
enum loss_status multipart_begin(struct multipart *form, const char *content_type, const char *body,
                                 size_t len, struct loss_error *error);
/* Finds the next part; *found is false behind the last. */
enum loss_status multipart_next(struct multipart *form, struct multipart_part *part, bool *found);

#endif
