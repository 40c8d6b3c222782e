/* lossctl completions: prints scripts that complete commands, options, losses and values of
   options. */
#include "cli/arguments.h"

#include <stdio.h>
#include <string.h>

/* ---- Words ---- */

/* Calls `visit` for each option of a loss that the command accepts. */
static void each_loss_option(const struct command *command, const struct loss_descriptor *loss,
                             void (*visit)(const struct loss_descriptor *loss,
                                           const struct loss_option *option, const char *condition),
                             const char *condition)
{
    struct loss_option option;
    for (int place = 0; loss_option_at(loss, place, &option); place++)
        if (loss_option_applies(command, &option))
            visit(loss, &option, condition);
}

/* Returns the possible values of an option of a loss, separated by spaces; "" if any value is
   possible, NULL for files. */
static const char *values_of(const struct loss_descriptor *loss, const struct loss_option *option,
                             char *words, size_t size)
{
    const int param = option->kind == LOSS_OPTION_VALUE ? loss_param_find(loss, option->name) : -1;
    words[0] = '\0';
    if (option->kind != LOSS_OPTION_VALUE)
        return NULL;
    if (option->boolean)
        snprintf(words, size, "true false");
    for (int i = 0; param >= 0 && loss->params[param].choices && loss->params[param].choices[i];
         i++)
        snprintf(words + strlen(words), size - strlen(words), "%s ",
                 loss->params[param].choices[i]);
    for (int r = 0; strcmp(option->name, "reduction") == 0 && r < LOSS_REDUCTION_COUNT; r++)
        if (loss->reductions >> r & 1)
            snprintf(words + strlen(words), size - strlen(words), "%s ",
                     loss_reduction_name((enum loss_reduction)r));
    if (strcmp(option->name, "dtype") == 0)
        snprintf(words, size, "float32 float64");
    return words;
}

/* Prints all names of a loss. */
static void put_names(const struct loss_descriptor *loss, const char *separator)
{
    fputs(loss->name, stdout);
    for (int k = 0; k < LOSS_MAX_ALIASES && loss->aliases[k]; k++)
        printf("%s%s", separator, loss->aliases[k]);
}

static void put_losses(void)
{
    for (size_t i = 0; i < loss_count(); i++)
        printf("%s%s", i ? " " : "", loss_at(i)->name);
}

static void put_commands(void)
{
    for (int i = 0; i < command_count; i++)
        printf("%s%s", i ? " " : "", commands[i].name);
}

/* Prints text for use within single quotes. `quote` is the shell's escape for a quote there;
   characters of `special` get a backslash. */
static void put_quoted(const char *text, const char *quote, const char *special)
{
    for (; *text; text++) {
        if (*text == '\'')
            fputs(quote, stdout);
        else
            printf("%s%c", strchr(special, *text) ? "\\" : "", *text);
    }
}

/* ---- bash ---- */

static void bash_word(const struct loss_descriptor *loss, const struct loss_option *option,
                      const char *condition)
{
    (void)loss;
    (void)condition;
    printf(" --%s", option->option);
}

static void bash_value(const struct loss_descriptor *loss, const struct loss_option *option,
                       const char *condition)
{
    char words[256];
    (void)condition;
    const char *const values = values_of(loss, option, words, sizeof words);
    if (values)
        printf("        --%s) words='%s' ;;\n", option->option, values);
    else
        printf("        --%s) files=yes ;;\n", option->option);
}

/* Prints the options of each loss and their values. */
static void bash_losses(const struct command *command)
{
    for (size_t i = 0; i < loss_count(); i++) {
        const struct loss_descriptor *const loss = loss_at(i);
        printf("        ");
        put_names(loss, "|");
        printf(")\n            options+='");
        each_loss_option(command, loss, bash_word, NULL);
        printf("'\n            case $before in\n");
        each_loss_option(command, loss, bash_value, NULL);
        printf("            esac ;;\n");
    }
}

