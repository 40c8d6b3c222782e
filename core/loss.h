/*
 * libloss: loss functions and their gradients over large batches.
 *
 * The library contains losses, shapes and an engine that evaluates them on many threads. It does no
 * I/O, and its only state is the chosen instruction set and the thread teams of libgomp. Invalid
 * requests are reported as errors. The library never ends the process, but libgomp does if it
 * cannot create a thread. All functions are thread-safe unless their comment says otherwise.
 *
 * An evaluation has two steps. loss_plan() checks everything that shapes and parameters determine;
 * it reads no elements and allocates no memory. loss_run() evaluates the plan.
 *
 *     struct loss_tensor input = {.data = x, .dtype = LOSS_FLOAT32, .rank = 1, .shape = {n}};
 *     struct loss_tensor target = {.data = y, .dtype = LOSS_FLOAT32, .rank = 1, .shape = {n}};
 *     struct loss_request request;
 *     loss_request_init(&request, loss_find("huber"));
 *     request.tensor[0] = &input;
 *     request.tensor[1] = &target;
 *     request.grad = 1u << 0; // with respect to input
 *
 *     struct loss_plan plan;
 *     struct loss_error error;
 *     if (loss_plan(&plan, &request, &error) != LOSS_OK)
 *         return fail(error.message);
 *     plan.grad[0].data = malloc(loss_tensor_bytes(&plan.grad[0])); // owned by the caller
 *     struct loss_result result;
 *     if (loss_run(&plan, threads, &result, &error) != LOSS_OK)
 *         return fail(error.message);
 *     // result.loss is the loss, plan.grad[0].data its gradient
 *
 * Link with `pkg-config --cflags --libs libloss`.
 */
#ifndef LOSS_H
#define LOSS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

#define LOSS_VERSION "0.1.0"

enum {
    LOSS_MAX_RANK = 16,    /* dimensions of a tensor */
    LOSS_MAX_TENSORS = 6,  /* tensors of a loss */
    LOSS_MAX_PARAMS = 6,   /* parameters of a loss */
    LOSS_MAX_ALIASES = 4,  /* other names of a loss */
    LOSS_MAX_WARNINGS = 4, /* warnings of a plan */
};

/* ---- Errors ---- */

/* The kinds of errors. The layers above use them too, so some never come from this library. */
enum loss_status {
    LOSS_OK,
    LOSS_MALFORMED,      /* not valid data: wrong syntax, wrong type, unknown field */
    LOSS_INVALID,        /* valid data with impossible contents: shapes, indices, ranges */
    LOSS_NOT_FOUND,      /* no such loss or path */
    LOSS_NOT_ALLOWED,    /* the path exists, but not with this method */
    LOSS_TOO_LARGE,      /* exceeds a size limit */
    LOSS_UNSUPPORTED,    /* unsupported media type or encoding of a request */
    LOSS_NOT_ACCEPTABLE, /* no acceptable media type for the response */
    LOSS_UNAVAILABLE,    /* no memory, or a queue is full; retry later */
    LOSS_INTERNAL,       /* a bug in this program */
    LOSS_CANCELLED,      /* cancelled by the caller */
    LOSS_STATUS_COUNT
};

/* An error: `message` is for people, the other members are for programs. A function sets it only if
   it fails. */
struct loss_error {
    enum loss_status status;
    char message[320]; /* what was found, where, what was expected; lower case, no full stop */
    char path[192];    /* JSON Pointer (RFC 6901) to the fault; "" if none applies */
    int tensor;        /* index of the tensor at fault, -1 if none */
    int64_t element;   /* row-major index of the element at fault in that tensor, -1 if none */
    int64_t offset;    /* byte offset of the fault in a request body, -1 if unknown */
};

/* Sets `error` to a message without a position. Returns `status`, so that a function can end with
   `return loss_fail(...)`. */
__attribute__((format(printf, 3, 4))) enum loss_status
loss_fail(struct loss_error *error, enum loss_status status, const char *format, ...);

