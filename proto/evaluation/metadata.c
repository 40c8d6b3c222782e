#include "evaluation/metadata.h"
#include "evaluation/partial.h"

/* Appends ,"NAME":"TEXT", and frees the text. */
static void append_member(struct buffer *json, const char *name, struct buffer *text)
{
    buffer_append(text, "", 1);
    buffer_printf(json, ",\"%s\":", name);
    if (!text->failed)
        json_append_string(json, text->data);
    json->failed |= text->failed;
    buffer_free(text);
}

void metadata_append_warnings(struct buffer *json, const struct loss_plan *plan)
{
    struct buffer lines = {0};
    if (!plan->warning[0])
        return;
    for (int i = 0; i < LOSS_MAX_WARNINGS && plan->warning[i]; i++)
        buffer_printf(&lines, i ? "\n%s" : "%s", plan->warning[i]);
    append_member(json, "warnings", &lines);
}

void metadata_append_partial(struct buffer *json, const struct evaluation *e,
                             const struct loss_result *result)
{
    struct buffer text = {0};
    if (!e->plan.has_partial)
        return;
    if (result == &e->result)
        partial_append_evaluation(e, &text);
    else
        partial_append_longest(e, &text);
    append_member(json, "partial", &text);
}
