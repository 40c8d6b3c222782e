/*
 * Reads options from the config file, the environment and the command line, in this order. Later
 * sources override earlier ones.
 */
#include "config/options.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/option_table.h"
#include "config/option_values.h"
#include "loss.h"
#include "util/fail.h"

static const char config_env[] = "LOSSD_CONFIG";
static const char default_origin[] = "default";

/* ---- Setting an option ---- */

/* Rejects an option that is given both by its current and by a former name, in the same or in
   different sources. */
static bool check_names(const struct options *options, const struct option_match *match,
                        const char *origin, char *message)
{
    const char *const current = options->origin[match->option - option_table];
    for (size_t i = 0; i < option_rename_count; i++) {
        const struct option_rename *const rename = &option_renames[i];
        const char *const old_origin = options->old_origin[i];
        if (strcmp(rename->name, match->option->name) != 0)
            continue;
        const bool mixed = match->rename == rename
                               ? !*old_origin && strcmp(current, default_origin) != 0
                               : *old_origin != '\0';
        if (mixed)
            return fail(message, OPTION_MESSAGE,
                        "%s (%s) and %s (%s) are the same option; use only %s", rename->old_name,
                        match->rename ? origin : old_origin, rename->name,
                        match->rename ? current : origin, rename->name);
    }
    return true;
}

/* Sets an option. `origin` names the source in messages and in --print-config. */
static bool set(struct options *options, const struct option_match *match, const char *text,
                const char *origin, char *message)
{
    const struct option *const option = match->option;
    const bool is_list = option->type == OPTION_CHOICE || option->type == OPTION_SWITCH;
    char range[OPTION_RANGE];
    if (!option_read_value(options, option, text))
        return fail(message, OPTION_MESSAGE, "%s: \"%.80s\" is not %s%s", origin, text,
                    is_list ? "one of " : "", option_range(option, range));
    if (!check_names(options, match, origin, message))
        return false;
    snprintf(options->origin[option - option_table], OPTION_ORIGIN, "%s", origin);
    if (match->rename)
        snprintf(options->old_origin[match->rename - option_renames], OPTION_ORIGIN, "%s", origin);
    return true;
}

static bool set_defaults(struct options *options, char *message)
{
    char text[OPTION_DEFAULT];
    for (size_t i = 0; i < option_count; i++) {
        const struct option_match match = {.option = &option_table[i]};
        snprintf(options->origin[i], OPTION_ORIGIN, "%s", default_origin);
        if (!set(options, &match, option_default(match.option, text), default_origin, message))
            return false;
    }
    return true;
}

/* Sets options that were not given and default to the value of another option. */
static void set_dependent_defaults(struct options *options)
{
    for (size_t i = 0; i < option_count; i++) {
        const char *const name = option_table[i].default_of;
        struct option_match other;
        if (name && strcmp(options->origin[i], default_origin) == 0 &&
            option_find(name, strlen(name), &other))
            option_copy_value(options, &option_table[i], other.option);
    }
}

/* ---- Environment ---- */

static bool read_variable(struct options *options, const char *name, char *message)
{
    char env[OPTION_ENV];
    struct option_match match;
    const char *const text = getenv(option_env(name, env));
    return !text || !*text || !option_find(name, strlen(name), &match) ||
           set(options, &match, text, env, message);
}

static bool read_environment(struct options *options, char *message)
{
    for (size_t i = 0; i < option_count; i++) {
        if (!read_variable(options, option_table[i].name, message))
            return false;
    }
    for (size_t i = 0; i < option_rename_count; i++) {
        if (!read_variable(options, option_renames[i].old_name, message))
            return false;
    }
    return true;
}

/* ---- Config file ---- */

static char *trim(char *text)
{
    text += strspn(text, " \t\r\n");
    size_t len = strlen(text);
    while (len > 0 && isspace((unsigned char)text[len - 1]))
        len--;
    text[len] = '\0';
    return text;
}

