/*
 * One evaluation: a loss, what is asked of it, tensors out of files; done in this process or by a
 * server, with the same bits.
 *
 *     task_begin(&task, loss, threads);
 *     task_set(&task, "delta", "0.5") ... input_open(&task.input[k], ...) ...
 *     task_prepare(&task)              everything that can be refused here is refused here
 *     task_run(&task, connection, &outcome)
 *     outcome_free(&outcome); task_free(&task);
 *
 * The structure is large (some 60 KiB) and points into itself.
 */
#ifndef LOSSCTL_EVALUATE_TASK_H
#define LOSSCTL_EVALUATE_TASK_H

#include "evaluation/request_fields.h"
#include "files/input.h"
#include "http/connection.h"

struct task {
    const struct loss_descriptor *loss;
    const char *label; /* borrowed: what goes before what is wrong with it, where there are several
                          tasks; else NULL */
    struct evaluation
        evaluation; /* request.grad and request.hess are the caller's to set, before task_prepare */
    struct input input[EVALUATION_TENSORS];

    /* private */
    struct fields fields;
    struct loss_error error;
    struct buffer query, json; /* owned: &delta=0.5 and ,"delta":0.5, what task_set was told */
};

/* What came out; the plan says what it is. Tensors are contiguous, and are the task's, or the
 * answer's. */
struct outcome {
    double loss; /* with LOSS_NONE, 0: the terms are in `terms` */
    size_t count, nonfinite;
    struct loss_tensor terms; /* the loss as a tensor, of no dimensions if it was reduced */
    struct loss_tensor grad[LOSS_MAX_TENSORS],
        hess[LOSS_MAX_TENSORS]; /* those that were asked for */
    char warnings[512];         /* a newline between them */
    double ms; /* what it took: computing in this process, or the request from end to end */

    /* private */
    struct response response;
    struct archive archive;
};

void task_begin(struct task *task, const struct loss_descriptor *loss, int threads);
/* Sets a field that is no tensor, or a grad_output that is a number. EXIT_USAGE where it does not
 * take that value. */
enum exit_code task_set(struct task *task, const char *name, const char *value);
/* The same for all that stands behind the colon of "huber:delta=0.5,reduction=sum", if there is
 * one. */
enum exit_code task_set_own(struct task *task, const char *spec);
/* Plans, and reads the numbers of all tensors. */
enum exit_code task_prepare(struct task *task);
/* Evaluates; in this process where `connection` is NULL. */
enum exit_code task_run(struct task *task, struct connection *connection, struct outcome *outcome);
void task_free(struct task *task);
void outcome_free(struct outcome *outcome);

/* Gives the task a tensor that is in memory, and stays there. */
void task_give(struct task *task, int k, const struct loss_tensor *tensor);

/* Copies that had to be made of tensors, to be freed with task_free_copies. */
struct task_copies {
    void *copy[EVALUATION_TENSORS];
    size_t size[EVALUATION_TENSORS];
    bool failed; /* memory has run out */
};
void task_free_copies(struct task_copies *copies);

/* A contiguous view of a tensor of a task that is prepared, by way of a copy if there must be one;
   false if there is no such tensor, or copies->failed. */
bool task_operand(struct task *task, int k, struct loss_tensor *tensor, struct task_copies *copies);

/* Puts together a request in safetensors: the path with its query, ending in a NUL, and the head of
   the file. Segments, of which there is room for TASK_SEGMENTS, are that head and the tensors where
   they stand. */
enum { TASK_SEGMENTS = 1 + EVALUATION_TENSORS };
enum exit_code task_encode(struct task *task, struct buffer *path, struct buffer *head,
                           struct segment *segment, int *segments, struct task_copies *copies);

/* Appends members of a JSON object: "loss":0.5,"reduction":"mean", ... */
void outcome_put_json(const struct outcome *outcome, const struct loss_plan *plan,
                      struct buffer *out);
/* Appends a line for each thing that is worth a remark, with `before` in front. */
void outcome_put_remarks(const struct outcome *outcome, const char *before, struct buffer *out);

#endif
