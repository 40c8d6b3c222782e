/* Turns a request into a plan. Rejects everything that can be rejected without reading elements. */
#include "dispatch/kernel_table.h"
#include "kernel/loss_kernel.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Fails with the path of a top-level field. */
__attribute__((format(printf, 3, 4))) static enum loss_status
fail_field(struct loss_error *error, const char *name, const char *format, ...)
{
    char path[64], message[sizeof error->message];
    snprintf(path, sizeof path, "/%s", name);
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    return loss_fail_at(error, LOSS_INVALID, path, "%s", message);
}

void loss_request_init(struct loss_request *request, const struct loss_descriptor *loss)
{
    *request = (struct loss_request){.loss = loss};
    for (int k = 0; loss && k < loss_param_specs(loss); k++)
        request->param[k] = loss->params[k].default_value;
}

/* Checks rank, dtype and size of a tensor; `name` is its field. */
static enum loss_status check_tensor(const struct loss_tensor *tensor, const char *name,
                                     struct loss_error *error)
{
    size_t count;
    if (tensor->rank < 0 || tensor->rank > LOSS_MAX_RANK)
        return fail_field(error, name, "%s has %d dimensions; at most %d are supported", name,
                          tensor->rank, LOSS_MAX_RANK);
    if ((unsigned)tensor->dtype >= LOSS_DTYPE_COUNT)
        return fail_field(error, name, "%s has an unknown dtype", name);
    if (!loss_tensor_count(tensor, &count))
        return fail_field(error, name, "%s has too many elements to address", name);
    return LOSS_OK;
}

static enum loss_status check_tensors(struct loss_plan *plan, const struct loss_request *request,
                                      struct loss_error *error)
{
    for (int k = 0; k < loss_tensor_specs(plan->loss); k++) {
        const struct loss_tensor_spec *spec = &plan->loss->tensors[k];
        const struct loss_tensor *tensor = request->tensor[k];
        if (!tensor && !spec->optional)
            return fail_field(error, spec->name, "%s is missing: %s, of shape %s", spec->name,
                              spec->doc, spec->shape);
        if (!tensor)
            continue;
        if (check_tensor(tensor, spec->name, error) != LOSS_OK)
            return error->status;
        plan->present[k] = true;
        plan->tensor[k] = *tensor;
    }
    return LOSS_OK;
}

/* Writes a number for an error message. `text` has room for NUMBER_TEXT bytes. Returns `text`. */
enum { NUMBER_TEXT = 32 };
static const char *number_text(double x, char *text)
{
    if (isfinite(x))
        snprintf(text, NUMBER_TEXT, "%.17g", x);
    else
        snprintf(text, NUMBER_TEXT, isinf(x) ? "%sInfinity" : "%sNaN", x < 0 ? "-" : "");
    return text;
}

enum loss_status loss_check_param(const struct loss_param_spec *spec, struct loss_value value,
                                  struct loss_error *error)
{
    const double x = value.number;
    char text[NUMBER_TEXT];
    if (spec->nullable && loss_value_is_null(value))
        return LOSS_OK;
    const bool low = spec->has_min && (spec->exclusive_min ? !(x > spec->min) : !(x >= spec->min));
    const bool high = spec->has_max && (spec->exclusive_max ? !(x < spec->max) : !(x <= spec->max));
    if (isnan(x))
        return fail_field(error, spec->name, "%s is NaN; it must be a number", spec->name);
    if (isinf(x) && !spec->infinite)
        return fail_field(error, spec->name, "%s is %s; it must be finite", spec->name,
                          number_text(x, text));
    if ((low || high) && spec->has_min && spec->has_max)
        return fail_field(error, spec->name, "%s is %s; it must be in %c%g, %g%c", spec->name,
                          number_text(x, text), spec->exclusive_min ? '(' : '[', spec->min,
                          spec->max, spec->exclusive_max ? ')' : ']');
    if (low)
        return fail_field(error, spec->name, "%s is %s; it must be %s %g", spec->name,
                          number_text(x, text), spec->exclusive_min ? "greater than" : "at least",
                          spec->min);
    if (high)
        return fail_field(error, spec->name, "%s is %s; it must be %s %g", spec->name,
                          number_text(x, text), spec->exclusive_max ? "less than" : "at most",
                          spec->max);
    return LOSS_OK;
}

