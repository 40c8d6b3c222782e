/* Content codings (RFC 9110, section 8.4): Content-Encoding and Accept-Encoding. */
#ifndef PROTO_CONTENT_ACCEPT_ENCODING_H
#define PROTO_CONTENT_ACCEPT_ENCODING_H

#include "loss.h"

/* In order of preference among codings of equal q: fastest first. */
enum coding { CODING_IDENTITY, CODING_ZSTD, CODING_GZIP, CODING_DEFLATE, CODING_COUNT };

/* Returns the name, such as "gzip"; static. */
const char *coding_name(enum coding coding);

/* All names but identity, for an Accept-Encoding header of a response. */
extern const char coding_names[];

/* The Content-Encoding lines of a request; zeroed before the first. */
struct coding_content {
    enum coding coding;
    bool stacked;
    const char *refused; /* borrowed from its line: the first unsupported coding, or NULL */
};
/* Adds a line, which must outlive `content`. */
void coding_content_add(struct coding_content *content, const char *line);
/* Returns LOSS_UNSUPPORTED if the body has an unsupported coding, or more than one. */
enum loss_status coding_content_check(const struct coding_content *content,
                                      struct loss_error *error);

/* The Accept-Encoding lines of a request; zeroed before the first. */
struct coding_accept {
    bool named[CODING_COUNT], named_any;
    double q[CODING_COUNT], q_any;
};
/* Adds a line. */
void coding_accept_add(struct coding_accept *accept, const char *line);

/* The coding of a response. */
struct coding_choice {
    enum coding coding;
    bool required; /* identity is not acceptable; if `coding` is CODING_IDENTITY, no coding is
                      acceptable */
};
/* Returns the coding of the highest q; of equal ones, the first of enum coding. Returns identity
   only if nothing else is accepted or it is named with a higher q. "*" means gzip rather than zstd,
   because every client supports it. */
struct coding_choice coding_choose(const struct coding_accept *accept);

#endif
