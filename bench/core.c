/*
 * The driver for libloss. Commands:
 *
 *     list                                                         {"losses": [{"name": ...,
 *         The losses of the library, with the tensors that they       "tensors": {...}}, ...]}
 *         require. The value of a tensor is true if it is a
 *         prediction.
 *     loss THREADS REPETITIONS BATCH NAME DTYPE OPERAND...         {"ns": [...], "loss": ...,
 *         NAME is the name of a loss, DTYPE that of its floats.       "bytes": ...}
 *     triad BYTES THREADS REPETITIONS BATCH                        {"ns": [...]}
 *         Reads and writes BYTES bytes.
 *
 * A loss is planned and evaluated with default parameters and reduction mean, after one untimed
 * evaluation. Each time is the mean of BATCH evaluations. The gradient buffers are reused, as in
 * training. `bytes` is the size of the operands and gradients.
 *
 * bench/operands.py describes the OPERANDs, which are the same for torch_peer.py.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "driver.h"
#include "loss.h"
#include "triad.h"

enum { MAX_LINE = 1024 };

/* The operands and gradients of the last command, reused if the next one has the same. */
static struct {
    char text[MAX_LINE]; /* NAME DTYPE OPERAND... */
    struct loss_tensor operand[LOSS_MAX_TENSORS];
    void *grad[LOSS_MAX_TENSORS];
    struct loss_request request;
    size_t bytes;
} problem;

static void *allocate(size_t bytes)
{
    void *memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (!memory) {
        fprintf(stderr, "core: out of memory\n");
        exit(1);
    }
    return memory;
}

static void forget(void)
{
    for (int k = 0; k < LOSS_MAX_TENSORS; k++) {
        free(problem.operand[k].data);
        free(problem.grad[k]);
    }
    memset(&problem, 0, sizeof problem);
}

/* ---- Operands ---- */

enum law { UNIFORM, TWO, INTEGER, LABELS, LAWS };
static const char *const law_names[LAWS] = {"uniform", "two", "integer", "labels"};

/* Returns number i of operand k. `row` is the length of a row. */
static double number(enum law law, double low, double high, size_t row, size_t i, int k)
{
    static const uint32_t steps[] = {UINT32_C(2654435761), UINT32_C(2246822507),
                                     UINT32_C(3266489917)};
    const uint32_t step = steps[k % 3];
    const uint32_t bits = (uint32_t)i * step >> 8;
    switch (law) {
    case TWO:
        return bits < 1u << 23 ? low : high;
    case INTEGER:
        return low + bits % (uint32_t)(high - low);
    case LABELS: /* three neighboring classes, then -1 */
        return i % row < 3 ? (double)((((uint32_t)(i / row) * step >> 8) + i % row) % row) : -1;
    default:
        return low + (high - low) * bits * 0x1p-24;
    }
}

static void fill(struct loss_tensor *tensor, enum law law, double low, double high, int k)
{
    const size_t count = loss_tensor_elements(tensor), row = tensor->shape[tensor->rank - 1];
    void *const data = tensor->data = allocate(loss_tensor_bytes(tensor));
    const enum loss_dtype dtype = tensor->dtype;
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < count; i++) {
        const double value = number(law, low, high, row, i, k);
        if (dtype == LOSS_INT64)
            ((int64_t *)data)[i] = (int64_t)value;
        else if (dtype == LOSS_FLOAT64)
            ((double *)data)[i] = value;
        else
            ((float *)data)[i] = (float)value;
    }
}

/* Reads "LAW:LOW:HIGH:SHAPE" or "LAW:LOW:HIGH:SHAPE:grad" and fills operand k. Returns false if the
   text is invalid. */
static bool read_operand(const char *text, int k, enum loss_dtype dtype)
{
    char name[16], shape[64], grad[8] = "";
    double low, high;
    if (sscanf(text, "%15[a-z]:%lf:%lf:%63[0-9x]:%7s", name, &low, &high, shape, grad) < 4)
        return false;
    enum law law = 0;
    while (law < LAWS && strcmp(name, law_names[law]) != 0)
        law++;
    if (law == LAWS || high <= low)
        return false;
    struct loss_tensor *tensor = &problem.operand[k];
    tensor->dtype = law == INTEGER || law == LABELS ? LOSS_INT64 : dtype;
    for (char *at = shape; *at && tensor->rank < LOSS_MAX_RANK; at += *at == 'x')
        tensor->shape[tensor->rank++] = strtoull(at, &at, 10);
    fill(tensor, law, low, high, k);
    problem.request.tensor[k] = tensor;
    if (strcmp(grad, "grad") == 0)
        problem.request.grad |= 1u << k;
    return true;
}

/* ---- Commands ---- */

static void list(void)
{
    printf("{\"losses\": [");
    for (size_t i = 0; i < loss_count(); i++) {
        const struct loss_descriptor *loss = loss_at(i);
        printf("%s{\"name\": \"%s\", \"tensors\": {", i ? ", " : "", loss->name);
        const char *separator = "";
        for (int k = 0; k < loss_tensor_specs(loss); k++) {
            if (loss->tensors[k].optional)
                continue;
            printf("%s\"%s\": %s", separator, loss->tensors[k].name,
                   loss->tensors[k].prediction ? "true" : "false");
            separator = ", ";
        }
        printf("}}");
    }
    printf("]}\n");
}

