/* The requests during which calls fail (test_faults.c): one of each kind that the server
   distinguishes. */
#ifndef TESTS_FAULT_REQUESTS_H
#define TESTS_FAULT_REQUESTS_H

#include <stdbool.h>
#include <stddef.h>

#include "memory/buffer.h"

enum { FAULT_REQUESTS = 128, FAULT_REQUEST_NAME = 64 };
enum { FAULT_NUMBERS = 40000 }; /* per tensor of large requests */

struct fault_request {
    char name[FAULT_REQUEST_NAME];
    struct buffer text; /* the whole request */
    bool head;
    bool varies; /* the response is not the same each time */
    int status;
    struct buffer answer, other; /* expected bodies: without faults; without compression, if the
                                    request asks for it */
};

extern struct fault_request fault_requests[FAULT_REQUESTS];
extern size_t fault_request_count;

#define MSE  "/v1/losses/mse"
#define JSON "{\"input\":[[1,2.5],[3,\"NaN\"]],\"target\":[[1,2],[5,0.1]],\"grad\":true}"

/* Adds a request. `headers` each end in CRLF; `body` may be NULL. Returns the request. */
struct fault_request *fault_request_add(const char *name, const char *method, const char *path,
                                        const char *headers, const void *body, size_t len);
/* Adds a GET or a POST. */
void fault_request_get(const char *path);
void fault_request_post(const char *name, const char *path, const char *headers, const char *body);

/* Returns JSON with two tensors of `count` numbers, followed by `more`; free it with
   buffer_free. */
struct buffer fault_request_numbers(const char *more, size_t count);

/* Adds a request of each kind. */
void fault_requests_add_all(void);
/* Frees all requests. */
void fault_requests_free(void);

#endif