static void bash_command(const struct command *command)
{
    printf("    %s)\n        options='", command->name);
    for (int i = 0; i < OPT_COUNT; i++)
        if (command_takes(command, (enum option_id)i))
            printf(" --%s", option_specs[i].name);
    printf("'\n        arguments='");
    if (command->completion == COMPLETE_LOSSES)
        put_losses();
    else if (command->words)
        fputs(command->words, stdout);
    printf("'\n        case $before in\n");
    for (int i = 0; i < OPT_COUNT; i++) {
        const struct option_spec *const spec = &option_specs[i];
        if (!command_takes(command, (enum option_id)i) || !spec->value)
            continue;
        printf("        --%s) ", spec->name);
        if (spec->completion == COMPLETE_FILES)
            printf("files=yes");
        else if (spec->completion == COMPLETE_LOSSES)
            printf("words=$losses");
        else
            printf("words='%s'", spec->words ? spec->words : "");
        printf(" ;;\n");
    }
    printf("        esac\n");
    if (command->completion == COMPLETE_FILES)
        printf("        [ \"$words\" != none ] || [ \"${current#-}\" != \"$current\" ] || "
               "files=yes\n");
    if (command->loss_options) {
        printf("        for word in \"${COMP_WORDS[@]:2:COMP_CWORD-2}\"; do\n        case "
               "${word%%%%:*} in\n");
        bash_losses(command);
        printf("        esac\n        done\n");
    }
    printf("        ;;\n");
}

static void put_bash(void)
{
    printf("# Completions of lossctl for bash, written by `lossctl completions bash`.\n"
           "_lossctl()\n{\n"
           "    local word words=none files= options= arguments= losses='");
    put_losses();
    printf("'\n    local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}\n"
           "    before=${before//_/-}\n"
           "    COMPREPLY=()\n"
           "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
           "        COMPREPLY=($(compgen -W '");
    put_commands();
    printf(" --help --version --man' -- \"$current\"))\n        return\n    fi\n    case "
           "${COMP_WORDS[1]} in\n");
    for (int i = 0; i < command_count; i++)
        bash_command(&commands[i]);
    printf("    esac\n"
           "    if [ -n \"$files\" ]; then\n"
           "        compopt -o filenames 2>/dev/null\n"
           "        COMPREPLY=($(compgen -f -- \"$current\"))\n"
           "    elif [ \"$words\" != none ]; then\n"
           "        COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
           "    elif [ \"${current#-}\" != \"$current\" ]; then\n"
           "        COMPREPLY=($(compgen -W \"$options\" -- \"$current\"))\n"
           "    else\n"
           "        COMPREPLY=($(compgen -W \"$arguments\" -- \"$current\"))\n"
           "    fi\n"
           "}\n"
           "complete -F _lossctl lossctl\n");
}

/* ---- zsh ---- */

/* Prints '--name[description]:VALUE:action', the syntax of _arguments. */
static void zsh_option(const char *name, const char *value, const char *doc,
                       enum completion completion, const char *words)
{
    printf(" '--%s[", name);
    put_quoted(doc, "'\\''", "[]:\\");
    printf("]");
    if (value) {
        printf(":");
        put_quoted(value, "'\\''", ":\\");
        printf(":");
        if (completion == COMPLETE_FILES)
            printf("_files");
        else if (completion == COMPLETE_LOSSES || (words && *words)) {
            printf("(");
            if (completion == COMPLETE_LOSSES)
                put_losses();
            else
                fputs(words, stdout);
            printf(")");
        }
    }
    printf("'");
}

static void zsh_loss_option(const struct loss_descriptor *loss, const struct loss_option *option,
                            const char *condition)
{
    char words[256];
    (void)condition;
    const char *const values = values_of(loss, option, words, sizeof words);
    zsh_option(option->option, option->value, option->doc, values ? COMPLETE_WORDS : COMPLETE_FILES,
               values);
}

static void zsh_command(const struct command *command)
{
    printf("    %s)\n        options=(", command->name);
    for (int i = 0; i < OPT_COUNT; i++)
        if (command_takes(command, (enum option_id)i))
            zsh_option(option_specs[i].name, option_specs[i].value, option_specs[i].doc,
                       option_specs[i].completion, option_specs[i].words);
    const bool files = command->completion == COMPLETE_FILES;
    printf(" '*:%s:%s", *command->arguments ? command->arguments : "nothing",
           files ? "_files" : "(");
    if (command->completion == COMPLETE_LOSSES)
        put_losses();
    else if (command->words)
        fputs(command->words, stdout);
    printf("%s')\n", files ? "" : ")");
    if (command->loss_options) {
        printf("        for word in \"${words[@]:1:$((CURRENT - 2))}\"; do\n        case "
               "${word%%%%:*} in\n");
        for (size_t i = 0; i < loss_count(); i++) {
            const struct loss_descriptor *const loss = loss_at(i);
            printf("        ");
            put_names(loss, "|");
            printf(") options+=(");
            each_loss_option(command, loss, zsh_loss_option, NULL);
            printf(") ;;\n");
        }
        printf("        esac\n        done\n");
    }
    printf("        ;;\n");
}