/* Plans and evaluates the problem. */
static enum loss_status evaluate(int threads, struct loss_result *result, struct loss_error *error)
{
    struct loss_plan plan;
    const enum loss_status status = loss_plan(&plan, &problem.request, error);
    if (status != LOSS_OK)
        return status;
    for (int k = 0; k < LOSS_MAX_TENSORS; k++)
        plan.grad[k].data = problem.grad[k];
    return loss_run(&plan, threads, result, error);
}

/* Sets up the problem of the text "NAME DTYPE OPERAND...". */
static enum loss_status prepare(const char *text, struct loss_error *error)
{
    if (strcmp(text, problem.text) == 0)
        return LOSS_OK;
    forget();
    char words[MAX_LINE], *rest = words;
    snprintf(words, sizeof words, "%s", text);
    const char *const name = strsep(&rest, " "), *const dtype_name = strsep(&rest, " ");
    const struct loss_descriptor *loss = loss_find(name);
    if (!loss)
        return loss_fail(error, LOSS_NOT_FOUND, "unknown loss %s", name);
    const enum loss_dtype dtype = loss_dtype_find(dtype_name ? dtype_name : "");
    if (dtype != LOSS_FLOAT32 && dtype != LOSS_FLOAT64)
        return loss_fail(error, LOSS_INVALID, "the dtype must be float32 or float64");
    loss_request_init(&problem.request, loss);
    for (int k = 0; rest; k++) {
        const char *word = strsep(&rest, " ");
        if (k == LOSS_MAX_TENSORS || !read_operand(word, k, dtype))
            return loss_fail(error, LOSS_INVALID, "invalid operand %s", word);
    }
    struct loss_plan plan;
    const enum loss_status status = loss_plan(&plan, &problem.request, error);
    if (status != LOSS_OK)
        return status;
    for (int k = 0; k < loss_tensor_specs(loss); k++) {
        problem.bytes += plan.present[k] ? loss_tensor_bytes(&plan.tensor[k]) : 0;
        if (plan.grad_mask & 1u << k) {
            const size_t bytes = loss_tensor_bytes(&plan.grad[k]);
            problem.grad[k] = allocate(bytes);
            problem.bytes += bytes;
        }
    }
    snprintf(problem.text, sizeof problem.text, "%s", text);
    return LOSS_OK;
}

static void time_loss(const char *text, int threads, int repetitions, int batch)
{
    struct loss_error error;
    struct loss_result result = {.loss = 0};
    double ns[MAX_REPETITIONS];
    enum loss_status status = prepare(text, &error);
    if (status == LOSS_OK)
        status = evaluate(threads, &result, &error);
    for (int i = 0; i < repetitions && status == LOSS_OK; i++) {
        const double start = now_ns();
        for (int j = 0; j < batch && status == LOSS_OK; j++)
            status = evaluate(threads, &result, &error);
        ns[i] = (now_ns() - start) / batch;
    }
    if (status != LOSS_OK) {
        printf("{\"error\": \"libloss: %s\"}\n", error.message);
        return;
    }
    printf("{\"loss\": %.17g, \"bytes\": %zu, ", result.loss, problem.bytes);
    print_times(ns, repetitions);
    printf("}\n");
}

static void time_triad(size_t bytes, int threads, int repetitions, int batch)
{
    static float *array[3];
    static size_t allocated;
    const size_t count = bytes / (3 * sizeof **array);
    for (int k = 0; k < 3 && count != allocated; k++) {
        free(array[k]);
        array[k] = allocate(count * sizeof **array);
        memset(array[k], 0, count * sizeof **array);
    }
    allocated = count;
    double ns[MAX_REPETITIONS];
    triad(array[0], array[1], array[2], 0.5F, count, threads);
    for (int i = 0; i < repetitions; i++) {
        const double start = now_ns();
        for (int j = 0; j < batch; j++)
            triad(array[0], array[1], array[2], 0.5F, count, threads);
        ns[i] = (now_ns() - start) / batch;
    }
    printf("{");
    print_times(ns, repetitions);
    printf("}\n");
}

int main(void)
{
    char line[MAX_LINE], text[MAX_LINE];
    size_t bytes;
    int threads, repetitions, batch;
    while (fgets(line, sizeof line, stdin)) {
        if (strcmp(line, "list\n") == 0) {
            list();
        } else if (sscanf(line, "loss %d %d %d %[^\n]", &threads, &repetitions, &batch, text) ==
                       4 &&
                   threads > 0 && repetitions > 0 && repetitions <= MAX_REPETITIONS && batch > 0) {
            loss_warm_up(threads);
            time_loss(text, threads, repetitions, batch);
        } else if (sscanf(line, "triad %zu %d %d %d", &bytes, &threads, &repetitions, &batch) ==
                       4 &&
                   threads > 0 && repetitions > 0 && repetitions <= MAX_REPETITIONS && batch > 0) {
            time_triad(bytes, threads, repetitions, batch);
        } else {
            printf("{\"error\": \"core: no such command\"}\n");
        }
        fflush(stdout);
    }
    forget();
    return 0;
}
