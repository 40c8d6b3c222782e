/* Writes partial results. */
#include "evaluation/partial_text.h"

#include <inttypes.h>
#include <string.h>

void partial_free(struct partial *partial)
{
    buffer_free(&partial->rows);
}

const char *partial_tensor_name(const struct partial *partial, int k)
{
    return k == PARTIAL_SAMPLE_WEIGHT ? "sample_weight" : partial->loss->tensors[k].name;
}

/* ---- Members ---- */

static void append_parameters(const struct partial *partial, struct buffer *out)
{
    buffer_text(out, ",\"parameters\":{");
    for (int k = 0; k < loss_param_specs(partial->loss); k++) {
        const struct loss_param_spec *const spec = &partial->loss->params[k];
        buffer_printf(out, "%s\"%s\":", k ? "," : "", spec->name);
        partial_append_value(spec, partial->param[k], out);
    }
    buffer_text(out, "}");
}

void partial_append_tensor(const struct partial_tensor *tensor, struct buffer *out)
{
    buffer_printf(out, "[\"%s\"", loss_dtype_name(tensor->dtype));
    for (int axis = 0; axis < tensor->rank; axis++)
        buffer_printf(out, ",%zu", tensor->dim[axis]);
    buffer_text(out, "]");
}

static void append_tensors(const struct partial *partial, struct buffer *out)
{
    const char *separator = "";
    buffer_text(out, ",\"tensors\":{");
    for (int k = 0; k < PARTIAL_TENSORS; k++) {
        if (!partial->tensor[k].present)
            continue;
        buffer_printf(out, "%s\"%s\":", separator, partial_tensor_name(partial, k));
        partial_append_tensor(&partial->tensor[k], out);
        separator = ",";
    }
    buffer_text(out, "},\"whole\":{");
    separator = "";
    for (int k = 0; k < PARTIAL_TENSORS; k++) {
        if (!partial->tensor[k].present || partial->tensor[k].hash[0] == '\0')
            continue;
        buffer_printf(out, "%s\"%s\":\"%s\"", separator, partial_tensor_name(partial, k),
                      partial->tensor[k].hash);
        separator = ",";
    }
    buffer_text(out, "}");
}

/* Appends a member such as ,"sum":"-0x1fp-3". */
static void append_integer(const char *name, const struct loss_integer *integer, struct buffer *out)
{
    buffer_printf(out, ",\"%s\":\"%s0x", name, integer->negative ? "-" : "");
    if (integer->limbs == 0)
        buffer_text(out, "0");
    for (size_t k = integer->limbs; k-- > 0;)
        buffer_printf(out, k + 1 == integer->limbs ? "%" PRIx32 : "%08" PRIx32, integer->limb[k]);
    buffer_printf(out, "p%+d\"", integer->exponent);
}

static void append_rows(const struct partial *partial, struct buffer *out)
{
    buffer_text(out, ",\"rows\":[");
    for (size_t i = 0; i < row_set_intervals(&partial->rows); i++) {
        const struct partial_rows rows = row_set_interval(&partial->rows, i);
        buffer_printf(out, "%s[%" PRIu64 ",%" PRIu64 "]", i ? "," : "", rows.first, rows.end);
    }
    buffer_text(out, "]");
    out->failed |= partial->rows.failed;
}

void partial_append_warnings(uint32_t warnings, struct buffer *out)
{
    const char *separator = "";
    buffer_text(out, ",\"warnings\":[");
    for (size_t i = 0; loss_warning_at(i); i++) {
        if (!(warnings >> i & 1))
            continue;
        buffer_text(out, separator);
        json_append_string(out, loss_warning_at(i));
        separator = ",";
    }
    buffer_text(out, "]");
}

void partial_append(const struct partial *partial, struct buffer *out)
{
    const struct loss_partial *const sums = &partial->sums;
    buffer_printf(out,
                  "{\"format\":\"" PARTIAL_FORMAT
                  "\",\"loss\":\"%s\",\"reduction\":\"%s\",\"dtype\":\"%s\"",
                  partial->loss->name, loss_reduction_name(partial->reduction),
                  loss_dtype_name(partial->dtype));
    append_parameters(partial, out);
    append_tensors(partial, out);
    buffer_printf(out, ",\"weighed\":%s", sums->weighed ? "true" : "false");
    append_integer("sum", &sums->sum, out);
    append_integer("weight", &sums->weight, out);
    buffer_printf(out,
                  ",\"terms\":%" PRIu64 ",\"samples\":%" PRIu64 ",\"count\":%" PRIu64
                  ",\"nan\":%" PRIu64 ",\"inf\":%" PRIu64 ",\"neginf\":%" PRIu64,
                  sums->terms, sums->samples, sums->count, sums->nan, sums->inf, sums->neg_inf);
    append_rows(partial, out);
    partial_append_warnings(partial->warnings, out);
    buffer_text(out, "}");
}

