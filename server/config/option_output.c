/*
 * What lossd prints about its options: --help, --man, --version, --print-config, GET /v1/limits.
 */
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

#include "config/option_table.h"
#include "config/option_values.h"
#include "formats/roff.h"
#include "formats/version.h"
#include "loss.h"

enum { HELP_COLUMN = 32 }; /* width of the first column of --help */

/* ---- Help ---- */

/* Describes a default value that depends on the machine. */
static const char *computed_default(const struct option *option)
{
    return option->type == OPTION_BYTES ? "half of the available memory" : "the available CPUs";
}

static void print_default(FILE *out, const struct option *option)
{
    char text[OPTION_DEFAULT];
    option_default(option, text);
    if (option->default_of)
        fprintf(out, "the value of --%s\n", option->default_of);
    else if (!option->fallback)
        fprintf(out, "%s (%s)\n", text, computed_default(option));
    else
        fprintf(out, "%s\n", *text ? text : "none");
}

static void print_flag(FILE *out, const char *name, const char *value, const char *doc)
{
    char flag[64];
    const int len = snprintf(flag, sizeof flag, "--%s%s%s", name, *value ? " " : "", value);
    if (len > HELP_COLUMN)
        fprintf(out, "  %s\n  %-*s %s\n", flag, HELP_COLUMN, "", doc);
    else
        fprintf(out, "  %-*s %s\n", HELP_COLUMN, flag, doc);
}

static void print_deprecated(FILE *out)
{
    fprintf(out, "\nDeprecated names, to be removed in the next release:\n");
    for (size_t i = 0; i < option_rename_count; i++)
        fprintf(out, "  --%-*s use --%s\n", HELP_COLUMN - 2, option_renames[i].old_name,
                option_renames[i].name);
}

void options_help(FILE *out)
{
    char range[OPTION_RANGE], env[OPTION_ENV];
    fprintf(out, "lossd " LOSS_VERSION ": loss functions and their gradients over HTTP and JSON\n\n"
                 "usage: lossd [--option value]...\n\n");
    for (size_t i = 0; i < option_count; i++) {
        const struct option *const option = &option_table[i];
        print_flag(out, option->name, option->value, option->doc);
        if (option->type != OPTION_TEXT)
            fprintf(out, "  %-*s %s\n", HELP_COLUMN, "", option_range(option, range));
        fprintf(out, "  %-*s %s; default: ", HELP_COLUMN, "", option_env(option->name, env));
        print_default(out, option);
    }
    for (size_t i = 0; i < option_command_count; i++)
        print_flag(out, option_commands[i].name, option_commands[i].value, option_commands[i].doc);
    print_deprecated(out);
    fprintf(out, "\nEach option can also be set by its environment variable, or by a line "
                 "`name = value` in the file named\n"
                 "by --config or LOSSD_CONFIG. Flags override the environment, which overrides "
                 "the file.\n");
}

/* ---- Manual page ---- */

static void man_option(FILE *out, const struct option *option)
{
    char range[OPTION_RANGE], fallback[OPTION_DEFAULT], env[OPTION_ENV], text[900];
    const bool bounded = option->type != OPTION_TEXT;
    /* The page does not depend on the machine that prints it. */
    const char *value = computed_default(option);
    if (option->default_of)
        value = option->default_of;
    else if (option->fallback)
        value = *option_default(option, fallback) ? fallback : "none";
    snprintf(text, sizeof text, "%s.%s%s%s Default: %s%s. Environment: %s.", option->doc,
             bounded ? " Value: " : "", bounded ? option_range(option, range) : "",
             bounded ? "." : "", option->default_of ? "the value of --" : "", value,
             option_env(option->name, env));
    roff_option(out, option->name, option->value, text);
}

static void man_deprecated(FILE *out)
{
    fprintf(out, ".SH \"DEPRECATED OPTIONS\"\n");
    roff_text(out, "These names are to be removed in the next release.");
    for (size_t i = 0; i < option_rename_count; i++) {
        char text[80];
        snprintf(text, sizeof text, "Use --%s.", option_renames[i].name);
        roff_option(out, option_renames[i].old_name, "", text);
    }
}

void options_man(FILE *out)
{
    roff_head(out, "LOSSD", 8, "lossd " LOSS_VERSION,
              "loss functions and their gradients over HTTP");
    fprintf(out,
            ".SH SYNOPSIS\n.B lossd\n[\\fB\\-\\-option\\fR \\fIvalue\\fR] ...\n.SH DESCRIPTION\n");
    roff_text(out, "A server that evaluates loss functions and their gradients over large batches, "
                   "with PyTorch's definitions, for JSON and binary tensors. GET /v1/losses lists "
                   "the losses. lossctl(1) is a client for the shell.\n"
                   "On SIGTERM or SIGINT, lossd shuts down gracefully; on a second one, it exits "
                   "immediately. On SIGHUP, it reads the token file and certificates again.");
    fprintf(out, ".SH OPTIONS\n");
    roff_text(out, "Each option can also be set by its environment variable, or by a line "
                   "`name = value` in the file named by --config or LOSSD_CONFIG. Flags override "
                   "the environment, which overrides the file.");
    for (size_t i = 0; i < option_count; i++)
        man_option(out, &option_table[i]);
    for (size_t i = 0; i < option_command_count; i++)
        roff_option(out, option_commands[i].name, option_commands[i].value, option_commands[i].doc);
    man_deprecated(out);
    fprintf(out, ".SH \"EXIT STATUS\"\n");
    roff_text(out, "0 on success, including a graceful shutdown; 1 if lossd failed or could not "
                   "start, after a second SIGTERM or SIGINT, and because of --watchdog-exit; 2 if "
                   "an option is invalid.");
    fprintf(out, ".SH \"SEE ALSO\"\n.BR lossctl (1)\n");
}

/* ---- Version and values in effect ---- */

void options_version(FILE *out)
{
    char libraries[64];
    snprintf(libraries, sizeof libraries, "libmicrohttpd %s", MHD_get_version());
    version_print(out, "lossd", libraries);
}

void options_print(FILE *out, const struct options *options)
{
    for (size_t i = 0; i < option_count; i++) {
        fprintf(out, "%s = ", option_table[i].name);
        option_print_value(out, &option_table[i], options);
        fprintf(out, "    # %s\n", options->origin[i]);
    }
}

static bool is_limit(const struct option *option)
{
    const size_t first = offsetof(struct options, limits);
    return option->offset >= first && option->offset < first + sizeof(struct limits);
}

static void write_member(FILE *file, const struct option *option)
{
    const char *name = option->limits_member ? option->limits_member : option->name;
    fputc('"', file);
    for (; *name; name++)
        fputc(*name == '-' ? '_' : *name, file);
    fputs("\":", file);
}

bool options_write_limits(const struct limits *limits, struct buffer *out)
{
    struct options options = {.limits = *limits};
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    if (!file)
        return false;
    const char *separator = "{";
    for (size_t i = 0; i < option_count; i++) {
        if (!is_limit(&option_table[i]))
            continue;
        fputs(separator, file);
        write_member(file, &option_table[i]);
        option_print_value(file, &option_table[i], &options);
        separator = ",";
    }
    fputs("}\n", file);
    const bool written = !ferror(file), closed = fclose(file) == 0;
    if (written && closed)
        buffer_append(out, text, size);
    free(text);
    return written && closed && !out->failed;
}