static enum loss_status check_params(struct loss_plan *plan, const struct loss_request *request,
                                     struct loss_error *error)
{
    for (int k = 0; k < loss_param_specs(plan->loss); k++) {
        if (loss_check_param(&plan->loss->params[k], request->param[k], error) != LOSS_OK)
            return error->status;
        plan->param[k] = request->param[k];
    }
    return LOSS_OK;
}

static enum loss_status check_reduction(struct loss_plan *plan, enum loss_reduction reduction,
                                        struct loss_error *error)
{
    plan->reduction = reduction;
    if ((unsigned)reduction >= LOSS_REDUCTION_COUNT)
        return fail_field(error, "reduction", "unknown reduction");
    if (plan->loss->reductions >> reduction & 1)
        return LOSS_OK;
    return fail_field(error, "reduction",
                      "%s has no reduction '%s'; it must be 'mean', 'sum' or 'none'",
                      plan->loss->name, loss_reduction_name(reduction));
}

/* Chooses the dtype of the computation: the request's, else float64 if a prediction is float64. */
static enum loss_status choose_dtype(struct loss_plan *plan, enum loss_dtype dtype,
                                     struct loss_error *error)
{
    if ((unsigned)dtype >= LOSS_DTYPE_COUNT)
        return fail_field(error, "dtype", "unknown dtype");
    if (dtype != LOSS_ANY && dtype != LOSS_FLOAT32 && dtype != LOSS_FLOAT64)
        return fail_field(error, "dtype", "dtype is %s; losses are computed in float32 or float64",
                          loss_dtype_name(dtype));
    for (int k = 0; dtype == LOSS_ANY && k < loss_tensor_specs(plan->loss); k++)
        if (plan->loss->tensors[k].prediction && plan->present[k] &&
            plan->tensor[k].dtype == LOSS_FLOAT64)
            dtype = LOSS_FLOAT64;
    plan->dtype = dtype == LOSS_ANY ? LOSS_FLOAT32 : dtype;
    return LOSS_OK;
}

/* Sets the dtype of each tensor that does not declare one, and rejects those of the wrong kind. */
static enum loss_status resolve_dtypes(struct loss_plan *plan, struct loss_error *error)
{
    for (int k = 0; k < loss_tensor_specs(plan->loss); k++) {
        const struct loss_tensor_spec *spec = &plan->loss->tensors[k];
        struct loss_tensor *tensor = &plan->tensor[k];
        if (!plan->present[k])
            continue;
        if (spec->kind == LOSS_INDEX)
            plan->indexed[k] = true;
        if (tensor->dtype == LOSS_ANY)
            tensor->dtype = plan->indexed[k] ? LOSS_INT64 : plan->dtype;
        const bool is_float = loss_dtype_is_float(tensor->dtype);
        if (plan->indexed[k] && is_float)
            return fail_field(error, spec->name, "%s is %s; its dtype must be an integer or bool",
                              spec->name, loss_dtype_name(tensor->dtype));
        if (spec->kind == LOSS_CLASSES && !plan->indexed[k] && !is_float)
            return fail_field(
                error, spec->name,
                "%s is %s but has the input's shape; class probabilities are floating point",
                spec->name, loss_dtype_name(tensor->dtype));
    }
    return LOSS_OK;
}

