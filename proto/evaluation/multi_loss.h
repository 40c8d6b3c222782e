/*
 * Several losses over tensors that are sent and decoded once:
 *
 *     {"input": [...], "target": [...], "losses": ["mse", {"loss": "huber", "delta": 0.5, "grad":
 * true}], "reduction": "sum"}
 *
 * Fields outside `losses` hold for each of them that has such a field and does not set it itself.
 * Each is an evaluation (evaluation.h) of its own, whose operands stand in a place that they share.
 */
#ifndef PROTO_EVALUATION_MULTI_LOSS_H
#define PROTO_EVALUATION_MULTI_LOSS_H

#include "evaluation/evaluation.h"

enum {
    SEVERAL_MAX = 32,    /* losses in a request */
    SEVERAL_SHARED = 64, /* fields outside `losses` */
    /* Tensors among them, counted again for each dtype that they are decoded to: the one that is
       declared, or both that are computed in and that of class indices. */
    SEVERAL_NUMBERS = 3 * SEVERAL_SHARED,
};

/* One of the losses. */
struct several_entry {
    struct evaluation evaluation;
    uint32_t own;                      /* fields that it sets itself */
    int8_t shares[EVALUATION_TENSORS]; /* places in `shared` of the tensors that it does not; -1
                                          where it has none of them */
};

struct several_shared; /* a field outside `losses` */

/* Numbers of a shared tensor, decoded. */
struct several_numbers {
    int shared; /* place in `shared` */
    enum loss_dtype dtype;
    void *data; /* owned, of block_cache.h */
    size_t size;
};

struct several {
    const char *body;
    size_t len;
    int threads;
    struct allowance *allowance;   /* as in struct evaluation */
    size_t count;                  /* of losses */
    struct several_entry **entry;  /* owned, and so is what it points to */
    struct several_shared *shared; /* owned */
    double decode_ms, compute_ms;  /* from several_init to the end of decoding; running */

    /* private */
    double started;
    size_t numbers;
    struct several_numbers number[SEVERAL_NUMBERS];
};

/* Starts a request with such a body (body[len] is NUL), which is borrowed. To be freed however far
 * it came. */
void several_init(struct several *several, const char *body, size_t len, int threads);
void several_free(struct several *several);

/* What happens to an evaluation (evaluation.h), to all of them; errors name the loss, and point
   below /losses where it is a field of its own that is wrong. */
enum loss_status several_read(struct several *several, struct loss_error *error);
enum loss_status several_plan(struct several *several, struct loss_error *error);
enum loss_status several_decode(struct several *several, struct loss_error *error);
enum loss_status several_run(struct several *several, struct loss_error *error);

/* Elements that are worked on, and what that costs (loss_plan.work), of all the plans; SIZE_MAX if
 * it cannot be counted. */
size_t several_elements(const struct several *several);
size_t several_work(const struct several *several);
/* What reading the body and writing the answer cost besides. */
size_t several_transport_work(const struct several *several);

/* Appends {"results": [...]}. Running out of memory shows in out->failed. */
void several_answer(const struct several *several, struct buffer *out);

/* Says of which loss an error speaks that was found in entry i, and points below /losses/i where
 * its own field is at fault. */
enum loss_status several_blame(const struct several *several, size_t i, struct loss_error *error);

#endif
