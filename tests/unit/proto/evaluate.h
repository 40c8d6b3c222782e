/* Requests for one loss in JSON, served without a server. */
#ifndef TESTS_EVALUATE_H
#define TESTS_EVALUATE_H

#include "v1/v1.h"

#include <stddef.h>

/* The response to the last request, valid until the next one. */
extern struct response evaluate_response;

/* Serves a request. Returns the body of the response, NUL-terminated. */
const char *evaluate_bytes(const char *loss, const char *body, size_t len);
const char *evaluate_text(const char *loss, const char *body);

/* Serves a request, which must succeed with the response `expected`. */
void evaluate_expect(const char *loss, const char *body, const char *expected);

/* Serves a request, which must fail with `status`. From the value of "detail" on, the problem
   document must begin with `expected`: the detail as a JSON string, and optionally the members
   after it, pointer and offset. */
void evaluate_expect_problem(const char *loss, const char *body, int status, const char *expected);

#endif
