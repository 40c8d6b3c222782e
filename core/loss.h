/*
 * libloss: loss functions and their gradients over large batches.
 *
 * The library knows tensors, losses and threads; it does no I/O, keeps no state but the choice of
 * an instruction set, and never aborts on what a caller passes. Every function may be called from
 * any number of threads at once, unless its comment says otherwise.
 *
 * Evaluating a loss takes two steps, so that everything which can be refused from shapes and
 * parameters alone is refused before any number is read or any memory allocated:
 *
 *     struct loss_request request;
 *     loss_request_init(&request, loss_find("huber"));
 *     request.tensor[0] = &(struct loss_tensor){.data = x, .dtype = LOSS_FLOAT32, .rank = 1, .shape
 * = {n}};   // input request.tensor[1] = &(struct loss_tensor){.data = y, .dtype = LOSS_FLOAT32,
 * .rank = 1, .shape = {n}};   // target request.grad = 1u << 0; // of input
 *
 *     struct loss_plan plan;
 *     struct loss_error error;
 *     if (loss_plan(&plan, &request, &error) != LOSS_OK) ...            // error.message says what
 * is wrong plan.grad[0].data = malloc(loss_tensor_bytes(&plan.grad[0]));     // the caller owns
 * every buffer struct loss_result result; if (loss_run(&plan, threads, &result, &error) != LOSS_OK)
 * ...
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
    LOSS_MAX_TENSORS = 6,  /* tensors that one loss takes */
    LOSS_MAX_PARAMS = 6,   /* parameters of its own that one loss takes */
    LOSS_MAX_ALIASES = 4,  /* other names that one loss answers to */
    LOSS_MAX_WARNINGS = 4, /* warnings that one plan can carry */
};

/* ---- errors ---- */

/* What kind of trouble: one code for every layer, from a shape that does not fit to a body that is
 * too large. */
enum loss_status {
    LOSS_OK,
    LOSS_MALFORMED,   /* the bytes are not what they claim to be, a field has the wrong type or is
                         unknown */
    LOSS_INVALID,     /* well-formed but impossible: shapes, indices, ranges */
    LOSS_NOT_FOUND,   /* no such loss or path */
    LOSS_NOT_ALLOWED, /* the path is there, the method is not */
    LOSS_TOO_LARGE,   /* over a limit on size */
    LOSS_UNSUPPORTED, /* a media type or encoding that is not taken */
    LOSS_NOT_ACCEPTABLE, /* a media type that cannot be given */
    LOSS_UNAVAILABLE,    /* no memory, or no room in a queue: try again later */
    LOSS_INTERNAL,       /* a defect of ours */
    LOSS_CANCELLED,      /* given up, since the caller no longer wants it */
    LOSS_STATUS_COUNT
};

/* What went wrong, for a person (message) and for a program (status, path, offset). Filled by the
   function that fails; left untouched by one that succeeds. */
struct loss_error {
    enum loss_status status;
    char message[320]; /* what was found, where, what was expected; lower case, no full stop */
    char path[192];    /* JSON Pointer (RFC 6901) to what is wrong, "" if nothing in particular */
    int tensor;        /* index of the tensor that is wrong, -1 if none */
    int64_t element;   /* row-major index of the element of that tensor that is wrong, -1 if none */
    int64_t offset;    /* byte offset into the body where it was found, -1 if unknown */
};

/* Fills `error` with no position and returns `status`, so that a function can `return
 * loss_fail(...)`. */
__attribute__((format(printf, 3, 4))) enum loss_status
loss_fail(struct loss_error *error, enum loss_status status, const char *format, ...);

/* The same, with a JSON Pointer made by printf from `path`, a value of the form "/target". */
__attribute__((format(printf, 4, 5))) enum loss_status loss_fail_at(struct loss_error *error,
                                                                    enum loss_status status,
                                                                    const char *path,
                                                                    const char *format, ...);

/* ---- tensors ---- */

enum loss_dtype {
    LOSS_ANY, /* not declared: the plan decides what the data must be */
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
    LOSS_BOOL, /* one byte, 0 or not 0 */
    LOSS_DTYPE_COUNT
};

/* "float32" and so on; "any" for LOSS_ANY. */
const char *loss_dtype_name(enum loss_dtype dtype);
/* The dtype of that name, LOSS_ANY if there is none. */
enum loss_dtype loss_dtype_find(const char *name);
/* Bytes of one element; 0 for LOSS_ANY. */
size_t loss_dtype_size(enum loss_dtype dtype);
/* float64, float32, float16, bfloat16. */
bool loss_dtype_is_float(enum loss_dtype dtype);

