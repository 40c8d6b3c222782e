/*
 * Evaluates requests and prints the results as hexadecimal floats, so that two machines can be
 * compared bit by bit. Uses only libloss and the C library, so that it can be cross-compiled.
 *
 * compare.py writes the requests to standard input. A request is a sequence of words:
 *
 *     request ID LOSS REDUCTION THREADS REPEAT
 *     tensor NAME DTYPE TILED RANK SHAPE... NUMBER...     its first dimension is repeated if TILED
 *     param NAME NUMBER INTEGER
 *     grad NAME
 *     hess NAME
 *     run
 */
#include "loss.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORD = 64, SAMPLE_WEIGHT = LOSS_MAX_TENSORS, GRAD_OUTPUT, OPERANDS };

/* Of a long result, every PRINT_STEP-th number is printed. It is odd, so that all lanes are. */
enum { PRINT_ALL = 512, PRINT_STEP = 37 };

struct job {
    char id[WORD];
    struct loss_request request;
    struct loss_tensor operand[OPERANDS];
    size_t repeat;
    int threads;
};

static void *must(void *pointer, const char *what)
{
    if (!pointer) {
        fprintf(stderr, "golden_bits: %s\n", what);
        exit(EXIT_FAILURE);
    }
    return pointer;
}

static void *allocate(size_t bytes)
{
    return must(malloc(bytes + 1), "out of memory");
}

static const char *read_word(char word[WORD])
{
    must(scanf("%63s", word) == 1 ? word : NULL, "unexpected end of the input");
    return word;
}

static double read_number(void)
{
    char word[WORD];
    return strtod(read_word(word), NULL);
}

static int64_t read_integer(void)
{
    char word[WORD];
    return strtoll(read_word(word), NULL, 10);
}

static void store_number(const struct loss_tensor *tensor, size_t i, double value)
{
    const float single = (float)value;
    uint32_t bits;
    memcpy(&bits, &single, sizeof bits);
    if (tensor->dtype == LOSS_FLOAT64)
        ((double *)tensor->data)[i] = value;
    else if (tensor->dtype == LOSS_FLOAT32)
        ((float *)tensor->data)[i] = single;
    else if (tensor->dtype == LOSS_FLOAT16)
        ((_Float16 *)tensor->data)[i] = (_Float16)value;
    else
        ((uint16_t *)tensor->data)[i] = (uint16_t)(bits >> 16);
}

static void read_tensor(struct job *job)
{
    char word[WORD];
    int k = loss_tensor_find(job->request.loss, read_word(word));
    if (k < 0)
        k = strcmp(word, "sample_weight") == 0 ? SAMPLE_WEIGHT : GRAD_OUTPUT;
    struct loss_tensor *const tensor = &job->operand[k];
    tensor->dtype = loss_dtype_find(read_word(word));
    const bool tiled = read_integer() != 0;
    tensor->rank = (int)read_integer();
    for (int d = 0; d < tensor->rank; d++)
        tensor->shape[d] = (size_t)read_integer();
    const size_t n = loss_tensor_elements(tensor);
    if (tiled)
        tensor->shape[0] *= job->repeat;
    tensor->data = allocate(loss_tensor_bytes(tensor));
    for (size_t i = 0; i < n; i++)
        if (tensor->dtype == LOSS_INT64)
            ((int64_t *)tensor->data)[i] = read_integer();
        else
            store_number(tensor, i, read_number());
    const size_t bytes = n * loss_dtype_size(tensor->dtype);
    for (size_t copy = 1; tiled && copy < job->repeat; copy++)
        memcpy((char *)tensor->data + copy * bytes, tensor->data, bytes);
    if (k == SAMPLE_WEIGHT)
        job->request.sample_weight = tensor;
    else if (k == GRAD_OUTPUT)
        job->request.grad_output = tensor;
    else
        job->request.tensor[k] = tensor;
}

static void print_number(double value)
{
    if (isnan(value)) /* its sign and payload differ between processors */
        printf(" nan");
    else
        printf(" %a", value);
}

