/*
 * One evaluation, in whatever format its request came and its answer goes out. A reader says what
 * is asked for and where each tensor's numbers are; an encoder writes what came out; what lies
 * between is here:
 *
 *     evaluation_init(&e, loss, body, len, threads);
 *     ... fill e.request and the sources that its tensors point to             (request_json_read
 * and its like) evaluation_plan(&e, &error)     all that can be refused before a number is read;
 * then e.plan is known ...
 *     ... set `data` of those outputs of e.plan that are to be computed where the answer has them,
 * and of those operands whose numbers have been decoded already, if any evaluation_decode(&e,
 * &error)   memory for what still has none, and every operand's numbers evaluation_run(&e, &error)
 * e.result and the plan's outputs are what came out evaluation_free(&e);
 *
 * The structure is large (some 30 KiB) and belongs on the stack. It points into itself: it cannot
 * be copied.
 */
#ifndef PROTO_EVALUATION_EVALUATION_H
#define PROTO_EVALUATION_EVALUATION_H

#include "json/tensor_json.h"

/* Where the numbers of one tensor are: bytes that stand somewhere, or text that is to be decoded.
 */
struct source {
    /* What it is. With `data` set, the numbers stand there, little-endian, in the order that
       `stride` says, and are used where they are, soonest if they are aligned. Such data must
       outlive the evaluation and is never written to. With data NULL, `json` says how they are
       written. */
    struct loss_tensor tensor;
    bool swapped; /* the bytes of each number of `data` stand in reverse: then they are copied */
    struct tensor_json json;
};

/* The tensors of a request: those of the loss, in its order, and two that every loss takes. */
enum { EVALUATION_GRAD_OUTPUT = LOSS_MAX_TENSORS, EVALUATION_SAMPLE_WEIGHT, EVALUATION_TENSORS };

enum { EVALUATION_SMALL = 4096 }; /* bytes of tensors that need no allocation */

struct evaluation {
    /* set by evaluation_init */
    const char *body; /* of the request: texts of sources lie in it, and errors count their bytes
                         from its start */
    size_t len;       /* the more bytes were sent, the more terms broadcasting may make of them */
    int threads;      /* OpenMP threads that may be used; 1 opens no parallel region */
    struct quota *quota; /* borrowed; asked before memory is taken; NULL: nobody is, which
                                    may be changed */

    /* set by whoever reads the request */
    struct loss_request request; /* its tensors, grad_output and sample_weight are `tensor` of the
                                    sources below, or NULL */
    struct source tensor[EVALUATION_TENSORS];
    double number;             /* room for a grad_output that is a plain number */
    enum tensor_form encoding; /* how an answer in JSON writes tensors */

    /* set on the way */
    struct loss_plan plan;
    struct loss_result result;
    double decode_ms, compute_ms; /* from evaluation_init to the end of decoding; running */

    /* private */
    double started;
    void *arena; /* owned: operands and outputs without a place, if they do not fit into `small`;
                    else NULL */
    size_t arena_size, taken; /* `taken` from the quota */
    char small[EVALUATION_SMALL];
};

/* Milliseconds of a clock that only goes forward. */
double evaluation_clock(void);

/* Starts an evaluation: parameters at their defaults, no tensors. `body` (body[len] is NUL) is
 * borrowed. */
void evaluation_init(struct evaluation *evaluation, const struct loss_descriptor *loss,
                     const char *body, size_t len, int threads);

/* The name of such a tensor; NULL where the loss has fewer. */
const char *evaluation_tensor_name(const struct loss_descriptor *loss, int k);
/* Which tensor a name is, -1 if it is none. */
int evaluation_tensor_find(const struct loss_descriptor *loss, const char *name);
/* Where the request points to such a tensor, or holds NULL. */
const struct loss_tensor **evaluation_place(struct evaluation *evaluation, int k);

/* Plans the request. LOSS_INVALID as loss_plan has it, or where broadcasting would make too much of
 * few bytes. */
enum loss_status evaluation_plan(struct evaluation *evaluation, struct loss_error *error);

/* What reading the body and writing the answer cost besides plan.work, in its units; `text`: the
 * answer's numbers are text. */
size_t evaluation_reading_work(struct evaluation *evaluation);
size_t evaluation_writing_work(const struct evaluation *evaluation, bool text);

/* Such a tensor as the plan has it; NULL where the request has none. Its `data` is NULL while its
 * numbers are to be decoded. */
struct loss_tensor *evaluation_operand(struct evaluation *evaluation, int k);

/* Gives every operand its numbers and every output a place, unless its `data` is set: an aligned
   place for as many bytes as the tensor has. LOSS_UNAVAILABLE where memory has run out; else what
   tensor_json_decode refuses. */
enum loss_status evaluation_decode(struct evaluation *evaluation, struct loss_error *error);
/* The same for the numbers of one tensor: writes them to `tensor`, which is like the plan's and has
 * a place. */
enum loss_status evaluation_decode_operand(const struct evaluation *evaluation, int k,
                                           const struct loss_tensor *tensor,
                                           struct loss_error *error);

/* Runs the plan. Errors as loss_run's, pointing at the element as the client wrote it, of bytes
 * also at the byte. */
enum loss_status evaluation_run(struct evaluation *evaluation, struct loss_error *error);

/* The library names an element by its indices, the client may have written it otherwise: points
   what loss_run has refused, if it is an element, at that as it was written. */
void evaluation_point(const struct evaluation *evaluation, struct loss_error *error);

/* Frees the memory of tensors. What was set before evaluation_decode stays its owner's. To be
   called once after evaluation_init, however far it came. */
void evaluation_free(struct evaluation *evaluation);

#endif