/* Checks a derivative with respect to tensor k; `field` is "grad" or "hess". */
static enum loss_status check_derivative(const struct loss_plan *plan, const char *field, int k,
                                         struct loss_error *error)
{
    const struct loss_tensor_spec *spec = &plan->loss->tensors[k];
    if (k >= loss_tensor_specs(plan->loss))
        return fail_field(error, field, "%s has no tensor %d to differentiate", plan->loss->name,
                          k);
    if (!spec->differentiable)
        return fail_field(error, field, "%s has no gradient with respect to %s", plan->loss->name,
                          spec->name);
    if (!plan->present[k])
        return fail_field(error, field, "%s is not given, so it has no gradient", spec->name);
    if (plan->indexed[k])
        return fail_field(error, field, "%s contains class indices, which have no gradient",
                          spec->name);
    if (!loss_dtype_is_float(plan->tensor[k].dtype))
        return fail_field(error, field, "%s is %s; only floating point tensors have derivatives",
                          spec->name, loss_dtype_name(plan->tensor[k].dtype));
    return LOSS_OK;
}

/* Checks the derivatives in `mask`, and sets their shapes and dtype in `out`. */
static enum loss_status check_derivatives(const struct loss_plan *plan, uint32_t mask,
                                          const char *field, struct loss_tensor out[],
                                          struct loss_error *error)
{
    if (mask >> LOSS_MAX_TENSORS)
        return fail_field(error, field, "%s has no such tensor to differentiate", plan->loss->name);
    for (int k = 0; k < LOSS_MAX_TENSORS; k++) {
        if (!(mask >> k & 1))
            continue;
        if (check_derivative(plan, field, k, error) != LOSS_OK)
            return error->status;
        out[k] = (struct loss_tensor){.dtype = plan->dtype, .rank = plan->tensor[k].rank};
        memcpy(out[k].shape, plan->tensor[k].shape, sizeof out[k].shape);
    }
    return LOSS_OK;
}

static enum loss_status check_grad(struct loss_plan *plan, uint32_t mask, struct loss_error *error)
{
    plan->grad_mask = mask;
    return check_derivatives(plan, mask, "grad", plan->grad, error);
}

static enum loss_status check_hess(struct loss_plan *plan, uint32_t mask, struct loss_error *error)
{
    plan->hess_mask = mask;
    if (mask != 0 && !plan->loss->hessian)
        return fail_field(error, "hess", "%s has no Hessian diagonal", plan->loss->name);
    const uint32_t others = mask & ~loss_predictions(plan->loss) & ((1u << LOSS_MAX_TENSORS) - 1);
    if (others != 0)
        return fail_field(error, "hess", "%s has no Hessian diagonal; only predictions have one",
                          plan->loss->tensors[__builtin_ctz(others)].name);
    return check_derivatives(plan, mask, "hess", plan->hess, error);
}

static enum loss_status check_grad_output(struct loss_plan *plan,
                                          const struct loss_tensor *upstream,
                                          struct loss_error *error)
{
    if (!upstream)
        return LOSS_OK;
    char shape[LOSS_SHAPE_TEXT], wanted[LOSS_SHAPE_TEXT];
    if (check_tensor(upstream, "grad_output", error) != LOSS_OK)
        return error->status;
    if (upstream->rank > 0 && !loss_same_shape(upstream, &plan->output))
        return fail_field(
            error, "grad_output", "grad_output has shape %.64s; it must be a number%s%.64s",
            loss_shape_text(upstream, shape),
            plan->reduction == LOSS_NONE ? ", or have the loss's shape, "
                                         : ", since the loss is one",
            plan->reduction == LOSS_NONE ? loss_shape_text(&plan->output, wanted) : "");
    plan->has_grad_output = true;
    plan->grad_output = *upstream;
    if (upstream->dtype == LOSS_ANY)
        plan->grad_output.dtype = plan->dtype;
    return LOSS_OK;
}

static enum loss_status check_sample_weight(struct loss_plan *plan,
                                            const struct loss_tensor *weight,
                                            struct loss_error *error)
{
    if (!weight)
        return LOSS_OK;
    char shape[LOSS_SHAPE_TEXT], wanted[LOSS_SHAPE_TEXT];
    if (check_tensor(weight, "sample_weight", error) != LOSS_OK)
        return error->status;
    const bool for_rows =
        weight->rank == 1 && plan->terms.rank > 1 && weight->shape[0] == plan->terms.shape[0];
    if (!for_rows && !loss_same_shape(weight, &plan->terms))
        return fail_field(
            error, "sample_weight",
            "sample_weight has shape %.64s; it must match the loss terms, %.64s%s",
            loss_shape_text(weight, shape), loss_shape_text(&plan->terms, wanted),
            plan->terms.rank > 1 ? ", or one weight for each index of their first dimension" : "");
    plan->has_sample_weight = true;
    plan->sample_weight = *weight;
    if (weight->dtype == LOSS_ANY)
        plan->sample_weight.dtype = plan->dtype;
    return LOSS_OK;
}

