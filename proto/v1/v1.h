/*
 * The endpoints of /v1, from request bytes to response bytes. Every function fills a zeroed
 * response; errors are responses, too.
 */
#ifndef PROTO_V1_V1_H
#define PROTO_V1_V1_H

#include "content/response.h"
#include "evaluation/work_limit.h"

struct v1_request {
    const char *loss;         /* name or alias, decoded from the path; NUL-terminated */
    const char *content_type; /* NULL: none, treated as JSON */
    const char *accept;       /* NULL: none */
    const char *query;        /* percent-encoded; NULL: none. JSON requests accept none */
    const char *body;         /* body[len] is NUL */
    size_t len;
    struct work_limits work;
    struct quota *quota; /* borrowed; memory is reserved there; NULL: unlimited */
    int threads;         /* OpenMP threads to use at most; 1 opens no parallel region */
};

/* POST /v1/losses/{loss}. If the work exceeds work.now, leaves response->status 0 and sets
   response->work: the caller repeats the call on the executor. If it exceeds work.most, the
   response is 413. */
void v1_evaluate(const struct v1_request *request, struct response *response);
/* Returns true if POST /v1/losses/{loss} can succeed, judging by everything but the body. Otherwise
   fills the response: 404 with the nearest name, 415, 406, or an error in the query. Reads no body.
   */
bool v1_evaluate_possible(const struct v1_request *request, struct response *response);
/* POST /v1/evaluate: the same for several losses, whose work is added up. `loss` is not used;
   requests and responses are JSON. */
void v1_evaluate_many(const struct v1_request *request, struct response *response);
bool v1_evaluate_many_possible(const struct v1_request *request, struct response *response);
/* GET /v1/losses */
void v1_list(const char *accept, struct response *response);
/* GET /v1/losses/{loss} */
void v1_describe(const char *loss, const char *accept, struct response *response);

#endif