static void put_zsh(void)
{
    printf("#compdef lossctl\n# Completions of lossctl for zsh, written by `lossctl completions "
           "zsh`.\n"
           "_lossctl() {\n    local word\n    local -a commands options\n    commands=(");
    for (int i = 0; i < command_count; i++) {
        printf(" '%s:", commands[i].name);
        put_quoted(commands[i].summary, "'\\''", ":\\");
        printf("'");
    }
    printf(")\n    if (( CURRENT == 2 )); then\n        _describe command commands\n        "
           "return\n    fi\n"
           "    shift words\n    (( CURRENT-- ))\n    case $words[1] in\n");
    for (int i = 0; i < command_count; i++)
        zsh_command(&commands[i]);
    printf("    esac\n    _arguments \"$options[@]\"\n}\nif [ \"$funcstack[1]\" = _lossctl ]; "
           "then\n    _lossctl \"$@\"\nelse\n"
           "    compdef _lossctl lossctl\nfi\n");
}

/* ---- fish ---- */

static void fish_option(const char *condition, const char *name, const char *value, const char *doc,
                        enum completion completion, const char *words)
{
    printf("complete -c lossctl -n '%s' -l %s -d '", condition, name);
    put_quoted(doc, "\\'", "\\");
    printf("'");
    if (value && completion == COMPLETE_FILES)
        printf(" -r -F");
    else if (value) {
        printf(" -x -a '");
        if (completion == COMPLETE_LOSSES)
            put_losses();
        else
            fputs(words ? words : "", stdout);
        printf("'");
    }
    printf("\n");
}

static void fish_loss_option(const struct loss_descriptor *loss, const struct loss_option *option,
                             const char *condition)
{
    char words[256];
    const char *const values = values_of(loss, option, words, sizeof words);
    fish_option(condition, option->option, option->value, option->doc,
                values ? COMPLETE_WORDS : COMPLETE_FILES, values);
}

static void fish_losses(const struct command *command)
{
    for (size_t i = 0; i < loss_count(); i++) {
        const struct loss_descriptor *const loss = loss_at(i);
        char condition[512];
        snprintf(condition, sizeof condition,
                 "__fish_seen_subcommand_from %s; and __fish_seen_subcommand_from %s",
                 command->name, loss->name);
        for (int k = 0; k < LOSS_MAX_ALIASES && loss->aliases[k]; k++)
            snprintf(condition + strlen(condition), sizeof condition - strlen(condition), " %s",
                     loss->aliases[k]);
        each_loss_option(command, loss, fish_loss_option, condition);
    }
}

static void put_fish(void)
{
    printf("# Completions of lossctl for fish, written by `lossctl completions fish`.\ncomplete -c "
           "lossctl -f\n");
    for (int i = 0; i < command_count; i++) {
        const struct command *const command = &commands[i];
        char condition[128];
        snprintf(condition, sizeof condition, "__fish_seen_subcommand_from %s", command->name);
        printf("complete -c lossctl -n __fish_use_subcommand -a %s -d '", command->name);
        put_quoted(command->summary, "\\'", "\\");
        printf("'\n");
        if (command->completion == COMPLETE_LOSSES || command->words) {
            printf("complete -c lossctl -n '%s' -a '", condition);
            if (command->words)
                fputs(command->words, stdout);
            else
                put_losses();
            printf("'\n");
        }
        if (command->completion == COMPLETE_FILES)
            printf("complete -c lossctl -n '%s' -F\n", condition);
        for (int k = 0; k < OPT_COUNT; k++)
            if (command_takes(command, (enum option_id)k))
                fish_option(condition, option_specs[k].name, option_specs[k].value,
                            option_specs[k].doc, option_specs[k].completion, option_specs[k].words);
        if (command->loss_options)
            fish_losses(command);
    }
}

enum exit_code command_completions(const struct arguments *a)
{
    static const struct {
        const char *name;
        void (*put)(void);
    } shells[] = {{"bash", put_bash}, {"zsh", put_zsh}, {"fish", put_fish}};
    for (size_t i = 0; i < sizeof shells / sizeof shells[0]; i++)
        if (strcmp(shells[i].name, a->argument[0]) == 0) {
            shells[i].put();
            return EXIT_OK;
        }
    return fail(EXIT_USAGE, "no completions for '%s'; it must be bash, zsh or fish",
                a->argument[0]);
}
