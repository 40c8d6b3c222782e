/*
 * The v1 interface: what each endpoint answers, from bytes to bytes. Every function fills a zeroed
 * response and cannot fail otherwise: trouble is an answer too.
 */
#ifndef PROTO_V1_V1_H
#define PROTO_V1_V1_H

#include "content/response.h"
#include "evaluation/work_limit.h"

struct v1_request {
    const char *loss; /* name or alias, from the path, decoded; NUL-terminated */
    const char
        *content_type;  /* of the request; NULL where there is none: then it is taken for JSON */
    const char *accept; /* NULL where there is none */
    const char *query;  /* percent-encoded; NULL where there is none: JSON requests take none */
    const char *body;   /* body[len] is NUL */
    size_t len;
    struct work_limits work;
    struct quota *quota; /* asked before memory is taken; NULL: nobody is */
    int threads;         /* how many OpenMP threads may be used; 1 opens no parallel region */
};

/* POST /v1/losses/{loss}. A few bytes can ask for much work. If that is more than may be done now,
   the response's status stays 0, its `work` says how much it is, and the request is to be put again
   from where it may take its time. If it is more than may be asked for at all, the answer is 413.
 */
void v1_evaluate(const struct v1_request *request, struct response *response);
/* Whether POST /v1/losses/{loss} can succeed at all: 404 with the nearest name, 415, 406, whatever
   is wrong with the query, before a body is read. True if nothing speaks against it; else the
   response is filled. Reads no body. */
bool v1_evaluate_possible(const struct v1_request *request, struct response *response);
/* POST /v1/evaluate: the same for several losses, whose work is added up; `loss` is not used, and
   requests and answers are JSON. */
void v1_evaluate_many(const struct v1_request *request, struct response *response);
bool v1_evaluate_many_possible(const struct v1_request *request, struct response *response);
/* GET /v1/losses */
void v1_list(const char *accept, struct response *response);
/* GET /v1/losses/{loss} */
void v1_describe(const char *loss, const char *accept, struct response *response);

#endif
