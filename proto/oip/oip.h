/*
 * The Open Inference Protocol v2 over REST, with its binary tensor data extension: what each
 * endpoint answers, from bytes to bytes. Every loss is a model, of which there is one version, "1".
 * Every function fills a zeroed response and cannot fail otherwise: trouble is an answer too,
 * {"error": "..."}.
 */
#ifndef PROTO_OIP_OIP_H
#define PROTO_OIP_OIP_H

#include <stdint.h>

#include "content/response.h"
#include "evaluation/work_limit.h"

struct oip_request {
    const char *model;   /* name or alias of a loss, from the path; NUL-terminated */
    const char *version; /* from the path; NULL where there is none */
    const char
        *header_length; /* the header Inference-Header-Content-Length; NULL where there is none */
    const char *body;   /* body[len] is NUL */
    size_t len;
    struct work_limits work;
    struct quota *quota; /* asked before memory is taken; NULL: nobody is */
    int threads;         /* OpenMP threads that may be used; 1 opens no parallel region */
};

/* The loss that is meant by a model and a version, which may be NULL; NULL, with LOSS_NOT_FOUND in
 * the error, if there is none.
 */
const struct loss_descriptor *oip_model_find(const char *model, const char *version,
                                             struct loss_error *error);

/* ---- infer ---- */

/* POST /v2/models/{loss}[/versions/1]/infer. What is more work than the limits allow is answered as
   v1_evaluate does. */
void oip_infer(const struct oip_request *request, struct response *response);
/* Whether that can succeed at all: model and version are there. True if they are; else the response
 * is filled. Reads no body. */
bool oip_infer_possible(const struct oip_request *request, struct response *response);

/* ---- what there is to know ---- */

/* How often something was done, and how long it took in all. */
struct oip_duration {
    uint64_t count, ns;
};

/* What a model has done since the server was started. */
struct oip_statistics {
    uint64_t last_ms; /* when it last succeeded, in milliseconds of Unix time; 0: never */
    struct oip_duration success, fail, queue, input, infer, output;
};

/* GET /v2/health/live and /v2/health/ready; `what` is "live" or "ready". Only the status tells
   Triton's clients, only the body KServe's. */
void oip_health(const char *what, bool is, struct response *response);
/* GET /v2 */
void oip_server(struct response *response);
/* GET /v2/models/{loss}[/versions/1] and what stands below it. `version` is NULL where the path has
 * none. */
void oip_model(const char *model, const char *version, struct response *response);
void oip_model_ready(const char *model, const char *version, struct response *response);
void oip_model_config(const char *model, const char *version, struct response *response);
/* GET /v2/models/stats, where `model` is NULL, and /v2/models/{loss}[/versions/1]/stats.
   `statistics` has an element for each loss, in the order of loss_at. */
void oip_model_statistics(const char *model, const char *version,
                          const struct oip_statistics statistics[], struct response *response);
/* POST /v2/repository/index; what its body asks for makes no difference where every model is ready.
 */
void oip_repository_index(struct response *response);
/* POST /v2/repository/models/{loss}/load and unload, which are refused. */
void oip_repository_refuse(struct response *response);

#endif
