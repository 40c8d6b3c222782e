/*
 * Several losses over tensors that are sent and decoded once:
 *
 *     {"input": [...], "target": [...],
 *      "losses": ["mse", {"loss": "huber", "delta": 0.5, "grad": true}], "reduction": "sum"}
 *
 * A field outside `losses` applies to each loss that has that field and does not set it itself.
 * Each loss is an evaluation (evaluation.h); their operands share memory.
 */
#ifndef PROTO_EVALUATION_MULTI_LOSS_H
#define PROTO_EVALUATION_MULTI_LOSS_H

#include "evaluation/evaluation.h"

enum {
    MULTI_LOSS_MAX = 32,    /* losses per request */
    MULTI_LOSS_SHARED = 64, /* fields outside `losses` */
    /* Decoded shared tensors, one per tensor and dtype: the declared one, or both compute dtypes
       and that of class indices. */
    MULTI_LOSS_NUMBERS = 3 * MULTI_LOSS_SHARED,
};

/* One of the losses. */
struct multi_loss_entry {
    struct evaluation evaluation;
    uint32_t own;                      /* bit set of the fields that it sets itself */
    int8_t shares[EVALUATION_TENSORS]; /* index in `shared` of each tensor that the entry does not
                                          set; -1: none */
};

struct multi_loss_shared; /* a field outside `losses` */

/* The decoded numbers of a shared tensor. */
struct multi_loss_numbers {
    int shared; /* index in `shared` */
    enum loss_dtype dtype;
    void *data; /* owned; from block_cache.h */
    size_t size;
};

struct multi_loss {
    const char *body;
    size_t len;
    int threads;                             /* 1 until multi_loss_decode sets it */
    struct quota *quota;                     /* as in struct evaluation */
    const struct attached_tensors *attached; /* likewise; set it before multi_loss_read */
    size_t count;                            /* of losses */
    struct multi_loss_entry **entry;         /* owned, as are the entries */
    struct multi_loss_shared *shared;        /* owned */

    /* Private. */
    size_t numbers;
    struct multi_loss_numbers number[MULTI_LOSS_NUMBERS];
};

/* Starts a request. `body` (body[len] is NUL) is borrowed. Free it whether or not a step fails. */
void multi_loss_init(struct multi_loss *multi_loss, const char *body, size_t len);
void multi_loss_free(struct multi_loss *multi_loss);

/* The steps of an evaluation (evaluation.h), for all losses. Errors name the loss; error->path is
   below /losses if the field is the entry's own. */
enum loss_status multi_loss_read(struct multi_loss *multi_loss, struct loss_error *error);
enum loss_status multi_loss_plan(struct multi_loss *multi_loss, struct loss_error *error);
enum loss_status multi_loss_decode(struct multi_loss *multi_loss, int threads,
                                   struct loss_error *error);
enum loss_status multi_loss_run(struct multi_loss *multi_loss, struct loss_error *error);

/* Return the total elements and work (loss_plan.work) of all plans; SIZE_MAX on overflow. */
size_t multi_loss_elements(const struct multi_loss *multi_loss);
size_t multi_loss_work(const struct multi_loss *multi_loss);
/* Returns the cost of reading the body and writing the response, in the same units. */
size_t multi_loss_transport_work(const struct multi_loss *multi_loss);

/* Appends {"results": [...]}. If memory runs out, sets out->failed. */
void multi_loss_append_json(const struct multi_loss *multi_loss, struct buffer *out);

/* Adds the name of entry i to an error, and moves error->path below /losses/i if the field is its
   own. */
enum loss_status multi_loss_name_entry(const struct multi_loss *multi_loss, size_t i,
                                       struct loss_error *error);

#endif
