/* Names and checks the files of gradients. */
#include "shards/gradient_names.h"
#include "json/tensor_json.h"

#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- Names ---- */

const struct shard_list *gradient_list(const struct gradient_files *files,
                                       const struct gradient_output *output)
{
    return &files->batch->list[output->tensor];
}

enum exit_code gradient_cannot_write(const char *path, int why)
{
    return fail(EXIT_FAILED, "cannot write %s: %s", path, strerror(why));
}

const char *gradient_base_name(const char *path)
{
    const char *const slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

enum exit_code gradient_name(const struct gradient_output *output, const struct shard *shard,
                             const char *suffix, char *path)
{
    const int len = snprintf(path, PATH_MAX, "%s/%s%s", output->folder,
                             gradient_base_name(shard->path), suffix);
    return len < PATH_MAX ? EXIT_OK : gradient_cannot_write(output->folder, ENAMETOOLONG);
}

/* ---- Description ---- */

static void describe_upstream(const struct gradient_files *files, struct buffer *out)
{
    const struct loss_plan *const plan = &files->batch->plan;
    double wide = 1;
    float narrow;
    if (plan->has_grad_output && plan->grad_output.dtype == LOSS_FLOAT64) {
        memcpy(&wide, plan->grad_output.data, sizeof wide);
    } else if (plan->has_grad_output) {
        memcpy(&narrow, plan->grad_output.data, sizeof narrow);
        wide = (double)narrow;
    }
    buffer_text(out, "grad_output ");
    json_append_number(out, wide);
    buffer_text(out, "\n");
}

void gradient_files_describe(const struct gradient_files *files, struct buffer *out)
{
    if (files->count > 0)
        describe_upstream(files, out);
    for (int i = 0; i < files->count; i++) {
        const struct gradient_output *const output = &files->output[i];
        buffer_printf(out, "%s of %s in ", output->hess ? "Hessian" : "gradient",
                      gradient_list(files, output)->name);
        json_append_string(out, output->folder);
        buffer_text(out, "\n");
    }
}

/* ---- Checks ---- */

/* Refuses a folder that contains a shard of the list: a gradient could replace it. */
static enum exit_code check_folder(const char *folder, const struct stat *status,
                                   const struct shard_list *list)
{
    const char *previous = "";
    for (size_t i = 0; i < list->spec.count; i++) {
        const char *const path = list->shard[i].path;
        struct stat other;
        char copy[PATH_MAX];
        const size_t len = (size_t)(gradient_base_name(path) - path);
        if (i > 0 && strncmp(previous, path, len) == 0 && !strchr(previous + len, '/'))
            continue; /* in the folder of the previous one */
        previous = path;
        snprintf(copy, sizeof copy, "%s", path);
        if (stat(dirname(copy), &other) == 0 && other.st_dev == status->st_dev &&
            other.st_ino == status->st_ino)
            return fail(EXIT_USAGE, "%s contains files of %s; gradients need a folder of their own",
                        folder, list->name);
    }
    return EXIT_OK;
}

static enum exit_code check_folders(const struct gradient_files *files)
{
    enum exit_code code = EXIT_OK;
    for (int i = 0; i < files->count; i++) {
        const char *const folder = files->output[i].folder;
        struct stat status;
        if (stat(folder, &status) != 0)
            continue; /* it will be made */
        if (!S_ISDIR(status.st_mode))
            return fail(EXIT_USAGE, "%s is not a folder; gradients of shards go into a folder",
                        folder);
        for (int k = 0; k < EVALUATION_TENSORS && code == EXIT_OK; k++)
            if (files->batch->given >> k & 1)
                code = check_folder(folder, &status, &files->batch->list[k]);
    }
    return code;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Reports the first of `count` sorted names that comes twice. */
static enum exit_code check_twice(char **name, size_t count)
{
    for (size_t i = 1; i < count; i++)
        if (strcmp(name[i - 1], name[i]) == 0)
            return fail(EXIT_USAGE,
                        "two gradients would be written to %s; shards need different names, and "
                        "tensors different folders",
                        name[i]);
    return EXIT_OK;
}

static enum exit_code check_names(const struct gradient_files *files)
{
    size_t room = 0, count = 0;
    enum exit_code code = EXIT_OK;
    for (int i = 0; i < files->count; i++)
        room += gradient_list(files, &files->output[i])->spec.count;
    char **const name = calloc(room + 1, sizeof *name);
    if (!name)
        return fail_memory();
    for (int i = 0; i < files->count && code == EXIT_OK; i++) {
        const struct shard_list *const list = gradient_list(files, &files->output[i]);
        for (size_t s = 0; s < list->spec.count && code == EXIT_OK; s++) {
            char path[PATH_MAX];
            code = gradient_name(&files->output[i], &list->shard[s], "", path);
            if (code == EXIT_OK && !(name[count++] = strdup(path)))
                code = fail_memory();
        }
    }
    if (code == EXIT_OK) {
        qsort(name, count, sizeof *name, by_bytes);
        code = check_twice(name, count);
    }
    for (size_t i = 0; i < count; i++)
        free(name[i]);
    free(name);
    return code;
}

enum exit_code gradient_files_check(const struct gradient_files *files)
{
    const enum exit_code code = check_folders(files);
    return code == EXIT_OK ? check_names(files) : code;
}