/* Like loss_fail(), and sets the JSON Pointer to `path`, such as "/target". */
__attribute__((format(printf, 4, 5))) enum loss_status loss_fail_at(struct loss_error *error,
                                                                    enum loss_status status,
                                                                    const char *path,
                                                                    const char *format, ...);

/* ---- Tensors ---- */

enum loss_dtype {
    LOSS_ANY, /* not declared: the plan chooses */
    LOSS_FLOAT64,
    LOSS_FLOAT32,
    LOSS_FLOAT16,
    LOSS_BFLOAT16,
    LOSS_INT64,
    LOSS_INT32,
    LOSS_INT16,
    LOSS_INT8,
    LOSS_UINT64,
    LOSS_UINT32,
    LOSS_UINT16,
    LOSS_UINT8,
    LOSS_BOOL, /* one byte: 0 is false, any other value true */
    LOSS_DTYPE_COUNT
};

/* Returns the name of a dtype, such as "float32"; "any" for LOSS_ANY. */
const char *loss_dtype_name(enum loss_dtype dtype);
/* Returns the dtype named `name`; LOSS_ANY if there is none. */
enum loss_dtype loss_dtype_find(const char *name);
/* Returns the size of an element in bytes; 0 for LOSS_ANY. */
size_t loss_dtype_size(enum loss_dtype dtype);
/* Returns true for float64, float32, float16 and bfloat16. */
bool loss_dtype_is_float(enum loss_dtype dtype);

/* A view of numbers in memory. Row-major and contiguous unless `strided`. Elements need not be
 * aligned. */
struct loss_tensor {
    void *data; /* borrowed; not written to if the tensor is an operand */
    enum loss_dtype dtype;
    int rank; /* 0 for a single number */
    size_t shape[LOSS_MAX_RANK];
    bool strided;
    ptrdiff_t stride[LOSS_MAX_RANK]; /* in elements, read if `strided`; may be 0 or negative */
};

/* Sets *count to the number of elements. Returns false if the number of elements or of
   bytes is too large to address. */
bool loss_tensor_count(const struct loss_tensor *tensor, size_t *count);
/* Return the number of elements and of bytes of a tensor. The count must not overflow; it never
   does for a tensor of a plan. */
size_t loss_tensor_elements(const struct loss_tensor *tensor);
size_t loss_tensor_bytes(const struct loss_tensor *tensor);
/* Writes a shape in Python's syntax: "()", "(3,)", "(4, 5)". `text` has room for LOSS_SHAPE_TEXT
   bytes. Returns `text`. */
enum { LOSS_SHAPE_TEXT = LOSS_MAX_RANK * 22 + 4 };
char *loss_shape_text(const struct loss_tensor *tensor, char *text);

/* ---- Descriptors ---- */

enum loss_reduction { LOSS_MEAN, LOSS_SUM, LOSS_NONE, LOSS_BATCHMEAN, LOSS_REDUCTION_COUNT };
/* Returns the name of a reduction, such as "mean". */
const char *loss_reduction_name(enum loss_reduction reduction);

/* The meaning of a tensor's elements. */
enum loss_kind {
    LOSS_REAL,    /* numbers; integers are converted to floating point */
    LOSS_INDEX,   /* integers: class indices, or lengths */
    LOSS_CLASSES, /* class indices, or class probabilities if the shape is that of the first tensor
                   */
};

struct loss_tensor_spec {
    const char *name;
    const char *doc;
    const char *shape; /* description, such as "(N, C, d1, ...)" */
    enum loss_kind kind;
    bool optional;       /* if absent, its elements count as 1 */
    bool prediction;     /* `"grad": true` requests its gradient; its dtype decides the dtype of the
                            computation */
    bool differentiable; /* its gradient can be requested by name */
};

enum loss_param_type { LOSS_NUMBER, LOSS_INTEGER, LOSS_BOOLEAN, LOSS_CHOICE };

/* The value of a parameter. `number` is what formulas use: 0 or 1 for a boolean, the index of the
   name for a choice. `integer` is the exact value of an integer. */