static void print_tensor(const struct job *job, const char *what, int k,
                         const struct loss_tensor *tensor)
{
    const size_t n = loss_tensor_elements(tensor), step = n > PRINT_ALL ? PRINT_STEP : 1;
    printf("%s %s%s", job->id, what, k >= 0 ? job->request.loss->tensors[k].name : "");
    for (size_t i = 0; i < n; i += step)
        print_number(tensor->dtype == LOSS_FLOAT64 ? ((const double *)tensor->data)[i]
                                                   : (double)((const float *)tensor->data)[i]);
    printf("\n");
}

static void print_results(const struct job *job, const struct loss_plan *plan,
                          const struct loss_result *result)
{
    if (plan->reduction == LOSS_NONE) {
        print_tensor(job, "terms", -1, &plan->output);
    } else {
        printf("%s loss", job->id);
        print_number(result->loss);
        printf("\n");
    }
    printf("%s count %zu %zu\n", job->id, result->count, result->nonfinite);
    for (int k = 0; k < LOSS_MAX_TENSORS; k++) {
        if (plan->grad_mask >> k & 1)
            print_tensor(job, "grad_", k, &plan->grad[k]);
        if (plan->hess_mask >> k & 1)
            print_tensor(job, "hess_", k, &plan->hess[k]);
    }
}

static void run_job(struct job *job)
{
    struct loss_plan plan;
    struct loss_result result;
    struct loss_error error;
    enum loss_status status = loss_plan(&plan, &job->request, &error);
    if (status != LOSS_OK) {
        printf("%s refused %s\n", job->id, error.message);
        return;
    }
    for (int k = 0; k < LOSS_MAX_TENSORS; k++) {
        if (plan.grad_mask >> k & 1)
            plan.grad[k].data = allocate(loss_tensor_bytes(&plan.grad[k]));
        if (plan.hess_mask >> k & 1)
            plan.hess[k].data = allocate(loss_tensor_bytes(&plan.hess[k]));
    }
    if (plan.reduction == LOSS_NONE)
        plan.output.data = allocate(loss_tensor_bytes(&plan.output));
    status = loss_run(&plan, job->threads, &result, &error);
    if (status == LOSS_OK)
        print_results(job, &plan, &result);
    else
        printf("%s refused %s\n", job->id, error.message);
    for (int k = 0; k < LOSS_MAX_TENSORS; k++) {
        free(plan.grad_mask >> k & 1 ? plan.grad[k].data : NULL);
        free(plan.hess_mask >> k & 1 ? plan.hess[k].data : NULL);
    }
    free(plan.reduction == LOSS_NONE ? plan.output.data : NULL);
}

static void read_job(struct job *job)
{
    char word[WORD];
    *job = (struct job){0};
    read_word(job->id);
    const struct loss_descriptor *const loss = loss_find(read_word(word));
    loss_request_init(&job->request, must((void *)(uintptr_t)loss, "unknown loss"));
    read_word(word);
    while (strcmp(loss_reduction_name(job->request.reduction), word) != 0)
        job->request.reduction++;
    job->threads = (int)read_integer();
    job->repeat = (size_t)read_integer();
    while (strcmp(read_word(word), "run") != 0) {
        if (strcmp(word, "tensor") == 0) {
            read_tensor(job);
        } else if (strcmp(word, "param") == 0) {
            const int k = loss_param_find(loss, read_word(word));
            must(k >= 0 ? job : NULL, "unknown parameter");
            job->request.param[k].number = read_number();
            job->request.param[k].integer = read_integer();
        } else {
            uint32_t *const set =
                strcmp(word, "grad") == 0 ? &job->request.grad : &job->request.hess;
            *set |= UINT32_C(1) << loss_tensor_find(loss, read_word(word));
        }
    }
}

int main(void)
{
    char word[WORD];
    struct job job;
    printf("isa %s\n", loss_isa());
    while (scanf("%63s", word) == 1) {
        read_job(&job);
        run_job(&job);
        for (int k = 0; k < OPERANDS; k++)
            free(job.operand[k].data);
    }
    return EXIT_SUCCESS;
}
