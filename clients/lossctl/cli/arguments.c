#include "cli/arguments.h"
#include "evaluation/loss_lookup.h"
#include "number/number.h"
#include "json/scanner.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct parser {
    struct arguments *out;
    char *const *argv;
    int argc, at; /* `at`: index of the argument that is being parsed */
};

/* ---- Names ---- */

const struct loss_descriptor *arguments_find_loss(const char *name)
{
    struct loss_error error;
    const struct loss_descriptor *const loss =
        loss_lookup(name, "`lossctl list` lists all losses", &error);
    if (!loss)
        fail(EXIT_USAGE, "%s", error.message);
    return loss;
}

const struct loss_descriptor *arguments_find_loss_spec(const char *spec)
{
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(spec, ":"), spec);
    return arguments_find_loss(name);
}

static const struct command *find_command(const char *name)
{
    char quote[JSON_QUOTE], suggestion[LOSS_SUGGESTION_TEXT];
    struct loss_nearest search = {.name = name};
    for (int i = 0; i < command_count; i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
        loss_nearest_try(&search, commands[i].name);
    }
    fail(EXIT_USAGE, "no such command '%s'%s", json_quote(name, quote),
         loss_nearest_text(&search, "'", "'", "`lossctl --help` lists all commands", suggestion));
    return NULL;
}

/* Returns true if a flag of `len` bytes names an option. An underscore in the flag matches a hyphen
   in the option. */
static bool is_option(const char *option, const char *flag, size_t len)
{
    if (strlen(option) != len)
        return false;
    for (size_t i = 0; i < len; i++)
        if (option[i] != flag[i] && !(option[i] == '-' && flag[i] == '_'))
            return false;
    return true;
}

static int find_option(const struct command *command, const char *flag, size_t len)
{
    for (int i = 0; i < OPT_COUNT; i++)
        if (command_takes(command, (enum option_id)i) && is_option(option_specs[i].name, flag, len))
            return i;
    return -1;
}

/* Finds an option of a named loss. The first loss that has the option determines its type. */
static bool find_loss_option(const struct arguments *a, const char *flag, size_t len,
                             struct loss_option *option)
{
    for (int i = 0; a->command->loss_options && i < a->count; i++)
        for (int place = 0; loss_option_at(a->loss[i], place, option); place++)
            if (loss_option_applies(a->command, option) && is_option(option->option, flag, len))
                return true;
    return false;
}

static enum exit_code unknown_option(const struct arguments *a, const char *flag, size_t len)
{
    char name[64], best[64], quote[JSON_QUOTE], suggestion[LOSS_SUGGESTION_TEXT];
    struct loss_option option;
    snprintf(name, sizeof name, "%.*s", (int)(len < sizeof name ? len : sizeof name - 1), flag);
    struct loss_nearest search = {.name = name};
    for (int i = 0; i < OPT_COUNT; i++)
        if (command_takes(a->command, (enum option_id)i))
            loss_nearest_try(&search, option_specs[i].name);
    for (int i = 0; a->command->loss_options && i < a->count; i++)
        for (int place = 0; loss_option_at(a->loss[i], place, &option); place++) {
            if (!loss_option_applies(a->command, &option))
                continue;
            loss_nearest_try(&search, option.option);
            if (search.best == option.option) { /* overwritten by the next one */
                snprintf(best, sizeof best, "%s", option.option);
                search.best = best;
            }
        }
    if (!search.best && a->command->loss_options && a->count == 0)
        return fail(EXIT_USAGE,
                    "--%s: options of a loss come after its name: lossctl %s LOSS --%s ...",
                    json_quote(name, quote), a->command->name, quote);
    return fail(EXIT_USAGE, "%s%s%s has no option --%s%s", a->command->name,
                a->command->loss_options && a->count ? " " : "",
                a->command->loss_options && a->count ? a->argument[0] : "", json_quote(name, quote),
                loss_nearest_text(&search, "--", "", "`--help` lists all options", suggestion));
}

/* ---- Parsing ---- */

/* This is not getopt_long(), which accepts abbreviations and cannot be told not to, does not treat
   underscores as hyphens, and requires '=' before an optional value, as in --log-target true. Loss
   options also depend on the losses that precede them. */

