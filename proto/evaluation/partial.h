/*
 * Partial results as text: the exact result of a part of a batch, and what it was computed from.
 * Partial results of parts of one batch are merged into that of the batch, in any order.
 *
 *     {"format":"lossd-partial-1","loss":"huber","reduction":"mean","dtype":"float32",
 *      "parameters":{"delta":0.5},"tensors":{"input":["float32",8],"target":["float32",8]},
 *      "whole":{},"weighed":false,"sum":"0x7e57b809716878116dfp-57","weight":"0x0p+0",
 *      "terms":480000,"samples":60000,"count":480000,"nan":0,"inf":0,"neginf":0,
 *      "rows":[[0,60000]],"warnings":[]}
 *
 * Written without spaces, with the keys in this order, so that there is one text for each partial
 * result. Readers accept any order and spaces.
 */
#ifndef PROTO_EVALUATION_PARTIAL_H
#define PROTO_EVALUATION_PARTIAL_H

#include "evaluation/evaluation.h"
#include "evaluation/row_set.h"
#include "evaluation/sha256.h"
#include "memory/buffer.h"
#include "json/object_reader.h"

enum {
    PARTIAL_SAMPLE_WEIGHT = LOSS_MAX_TENSORS, /* after the tensors of the loss */
    PARTIAL_TENSORS,
    PARTIAL_MAX = 10000,      /* how many partial results can be merged at once */
    PARTIAL_ROWS_MAX = 10000, /* how many intervals of rows a partial result can have */
};

/* A tensor of all parts. */
struct partial_tensor {
    bool present;
    enum loss_dtype dtype;
    int rank; /* number of dimensions in `dim`: those after the one of the samples, or if all parts
                 share the tensor, all of them */
    size_t dim[LOSS_MAX_RANK];
    char hash[SHA256_TEXT]; /* of its elements, if all parts share the tensor; else "" */
};

struct partial {
    const struct loss_descriptor *loss;
    enum loss_reduction reduction;
    enum loss_dtype dtype;
    struct loss_value param[LOSS_MAX_PARAMS];
    struct partial_tensor tensor[PARTIAL_TENSORS];
    struct loss_partial sums;
    struct buffer rows; /* owned: a set (row_set.h); empty if the rows are not known */
    uint32_t warnings;  /* bit set of indices of loss_warning_at() */
};

/* Starts with the result of no rows of the batch of a plan that has a partial result. hash[k] is of
   tensor k, if all parts share it. */
void partial_begin(struct partial *partial, const struct loss_plan *plan,
                   const char hash[LOSS_MAX_TENSORS][SHA256_TEXT]);

/* ---- Text ---- */

/* Appends the text of a partial result. */
void partial_append(const struct partial *partial, struct buffer *out);

/* Append the partial result of an evaluation that has run, or for one that has not, a text that is
   at least as long. */
void partial_append_evaluation(const struct evaluation *evaluation, struct buffer *out);
void partial_append_longest(const struct evaluation *evaluation, struct buffer *out);

/* Reads the value at json->at. Returns LOSS_MALFORMED if it is not the text of a partial result,
   LOSS_INVALID if its format or loss is unknown, or its values contradict each other. error->path
   is relative to the value. `partial` is zeroed except for the quota of its rows, or has been read
   before. Call partial_free() in any case. */
enum loss_status partial_read(struct object_reader *json, struct partial *partial);

void partial_free(struct partial *partial);

/* ---- Merging ---- */

struct partial_merger {
    const char *first_name; /* borrowed: what errors call the first partial result */
    struct partial total;   /* the result of partial_merger_finish() */
    size_t count;           /* of merged partial results */
    struct buffer rows;     /* owned: the rows of all, with the index of their partial result */
};

/* Rows that two partial results have, and the indices of these two. */
struct partial_overlap {
    struct partial_rows rows;
    size_t first, second; /* first < second; both are 0 if no rows overlap */
};

/* Starts with no partial results. Errors name "the first partial result"; the caller may change
   that. `quota` is borrowed and may be NULL. */
void partial_merger_init(struct partial_merger *merger, struct quota *quota);
/* Adds a partial result. Returns LOSS_INVALID if it is not of the same batch as the first one;
   error->path is relative to the partial result. */
enum loss_status partial_merger_add(struct partial_merger *merger, const struct partial *partial,
                                    struct loss_error *error);
/* Completes `total`; at least one partial result has been added. Returns LOSS_INVALID and sets
 *overlap if two have the same rows; error->path is relative to the second of them. */
enum loss_status partial_merger_finish(struct partial_merger *merger,
                                       struct partial_overlap *overlap, struct loss_error *error);
/* Appends the response to a merge, as JSON: {"loss": ..., "partial": {...}}. */
void partial_merger_append(const struct partial_merger *merger, struct buffer *out);
void partial_merger_free(struct partial_merger *merger);

#endif
