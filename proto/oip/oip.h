/*
 * The endpoints of the Open Inference Protocol v2 over REST (/v2), with its binary tensor data
 * extension, from request bytes to response bytes. Every loss is a model with one version, "1".
 * Functions that take a response fill it; it is zeroed before. Errors are responses, too:
 * {"error": "..."}.
 */
#ifndef PROTO_OIP_OIP_H
#define PROTO_OIP_OIP_H

#include <stdint.h>

#include "content/response.h"
#include "evaluation/handler.h"

/* Returns the loss of a model and a version (may be NULL). If there is none, returns NULL and sets
   `error` to LOSS_NOT_FOUND. */
const struct loss_descriptor *oip_model_find(const char *model, const char *version,
                                             struct loss_error *error);

/* ---- Inference ---- */

/* POST /v2/models/{loss}[/versions/1]/infer */
extern const struct handler oip_infer;

/* ---- Metadata ---- */

/* The number of times an operation was performed, and its total time. */
struct oip_duration {
    uint64_t count, ns;
};

/* Statistics of a model since the server started. */
struct oip_statistics {
    uint64_t last_ms; /* Unix time of the last success in milliseconds; 0: never */
    struct oip_duration success, fail, queue, input, infer, output;
};

/* GET /v2/health/live and /v2/health/ready; `what` is "live" or "ready". Triton's clients read only
   the status, KServe's only the body. */
void oip_health(const char *what, bool is, struct response *response);
/* GET /v2 */
void oip_server(struct response *response);
/* GET /v2/models/{loss}[/versions/1] and the paths below it. `version` is NULL if the path has
   none. */
void oip_model(const char *model, const char *version, struct response *response);
void oip_model_ready(const char *model, const char *version, struct response *response);
void oip_model_config(const char *model, const char *version, struct response *response);
/* GET /v2/models/stats (`model` is NULL) and /v2/models/{loss}[/versions/1]/stats. `statistics` has
   one element per loss, in the order of loss_at. */
void oip_model_statistics(const char *model, const char *version,
                          const struct oip_statistics statistics[], struct response *response);
/* POST /v2/repository/index. The body is not used: every model is ready. */
void oip_repository_index(struct response *response);
/* POST /v2/repository/models/{loss}/load and unload: fails. */
void oip_repository_refuse(struct response *response);

#endif