static bool is_boolean(const char *text)
{
    return text && (strcmp(text, "true") == 0 || strcmp(text, "false") == 0 ||
                    strcmp(text, "True") == 0 || strcmp(text, "False") == 0);
}

/* Reads the value of an option: after its '=', or the next argument. */
static enum exit_code read_value(struct parser *p, const char *flag, size_t len,
                                 const char *placeholder, const char **value)
{
    if (flag[len] == '=')
        *value = flag + len + 1;
    else if (p->at + 1 < p->argc)
        *value = p->argv[++p->at];
    else
        return fail(EXIT_USAGE, "--%.*s needs a value: --%.*s %s", (int)len, flag, (int)len, flag,
                    placeholder);
    return EXIT_OK;
}

static enum exit_code take_option(struct parser *p, enum option_id id, const char *flag, size_t len)
{
    struct arguments *const a = p->out;
    const char *value = "";
    if (!option_specs[id].value && flag[len] == '=')
        return fail(EXIT_USAGE, "--%.*s takes no value", (int)len, flag);
    if (option_specs[id].value &&
        read_value(p, flag, len, option_specs[id].value, &value) != EXIT_OK)
        return EXIT_USAGE;
    if (a->repeats == MAX_REPEATED)
        return fail(EXIT_USAGE, "too many options; the maximum is %d", MAX_REPEATED);
    a->value[id] = value;
    a->repeated[a->repeats].option = id;
    a->repeated[a->repeats++].value = value;
    return EXIT_OK;
}

static enum exit_code take_loss_option(struct parser *p, const struct loss_option *option,
                                       const char *flag, size_t len)
{
    struct arguments *const a = p->out;
    const char *value = "true";
    const bool bare = option->boolean && flag[len] != '=' &&
                      !(p->at + 1 < p->argc && is_boolean(p->argv[p->at + 1]));
    if (!bare && read_value(p, flag, len, option->value, &value) != EXIT_OK)
        return EXIT_USAGE;
    for (int i = 0; i < a->fields; i++)
        if (strcmp(a->field[i].option.option, option->option) == 0)
            return fail(EXIT_USAGE, "--%s is given twice", option->option);
    if (a->fields == MAX_FIELDS)
        return fail(EXIT_USAGE, "too many options; the maximum is %d", MAX_FIELDS);
    a->field[a->fields++] = (struct loss_argument){*option, value};
    return EXIT_OK;
}

static enum exit_code take_flag(struct parser *p)
{
    const char *flag = p->argv[p->at];
    struct loss_option option;
    if (strcmp(flag, "-h") == 0)
        flag = "--help";
    if (strcmp(flag, "-q") == 0)
        flag = "--quiet";
    if (flag[1] != '-' || flag[2] == '\0')
        return fail(EXIT_USAGE, "'%s' is not an option; options begin with two hyphens", flag);
    flag += 2;
    const size_t len = strcspn(flag, "=");
    const int id = find_option(p->out->command, flag, len);
    if (id >= 0)
        return take_option(p, (enum option_id)id, flag, len);
    return find_loss_option(p->out, flag, len, &option) ? take_loss_option(p, &option, flag, len)
                                                        : unknown_option(p->out, flag, len);
}

static enum exit_code take_argument(struct parser *p)
{
    struct arguments *const a = p->out;
    const char *const text = p->argv[p->at];
    if (a->count == a->command->max)
        return fail(EXIT_USAGE,
                    "unexpected argument '%s'; usage: lossctl %s%s%s [--option value]...", text,
                    a->command->name, *a->command->arguments ? " " : "", a->command->arguments);
    if (a->command->loss_options && !(a->loss[a->count] = arguments_find_loss_spec(text)))
        return EXIT_USAGE;
    a->argument[a->count++] = text;
    return EXIT_OK;
}

static void read_environment(struct arguments *a)
{
    for (int i = 0; i < OPT_COUNT; i++) {
        const char *const text = option_specs[i].env ? getenv(option_specs[i].env) : NULL;
        if (text && *text && !a->value[i] && command_takes(a->command, (enum option_id)i)) {
            a->value[i] = text;
            a->from_environment[i] = true;
        }
    }
}

/* Selects the instruction set, before any computation. Then finds the losses again, because a
   descriptor keeps the instruction set that was selected when it was returned. */
