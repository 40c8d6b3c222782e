/*
 * Answers that say no.
 */
#ifndef SERVER_HTTP_HTTP_ERROR_H
#define SERVER_HTTP_HTTP_ERROR_H

#include "content/response.h"

/* Why a request is refused; status 0 means that it is not. */
struct refusal {
    int status;
    const char *detail; /* static text */
};

/* Fills a reply with a problem document of that HTTP status, its detail made by printf. A 503 also
   gets a Retry-After. Replaces what the reply held. */
__attribute__((format(printf, 3, 4))) void refuse(struct reply *reply, int status,
                                                  const char *format, ...);

#endif
