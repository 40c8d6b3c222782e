/*
 * lossd in the process of its caller: what the Python package calls with ctypes. Requests have the
 * fields of the HTTP API, and fail with its errors; their tensors and results are in the memory of
 * the caller. clients/python/src/lossd/_library.py repeats these declarations.
 *
 *     call = lossd_local_plan("mse", "grad=true", &operands, &error);
 *     ...                              set `data` of each of call->output
 *     lossd_local_run(call);           or lossd_local_start() and lossd_local_wait()
 *     ...                              read call->result, or call->error
 *     lossd_local_free(call);
 *
 * All functions are thread-safe. A call is used by one thread at a time.
 */
#ifndef NATIVE_LOCAL_H
#define NATIVE_LOCAL_H

#include "loss.h"

#pragma GCC visibility push(default)

/* Operands. The caller keeps their elements, which are not written to, until the call is freed. The
   description is in a form that Python makes quickly. */
struct local_operands {
    const char *names; /* the name of each, with its NUL */
    /* Of each, without gaps: the address of its first element, its dtype (enum loss_dtype), its
       rank, its shape, and as many strides in bytes, which are multiples of the size of an element,
       and may be 0 or negative. */
    const int64_t *numbers;
    size_t count;
};

enum local_output_kind { LOCAL_TERMS, LOCAL_GRAD, LOCAL_HESS }; /* also indices in Python */

/* An array that the call writes. */
struct local_output {
    void *data;       /* set by the caller: row-major */
    const char *name; /* of the tensor that a derivative is of; "" for terms */
    int32_t loss;     /* the index of the loss in the request */
    int32_t kind;     /* enum local_output_kind */
    int32_t dtype;    /* enum loss_dtype */
    int32_t rank;
    int64_t shape[LOSS_MAX_RANK];
};

struct local_error {
    int32_t status; /* of HTTP */
    char message[320];
    char pointer[192]; /* JSON Pointer to the fault; "" if none applies */
};

/* The result of one loss. */
struct local_result {
    double loss; /* 0 if the terms are an output */
    char *facts; /* a JSON object: see json_response_append_facts() */
};

struct local_call {
    size_t work; /* units of loss_plan.work; SIZE_MAX if it overflows */
    size_t outputs, losses;
    struct local_output *output; /* `outputs` of them */
    struct local_result *result; /* one for each of `losses`, valid if the call has succeeded */
    struct local_error error;    /* valid if the call has failed */
    double milliseconds;         /* how long it ran */
};

enum local_state { LOCAL_SUCCEEDED, LOCAL_FAILED, LOCAL_RUNNING };

/* Returns the version of the library, LOSS_VERSION. */
const char *lossd_local_version(void);

/* Plans the evaluation of a loss. `query` has the other fields, as in a URL. The result is owned by
   the caller. On failure, returns NULL and sets *error. */
struct local_call *lossd_local_plan(const char *loss, const char *query,
                                    const struct local_operands *operands,
                                    struct local_error *error);

/* Plans the evaluation of several losses. `body` is a request of POST /v1/evaluate in JSON, whose
   tensors are indices of `operands`; body[len] is NUL; it must live as long as the call. Otherwise
   like lossd_local_plan(). */
struct local_call *lossd_local_plan_several(const char *body, size_t len,
                                            const struct local_operands *operands,
                                            struct local_error *error);

/* Evaluates on the calling thread only. Call this or lossd_local_start() once. */
enum local_state lossd_local_run(struct local_call *call);

/* Starts to evaluate on up to `threads` threads, and waits at most `milliseconds`. */
enum local_state lossd_local_start(struct local_call *call, int threads, int milliseconds);
/* Waits for a call that is running, at most `milliseconds` more. */
enum local_state lossd_local_wait(struct local_call *call, int milliseconds);

/* Frees a call; cancels it first and waits for its end if it is running. */
void lossd_local_free(struct local_call *call);

/* Returns the descriptions of all losses, the response of GET /v1/losses; NULL if memory runs out.
   Static. */
const char *lossd_local_losses(void);

#pragma GCC visibility pop
#endif
