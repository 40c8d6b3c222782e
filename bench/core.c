/*
 * The driver for libloss. Commands:
 *
 *     loss NAME COUNT CLASSES THREADS REPETITIONS BATCH    {"ns": [...], "loss": ..., "bytes": ...}
 *     triad COUNT THREADS REPETITIONS                      {"ns": [...], "bytes": ...}
 *
 * A loss is evaluated in float32 with the gradients of its predictions, reduction mean, after one
 * untimed evaluation. Each time is the mean of BATCH evaluations. The gradient buffers
 * are reused, as in training. CLASSES is the length of a row for losses over rows, else 0. `bytes`
 * is the size of the operands and gradients, which any algorithm must read and write.
 *
 * The data is the same as in torch_peer.py, so that the losses can be compared.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "driver.h"
#include "loss.h"
#include "triad.h"

enum { MAX_BUFFERS = 2 * LOSS_MAX_TENSORS };

/* The operands and the plan of the last command, reused if the next one has the same arguments. */
static struct {
    char name[32];
    size_t count, classes;
    void *buffer[MAX_BUFFERS];
    int buffers;
    struct loss_plan plan;
    size_t bytes;
} problem;

static void *allocate(size_t bytes)
{
    void *memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (!memory) {
        fprintf(stderr, "core: out of memory\n");
        exit(1);
    }
    memset(memory, 0, bytes);
    problem.buffer[problem.buffers++] = memory;
    return memory;
}

static void forget(void)
{
    while (problem.buffers > 0)
        free(problem.buffer[--problem.buffers]);
    problem.name[0] = '\0';
}

/* Returns number i of one of two fixed sequences that fill [0, 1) evenly. It has 24 bits, so it is
   exact in float.
 */
static float unit(size_t i, int sequence)
{
    const uint32_t step = sequence == 0 ? UINT32_C(2654435761) : UINT32_C(2246822507);
    return (float)((uint32_t)i * step >> 8) * 0x1p-24F;
}

/* Maps u in [0, 1) to scale * u + shift. */
struct law {
    float scale, shift;
    bool halves; /* u is first rounded to 0 or 1 */
};
static const struct law any = {6, -3, false}, probability = {0.98F, 0.01F, false},
                        logarithm = {-8, -0.01F, false}, sign = {2, -1, true}, label = {1, 0, true};

static bool is(const char *name, const char *other)
{
    return strcmp(name, other) == 0;
}

static struct law input_law(const char *name)
{
    if (is(name, "bce"))
        return probability;
    return is(name, "nll") || is(name, "kl_div") ? logarithm : any;
}

/* Targets of bce and bce_with_logits are labels, 0 and 1. With this suffix they are probabilities.
 */
#define SOFT "/soft"

static struct law target_law(const char *name, bool soft)
{
    if (is(name, "hinge_embedding"))
        return sign;
    if (is(name, "bce") || is(name, "bce_with_logits"))
        return soft ? probability : label;
    return is(name, "kl_div") ? probability : any;
}

static struct loss_tensor fill(int sequence, struct law law, size_t rows, size_t length)
{
    struct loss_tensor tensor = {
        .dtype = LOSS_FLOAT32, .rank = length ? 2 : 1, .shape = {rows, length}};
    const size_t count = rows * (length ? length : 1);
    float *data = tensor.data = allocate(count * sizeof *data);
    for (size_t i = 0; i < count; i++) {
        const float u = unit(i, sequence);
        data[i] = law.scale * (law.halves ? (u < 0.5F ? 0.0F : 1.0F) : u) + law.shift;
    }
    return tensor;
}

static struct loss_tensor fill_classes(size_t rows, size_t classes)
{
    struct loss_tensor tensor = {.dtype = LOSS_INT64, .rank = 1, .shape = {rows}};
    int64_t *data = tensor.data = allocate(rows * sizeof *data);
    for (size_t i = 0; i < rows; i++)
        data[i] = (int64_t)(((uint32_t)i * UINT32_C(2654435761) >> 8) % classes);
    return tensor;
}