/* Removes a comment. A # within a word is part of the value. */
static void cut_comment(char *line)
{
    for (char *at = line; (at = strchr(at, '#')); at++) {
        if (at == line || isspace((unsigned char)at[-1])) {
            *at = '\0';
            return;
        }
    }
}

static bool read_line(struct options *options, char *line, const char *where, char *message)
{
    char suggestion[LOSS_SUGGESTION_TEXT];
    struct option_match match;
    cut_comment(line);
    line = trim(line);
    if (*line == '\0')
        return true;
    char *equals = strchr(line, '=');
    if (!equals)
        return fail(message, OPTION_MESSAGE, "%s: \"%.80s\" is not of the form `name = value`",
                    where, line);
    *equals = '\0';
    const char *name = trim(line), *text = trim(equals + 1);
    if (option_find(name, strlen(name), &match))
        return set(options, &match, text, where, message);
    struct loss_nearest search = {.name = name};
    for (size_t i = 0; i < option_count; i++)
        loss_nearest_try(&search, option_table[i].name);
    return fail(message, OPTION_MESSAGE, "%s: unknown option \"%.80s\"%s", where, name,
                loss_nearest_text(&search, "\"", "\"", NULL, suggestion));
}

static bool read_file(struct options *options, const char *path, char *message)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return fail(message, OPTION_MESSAGE, "cannot read the config file %.200s: %s", path,
                    strerror(errno));
    char *line = NULL;
    size_t capacity = 0;
    bool valid = true;
    ssize_t len = 0;
    for (unsigned number = 1; valid && (errno = 0, len = getline(&line, &capacity, file)) >= 0;
         number++) {
        char where[OPTION_ORIGIN];
        snprintf(where, sizeof where, "%.150s, line %u", path, number);
        if (strlen(line) != (size_t)len)
            valid = fail(message, OPTION_MESSAGE, "%s contains a NUL byte", where);
        else
            valid = read_line(options, line, where, message);
    }
    if (valid && len < 0 && !feof(file))
        valid = fail(message, OPTION_MESSAGE, "cannot read the config file %.200s: %s", path,
                     strerror(errno));
    free(line);
    fclose(file);
    return valid;
}

/* ---- Command line ---- */

/* The parsed command line. Its options are set last, because they override the other sources. */
struct command_line {
    const char *text[OPTION_MAX];            /* values of options; NULL if not given */
    const char *old_text[OPTION_RENAME_MAX]; /* values of options given by a former name */
    const char *config, *token_name;
    enum options_action action;
};

static bool unknown_flag(const char *name, size_t len, char *message)
{
    char copy[80];
    snprintf(copy, sizeof copy, "%.*s", (int)(len < sizeof copy ? len : sizeof copy - 1), name);
    char suggestion[LOSS_SUGGESTION_TEXT];
    struct loss_nearest search = {.name = copy};
    for (size_t i = 0; i < option_count; i++)
        loss_nearest_try(&search, option_table[i].name);
    for (size_t i = 0; i < option_command_count; i++)
        loss_nearest_try(&search, option_commands[i].name);
    return fail(message, OPTION_MESSAGE, "unknown option --%s%s", copy,
                loss_nearest_text(&search, "--", "", "--help lists them all", suggestion));
}

static void note_command(struct command_line *line, const struct option_command *command,
                         const char *text)
{
    if (command->action == OPTIONS_SERVE)
        line->config = text;
    else if (line->action == OPTIONS_SERVE || command->action == OPTIONS_HELP)
        line->action = command->action; /* --help overrides all others */
    if (command->action == OPTIONS_NEW_TOKEN || command->action == OPTIONS_HASH_TOKEN)
        line->token_name = text;
}

static void note_option(struct command_line *line, const struct option_match *match,
                        const char *text)
{
    if (match->rename)
        line->old_text[match->rename - option_renames] = text;
    else
        line->text[match->option - option_table] = text;
}