struct loss_value {
    double number;
    int64_t integer;
};
/* The null value of a `nullable` parameter, such as an ignore_index that ignores nothing. */
#define LOSS_NULL_VALUE ((struct loss_value){__builtin_nan(""), INT64_MIN})
/* Returns true if the value is LOSS_NULL_VALUE. */
bool loss_value_is_null(struct loss_value value);

struct loss_param_spec {
    const char *name;
    const char *doc;
    enum loss_param_type type;
    struct loss_value default_value;
    const char *const *choices;        /* the names of a LOSS_CHOICE, terminated by NULL */
    bool has_min, has_max;             /* which bounds the range has */
    bool exclusive_min, exclusive_max; /* the bounds themselves are out of range */
    double min, max;
    bool infinite; /* infinity is allowed if it is in the range */
    bool nullable; /* LOSS_NULL_VALUE is allowed */
};

/* A small valid request that shows how the loss is used. Optional tensors may be absent. Parameters
   that are not `given` have their defaults. */
struct loss_example {
    struct {
        int rank;
        size_t shape[3];
        const double *numbers;   /* row-major; NULL if the tensor is absent */
    } tensors[LOSS_MAX_TENSORS]; /* in the descriptor's order */
    struct {
        bool given;
        struct loss_value value;
    } params[LOSS_MAX_PARAMS]; /* in the descriptor's order */
    enum loss_reduction reduction;
};

struct loss_method; /* how the loss is computed: core/kernel/loss_kernel.h */

/* One loss. Routes, checks, help, documentation and tests are derived from its descriptor. */
struct loss_descriptor {
    const char *name;                      /* "smooth_l1" */
    const char *aliases[LOSS_MAX_ALIASES]; /* such as those in PyTorch: "SmoothL1Loss" */
    const char *title;                     /* a few words */
    const char *doc;     /* one or two sentences: its purpose and what is special */
    const char *formula; /* the term l of one element or row, in plain text */
    unsigned reductions; /* bit set of 1 << enum loss_reduction */
    bool hessian;        /* the diagonal of the Hessian can be requested */
    /* Both are terminated by an entry without a name, unless all entries are used. */
    struct loss_tensor_spec tensors[LOSS_MAX_TENSORS];
    struct loss_param_spec params[LOSS_MAX_PARAMS];
    const struct loss_example *example;
    const struct loss_method *method;
};

/* Returns the number of losses. */
size_t loss_count(void);
/* Returns the loss at `index` < loss_count(), in display order. */
const struct loss_descriptor *loss_at(size_t index);
/* Returns the loss with that name or alias; NULL if there is none. Case-sensitive. */
const struct loss_descriptor *loss_find(const char *name);
/* Return the number of tensors and parameters of a loss. */
int loss_tensor_specs(const struct loss_descriptor *loss);
int loss_param_specs(const struct loss_descriptor *loss);
/* Return the index of a tensor or parameter by name; -1 if there is none. */
int loss_tensor_find(const struct loss_descriptor *loss, const char *name);
int loss_param_find(const struct loss_descriptor *loss, const char *name);

/* A search for the name that was probably meant. Initialize with {name}, then call
   loss_nearest_try() for each candidate. `best` is the nearest candidate so far; NULL if none is
   near. */
struct loss_nearest {
    const char *name;
    const char *best;
    size_t distance;
};
void loss_nearest_try(struct loss_nearest *search, const char *candidate);
/* Writes a suggestion to append to an error message: "; did you mean 'best'?", with `open` and
   `close` as the quotes. If no candidate is near, writes "; " and `otherwise`, or "" if that is
   NULL. `text` has room for LOSS_SUGGESTION_TEXT bytes. Returns `text`. */
enum { LOSS_SUGGESTION_TEXT = 192 };
const char *loss_nearest_text(const struct loss_nearest *search, const char *open,
                              const char *close, const char *otherwise, char *text);

/* ---- Evaluation ---- */

