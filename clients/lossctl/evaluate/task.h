/*
 * One evaluation of a loss over tensors from files, in this process or by a server, with identical
 * results.
 *
 *     task_begin(&task, loss, threads);
 *     task_set(&task, "delta", "0.5") ... input_open(&task.input[k], ...) ...
 *     task_prepare(&task)              reports every error that can be found locally
 *     task_run(&task, connection, &outcome)
 *     outcome_free(&outcome); task_free(&task);
 *
 * The struct is large (about 60 KiB) and points into itself: it must not be moved.
 */
#ifndef LOSSCTL_EVALUATE_TASK_H
#define LOSSCTL_EVALUATE_TASK_H

#include "evaluate/outcome.h"
#include "evaluation/request_fields.h"
#include "files/input.h"

struct task {
    const struct loss_descriptor *loss;
    const char *label; /* borrowed: prefix of error messages if there are several tasks; or NULL */
    struct evaluation evaluation; /* set request.grad and request.hess before task_prepare */
    struct input input[EVALUATION_TENSORS];

    /* private */
    struct fields fields;
    struct loss_error error;
    struct buffer query, json; /* owned: the fields set so far, &delta=0.5 and ,"delta":0.5 */
};

void task_begin(struct task *task, const struct loss_descriptor *loss, int threads);
/* Returns true if `text` is a number: a grad_output can be one, instead of a file. */
bool task_is_number(const char *text);
/* Sets a field that is not a tensor, or a grad_output that is a number. Returns EXIT_USAGE if the
   value is invalid. */
enum exit_code task_set(struct task *task, const char *name, const char *value);
/* Sets the fields after the colon of "huber:delta=0.5,reduction=sum", if there is one. */
enum exit_code task_set_spec(struct task *task, const char *spec);
/* Sets tensor k to one in memory, which must outlive the task. */
void task_set_tensor(struct task *task, int k, const struct loss_tensor *tensor);
/* Plans the evaluation, decodes all tensors and allocates the outputs. */
enum exit_code task_prepare(struct task *task);
/* Evaluates a prepared task, in this process if `connection` is NULL, otherwise on the server. Call
   outcome_free() in any case. */
enum exit_code task_run(struct task *task, struct connection *connection, struct outcome *outcome);
void task_free(struct task *task);

/* Contiguous copies of strided tensors, freed by task_free_copies. */
struct task_copies {
    void *copy[EVALUATION_TENSORS];
    size_t size[EVALUATION_TENSORS];
    bool failed; /* out of memory */
};
void task_free_copies(struct task_copies *copies);

/* Writes a contiguous view of operand k of a prepared task, copied to `copies` if it is strided.
   Returns false if there is no such operand, or, with copies->failed set, if memory runs out. */
bool task_operand(struct task *task, int k, struct loss_tensor *tensor, struct task_copies *copies);

enum { TASK_SEGMENTS = 1 + EVALUATION_TENSORS }; /* maximum number of segments of a request */
/* Builds a request in safetensors. Appends the path with its query and a NUL to `path`, and the
   header of the file to `head`. Sets the segments of the body: that header, then the tensors, of
   which only strided ones are copied. The caller frees the buffers and `copies` in any case. */
enum exit_code task_build_request(struct task *task, struct buffer *path, struct buffer *head,
                                  struct segment *segment, int *segments,
                                  struct task_copies *copies);

#endif