/* Reads the flag at argv[*at] and its value. Moves *at to the last argument it consumed. */
static bool read_flag(struct command_line *line, char *const argv[], int *at, char *message)
{
    const char *flag = argv[*at];
    if (strcmp(flag, "-h") == 0)
        flag = "--help";
    if (strncmp(flag, "--", 2) != 0 || flag[2] == '\0')
        return fail(message, OPTION_MESSAGE, "\"%.80s\" is not an option; --help lists them all",
                    flag);
    flag += 2;
    const size_t len = strcspn(flag, "=");
    const char *text = flag[len] == '=' ? flag + len + 1 : NULL;
    const struct option_command *const command = option_find_command(flag, len);
    struct option_match match;
    if (!command && !option_find(flag, len, &match))
        return unknown_flag(flag, len, message);
    const bool bare = command ? *command->value == '\0' : match.option->bare != NULL;
    if (command && bare && text)
        return fail(message, OPTION_MESSAGE, "--%.*s takes no value", (int)len, flag);
    if (!text && !bare && !argv[*at + 1])
        return fail(message, OPTION_MESSAGE, "--%.*s needs a value", (int)len, flag);
    if (!text && !bare)
        text = argv[++*at];
    if (command)
        note_command(line, command, text);
    else
        note_option(line, &match, text ? text : match.option->bare);
    return true;
}

static bool set_flag(struct options *options, const char *name, const char *text, char *message)
{
    char origin[64];
    struct option_match match;
    snprintf(origin, sizeof origin, "--%s", name);
    return !text || !option_find(name, strlen(name), &match) ||
           set(options, &match, text, origin, message);
}

static bool set_flags(struct options *options, const struct command_line *line, char *message)
{
    for (size_t i = 0; i < option_count; i++) {
        if (!set_flag(options, option_table[i].name, line->text[i], message))
            return false;
    }
    for (size_t i = 0; i < option_rename_count; i++) {
        if (!set_flag(options, option_renames[i].old_name, line->old_text[i], message))
            return false;
    }
    return true;
}

/* ---- All sources ---- */

enum options_action options_read(struct options *options, int argc, char *const argv[],
                                 char message[OPTION_MESSAGE])
{
    struct command_line line = {.action = OPTIONS_SERVE};
    memset(options, 0, sizeof *options);
    for (int at = 1; at < argc; at++) {
        if (!read_flag(&line, argv, &at, message))
            return OPTIONS_INVALID;
    }
    options->token_name = line.token_name;
    if (line.action == OPTIONS_NEW_TOKEN) /* uses --token-file, but only from the command line */
        return set_defaults(options, message) && set_flags(options, &line, message)
                   ? line.action
                   : OPTIONS_INVALID;
    if (line.action != OPTIONS_SERVE && line.action != OPTIONS_PRINT)
        return line.action;
    const char *config = line.config ? line.config : getenv(config_env);
    const bool valid = set_defaults(options, message) &&
                       (!config || !*config || read_file(options, config, message)) &&
                       read_environment(options, message) && set_flags(options, &line, message);
    set_dependent_defaults(options);
    return valid ? line.action : OPTIONS_INVALID;
}

void options_log_deprecated(const struct options *options)
{
    for (size_t i = 0; i < option_rename_count; i++) {
        const struct option_rename *const rename = &option_renames[i];
        const char *const origin = options->old_origin[i];
        char old_env[OPTION_ENV], env[OPTION_ENV];
        if (*origin == '\0')
            continue;
        if (strncmp(origin, "--", 2) == 0)
            log_message(LOG_LEVEL_WARNING, "%s is deprecated; use --%s", origin, rename->name);
        else if (strcmp(origin, option_env(rename->old_name, old_env)) == 0)
            log_message(LOG_LEVEL_WARNING, "%s is deprecated; use %s", origin,
                        option_env(rename->name, env));
        else
            log_message(LOG_LEVEL_WARNING, "%s: %s is deprecated; use %s", origin, rename->old_name,
                        rename->name);
    }
}
