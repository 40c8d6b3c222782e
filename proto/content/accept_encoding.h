/* Content codings (RFC 9110, section 8.4): which one a body comes in, and which one an answer may
 * go out in. */
#ifndef PROTO_CONTENT_ACCEPT_ENCODING_H
#define PROTO_CONTENT_ACCEPT_ENCODING_H

#include "loss.h"

/* In the order in which answers have them where a client likes several equally well: the quickest
 * first. */
enum coding { CODING_IDENTITY, CODING_ZSTD, CODING_GZIP, CODING_DEFLATE, CODING_COUNT };

/* "gzip" and so on; static. */
const char *coding_name(enum coding coding);

/* All but identity, for an Accept-Encoding header in an answer. */
extern const char coding_names[];

/* What the Content-Encoding lines of a request say; zeroed before the first of them. */
struct coding_content {
    enum coding coding;
    bool stacked;
    const char *refused; /* borrowed from its line: the first coding that is not taken; NULL while
                            there is none */
};
/* Reads a line, which must outlive `content`. */
void coding_content_add(struct coding_content *content, const char *line);
/* LOSS_UNSUPPORTED where the body is in a coding that is not taken, or in one upon another. */
enum loss_status coding_content_check(const struct coding_content *content,
                                      struct loss_error *error);

/* What the Accept-Encoding lines of a request say; zeroed before the first of them. */
struct coding_accept {
    bool named[CODING_COUNT], named_any;
    double q[CODING_COUNT], q_any;
};
/* Reads a line. */
void coding_accept_add(struct coding_accept *accept, const char *line);

/* What an answer is to be in. */
struct coding_choice {
    enum coding coding;
    bool required; /* identity is refused; with CODING_IDENTITY: so is everything else */
};
/* The coding of the highest q, of several the first of enum coding; identity only where nothing
   else is taken or it is named with a higher q. "*" stands for gzip, which everybody knows, rather
   than zstd. */
struct coding_choice coding_choose(const struct coding_accept *accept);

#endif