/* Sets up the operands and the plan. */
static enum loss_status prepare(const char *name, size_t count, size_t classes,
                                struct loss_error *error)
{
    if (is(name, problem.name) && count == problem.count && classes == problem.classes)
        return LOSS_OK;
    forget();
    const char *const suffix = strstr(name, SOFT);
    char base[sizeof problem.name];
    snprintf(base, sizeof base, "%.*s", suffix ? (int)(suffix - name) : (int)strlen(name), name);
    const struct loss_descriptor *loss = loss_find(base);
    if (!loss)
        return loss_fail(error, LOSS_NOT_FOUND, "unknown loss %s", name);
    const size_t rows = classes ? count / classes : count;
    struct loss_tensor operand[3];
    int operands = 2;
    if (is(base, "cosine_embedding")) {
        operand[0] = fill(0, any, rows, classes);
        operand[1] = fill(1, any, rows, classes);
        operand[operands++] = fill(1, sign, rows, 0);
    } else if (is(base, "cross_entropy") || is(base, "nll")) {
        operand[0] = fill(0, input_law(base), rows, classes);
        operand[1] = fill_classes(rows, classes);
    } else {
        operand[0] = fill(0, input_law(base), count, 0);
        operand[1] = fill(1, target_law(base, suffix != NULL), count, 0);
    }
    struct loss_request request;
    loss_request_init(&request, loss);
    for (int k = 0; k < operands; k++)
        request.tensor[k] = &operand[k];
    request.grad = loss_predictions(loss);
    const enum loss_status status = loss_plan(&problem.plan, &request, error);
    if (status != LOSS_OK)
        return status;
    problem.bytes = 0;
    for (int k = 0; k < operands; k++) {
        problem.bytes += loss_tensor_bytes(&problem.plan.tensor[k]);
        if (problem.plan.grad_mask & 1u << k) {
            const size_t bytes = loss_tensor_bytes(&problem.plan.grad[k]);
            problem.plan.grad[k].data = allocate(bytes);
            problem.bytes += bytes;
        }
    }
    snprintf(problem.name, sizeof problem.name, "%s", name);
    problem.count = count;
    problem.classes = classes;
    return LOSS_OK;
}

static void time_loss(const char *name, size_t count, size_t classes, int threads, int repetitions,
                      int batch)
{
    struct loss_error error;
    struct loss_result result = {.loss = 0};
    double ns[MAX_REPETITIONS];
    enum loss_status status = prepare(name, count, classes, &error);
    if (status == LOSS_OK)
        status = loss_run(&problem.plan, threads, &result, &error);
    for (int i = 0; i < repetitions && status == LOSS_OK; i++) {
        const double start = now_ns();
        for (int j = 0; j < batch && status == LOSS_OK; j++)
            status = loss_run(&problem.plan, threads, &result, &error);
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

static void time_triad(size_t count, int threads, int repetitions)
{
    static float *a, *b, *c;
    static size_t allocated;
    if (count != allocated) {
        forget();
        free(a), free(b), free(c);
        a = allocate(count * sizeof *a);
        b = allocate(count * sizeof *b);
        c = allocate(count * sizeof *c);
        problem.buffers = 0; /* outlives the problem */
        allocated = count;
    }
    double ns[MAX_REPETITIONS];
    triad(a, b, c, 0.5F, count, threads);
    for (int i = 0; i < repetitions; i++) {
        const double start = now_ns();
        triad(a, b, c, 0.5F, count, threads);
        ns[i] = now_ns() - start;
    }
    printf("{\"bytes\": %zu, ", 3 * count * sizeof *a);
    print_times(ns, repetitions);
    printf("}\n");
}

int main(void)
{
    char line[256], name[32];
    size_t count, classes;
    int threads, repetitions, batch;
    while (fgets(line, sizeof line, stdin)) {
        if (sscanf(line, "loss %31s %zu %zu %d %d %d", name, &count, &classes, &threads,
                   &repetitions, &batch) == 6 &&
            threads > 0 && repetitions > 0 && repetitions <= MAX_REPETITIONS && batch > 0) {
            loss_warm_up(threads);
            time_loss(name, count, classes, threads, repetitions, batch);
        } else if (sscanf(line, "triad %zu %d %d", &count, &threads, &repetitions) == 3 &&
                   threads > 0 && repetitions > 0 && repetitions <= MAX_REPETITIONS) {
            time_triad(count, threads, repetitions);
        } else {
            printf("{\"error\": \"core: no such command\"}\n");
        }
        fflush(stdout);
    }
    forget();
    return 0;
}