/* What to evaluate. All pointers are borrowed until loss_plan() returns. */
struct loss_request {
    const struct loss_descriptor *loss;
    const struct loss_tensor
        *tensor[LOSS_MAX_TENSORS];            /* in the descriptor's order; NULL: absent */
    struct loss_value param[LOSS_MAX_PARAMS]; /* in the descriptor's order */
    enum loss_reduction reduction;
    enum loss_dtype dtype; /* of the computation: LOSS_FLOAT32, LOSS_FLOAT64, or LOSS_ANY: float64
                              if a prediction is float64, else float32 */
    uint32_t grad;         /* bit k requests the gradient with respect to tensor k */
    uint32_t hess; /* bit k requests the Hessian diagonal with respect to tensor k, a prediction */
    const struct loss_tensor *grad_output; /* upstream gradient: a number, or the shape of the loss
                                              if LOSS_NONE; NULL: 1 */
    const struct loss_tensor
        *sample_weight; /* multiplies the terms. Has the shape of the terms, or one number for each
                           index of their first dimension; NULL: 1. LOSS_MEAN divides by the sum of
                           the weights. */
    bool partial;     /* the tensors are a part of a larger batch: loss_run() also gives the partial
                         result. Batches that cannot be split into parts are rejected. */
    bool has_divisor; /* LOSS_MEAN and LOSS_BATCHMEAN divide by `divisor`, such as that of a larger
                         batch, instead of by what these tensors determine */
    double divisor;   /* finite */
};

/* Starts a request: default parameters, reduction mean, no tensors, no gradients. */
void loss_request_init(struct loss_request *request, const struct loss_descriptor *loss);
/* Returns the bit set of the tensors that are predictions: the meaning of `"grad": true`. */
uint32_t loss_predictions(const struct loss_descriptor *loss);

/* `work` in a plan estimates the cost of evaluating it. One unit is about one nanosecond of one
   core (x86-64-v3 or better, about 3 GHz), summed over all threads. The estimate depends on shapes,
   dtypes, parameters and requested results, not on the machine. `make check-cost` checks that it is
   within a factor of LOSS_WORK_FACTOR of the measured cost, after scaling to the speed of the
   machine. Terms that differ in magnitude by more than 2^80, or are infinite or NaN, cost up to
   10 ns more each, because their exact sum takes longer. */
enum { LOSS_WORK_FACTOR = 4 };

/* Flags with which other threads cancel a run and monitor its progress. They are owned by the
   caller, accessed atomically, and may be NULL. loss_run() checks both every few milliseconds. */
struct loss_control {
    const bool *cancel; /* loss_run() returns early once this is true */
    bool *heartbeat;    /* loss_run() resets this to false if it is true */
};

/* ---- Partial results ---- */

/* An integer times a power of two. The integer is odd, so that there is one representation of each
   value; 0 has no limbs and the exponent 0. */
enum { LOSS_LIMBS = 68 };
struct loss_integer {
    bool negative;
    int exponent;              /* of the power of two */
    size_t limbs;              /* how many of `limb` are used: the last one is not 0 */
    uint32_t limb[LOSS_LIMBS]; /* of the magnitude, 32 bits each, the least significant first */
};

/* The counts of a partial result are less than this, so JSON numbers represent them exactly. */
#define LOSS_COUNT_LIMIT (UINT64_C(1) << 53)

/* The result of a part of a batch, exact: parts can be added in any order, and the result of all
   has the same bits as if the batch were evaluated at once. {0} is the result of no terms;
   {.weighed = true} if the other parts are `weighed`. */
struct loss_partial {
    struct loss_integer sum;    /* of the finite terms */
    bool weighed;               /* LOSS_MEAN divides by the sum of weights ... */
    struct loss_integer weight; /* ... which is this; else 0 */
    uint64_t terms;             /* number of terms ... */
    uint64_t samples;           /* ... and of indices of their first dimension */
    uint64_t count;             /* terms without ignored ones */
    uint64_t nan, inf, neg_inf; /* how many terms are NaN, +inf and -inf */
};

/* Where a tensor of a part has its samples: the axis along which the batch is split, or one of
   these. */
enum {
    LOSS_SHARED = -1, /* nowhere: all parts have the same tensor, such as the class weights */
    LOSS_OWN = -2,    /* along no axis: each part has its own row of samples of different lengths */
};