/* A view of numbers that somebody else owns. Row-major without gaps unless `strided`; elements need
 * no alignment. */
struct loss_tensor {
    void *data; /* never written to when it is an operand */
    enum loss_dtype dtype;
    int rank; /* 0 is a single number */
    size_t shape[LOSS_MAX_RANK];
    bool strided;
    ptrdiff_t stride[LOSS_MAX_RANK]; /* in elements; read only if `strided`; 0 repeats an element,
                                        negative walks back */
};

/* Number of elements; false if the product overflows (then neither that nor the bytes can be had).
 */
bool loss_tensor_count(const struct loss_tensor *tensor, size_t *count);
/* Elements and bytes of a tensor whose count is known not to overflow: any tensor of a plan. */
size_t loss_tensor_elements(const struct loss_tensor *tensor);
size_t loss_tensor_bytes(const struct loss_tensor *tensor);
/* Writes a shape as Python does: "()", "(3,)", "(4, 5)". Returns `text`, which must hold
 * LOSS_SHAPE_TEXT bytes. */
enum { LOSS_SHAPE_TEXT = LOSS_MAX_RANK * 22 + 4 };
char *loss_shape_text(const struct loss_tensor *tensor, char *text);

/* ---- descriptors: what each loss is called, takes and gives ---- */

enum loss_reduction { LOSS_MEAN, LOSS_SUM, LOSS_NONE, LOSS_BATCHMEAN, LOSS_REDUCTION_COUNT };
/* "mean" and so on. */
const char *loss_reduction_name(enum loss_reduction reduction);

/* What the elements of a tensor stand for. */
enum loss_kind {
    LOSS_REAL,    /* floating point; integers are converted */
    LOSS_INDEX,   /* class indices: integers */
    LOSS_CLASSES, /* class indices, or a probability for every class where the shape is that of the
                     first tensor */
};

struct loss_tensor_spec {
    const char *name;
    const char *doc;
    const char *shape; /* for people: "(N, C, d1, ...)" */
    enum loss_kind kind;
    bool optional;   /* may be left out: it then counts as ones */
    bool prediction; /* `"grad": true` asks for its gradient; its dtype decides what is computed in
                      */
    bool differentiable; /* its gradient can be asked for by name */
};

enum loss_param_type { LOSS_NUMBER, LOSS_INTEGER, LOSS_BOOLEAN, LOSS_CHOICE };

/* The value of a parameter; `integer` holds integers exactly, `number` is what the formula sees (a
   boolean is 0 or 1, a choice the place of its name). */
struct loss_value {
    double number;
    int64_t integer;
};
/* The value of a `nullable` parameter that is null: an ignore_index that ignores nothing. */
#define LOSS_NULL_VALUE ((struct loss_value){__builtin_nan(""), INT64_MIN})
/* Returns true if the value is LOSS_NULL_VALUE. */
bool loss_value_is_null(struct loss_value value);

struct loss_param_spec {
    const char *name;
    const char *doc;
    enum loss_param_type type;
    struct loss_value fallback; /* the default */
    const char *const *choices; /* the names of a LOSS_CHOICE; NULL ends them */
    bool has_min, has_max;      /* the range, bounds included ... */
    bool above_min, below_max;  /* ... but `min` or `max` itself where these are set */
    double min, max;
    bool infinite; /* infinity is a value too, if it is in the range; other numbers are finite */
    bool nullable; /* LOSS_NULL_VALUE is a value too */
};

/* A small request that is answered, to learn from: it gives the tensors and the parameters that are
 * the loss's own a value. */
struct loss_example {
    struct {
        int rank;
        size_t shape[3];
        const double *numbers;   /* row-major; NULL where the tensor is left out */
    } tensors[LOSS_MAX_TENSORS]; /* in the descriptor's order */
    struct {
        bool given;
        struct loss_value value;
    } params[LOSS_MAX_PARAMS]; /* likewise */
    enum loss_reduction reduction;
};

struct loss_method; /* how it is computed: core/kernel/loss_kernel.h */

/* One loss, complete. Everything else about it (routes, checks, help, documents, tests) derives
 * from this. */
struct loss_descriptor {
    const char *name;                      /* "smooth_l1" */
    const char *aliases[LOSS_MAX_ALIASES]; /* PyTorch's class and function: "SmoothL1Loss",
                                              "smooth_l1_loss" */
    const char *title;                     /* a few words */
    const char *doc;                       /* a sentence or two: what it is for, what is special */
    const char *formula;                   /* the term l of one element or row, in plain text */
    unsigned reductions;                   /* bit set of 1 << enum loss_reduction */
    bool hessian;                          /* the diagonal of its Hessian can be asked for */
    struct loss_tensor_spec
        tensors[LOSS_MAX_TENSORS]; /* in order; the first without a name ends them */
    struct loss_param_spec params[LOSS_MAX_PARAMS]; /* likewise */
    const struct loss_example *example;             /* a request to begin with */
    const struct loss_method *method;
};

