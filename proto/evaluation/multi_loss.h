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
    MULTI_LOSS_MAX = 32,    /* losses in a request */
    MULTI_LOSS_SHARED = 64, /* fields outside `losses` */
    /* Tensors among them, counted again for each dtype that they are decoded to: the one that is
       declared, or both that are computed in and that of class indices. */
    MULTI_LOSS_NUMBERS = 3 * MULTI_LOSS_SHARED,
};

/* One of the losses. */
struct multi_loss_entry {
    struct evaluation evaluation;
    uint32_t own;                      /* fields that it sets itself */
    int8_t shares[EVALUATION_TENSORS]; /* places in `shared` of the tensors that it does not; -1
                                          where it has none of them */
};

struct multi_loss_shared; /* a field outside `losses` */

/* Numbers of a shared tensor, decoded. */
struct multi_loss_numbers {
    int shared; /* place in `shared` */
    enum loss_dtype dtype;
    void *data; /* owned, of block_cache.h */
    size_t size;
};

struct multi_loss {
    const char *body;
    size_t len;
    int threads;
    struct quota *quota;              /* as in struct evaluation */
    size_t count;                     /* of losses */
    struct multi_loss_entry **entry;  /* owned, and so is what it points to */
    struct multi_loss_shared *shared; /* owned */
    double decode_ms, compute_ms;     /* from multi_loss_init to the end of decoding; running */

    /* private */
    double started;
    size_t numbers;
    struct multi_loss_numbers number[MULTI_LOSS_NUMBERS];
};

/* Starts a request with such a body (body[len] is NUL), which is borrowed. To be freed however far
 * it came. */
void multi_loss_init(struct multi_loss *multi_loss, const char *body, size_t len, int threads);
void multi_loss_free(struct multi_loss *multi_loss);

/* What happens to an evaluation (evaluation.h), to all of them; errors name the loss, and point
   below /losses where it is a field of its own that is wrong. */
enum loss_status multi_loss_read(struct multi_loss *multi_loss, struct loss_error *error);
enum loss_status multi_loss_plan(struct multi_loss *multi_loss, struct loss_error *error);
enum loss_status multi_loss_decode(struct multi_loss *multi_loss, struct loss_error *error);
enum loss_status multi_loss_run(struct multi_loss *multi_loss, struct loss_error *error);

/* Elements that are worked on, and what that costs (loss_plan.work), of all the plans; SIZE_MAX if
 * it cannot be counted. */
size_t multi_loss_elements(const struct multi_loss *multi_loss);
size_t multi_loss_work(const struct multi_loss *multi_loss);
/* What reading the body and writing the answer cost besides. */
size_t multi_loss_transport_work(const struct multi_loss *multi_loss);

/* Appends {"results": [...]}. Running out of memory shows in out->failed. */
void multi_loss_append_json(const struct multi_loss *multi_loss, struct buffer *out);

/* Says of which loss an error speaks that was found in entry i, and points below /losses/i where
 * its own field is at fault. */
enum loss_status multi_loss_name_entry(const struct multi_loss *multi_loss, size_t i,
                                       struct loss_error *error);

#endif