/* ---- Values ---- */

void partial_append_value(const struct loss_param_spec *spec, struct loss_value value,
                          struct buffer *out)
{
    if (spec->nullable && loss_value_is_null(value))
        buffer_text(out, "null");
    else if (spec->type == LOSS_CHOICE)
        buffer_printf(out, "\"%s\"", spec->choices[value.integer]);
    else if (spec->type == LOSS_BOOLEAN)
        buffer_text(out, value.integer ? "true" : "false");
    else if (spec->type == LOSS_INTEGER)
        buffer_printf(out, "%" PRId64, value.integer);
    else
        json_append_number(out, value.number);
}

/* ---- Evaluations ---- */

/* Describes an operand whose samples are along `axis`, or LOSS_SHARED or LOSS_OWN. */
static void describe(const struct loss_tensor *operand, int axis, const char *hash,
                     struct partial_tensor *tensor)
{
    *tensor = (struct partial_tensor){.present = true, .dtype = operand->dtype};
    if (axis == LOSS_OWN)
        return;
    for (int i = axis + 1; i < operand->rank; i++) /* LOSS_SHARED + 1 is the first axis */
        tensor->dim[tensor->rank++] = operand->shape[i];
    if (axis == LOSS_SHARED)
        memcpy(tensor->hash, hash, sizeof tensor->hash);
}

static uint32_t warnings_of(const struct loss_plan *plan)
{
    uint32_t warnings = 0;
    for (size_t i = 0; loss_warning_at(i); i++)
        for (int k = 0; k < LOSS_MAX_WARNINGS && plan->warning[k]; k++)
            if (plan->warning[k] == loss_warning_at(i))
                warnings |= UINT32_C(1) << i;
    return warnings;
}

void partial_begin(struct partial *partial, const struct loss_plan *plan,
                   const char hash[LOSS_MAX_TENSORS][SHA256_TEXT])
{
    *partial = (struct partial){.loss = plan->loss,
                                .reduction = plan->reduction,
                                .dtype = plan->dtype,
                                .sums.weighed = plan->reduction == LOSS_MEAN &&
                                                (plan->has_term_weights || plan->has_sample_weight),
                                .warnings = warnings_of(plan)};
    memcpy(partial->param, plan->param, sizeof partial->param);
    for (int k = 0; k < LOSS_MAX_TENSORS; k++)
        if (plan->present[k])
            describe(&plan->tensor[k], plan->sample_axis[k], hash[k], &partial->tensor[k]);
    if (plan->has_sample_weight)
        describe(&plan->sample_weight, 0, NULL, &partial->tensor[PARTIAL_SAMPLE_WEIGHT]);
}

static void append(const struct evaluation *e, const struct loss_partial *sums, struct buffer *out)
{
    const struct loss_plan *const plan = &e->plan;
    struct partial partial;
    partial_begin(&partial, plan, e->hash);
    partial.sums = *sums;
    if (e->has_offset)
        row_set_append(&partial.rows,
                       (struct partial_rows){e->offset, e->offset + plan->terms.shape[0]});
    partial_append(&partial, out);
    partial_free(&partial);
}

void partial_append_evaluation(const struct evaluation *e, struct buffer *out)
{
    append(e, &e->sums, out);
}

void partial_append_longest(const struct evaluation *e, struct buffer *out)
{
    enum { EXPONENT = -1000 };
    struct loss_integer longest = {.negative = true, .exponent = EXPONENT, .limbs = LOSS_LIMBS};
    memset(longest.limb, 0xff, sizeof longest.limb);
    const struct loss_partial sums = {.sum = longest,
                                      .weight = longest,
                                      .terms = LOSS_COUNT_LIMIT,
                                      .samples = LOSS_COUNT_LIMIT,
                                      .count = LOSS_COUNT_LIMIT,
                                      .nan = LOSS_COUNT_LIMIT,
                                      .inf = LOSS_COUNT_LIMIT,
                                      .neg_inf = LOSS_COUNT_LIMIT};
    append(e, &sums, out);
}
