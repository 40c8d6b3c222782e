#include "cli/loss_options.h"
#include "evaluation/request_fields.h"

#include <stdio.h>
#include <string.h>

/* Fields of every loss, which the descriptors do not contain. */
static const struct {
    const char *name, *value, *doc;
} common[] = {
    {"reduction", "NAME", "how the terms are reduced to the loss"},
    {"dtype", "float32|float64",
     "dtype of the computation; default float64 if a prediction is float64, otherwise float32"},
};
enum { COMMON = sizeof common / sizeof common[0] };

/* Sets the name of the option to `prefix` and an API name, with hyphens instead of underscores. */
static void set_option(struct loss_option *option, const char *prefix, const char *name)
{
    snprintf(option->option, sizeof option->option, "%s%s", prefix, name);
    for (char *at = option->option; *at; at++)
        if (*at == '_')
            *at = '-';
}

static void set_tensor(struct loss_option *option, const struct loss_descriptor *loss, int k)
{
    *option = (struct loss_option){
        .kind = LOSS_OPTION_TENSOR, .name = evaluation_tensor_name(loss, k), .tensor = k};
    set_option(option, "", option->name);
    snprintf(option->value, sizeof option->value, "FILE");
    if (k == EVALUATION_SAMPLE_WEIGHT)
        snprintf(option->doc, sizeof option->doc,
                 "a weight per term, or per index of the terms' first dimension (optional)");
    else if (k == EVALUATION_GRAD_OUTPUT)
        snprintf(option->doc, sizeof option->doc,
                 "upstream gradient: a number, or a tensor of the shape of the loss (optional)");
    else
        snprintf(option->doc, sizeof option->doc, "%s; %s%s", loss->tensors[k].doc,
                 loss->tensors[k].shape, loss->tensors[k].optional ? " (optional)" : "");
}

/* Appends the range of a parameter: "; at least 0", "; above 0, at most 1". */
static void append_range(char *text, size_t size, const struct loss_param_spec *spec)
{
    const size_t len = strlen(text);
    if (spec->has_min)
        snprintf(text + len, size - len, "; %s %.15g", spec->exclusive_min ? "above" : "at least",
                 spec->min);
    const size_t more = strlen(text);
    if (spec->has_max)
        snprintf(text + more, size - more, "%s %s %.15g", spec->has_min ? "," : ";",
                 spec->exclusive_max ? "below" : "at most", spec->max);
}

static void set_param(struct loss_option *option, const struct loss_param_spec *spec)
{
    *option = (struct loss_option){.kind = LOSS_OPTION_VALUE,
                                   .name = spec->name,
                                   .tensor = -1,
                                   .boolean = spec->type == LOSS_BOOLEAN};
    set_option(option, "", spec->name);
    static const char *const values[] = {[LOSS_NUMBER] = "NUMBER",
                                         [LOSS_INTEGER] = "INTEGER",
                                         [LOSS_BOOLEAN] = "true|false",
                                         [LOSS_CHOICE] = "NAME"};
    snprintf(option->value, sizeof option->value, "%s", values[spec->type]);
    char *const doc = option->doc;
    snprintf(doc, sizeof option->doc, "%s", spec->doc);
    append_range(doc, sizeof option->doc, spec);
    if (spec->infinite)
        snprintf(doc + strlen(doc), sizeof option->doc - strlen(doc), ", or Infinity");
    if (spec->nullable)
        snprintf(doc + strlen(doc), sizeof option->doc - strlen(doc), ", or null");
    for (int i = 0; spec->type == LOSS_CHOICE && spec->choices[i]; i++)
        snprintf(doc + strlen(doc), sizeof option->doc - strlen(doc), "%s%s", i == 0 ? ": " : ", ",
                 spec->choices[i]);
    const size_t len = strlen(doc);
    if (spec->type == LOSS_CHOICE)
        snprintf(doc + len, sizeof option->doc - len, "; default %s",
                 spec->choices[spec->default_value.integer]);
    else if (spec->type == LOSS_BOOLEAN)
        snprintf(doc + len, sizeof option->doc - len, "; default %s",
                 spec->default_value.integer ? "true" : "false");
    else if (spec->type == LOSS_INTEGER)
        snprintf(doc + len, sizeof option->doc - len, "; default %lld",
                 (long long)spec->default_value.integer);
    else
        snprintf(doc + len, sizeof option->doc - len, "; default %.15g",
                 spec->default_value.number);
}

static void set_common(struct loss_option *option, const struct loss_descriptor *loss, int i)
{
    *option = (struct loss_option){.kind = LOSS_OPTION_VALUE, .name = common[i].name, .tensor = -1};
    set_option(option, "", common[i].name);
    snprintf(option->value, sizeof option->value, "%s", common[i].value);
    snprintf(option->doc, sizeof option->doc, "%s", common[i].doc);
    for (int r = 0, n = 0; i == 0 && r < LOSS_REDUCTION_COUNT; r++)
        if (loss->reductions >> r & 1)
            snprintf(option->doc + strlen(option->doc), sizeof option->doc - strlen(option->doc),
                     "%s%s", n++ ? ", " : ": ", loss_reduction_name((enum loss_reduction)r));
}

static void set_derivative(struct loss_option *option, const struct loss_descriptor *loss, int k,
                           bool hess)
{
    *option = (struct loss_option){.kind = hess ? LOSS_OPTION_HESS : LOSS_OPTION_GRAD,
                                   .name = loss->tensors[k].name,
                                   .tensor = k};
    set_option(option, hess ? "hess-" : "grad-", loss->tensors[k].name);
    snprintf(option->value, sizeof option->value, "FILE");
    snprintf(option->doc, sizeof option->doc,
             hess ? "write the diagonal of the Hessian of %s to FILE"
                  : "write the gradient of %s to FILE",
             loss->tensors[k].name);
}

bool loss_option_at(const struct loss_descriptor *loss, int index, struct loss_option *option)
{
    const int tensors = loss_tensor_specs(loss), params = loss_param_specs(loss);
    if (index < tensors)
        set_tensor(option, loss, index);
    else if ((index -= tensors) < params)
        set_param(option, &loss->params[index]);
    else if ((index -= params) < COMMON)
        set_common(option, loss, index);
    else if ((index -= COMMON) < EVALUATION_TENSORS - LOSS_MAX_TENSORS)
        set_tensor(option, loss, LOSS_MAX_TENSORS + index);
    else {
        index -= EVALUATION_TENSORS - LOSS_MAX_TENSORS;
        for (int k = 0; k < tensors; k++)
            if (loss->tensors[k].differentiable && index-- == 0) {
                set_derivative(option, loss, k, false);
                return true;
            }
        for (int k = 0; k < tensors; k++)
            if (loss->hessian && loss->tensors[k].prediction && index-- == 0) {
                set_derivative(option, loss, k, true);
                return true;
            }
        return false;
    }
    return true;
}

bool loss_option_applies(const struct command *command, const struct loss_option *option)
{
    const bool derivative = option->kind == LOSS_OPTION_GRAD || option->kind == LOSS_OPTION_HESS;
    return command->loss_options && (!derivative || command_takes(command, OPT_GRAD));
}
