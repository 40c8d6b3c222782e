/* The result of an evaluation. */
#ifndef LOSSCTL_EVALUATE_OUTCOME_H
#define LOSSCTL_EVALUATE_OUTCOME_H

#include "evaluation/partial.h"
#include "files/archive.h"
#include "http/connection.h"

/* Tensors are contiguous and belong to the task or to the response. */
struct outcome {
    double loss; /* 0 with LOSS_NONE: the terms are in `terms` */
    size_t count, nonfinite;
    struct loss_tensor terms; /* the loss as a tensor, of rank 0 if it was reduced */
    struct loss_tensor grad[LOSS_MAX_TENSORS], hess[LOSS_MAX_TENSORS]; /* if requested */
    char warnings[512];                                                /* separated by newlines */
    double ms; /* duration of the computation in this process, or of the whole request */

    /* private */
    struct http_response response;
    struct archive archive;
};

void outcome_free(struct outcome *outcome);
/* Sets the outcome of an evaluation in parts. The outcome points into itself, so it must not be
   moved; outcome_free() is not needed. */
void outcome_set_partial(struct outcome *outcome, const struct partial *partial);

/* Appends members of a JSON object: "loss":0.5,"reduction":"mean", ... */
void outcome_put_json(const struct outcome *outcome, const struct loss_plan *plan,
                      struct buffer *out);
/* Appends the loss, the reduction, the dtype and the count, one per line. */
void outcome_put_text(const struct outcome *outcome, enum loss_reduction reduction,
                      enum loss_dtype dtype, struct buffer *out);
/* Appends a line with the rows of a partial result, if they are known. */
void outcome_put_rows(const struct partial *partial, struct buffer *out);
/* Appends a line if terms are not finite, and one for each warning, each after `prefix`. */
void outcome_put_warnings(const struct outcome *outcome, const char *prefix, struct buffer *out);

#endif
