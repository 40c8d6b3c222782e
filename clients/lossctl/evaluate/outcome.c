#include "evaluate/outcome.h"
#include "json/tensor_json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    MAX_PRINTED = 16,  /* elements of a loss */
    MAX_INTERVALS = 8, /* of rows */
};

void outcome_free(struct outcome *outcome)
{
    archive_close(&outcome->archive);
    http_response_free(&outcome->response);
}

void outcome_set_partial(struct outcome *outcome, const struct partial *partial)
{
    const struct loss_result result = loss_partial_result(&partial->sums, partial->reduction);
    char *const warnings = outcome->warnings;
    *outcome =
        (struct outcome){.loss = result.loss, .count = result.count, .nonfinite = result.nonfinite};
    outcome->terms = (struct loss_tensor){.data = &outcome->loss, .dtype = LOSS_FLOAT64};
    for (size_t i = 0; loss_warning_at(i); i++)
        if (partial->warnings >> i & 1) {
            const size_t len = strlen(warnings);
            snprintf(warnings + len, sizeof outcome->warnings - len, "%s%s", len ? "\n" : "",
                     loss_warning_at(i));
        }
}

/* Copies the warning at *line ("" if there is none) and advances *line past it. */
static const char *next_warning(const char **line, char *text, size_t size)
{
    const size_t len = strcspn(*line, "\n");
    snprintf(text, size, "%.*s", (int)len, *line);
    *line += len + ((*line)[len] == '\n');
    return text;
}

void outcome_put_json(const struct outcome *outcome, const struct loss_plan *plan,
                      struct buffer *out)
{
    char warning[sizeof outcome->warnings];
    buffer_text(out, "\"loss\":");
    tensor_json_encode(out, &outcome->terms, FORM_NESTED, 1);
    buffer_printf(out, ",\"reduction\":\"%s\",\"dtype\":\"%s\",\"count\":%zu",
                  loss_reduction_name(plan->reduction), loss_dtype_name(plan->dtype),
                  outcome->count);
    if (outcome->nonfinite > 0)
        buffer_printf(out, ",\"nonfinite\":%zu", outcome->nonfinite);
    buffer_text(out, *outcome->warnings ? ",\"warnings\":[" : "");
    for (const char *line = outcome->warnings; *line; buffer_text(out, *line ? "," : "]"))
        json_append_string(out, next_warning(&line, warning, sizeof warning));
}

/* Appends the loss: a number, or the terms if there are few, or else their shape. */
static void put_loss(const struct outcome *outcome, struct buffer *out)
{
    char shape[LOSS_SHAPE_TEXT];
    if (outcome->terms.rank == 0 || loss_tensor_elements(&outcome->terms) <= MAX_PRINTED)
        tensor_json_encode(out, &outcome->terms, FORM_NESTED, 1);
    else
        buffer_printf(out, "%s; --terms FILE writes them", loss_shape_text(&outcome->terms, shape));
}

void outcome_put_text(const struct outcome *outcome, enum loss_reduction reduction,
                      enum loss_dtype dtype, struct buffer *out)
{
    buffer_text(out, "loss       ");
    put_loss(outcome, out);
    buffer_printf(out, "\nreduction  %s\ndtype      %s\ncount      %zu\n",
                  loss_reduction_name(reduction), loss_dtype_name(dtype), outcome->count);
}

void outcome_put_rows(const struct partial *partial, struct buffer *out)
{
    const size_t count = row_set_intervals(&partial->rows);
    buffer_text(out, count > 0 ? "rows       " : "");
    for (size_t i = 0; i < count && i < MAX_INTERVALS; i++) {
        const struct partial_rows rows = row_set_interval(&partial->rows, i);
        buffer_printf(out, "%s%" PRIu64 " to %" PRIu64, i ? ", " : "", rows.first, rows.end - 1);
    }
    if (count > MAX_INTERVALS)
        buffer_printf(out, ", and %zu more interval%s", count - MAX_INTERVALS,
                      count - MAX_INTERVALS > 1 ? "s" : "");
    buffer_text(out, count > 0 ? "\n" : "");
}

void outcome_put_warnings(const struct outcome *outcome, const char *prefix, struct buffer *out)
{
    char warning[sizeof outcome->warnings];
    if (outcome->nonfinite > 0)
        buffer_printf(out, "%s%zu of the terms %s NaN or infinite\n", prefix, outcome->nonfinite,
                      outcome->nonfinite == 1 ? "is" : "are");
    for (const char *line = outcome->warnings; *line;)
        buffer_printf(out, "%s%s\n", prefix, next_warning(&line, warning, sizeof warning));
}