/* Returns where tensor k of a loss has its samples if it has `rank` dimensions: an axis, or
   LOSS_OWN. Whether all parts share the tensor instead depends on the batch; loss_plan() finds
   that. */
int loss_sample_axis(const struct loss_descriptor *loss, int k, int rank);

/* A checked request. Before loss_run(), the caller sets `data` of each operand that has none, of
   `output` if the reduction is LOSS_NONE, of each gradient in `grad_mask`, and of each diagonal in
   `hess_mask`. Each buffer has loss_tensor_bytes() bytes. If `has_partial`, the caller also sets
   `partial`. */
struct loss_plan {
    const struct loss_descriptor *loss;
    enum loss_reduction reduction;
    enum loss_dtype dtype; /* LOSS_FLOAT32 or LOSS_FLOAT64 */
    uint32_t grad_mask, hess_mask;
    bool present[LOSS_MAX_TENSORS];
    struct loss_tensor tensor[LOSS_MAX_TENSORS]; /* `dtype` is never LOSS_ANY; it is the dtype that
                                                    the data must have */
    size_t elements; /* number of elements to process: the loss's own count if it has one, else that
                        of the terms or of the longest tensor, whichever is larger; SIZE_MAX if it
                        overflows */
    size_t work;     /* estimated cost (see above); SIZE_MAX if it overflows */
    bool has_grad_output, has_sample_weight;
    bool has_partial;                              /* the request's `partial` */
    signed char sample_axis[LOSS_MAX_TENSORS];     /* of present tensors, if `has_partial` */
    struct loss_tensor grad_output, sample_weight; /* dtype as declared, else `dtype` */
    struct loss_tensor
        output; /* the loss: a float64 number, or with LOSS_NONE the terms in `dtype` */
    struct loss_tensor grad[LOSS_MAX_TENSORS]; /* those in grad_mask: the tensor's shape, `dtype` */
    struct loss_tensor hess[LOSS_MAX_TENSORS]; /* those in hess_mask, likewise */
    struct loss_partial *partial;              /* where loss_run() writes the partial result */
    struct loss_control control;               /* set by the caller at any time before loss_run() */
    const char *warning[LOSS_MAX_WARNINGS]; /* likely mistakes in the request; static, terminated by
                                               NULL unless all are used */

    /* private to the library */
    struct loss_value param[LOSS_MAX_PARAMS];
    bool indexed[LOSS_MAX_TENSORS]; /* elements are read as integers */
    struct loss_tensor terms;       /* shape of the terms before reduction */
    double divisor;                 /* what the reduction divides by; 1 if it does not divide */
    bool has_term_weights;          /* LOSS_MEAN with the method's `term_weights`, or with sample
                                       weights, divides by their sum instead, ... */
    bool has_divisor;               /* ... unless this is true */
    /* For each axis of each tensor, the dimension of `terms` that it corresponds to (an axis of
       length 1 is repeated), or LOSS_WITHIN if the axis is within a term, like the classes of a
       row. */
    signed char axis[LOSS_MAX_TENSORS][LOSS_MAX_RANK];
};
enum { LOSS_WITHIN = -1 };

struct loss_result {
    double loss;      /* the reduced loss; 0 with LOSS_NONE, whose terms are in plan.output */
    size_t count;     /* number of terms, without ignored ones */
    size_t nonfinite; /* number of terms that are NaN or infinite; with LOSS_NONE, after rounding to
                         the dtype of the output */
};

/* Checks the value of a parameter against its range. On failure, returns LOSS_INVALID, with
   error.path the parameter's. loss_plan() checks all parameters. */
enum loss_status loss_check_param(const struct loss_param_spec *spec, struct loss_value value,
                                  struct loss_error *error);

/* Returns the warning at `index`, static text; NULL if `index` is past the last one. */
const char *loss_warning_at(size_t index);

/* Checks a request: tensors, shapes, dtypes, parameters, gradients. Returns LOSS_OK, LOSS_NOT_FOUND
   if request->loss is NULL, or LOSS_INVALID; error.path then points to the field at fault, and is
   "" if only the tensors together are too large. */
