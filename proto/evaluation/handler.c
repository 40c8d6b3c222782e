/*
 * The steps of every endpoint that evaluates losses.
 */
#include "evaluation/handler.h"
#include "evaluation/evaluation.h"

#include <stdlib.h>

static struct prepared *allocate(const struct handler *handler, struct quota *quota,
                                 struct loss_error *error)
{
    struct prepared *prepared = NULL;
    const bool taken = quota_reserve(quota, handler->size);
    if (taken)
        prepared = malloc(handler->size);
    if (prepared) {
        *prepared = (struct prepared){.handler = handler, .quota = quota};
        return prepared;
    }
    if (taken)
        quota_release(quota, handler->size);
    quota_insufficient(error);
    return NULL;
}

static enum loss_status check_work(size_t work, size_t max_work, struct loss_error *error)
{
    if (max_work > 0 && work > max_work)
        return loss_fail(error, LOSS_TOO_LARGE,
                         "this request takes %zu units of work; max_work of GET /v1/limits is %zu",
                         work, max_work);
    return LOSS_OK;
}

struct prepared *handler_prepare(const struct handler *handler, const struct request_view *view,
                                 struct response *response)
{
    const double started = evaluation_clock();
    struct loss_error error;
    response->errors = handler->errors;
    struct prepared *const prepared = allocate(handler, view->quota, &error);
    if (prepared && handler->prepare(prepared, view, &error) == LOSS_OK &&
        check_work(prepared->work, view->max_work, &error) == LOSS_OK) {
        prepared->prepare_ms = evaluation_clock() - started;
        return prepared;
    }
    response_error(response, &error);
    prepared_free(prepared);
    return NULL;
}

bool prepared_exceeds(const struct prepared *prepared, size_t limit)
{
    return prepared->work > limit || prepared->transport > limit - prepared->work;
}

static enum loss_status run(struct prepared *prepared, int threads, struct response *response,
                            struct loss_error *error)
{
    const struct handler *const handler = prepared->handler;
    const double started = evaluation_clock();
    if (handler->decode(prepared, threads, response, error) != LOSS_OK)
        return error->status;
    const double decoded = evaluation_clock();
    if (handler->run(prepared, error) != LOSS_OK)
        return error->status;
    const double computed = evaluation_clock();
    handler->encode(prepared, response);
    if (response->body.failed)
        return loss_fail(error, LOSS_UNAVAILABLE,
                         "insufficient memory for the response; retry later");
    response->status = response_status(LOSS_OK);
    response->elements = prepared->elements;
    response->decode_ms = prepared->prepare_ms + decoded - started;
    response->compute_ms = computed - decoded;
    response->encode_ms = evaluation_clock() - computed;
    return LOSS_OK;
}

void prepared_run(struct prepared *prepared, int threads, struct response *response)
{
    struct loss_error error;
    if (run(prepared, threads, response, &error) != LOSS_OK)
        response_error(response, &error);
}

void prepared_free(struct prepared *prepared)
{
    if (!prepared)
        return;
    struct quota *const quota = prepared->quota;
    const size_t size = prepared->handler->size;
    prepared->handler->free(prepared);
    free(prepared);
    quota_release(quota, size);
}

void handler_serve(const struct handler *handler, const struct request_view *view, int threads,
                   struct response *response)
{
    struct request_view validated = *view;
    struct loss_error error;
    response->errors = handler->errors;
    if (handler->validate_head(&validated, &error) != LOSS_OK) {
        response_error(response, &error);
        return;
    }
    struct prepared *const prepared = handler_prepare(handler, &validated, response);
    if (prepared)
        prepared_run(prepared, threads, response);
    prepared_free(prepared);
}