/* Sets the divisor, if the request or shapes determine it. */
static enum loss_status choose_divisor(struct loss_plan *plan, const struct loss_request *request,
                                       struct loss_error *error)
{
    char text[NUMBER_TEXT];
    if (request->has_divisor && plan->reduction != LOSS_MEAN && plan->reduction != LOSS_BATCHMEAN)
        return fail_field(error, "divisor",
                          "divisor is given, but reduction '%s' does not divide; 'mean' and "
                          "'batchmean' do",
                          loss_reduction_name(plan->reduction));
    if (request->has_divisor && !isfinite(request->divisor))
        return fail_field(error, "divisor", "divisor is %s; it must be finite",
                          number_text(request->divisor, text));
    plan->has_divisor = request->has_divisor;
    plan->divisor = 1;
    if (plan->reduction == LOSS_MEAN)
        plan->divisor = (double)loss_tensor_elements(&plan->terms);
    if (plan->reduction == LOSS_BATCHMEAN &&
        plan->tensor[0].rank > 0) /* a single number is a batch of one */
        plan->divisor = (double)plan->tensor[0].shape[0];
    if (plan->has_divisor)
        plan->divisor = request->divisor;
    return LOSS_OK;
}

/* Sets the number of elements to process: the method's count if it has one, else that of the terms
   or of the longest tensor, whichever is larger. */
static void count_elements(struct loss_plan *plan)
{
    plan->elements = loss_tensor_elements(&plan->terms);
    for (int k = 0; k < LOSS_MAX_TENSORS; k++)
        if (plan->present[k] && loss_tensor_elements(&plan->tensor[k]) > plan->elements)
            plan->elements = loss_tensor_elements(&plan->tensor[k]);
    if (plan->loss->method->elements)
        plan->elements = plan->loss->method->elements(plan);
}

enum loss_status loss_plan(struct loss_plan *plan, const struct loss_request *request,
                           struct loss_error *error)
{
    *plan = (struct loss_plan){.loss = request->loss};
    if (!request->loss)
        return loss_fail(error, LOSS_NOT_FOUND, "the request does not name a loss");
    size_t terms;
    if (check_tensors(plan, request, error) != LOSS_OK ||
        check_params(plan, request, error) != LOSS_OK ||
        check_reduction(plan, request->reduction, error) != LOSS_OK ||
        choose_dtype(plan, request->dtype, error) != LOSS_OK ||
        plan->loss->method->shape(plan, error) != LOSS_OK || resolve_dtypes(plan, error) != LOSS_OK)
        return error->status;
    if (!loss_tensor_count(&plan->terms, &terms))
        return loss_fail(error, LOSS_INVALID, "the broadcast loss has too many terms to address");
    if (choose_divisor(plan, request, error) != LOSS_OK)
        return error->status;
    count_elements(plan);
    plan->output = (struct loss_tensor){.dtype = LOSS_FLOAT64};
    if (plan->reduction == LOSS_NONE) {
        plan->output = plan->terms;
        plan->output.dtype = plan->dtype;
    }
    if (check_sample_weight(plan, request->sample_weight, error) != LOSS_OK ||
        check_grad(plan, request->grad, error) != LOSS_OK ||
        check_hess(plan, request->hess, error) != LOSS_OK ||
        check_grad_output(plan, request->grad_output, error) != LOSS_OK)
        return error->status;
    plan->has_partial = request->partial;
    if (plan->has_partial && loss_check_split(plan, error) != LOSS_OK)
        return error->status;
    plan->work = loss_kernels()->work(plan);
    return LOSS_OK;
}