/* The table of losses, in the order in which people should meet them: how many there are, and the
 * one at a place below that. */
size_t loss_count(void);
const struct loss_descriptor *loss_at(size_t index);
/* The loss of that name or alias (case-sensitive), NULL if there is none. */
const struct loss_descriptor *loss_find(const char *name);
/* How many tensors and parameters a loss has, and the index of one by name (-1 if there is none).
 */
int loss_tensor_specs(const struct loss_descriptor *loss);
int loss_param_specs(const struct loss_descriptor *loss);
int loss_tensor_find(const struct loss_descriptor *loss, const char *name);
int loss_param_find(const struct loss_descriptor *loss, const char *name);

/* The candidate that `name` was most likely meant to be, NULL if none is near. The search is made
   by calling this with each candidate in turn on a `struct loss_nearest` that starts as {name};
   `best` is the answer so far. */
struct loss_nearest {
    const char *name;
    const char *best;
    size_t distance;
};
void loss_nearest_try(struct loss_nearest *search, const char *candidate);
/* The end of a message about `name`: "; did you mean 'best'?", the candidate between `open` and
   `close`, or "; otherwise"; "" if nothing is near and `otherwise` is NULL. Returns `text`, of
   LOSS_MEANT_TEXT bytes. */
enum { LOSS_MEANT_TEXT = 192 };
const char *loss_nearest_text(const struct loss_nearest *search, const char *open,
                              const char *close, const char *otherwise, char *text);

/* ---- evaluation ---- */

/* What is asked. All pointers are borrowed until loss_plan returns; it copies what it needs. */
struct loss_request {
    const struct loss_descriptor *loss;
    const struct loss_tensor
        *tensor[LOSS_MAX_TENSORS];            /* in the descriptor's order; NULL where left out */
    struct loss_value param[LOSS_MAX_PARAMS]; /* in the descriptor's order */
    enum loss_reduction reduction;
    enum loss_dtype dtype; /* computed in: LOSS_FLOAT32, LOSS_FLOAT64, or LOSS_ANY: float64 if a
                              prediction is, else float32 */
    uint32_t grad;         /* bit k asks for the gradient with respect to tensor k */
    uint32_t hess;         /* bit k asks for the diagonal of the Hessian with respect to tensor k, a
                              prediction */
    const struct loss_tensor *grad_output; /* upstream gradient: a number, or with LOSS_NONE of the
                                              loss's shape; NULL is 1 */
    const struct loss_tensor *
        sample_weight; /* multiplies the terms; of their shape, or a number for each index of their
                          first dimension; NULL is 1. LOSS_MEAN divides by the sum of the weights */
};

/* Starts a request: parameters at their defaults, reduction mean, no tensors, no gradient. */
void loss_request_init(struct loss_request *request, const struct loss_descriptor *loss);
/* The bit set of the tensors that a loss treats as predictions: what `"grad": true` means. */
uint32_t loss_predictions(const struct loss_descriptor *loss);

/* The unit of `work` in a plan. One unit is about one nanosecond of one core (x86-64-v3 or better,
   some 3 GHz), in all passes over the data, whatever the number of threads. It is an estimate from
   shapes, dtypes, parameters and what is asked for, the same on every machine and instruction set:
   `make check-cost` holds it to within a factor of LOSS_WORK_FACTOR of what is measured, up to the
   speed of the machine. Where terms are infinite or NaN, a block is evaluated twice, to count them.
 */
enum { LOSS_WORK_FACTOR = 4 };

/* How other threads end a run early, and see that it progresses. Both flags are the caller's and
   are accessed atomically; either may be NULL. */
struct loss_control {
    const bool *cancel; /* loss_run gives up once this is true */
    bool *asked; /* loss_run, which looks at both every few milliseconds, stores false here if it
                    finds true */
};

/* A checked request: what the data must be and what comes out. The caller then sets `data` of every
   operand that has none yet, of `output` where `reduction` is LOSS_NONE, and of every gradient in
   `grad_mask` and diagonal in `hess_mask`, to buffers of loss_tensor_bytes() each. */
