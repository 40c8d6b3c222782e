/*
 * The steps of every endpoint that evaluates losses, independent of the protocol:
 *
 *     handler->validate_head(&view, &error)                  before the body arrives
 *     prepared = handler_prepare(handler, &view, &response)  reads the body and plans
 *     prepared_exceeds(prepared, limit)                      compares the work with a limit
 *     prepared_run(prepared, threads, &response)             decodes, computes and encodes
 *     prepared_free(prepared)
 *
 * prepared_run may be called later and on another thread.
 */
#ifndef PROTO_EVALUATION_HANDLER_H
#define PROTO_EVALUATION_HANDLER_H

#include <stdbool.h>
#include <stddef.h>

#include "content/media_type.h"
#include "content/response.h"
#include "memory/quota.h"

/* A request. All text is borrowed; NULL if the request does not have it. */
struct request_view {
    const char *loss;         /* {loss} of the path, decoded: a name or an alias */
    const char *version;      /* {version} of the path */
    const char *content_type; /* NULL: JSON */
    const char *accept;
    const char *query;            /* percent-encoded, though '+' may have become a space */
    const char *inference_header; /* of the header Inference-Header-Content-Length */

    /* set by validate_head */
    const struct loss_descriptor *descriptor; /* of `loss` */
    enum media_type in, out;                  /* of the body and of the response */

    /* set when the body is complete */
    const char *body; /* body[len] is NUL; must outlive the prepared request */
    size_t len;
    size_t max_work;     /* limit of the work (loss_plan.work); 0: no limit */
    struct quota *quota; /* memory is reserved there; NULL: unlimited */
};

struct handler;

/* A request that has been read and planned. */
struct prepared {
    const struct handler *handler;
    struct quota *quota;
    double prepare_ms;

    /* set by handler->prepare */
    size_t work;      /* units of work of the plans (loss_plan.work) */
    size_t transport; /* units of work of reading the body and writing the response */
    size_t elements;  /* of the plans (loss_plan.elements) */
};

/* The implementation of one endpoint. Each request has a state of `size` bytes: a struct that the
   endpoint defines, whose first member is a struct prepared. All functions but validate_head
   receive a pointer to it, as `prepared`. */
struct handler {
    enum response_errors errors;
    size_t size; /* bytes of the state */
    /* Rejects requests that are invalid by their head alone. */
    enum loss_status (*validate_head)(struct request_view *view, struct loss_error *error);
    /* Initializes the state, reads the body and plans. `free` is called even if this fails. */
    enum loss_status (*prepare)(struct prepared *prepared, const struct request_view *view,
                                struct loss_error *error);
    /* Decodes the operands; `response` is empty; memory for outputs may be reserved in it.
       `threads` is the number of OpenMP threads to use from now on; 1 opens no parallel region. */
    enum loss_status (*decode)(struct prepared *prepared, int threads, struct response *response,
                               struct loss_error *error);
    enum loss_status (*run)(struct prepared *prepared, struct loss_error *error);
    /* Writes the body and its headers. If memory runs out, sets response->body.failed. */
    void (*encode)(struct prepared *prepared, struct response *response);
    void (*free)(struct prepared *prepared);
};

/* Reads and plans a request whose head was validated. On failure, returns NULL and fills the
   response; status 413 only if the work exceeds view->max_work. */
struct prepared *handler_prepare(const struct handler *handler, const struct request_view *view,
                                 struct response *response);

/* Returns true if the request takes more than `limit` units of work, transport included. */
bool prepared_exceeds(const struct prepared *prepared, size_t limit);

/* Evaluates the request and fills the response with the result or an error. Call it once. */
void prepared_run(struct prepared *prepared, int threads, struct response *response);

/* No-op if NULL. */
void prepared_free(struct prepared *prepared);

/* All of the above, from the head to the response. */
void handler_serve(const struct handler *handler, const struct request_view *view, int threads,
                   struct response *response);

#endif