static enum exit_code choose_isa(struct arguments *a)
{
    char names[128] = "auto";
    const char *const name = a->value[OPT_ISA];
    if (!name || strcmp(name, "auto") == 0)
        return EXIT_OK;
    if (loss_isa_choose(name)) {
        for (int i = 0; i < a->count; i++)
            a->loss[i] = arguments_find_loss_spec(a->argument[i]);
        return EXIT_OK;
    }
    for (size_t i = 0, len = strlen(names); loss_isa_at(i) && len < sizeof names; i++)
        len += (size_t)snprintf(names + len, sizeof names - len, "%s%s",
                                loss_isa_at(i + 1) ? ", " : " or ", loss_isa_at(i));
    return fail(EXIT_USAGE, "--isa is '%s'; it must be %s, and supported by this CPU", name, names);
}

enum exit_code arguments_read(struct arguments *a, int argc, char *const argv[])
{
    struct parser p = {a, argv, argc, 2};
    *a = (struct arguments){0};
    if (argc < 2)
        return fail(EXIT_USAGE, "missing command; `lossctl --help` lists all commands");
    a->command = find_command(argv[1]);
    if (!a->command)
        return EXIT_USAGE;
    a->argument = calloc((size_t)argc, sizeof *a->argument);
    a->loss = calloc((size_t)argc, sizeof *a->loss);
    if (!a->argument || !a->loss)
        return fail_memory();
    for (; p.at < argc; p.at++) {
        const enum exit_code code =
            argv[p.at][0] == '-' && argv[p.at][1] ? take_flag(&p) : take_argument(&p);
        if (code != EXIT_OK)
            return code;
    }
    if (a->value[OPT_LOCAL] && a->value[OPT_URL])
        return fail(EXIT_USAGE, "--local and --url are mutually exclusive");
    read_environment(a);
    if (a->count < a->command->min && !a->value[OPT_HELP])
        return fail(EXIT_USAGE, "missing %s; usage: lossctl %s %s [--option value]...",
                    a->command->arguments, a->command->name, a->command->arguments);
    return choose_isa(a);
}

void arguments_free(struct arguments *a)
{
    free(a->argument);
    free(a->loss);
    *a = (struct arguments){0};
}

/* ---- Values ---- */

enum exit_code arguments_number(const struct arguments *a, enum option_id option, double min,
                                double max, double fallback, double *value)
{
    const char *const text = a->value[option], *end;
    *value = fallback;
    if (!text)
        return EXIT_OK;
    end = number_read_f64(text, value);
    if (!end || *end || !(*value >= min && *value <= max))
        return fail(EXIT_USAGE, "--%s is '%s'; it must be a number from %.15g to %.15g",
                    option_specs[option].name, text, min, max);
    return EXIT_OK;
}

enum exit_code arguments_integer(const struct arguments *a, enum option_id option, long min,
                                 long max, long fallback, long *value)
{
    const char *const text = a->value[option], *end = NULL;
    int64_t number = fallback;
    *value = fallback;
    if (text &&
        (number_read_i64(text, &number, &end) != NUMBER_OK || *end || number < min || number > max))
        return fail(EXIT_USAGE, "--%s is '%s'; it must be an integer from %ld to %ld",
                    option_specs[option].name, text, min, max);
    *value = (long)number;
    return EXIT_OK;
}

enum exit_code arguments_header(const struct arguments *a, enum csv_header *header)
{
    static const char *const names[] = {
        [CSV_HEADER_AUTO] = "auto", [CSV_HEADER_YES] = "yes", [CSV_HEADER_NO] = "no", NULL};
    const char *const name = a->value[OPT_HEADER] ? a->value[OPT_HEADER] : names[CSV_HEADER_AUTO];
    for (int i = 0; names[i]; i++)
        if (strcmp(names[i], name) == 0) {
            *header = (enum csv_header)i;
            return EXIT_OK;
        }
    return fail(EXIT_USAGE, "--header is '%s'; it must be auto, yes or no", name);
}

enum exit_code arguments_threads(const struct arguments *a, int *threads)
{
    enum { MAX_THREADS = 1024 };
    long count;
    const enum exit_code code =
        arguments_integer(a, OPT_THREADS, 1, MAX_THREADS, omp_get_num_procs(), &count);
    *threads = (int)count;
    return code;
}
