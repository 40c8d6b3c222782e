/*
 * One evaluation: a loss, what is asked of it, tensors out of files; done in this process or by a server, with the same bits.
 *
 *     task_begin(&task, loss, threads);
 *     task_set(&task, "delta", "0.5") ... input_open(&task.input[k], ...) ...
 *     task_prepare(&task)              everything that can be refused here is refused here
 *     task_run(&task, connection, &outcome)
 *     outcome_free(&outcome); task_free(&task);
 *
 * The structure is large (some 60 KiB) and points into itself.
 */
#ifndef LOSSCTL_TASK_H
#define LOSSCTL_TASK_H

#include "connection.h"
#include "fields.h"
#include "input.h"

struct task {
    const struct loss_descriptor *loss;
    struct evaluation evaluation; /* request.grad and request.hess are the caller's to set, before task_prepare */
    struct input input[EVALUATION_TENSORS];

    /* private */
    struct fields fields;
    struct loss_error error;
    struct buffer query; /* owned: "&delta=0.5", what task_set was told */
    size_t bytes;        /* of all files */
};

/* What came out. Tensors are contiguous, and are the task's, or the answer's. */
struct outcome {
    double loss; /* with LOSS_NONE, 0: the terms are in `terms` */
    enum loss_reduction reduction;
    enum loss_dtype dtype;
    size_t count, nonfinite;
    struct loss_tensor terms; /* the loss as a tensor, of no dimensions if it was reduced */
    uint32_t grad_mask, hess_mask;
    struct loss_tensor grad[LOSS_MAX_TENSORS], hess[LOSS_MAX_TENSORS];
    char warnings[512]; /* a newline between them */
    double ms;          /* what the whole took: computing alone in this process, else the request from end to end */
    char server_timing[256];

    /* private */
    struct response response;
    struct archive archive;
};

void task_begin(struct task *task, const struct loss_descriptor *loss, int threads);
/* Sets a field that is no tensor, or a grad_output that is a number. EXIT_USAGE where it does not take that value. */
enum exit_code task_set(struct task *task, const char *name, const char *value);
/* Plans, and reads the numbers of all tensors. */
enum exit_code task_prepare(struct task *task);
/* Evaluates; in this process where `connection` is NULL. */
enum exit_code task_run(struct task *task, struct connection *connection, struct outcome *outcome);
void task_free(struct task *task);
void outcome_free(struct outcome *outcome);

/* Puts together what a server is asked: appends the path with its query, and the head of a safetensors file; segments, of which
   there is room for TASK_SEGMENTS, are that head and the tensors where they stand. Copies, if there must be any, are `copies`,
   to be freed with task_free_copies. */
enum { TASK_SEGMENTS = 1 + EVALUATION_TENSORS };
struct task_copies {
    void *copy[EVALUATION_TENSORS];
    size_t size[EVALUATION_TENSORS];
};
enum exit_code task_encode(struct task *task, struct buffer *path, struct buffer *head, struct segment *segment, int *segments,
                           struct task_copies *copies);
void task_free_copies(struct task_copies *copies);

#endif