struct loss_plan {
    const struct loss_descriptor *loss;
    enum loss_reduction reduction;
    enum loss_dtype dtype; /* LOSS_FLOAT32 or LOSS_FLOAT64 */
    uint32_t grad_mask, hess_mask;
    bool present[LOSS_MAX_TENSORS];
    struct loss_tensor
        tensor[LOSS_MAX_TENSORS]; /* dtype is never LOSS_ANY now: it says what the data must be */
    size_t elements; /* roughly how many elements are worked on: those of the terms, or of the
                        longest tensor, or more */
    size_t work; /* what evaluating costs, whatever is asked for included; SIZE_MAX if it is more
                    than can be counted */
    bool has_grad_output, has_sample_weight;
    struct loss_tensor grad_output, sample_weight; /* dtype as declared, else `dtype` */
    struct loss_tensor
        output; /* the loss: a float64 number, or with LOSS_NONE the terms in `dtype` */
    struct loss_tensor
        grad[LOSS_MAX_TENSORS]; /* shape of the tensor, `dtype`; for those in grad_mask */
    struct loss_tensor hess[LOSS_MAX_TENSORS]; /* the same, for those in hess_mask */
    struct loss_control control;               /* set by the caller, at any time before loss_run */
    const char
        *warning[LOSS_MAX_WARNINGS]; /* what PyTorch would warn of; static text; NULL ends them */

    /* private to the library */
    struct loss_value param[LOSS_MAX_PARAMS];
    bool indexed[LOSS_MAX_TENSORS]; /* the elements are read as integers: a LOSS_INDEX, or
                                       LOSS_CLASSES that hold indices */
    struct loss_tensor terms;       /* the grid of loss terms before reduction: shape only */
    bool has_term_weights; /* terms have weights of their own in the mean: the method's `weigh`
                              finds them */
    double divisor;        /* else it is this, unless there are sample weights */
    /* The dimension of `terms` along which an axis of a tensor runs (an axis of one element repeats
       along it), or LOSS_WITHIN: the axis lies within a term, as the classes of a row do. */
    signed char axis[LOSS_MAX_TENSORS][LOSS_MAX_RANK];
};
enum { LOSS_WITHIN = -1 };

struct loss_result {
    double loss;      /* the reduced loss; with LOSS_NONE, 0: the terms are in plan.output */
    size_t count;     /* terms that were reduced (ignored ones are not counted) */
    size_t nonfinite; /* how many of the terms are NaN or infinite */
};

/* Checks a request against the descriptor: tensors there and of fitting shapes and dtypes,
   parameters in range, gradients that exist. LOSS_OK, or LOSS_INVALID with error.path at the field.
 */
enum loss_status loss_plan(struct loss_plan *plan, const struct loss_request *request,
                           struct loss_error *error);

/* Evaluates a plan whose buffers are set, on up to `threads` OpenMP threads (1 opens no parallel
   region; small plans use fewer). The result is the same to the last bit for any number of threads.
   LOSS_INVALID where an element cannot be (a class index out of range, a probability outside [0,
   1]): error.tensor and error.element say which, always the first one; LOSS_UNAVAILABLE where
   memory ran out; LOSS_CANCELLED where plan->control.cancel says so. After a failure the output
   buffers hold nothing of use. */
enum loss_status loss_run(const struct loss_plan *plan, int threads, struct loss_result *result,
                          struct loss_error *error);

/* How many bytes loss_run allocates for a plan on so many threads, at most; SIZE_MAX if that is too
   much for any machine. Buffers need not be set yet; those that will be are taken to be aligned as
   their numbers are. loss_run_all takes for each plan what loss_run does. */
size_t loss_run_bytes(const struct loss_plan *plan, int threads);

/* Evaluates `n` plans whose buffers are set, as loss_run does each: results[i] becomes what it
   would be alone, to the last bit. Plans over as many terms of the same lengths go through memory
   together, which is quicker where they read the same tensors. Where one fails, so do all: *failed
   becomes the place of the first, and error says why. Outputs must not overlap. */
enum loss_status loss_run_all(const struct loss_plan *const plans[], size_t n, int threads,
                              struct loss_result results[], size_t *failed,
                              struct loss_error *error);

/* The instruction set that losses are computed on ("x86-64-v3"): the best of those that the library
   was built for and the machine has. Results do not depend on it. Those it was built for, the best
   first, NULL behind the last. And another one, for comparisons; false if there is none of that
   name, or the machine does not have it. Not while anything else of the library runs: descriptors
   that were found before are of the instruction set from before. */
const char *loss_isa(void);
const char *loss_isa_at(size_t index);
bool loss_isa_choose(const char *name);

/* Raises the calling thread's OpenMP team, so that its first loss_run does not pay for it. Returns
   how many threads the team has: fewer than asked for where OpenMP is told so (OMP_THREAD_LIMIT).
   Teams belong to the thread that calls; where a thread cannot be had, libgomp ends the process. */
int loss_warm_up(int threads);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
