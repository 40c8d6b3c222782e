/* Content codings (RFC 9110, section 8.4): Content-Encoding and Accept-Encoding. */
#ifndef PROTO_CONTENT_ACCEPT_ENCODING_H
#define PROTO_CONTENT_ACCEPT_ENCODING_H

#include "loss.h"

/* After identity, in order of preference among codings of equal q: fastest first. */
enum content_encoding {
    ENCODING_IDENTITY,
    ENCODING_ZSTD,
    ENCODING_GZIP,
    ENCODING_DEFLATE,
    ENCODING_COUNT
};

/* Returns the name, such as "gzip"; static. */
const char *encoding_name(enum content_encoding encoding);

/* All names but identity, for an Accept-Encoding header of a response. */
extern const char encoding_names[];

/* The Content-Encoding lines of a request; zeroed before the first. */
struct content_encoding_header {
    enum content_encoding encoding;
    bool stacked;        /* there is more than one coding; `refused` is the second */
    const char *refused; /* borrowed from its line: the first coding that is refused, or NULL */
};
/* Adds a line, which must outlive `content`. */
void content_encoding_add(struct content_encoding_header *content, const char *line);
/* Returns LOSS_UNSUPPORTED if the body has an unsupported coding, or more than one. */
enum loss_status content_encoding_check(const struct content_encoding_header *content,
                                        struct loss_error *error);

/* The Accept-Encoding lines of a request; zeroed before the first. */
struct accept_encoding_header {
    bool named[ENCODING_COUNT], named_any;
    double q[ENCODING_COUNT], q_any;
};
/* Adds a line. */
void accept_encoding_add(struct accept_encoding_header *accept, const char *line);

/* The coding of a response. */
struct encoding_choice {
    enum content_encoding encoding;
    bool required; /* identity is not acceptable; if `encoding` is ENCODING_IDENTITY, no coding is
                      acceptable */
};
/* Returns the coding of the highest q; of equal ones, the first in enum content_encoding after
   identity. Unless identity is named, returns it only if no other coding is accepted. "*" does not
   include zstd, because clients that send it may support only gzip. */
struct encoding_choice accept_encoding_choose(const struct accept_encoding_header *accept);

#endif
