/*
 * The endpoints of /v1. v1_list and v1_describe fill a zeroed response, on failure with an error.
 */
#ifndef PROTO_V1_V1_H
#define PROTO_V1_V1_H

#include "content/response.h"
#include "evaluation/handler.h"

/* POST /v1/losses/{loss} */
extern const struct handler v1_evaluate;

/* POST /v1/evaluate: several losses over the same tensors. Requests and responses are JSON. */
extern const struct handler v1_evaluate_many;

/* POST /v1/merge: partial results of parts of one batch. Requests and responses are JSON. */
extern const struct handler v1_merge;

/* Fails if the request has a query: JSON requests have their fields in the body. */
enum loss_status v1_check_no_query(const struct request_view *view, struct loss_error *error);

/* GET /v1/losses */
void v1_list(const char *accept, struct response *reply);

/* GET /v1/losses/{loss} */
void v1_describe(const char *loss, const char *accept, struct response *response);

#endif
