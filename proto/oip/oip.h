/*
 * The Open Inference Protocol v2 over REST, with its binary tensor data extension: what each
 * endpoint answers, from bytes to bytes. Every loss is a model, of which there is one version, "1".
 * Every function fills a zeroed reply and cannot fail otherwise: trouble is an answer too,
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
    struct allowance *allowance; /* asked before memory is taken; NULL: nobody is */
    int threads;                 /* OpenMP threads that may be used; 1 opens no parallel region */
};

/* The loss that is meant by a model and a version, which may be NULL; NULL, with LOSS_NOT_FOUND in
 * the error, if there is none.
 */
const struct loss_descriptor *oip_find(const char *model, const char *version,
                                       struct loss_error *error);

/* ---- infer ---- */

/* POST /v2/models/{loss}[/versions/1]/infer. What is more work than the limits allow is answered as
   v1_evaluate does. */
void oip_infer(const struct oip_request *request, struct reply *reply);
/* Whether that can succeed at all: model and version are there. True if they are; else the reply is
 * filled. Reads no body. */
bool oip_infer_possible(const struct oip_request *request, struct reply *reply);

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
void oip_health(const char *what, bool is, struct reply *reply);
/* GET /v2 */
void oip_server(struct reply *reply);
/* GET /v2/models/{loss}[/versions/1] and what stands below it. `version` is NULL where the path has
 * none. */
void oip_model(const char *model, const char *version, struct reply *reply);
void oip_model_ready(const char *model, const char *version, struct reply *reply);
void oip_model_config(const char *model, const char *version, struct reply *reply);
/* GET /v2/models/stats, where `model` is NULL, and /v2/models/{loss}[/versions/1]/stats.
   `statistics` has an element for each loss, in the order of loss_at. */
void oip_model_statistics(const char *model, const char *version,
                          const struct oip_statistics statistics[], struct reply *reply);
/* POST /v2/repository/index; what its body asks for makes no difference where every model is ready.
 */
void oip_index(struct reply *reply);
/* POST /v2/repository/models/{loss}/load and unload, which are refused. */
void oip_fixed(struct reply *reply);

#endif
