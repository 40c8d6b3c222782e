/*
 * One evaluation, independent of the formats of its request and response. A reader sets what is
 * requested and where the numbers of each tensor are; an encoder writes the results. The steps:
 *
 *     evaluation_init(&e, loss, body, len);
 *     json_request_read(&e, &error);    or another reader: fills e.request and its sources
 *     evaluation_plan(&e, &error);      checks everything that needs no numbers; sets e.plan
 *     ...                               optionally: set `data` of outputs of e.plan that are to be
 *                                       computed in place, and of operands that are decoded already
 *     evaluation_decode(&e, &error);    allocates the rest, and decodes every operand
 *     evaluation_run(&e, &error);       sets e.result and the outputs of e.plan
 *     evaluation_free(&e);
 *
 * The struct is large (about 24 KiB). It points into itself: do not copy it.
 */
#ifndef PROTO_EVALUATION_EVALUATION_H
#define PROTO_EVALUATION_EVALUATION_H

#include "evaluation/sha256.h"
#include "json/tensor_json.h"

/* The location of the numbers of a tensor: bytes, or text to be decoded. */
struct source {
    /* Shape and dtype. If `data` is set, the numbers are there, little-endian, with the strides in
       `stride`, and are used in place unless `swapped`. They must outlive the evaluation and are
       never written to. If `data` is NULL, `json` describes their text. */
    struct loss_tensor tensor;
    bool swapped; /* the bytes of each number are in reverse order; such numbers are copied */
    struct tensor_json json;
};

/* The tensors of a request: those of the loss, in its order, and two that every loss accepts. */
enum { EVALUATION_GRAD_OUTPUT = LOSS_MAX_TENSORS, EVALUATION_SAMPLE_WEIGHT, EVALUATION_TENSORS };

enum { EVALUATION_SMALL = 4096 }; /* bytes of tensors that need no allocation */

/* Tensors in the memory of a caller in the same process, instead of in the body. Their dtype is
   never LOSS_ANY, and their `data` is not NULL. */
struct attached_tensors {
    const struct loss_tensor *tensor; /* borrowed, as are the numbers */
    size_t count;
};

struct evaluation {
    /* Set by evaluation_init. */
    const char
        *body;   /* of the request; sources point into it, and errors give byte offsets in it */
    size_t len;  /* limits the number of terms that broadcasting may produce */
    int threads; /* OpenMP threads that may be used; 1 opens no parallel region. May be changed
                    until evaluation_decode */
    struct quota *quota; /* borrowed; memory is reserved there; NULL (the default): unlimited */
    const struct attached_tensors
        *attached; /* borrowed; if it is not NULL (the default), every tensor is one of these, a
                      JSON body names them by index, and broadcasting is not limited */

    /* Set by the reader of the request. */
    struct loss_request request; /* its tensors, grad_output and sample_weight point to `tensor` of
                                    the sources below, or are NULL */
    struct source tensor[EVALUATION_TENSORS];
    double number;             /* storage for a grad_output that is one number */
    enum tensor_form encoding; /* how a JSON response writes tensors */
    bool has_offset;           /* the row of the whole batch at which a part begins is known ... */
    uint64_t offset;           /* ... and is this */

    /* Set by the steps. */
    struct loss_plan plan;
    struct loss_result result;
    struct loss_partial sums;                 /* if plan.has_partial */
    char hash[LOSS_MAX_TENSORS][SHA256_TEXT]; /* if plan.has_partial, of the tensors that all parts
                                                 of the batch share */

    /* Private. */
    void *arena; /* owned: operands and outputs that have no other memory and do not fit in `small`;
                    or NULL */
    size_t arena_size, taken; /* bytes; `taken` is reserved from the quota */
    char small[EVALUATION_SMALL];
};

/* Returns milliseconds of a monotonic clock. */
double evaluation_clock(void);

/* Starts an evaluation without tensors and with default parameters, on one thread. `body`
   (body[len] is NUL) is borrowed. */
void evaluation_init(struct evaluation *evaluation, const struct loss_descriptor *loss,
                     const char *body, size_t len);

/* Returns the name of tensor k (0 to EVALUATION_TENSORS - 1); NULL if the loss has fewer tensors.
 */
const char *evaluation_tensor_name(const struct loss_descriptor *loss, int k);
/* Returns the index of the tensor named `name`; -1 if there is none. */
int evaluation_tensor_find(const struct loss_descriptor *loss, const char *name);
/* Makes an attached tensor a source. Errors point to its elements as if it were JSON of that form.
 */
void evaluation_attach(struct source *source, const struct loss_tensor *tensor,
                       enum tensor_form form);
/* Returns the address of the request's pointer to tensor k. */
const struct loss_tensor **evaluation_place(struct evaluation *evaluation, int k);

/* Plans the request. Returns LOSS_INVALID as loss_plan does, if the offset is too large or not that
   of a partial result, or if broadcasting would produce too many terms for the size of the body. */
enum loss_status evaluation_plan(struct evaluation *evaluation, struct loss_error *error);

/* Return the cost of reading the body and of writing the response, in units of plan.work. `text`:
   the response's numbers are written as text. */
size_t evaluation_reading_work(struct evaluation *evaluation);
size_t evaluation_writing_work(const struct evaluation *evaluation, bool text);

/* Returns tensor k of the plan; NULL if the request does not have it. Its `data` is NULL until its
   numbers are decoded. */
struct loss_tensor *evaluation_operand(struct evaluation *evaluation, int k);

/* Decodes every operand and allocates every output whose `data` is NULL; these are aligned.
   Returns LOSS_UNAVAILABLE if memory runs out, LOSS_CANCELLED, or an error of tensor_json_decode.
 */
enum loss_status evaluation_decode(struct evaluation *evaluation, struct loss_error *error);
/* Decodes one operand into `tensor`, which has memory and the shape and dtype of the plan's tensor.
 */
enum loss_status evaluation_decode_operand(const struct evaluation *evaluation, int k,
                                           const struct loss_tensor *tensor,
                                           struct loss_error *error);

/* Runs the plan. Fails like loss_run(); an error about an element has the path that
   evaluation_point() sets. */
enum loss_status evaluation_run(struct evaluation *evaluation, struct loss_error *error);

/* If loss_run() rejected an element: of a JSON or attached tensor, sets error->path to it in the
   form that the client used; of row-major bytes in the body, sets error->offset. */
void evaluation_point(const struct evaluation *evaluation, struct loss_error *error);

/* Frees the memory that evaluation_decode allocated. Call it once after
   evaluation_init(), whether or not a step has failed. */
void evaluation_free(struct evaluation *evaluation);

#endif