enum loss_status loss_plan(struct loss_plan *plan, const struct loss_request *request,
                           struct loss_error *error);

/* Evaluates a plan on up to `threads` OpenMP threads. Small plans use fewer. One thread opens no
   parallel region. Every sum over terms is the exact sum of float64 numbers, rounded once: that of
   a loss, of the divisor of a mean, and of the gradient of an element that is broadcast to several
   terms. So the result has the same bits for any number of threads, and for any order of the terms
   unless a term depends on all rows (info_nce). On failure, output buffers have undefined contents.

   Returns LOSS_OK, or:

   LOSS_INVALID if an element is invalid, such as a class index out of range; error.tensor and
   error.element identify the first one. Also if weights are NaN or infinite and a partial result is
   requested, which cannot contain their sum.

   LOSS_UNAVAILABLE if memory runs out.

   LOSS_CANCELLED if plan->control.cancel becomes true.

   LOSS_INTERNAL if the calling thread does not round to nearest, or flushes subnormal numbers. */
enum loss_status loss_run(const struct loss_plan *plan, int threads, struct loss_result *result,
                          struct loss_error *error);

/* Evaluates only the weights that a mean divides by: of a plan that has a partial result, sets
   partial->weight and `weighed`, and all else to 0. Reads no predictions. Fails like loss_run(). */
enum loss_status loss_run_weights(const struct loss_plan *plan, int threads,
                                  struct loss_error *error);

/* Returns an upper bound of the bytes that loss_run() or, for each of its plans, loss_run_all()
   allocates on `threads` threads; SIZE_MAX on overflow. Buffers that are not yet set are assumed to
   be aligned. */
size_t loss_run_bytes(const struct loss_plan *plan, int threads);

/* Adds another part of the same batch to `partial`. Returns false, with `partial` undefined, if a
   count reaches LOSS_COUNT_LIMIT, if a sum is 2^1087 or more in magnitude or has an exponent below
   -1074, or if only one of the two is `weighed`. */
bool loss_partial_add(struct loss_partial *partial, const struct loss_partial *part);
/* Returns what a reduction of the batch whose parts have been added divides by; 1 if it does not
   divide. Parts need it as their `divisor` to compute the gradients of the batch. */
double loss_partial_divisor(const struct loss_partial *partial, enum loss_reduction reduction);
/* Returns the result of the batch whose parts have been added, with the same bits as those of
   loss_run() over the whole batch. `reduction` is not LOSS_NONE. */
struct loss_result loss_partial_result(const struct loss_partial *partial,
                                       enum loss_reduction reduction);

/* Evaluates `n` plans. Each result has the same bits as with loss_run(). Plans that have equally
   many terms of equal length are evaluated together, which is faster if they read the same tensors.
   On failure, *failed is the index of the first plan that failed, and no result is valid. Outputs
   must not overlap. */
enum loss_status loss_run_all(const struct loss_plan *const plans[], size_t n, int threads,
                              struct loss_result results[], size_t *failed,
                              struct loss_error *error);

/* ---- Instruction sets and threads ---- */

/* Returns the instruction set in use, such as "x86-64-v3": the one that loss_isa_choose() selected,
   else the best that the library is built for and the machine has. Results do not depend on it. */
const char *loss_isa(void);
/* Returns an instruction set that the library is built for, best first; NULL if `index` is past the
 * last one. */
const char *loss_isa_at(size_t index);
/* Selects another instruction set, for comparisons. Returns false if the library is not built for
   it or the machine lacks it. Not thread-safe: no other function may run at the same time.
   Descriptors returned earlier keep their instruction set. */
bool loss_isa_choose(const char *name);

/* Creates the calling thread's OpenMP team, so that its first loss_run() need not. Returns the
   number of threads in the team, which OMP_THREAD_LIMIT may reduce. Each calling thread has its own
   team. If a thread cannot be created, libgomp ends the process. */
int loss_warm_up(int threads);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
