#include "cli/man.h"
#include "cli/loss_options.h"
#include "formats/roff.h"

#include <string.h>

static void put_command(FILE *out, const struct command *command)
{
    fprintf(out, ".SS \"lossctl %s%s%s [\\-\\-option value] ...\"\n", command->name,
            *command->arguments ? " " : "", command->arguments);
    roff_text(out, command->doc);
    if (command->loss_options)
        roff_text(out, "Options, besides those of the losses:");
    for (int i = 0; i < OPT_COUNT; i++) {
        const struct option_spec *const spec = &option_specs[i];
        char doc[600];
        if (!command_takes(command, (enum option_id)i) || i == OPT_HELP)
            continue;
        snprintf(doc, sizeof doc, "%s%s%s", spec->doc, spec->env ? "; environment: " : "",
                 spec->env ? spec->env : "");
        roff_option(out, spec->name, spec->value, doc);
    }
}

/* Lists the options of each loss on one line. */
static void put_losses(FILE *out)
{
    for (size_t i = 0; i < loss_count(); i++) {
        struct loss_option option;
        char text[1024] = "";
        for (int place = 0; loss_option_at(loss_at(i), place, &option); place++) {
            const size_t len = strlen(text);
            if (option.kind == LOSS_OPTION_TENSOR || option.kind == LOSS_OPTION_VALUE)
                snprintf(text + len, sizeof text - len, "%s--%s", len ? ", " : "", option.option);
        }
        fprintf(out, ".TP\n.B %s\n", loss_at(i)->name);
        roff_text(out, text);
    }
}

static void put_examples(FILE *out)
{
    fprintf(out, ".nf\n");
    for (int i = 0; i < command_count; i++)
        for (const char *line = commands[i].examples; line && *line;) {
            char one[256];
            const size_t len = strcspn(line, "\n");
            snprintf(one, sizeof one, "%.*s", (int)len, line);
            roff_line(out, one);
            line += len + (line[len] == '\n');
        }
    fprintf(out, ".fi\n");
}

void man_print(FILE *out)
{
    roff_head(out, "LOSSCTL", 1, "lossctl " LOSS_VERSION,
              "evaluate loss functions, with or without a lossd server");
    fprintf(out, ".SH SYNOPSIS\n.B lossctl\n.I command\n[\\fIarguments\\fR] [\\fB\\-\\-option\\fR "
                 "\\fIvalue\\fR] ...\n"
                 ".SH DESCRIPTION\n");
    roff_text(out, "Evaluates, compares and describes loss functions and their gradients over "
                   "tensors in files, checks a server, and measures it under load. The value of an "
                   "option is the next argument, or follows an equals sign. Operations that take "
                   "more than a second print their progress to standard error.");
    fprintf(out, ".SH COMMANDS\n");
    for (int i = 0; i < command_count; i++)
        put_command(out, &commands[i]);
    fprintf(out, ".SH \"OPTIONS OF LOSSES\"\n");
    roff_text(out, "`lossctl eval LOSS --help` describes them. eval also accepts --grad-NAME and "
                   "--hess-NAME for each tensor that has such derivatives.");
    put_losses(out);
    fprintf(out, ".SH ENVIRONMENT\n");
    for (int i = 0; i < OPT_COUNT; i++)
        if (option_specs[i].env) {
            char text[128];
            snprintf(text, sizeof text, "default of --%s", option_specs[i].name);
            fprintf(out, ".TP\n.B %s\n", option_specs[i].env);
            roff_text(out, text);
        }
    fprintf(out, ".TP\n.B LOSSD_TOKEN\n");
    roff_text(out, "the bearer token, if --token-file is not given");
    fprintf(out, ".SH \"EXIT STATUS\"\n");
    for (int code = 0; code < EXIT_COUNT; code++) {
        fprintf(out, ".TP\n.B %d\n", code);
        roff_text(out, exit_meanings[code]);
    }
    fprintf(out, ".SH EXAMPLES\n");
    put_examples(out);
    fprintf(out, ".SH \"SEE ALSO\"\n.BR lossd (8)\n");
}
