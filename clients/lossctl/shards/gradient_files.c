#include "shards/gradient_files.h"
#include "files/output.h"
#include "files/replacement.h"
#include "memory/block_cache.h"
#include "shards/gradient_names.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- Outputs ---- */

enum exit_code gradient_files_add(struct gradient_files *files, int k, bool hess,
                                  const char *folder)
{
    struct gradient_output *const output = &files->output[files->count];
    size_t len = strlen(folder);
    while (len > 1 && folder[len - 1] == '/')
        len--;
    if (len == 0)
        return fail(EXIT_USAGE, "the name of the folder for gradients is empty");
    *output = (struct gradient_output){.tensor = k, .hess = hess, .folder = strndup(folder, len)};
    if (!output->folder)
        return fail_memory();
    files->count++;
    return EXIT_OK;
}

uint32_t gradient_files_mask(const struct gradient_files *files, bool hess)
{
    uint32_t mask = 0;
    for (int i = 0; i < files->count; i++)
        if (files->output[i].hess == hess)
            mask |= UINT32_C(1) << files->output[i].tensor;
    return mask;
}

/* Returns true if the file of a shard is written: the shard begins within files->rows. Shards
   without rows at the end of the batch belong to the last part. */
static bool has_file(const struct gradient_files *files, const struct shard *shard)
{
    return shard->first >= files->rows.first &&
           (shard->first < files->rows.end || files->rows.end == files->batch->rows);
}

/* ---- Making ---- */

/* Returns the tensor in the file of a shard, which has the dtype of the computation. */
static struct loss_tensor tensor_of(const struct gradient_files *files, const struct shard *shard)
{
    struct loss_tensor tensor = shard->tensor;
    tensor.dtype = files->batch->plan.dtype;
    return tensor;
}

/* Appends the header of the file of a shard. Raw numbers have none. */
static void append_header(const struct gradient_files *files, const struct gradient_output *output,
                          const struct shard *shard, struct buffer *header)
{
    const struct loss_tensor tensor = tensor_of(files, shard);
    struct archive_entry entry = {.tensor = &tensor};
    if (shard->format == SHARD_NPY)
        output_npy_header(header, &tensor);
    if (shard->format != SHARD_SAFETENSORS)
        return;
    snprintf(entry.name, sizeof entry.name, "%s%s", output->hess ? "hess_" : "grad_",
             gradient_list(files, output)->name);
    archive_header(header, &entry, 1);
}

/* Writes bytes at an offset. Returns false and sets errno on failure. */
static bool write_at(int fd, const void *bytes, size_t len, uint64_t offset)
{
    for (const char *at = bytes; len > 0;) {
        const ssize_t written = pwrite(fd, at, len, (off_t)offset);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        at += written;
        len -= (size_t)written;
        offset += (uint64_t)written;
    }
    return true;
}

/* Waits until a file is on disk, or, after the first ONE_BY_ONE files, leaves that to sync_rest():
   it takes milliseconds per file, even for small ones. Returns false and sets errno on failure. */
static bool sync_file(struct gradient_files *files, int fd)
{
    enum { ONE_BY_ONE = 16 };
    if (files->synced == ONE_BY_ONE) {
        files->unsynced = true;
        return true;
    }
    files->synced++;
    return fdatasync(fd) == 0;
}

/* Waits until the files that sync_file() has left are on disk, by syncing the file systems of the
   folders. */
static enum exit_code sync_rest(struct gradient_files *files)
{
    for (int i = 0; files->unsynced && i < files->count; i++) {
        const char *const folder = files->output[i].folder;
        const int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        const bool ok = fd >= 0 && syncfs(fd) == 0;
        const int why = errno;
        if (fd >= 0)
            close(fd);
        if (!ok)
            return gradient_cannot_write(folder, why);
    }
    files->unsynced = false;
    files->synced = 0;
    return EXIT_OK;
}

static enum exit_code make_file(struct gradient_files *files, const struct gradient_output *output,
                                const struct shard *shard)
{
    char path[PATH_MAX];
    struct buffer header = {0};
    const struct loss_tensor tensor = tensor_of(files, shard);
    enum exit_code code = gradient_name(output, shard, files->suffix, path);
    if (code != EXIT_OK)
        return code;
    append_header(files, output, shard, &header);
    if (header.failed)
        return fail_memory();
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    const bool ok =
        fd >= 0 && write_at(fd, header.data, header.len, 0) &&
        ftruncate(fd, (off_t)(header.len + loss_tensor_bytes(&tensor))) == 0 &&
        (!files->durable || sync_file(files, fd)); /* a resumed run relies on the header */
    const int why = errno;
    if (fd >= 0)
        close(fd);
    buffer_free(&header);
    return ok ? EXIT_OK : gradient_cannot_write(path, why);
}

/* Calls `act` for each file, until one returns an error. */
static enum exit_code for_each(struct gradient_files *files,
                               enum exit_code (*act)(struct gradient_files *files,
                                                     const struct gradient_output *output,
                                                     const struct shard *shard))
{
    for (int i = 0; i < files->count; i++) {
        const struct shard_list *const list = gradient_list(files, &files->output[i]);
        for (size_t s = 0; s < list->spec.count; s++) {
            if (!has_file(files, &list->shard[s]))
                continue;
            const enum exit_code code = act(files, &files->output[i], &list->shard[s]);
            if (code != EXIT_OK)
                return code;
        }
    }
    return EXIT_OK;
}

/* Waits until the names in the folders are on disk. No-op unless files->durable. */
static enum exit_code sync_folders(const struct gradient_files *files)
{
    for (int i = 0; files->durable && i < files->count; i++)
        if (!replacement_sync_folder(files->output[i].folder))
            return gradient_cannot_write(files->output[i].folder, errno);
    return EXIT_OK;
}

enum exit_code gradient_files_make(struct gradient_files *files)
{
    for (int i = 0; i < files->count; i++)
        if (mkdir(files->output[i].folder, 0777) != 0 && errno != EEXIST)
            return gradient_cannot_write(files->output[i].folder, errno);
    gradient_files_remove_leftovers(files);
    enum exit_code code = for_each(files, make_file);
    if (code == EXIT_OK)
        code = sync_rest(files);
    return code == EXIT_OK ? sync_folders(files) : code;
}

/* Sets size[0] to the size of the file with a suffix (0 if there is none), and size[1] to the size
   that it must have. Returns true if the file exists. */
static bool measure(const struct gradient_files *files, const struct gradient_output *output,
                    const struct shard *shard, const char *suffix, uint64_t size[2])
{
    char path[PATH_MAX];
    struct buffer header = {0};
    struct stat status;
    const struct loss_tensor tensor = tensor_of(files, shard);
    append_header(files, output, shard, &header);
    const bool found = !header.failed && gradient_name(output, shard, suffix, path) == EXIT_OK &&
                       stat(path, &status) == 0;
    size[0] = found ? (uint64_t)status.st_size : 0;
    size[1] = header.len + loss_tensor_bytes(&tensor);
    buffer_free(&header);
    return found;
}

static enum exit_code check_part(struct gradient_files *files, const struct gradient_output *output,
                                 const struct shard *shard)
{
    static const char needed[] = "which the checkpoint needs", begin[] = "--restart starts over";
    char path[PATH_MAX], other[PATH_MAX];
    uint64_t size[2];
    const bool found = measure(files, output, shard, files->suffix, size);
    if (found && size[0] == size[1])
        return EXIT_OK;
    const enum exit_code code = gradient_name(output, shard, files->suffix, path);
    if (code != EXIT_OK)
        return code;
    if (found)
        return fail(EXIT_INPUT, "%s, %s, has %" PRIu64 " bytes instead of %" PRIu64 "; %s", path,
                    needed, size[0], size[1], begin);
    if (gradient_find_other(output, shard, other))
        return fail(EXIT_INPUT, "%s, %s, is missing; that of another run is %s; %s", path, needed,
                    other, begin);
    return fail(EXIT_INPUT, "%s, %s, is missing; %s", path, needed, begin);
}

static enum exit_code check_part_or_final(struct gradient_files *files,
                                          const struct gradient_output *output,
                                          const struct shard *shard)
{
    uint64_t size[2];
    const bool part = measure(files, output, shard, files->suffix, size);
    const bool final = !part && measure(files, output, shard, "", size) && size[0] == size[1];
    return final ? EXIT_OK : check_part(files, output, shard);
}

enum exit_code gradient_files_resume(struct gradient_files *files, bool complete)
{
    return for_each(files, complete ? check_part_or_final : check_part);
}

/* ---- Writing ---- */

enum exit_code gradient_files_bind(struct gradient_files *files, struct loss_plan *plan)
{
    for (int i = 0; i < files->count; i++) {
        struct gradient_output *const output = &files->output[i];
        struct loss_tensor *const tensor =
            output->hess ? &plan->hess[output->tensor] : &plan->grad[output->tensor];
        const size_t size = loss_tensor_bytes(tensor) + 1; /* never 0 bytes */
        if (size > output->size) {
            block_cache_free(output->block, output->size);
            output->block = block_cache_resize(NULL, 0, size);
            output->size = output->block ? size : 0;
            if (!output->block)
                return fail_memory();
        }
        tensor->data = output->block;
    }
    return EXIT_OK;
}

/* Closes the file that is open, after syncing it if files->durable. No-op if there is none. */
static enum exit_code close_file(struct gradient_files *files, struct gradient_output *output)
{
    char path[PATH_MAX];
    if (!output->open)
        return EXIT_OK;
    const bool synced = !files->durable || sync_file(files, output->fd);
    const int why = errno;
    gradient_name(output, output->open, files->suffix, path);
    output->open = NULL;
    if (close(output->fd) != 0)
        return gradient_cannot_write(path, errno);
    return synced ? EXIT_OK : gradient_cannot_write(path, why);
}

static enum exit_code open_file(struct gradient_files *files, struct gradient_output *output,
                                const struct shard *shard)
{
    char path[PATH_MAX];
    struct buffer header = {0};
    enum exit_code code = close_file(files, output);
    if (code == EXIT_OK)
        code = gradient_name(output, shard, files->suffix, path);
    if (code != EXIT_OK)
        return code;
    append_header(files, output, shard, &header);
    output->header = header.len;
    if (header.failed)
        code = fail_memory();
    buffer_free(&header);
    if (code != EXIT_OK)
        return code;
    output->fd = open(path, O_WRONLY | O_CLOEXEC);
    if (output->fd < 0)
        return gradient_cannot_write(path, errno);
    output->open = shard;
    return EXIT_OK;
}

static enum exit_code write_output(struct gradient_files *files, struct gradient_output *output,
                                   const struct shard_step *step, const struct loss_tensor *tensor)
{
    char path[PATH_MAX];
    const struct shard_list *const list = gradient_list(files, output);
    const struct shard *const shard = &list->shard[shard_list_find(list, step->rows.first)];
    enum exit_code code = shard == output->open ? EXIT_OK : open_file(files, output, shard);
    if (code != EXIT_OK)
        return code;
    uint64_t offset = output->header;
    if (list->axis == 0)
        offset += (step->rows.first - shard->first) * shard_row_bytes(tensor);
    if (write_at(output->fd, tensor->data, loss_tensor_bytes(tensor), offset))
        return EXIT_OK;
    const int why = errno;
    gradient_name(output, shard, files->suffix, path);
    return gradient_cannot_write(path, why);
}

enum exit_code gradient_files_write(struct gradient_files *files, const struct shard_step *step,
                                    const struct loss_plan *plan)
{
    enum exit_code code = EXIT_OK;
    for (int i = 0; i < files->count && code == EXIT_OK; i++) {
        struct gradient_output *const output = &files->output[i];
        code =
            write_output(files, output, step,
                         output->hess ? &plan->hess[output->tensor] : &plan->grad[output->tensor]);
    }
    return code;
}

enum exit_code gradient_files_sync(struct gradient_files *files)
{
    for (int i = 0; i < files->count; i++) {
        struct gradient_output *const output = &files->output[i];
        char path[PATH_MAX];
        if (!output->open || fdatasync(output->fd) == 0)
            continue;
        const int why = errno;
        gradient_name(output, output->open, files->suffix, path);
        return gradient_cannot_write(path, why);
    }
    return sync_rest(files);
}

/* ---- Finishing ---- */

static enum exit_code rename_file(struct gradient_files *files,
                                  const struct gradient_output *output, const struct shard *shard)
{
    char from[PATH_MAX], to[PATH_MAX];
    gradient_name(output, shard, files->suffix, from);
    gradient_name(output, shard, "", to);
    /* If this run resumes another one, that may have renamed the file already. */
    if (rename(from, to) != 0 && (errno != ENOENT || access(to, F_OK) != 0))
        return gradient_cannot_write(to, errno);
    return EXIT_OK;
}

enum exit_code gradient_files_close(struct gradient_files *files)
{
    enum exit_code code = EXIT_OK;
    for (int i = 0; i < files->count && code == EXIT_OK; i++)
        code = close_file(files, &files->output[i]);
    return code;
}

enum exit_code gradient_files_finish(struct gradient_files *files)
{
    const enum exit_code code = for_each(files, rename_file);
    if (code == EXIT_OK)
        gradient_files_remove_leftovers(files);
    return code == EXIT_OK ? sync_folders(files) : code;
}

void gradient_files_free(struct gradient_files *files)
{
    for (int i = 0; i < files->count; i++) {
        struct gradient_output *const output = &files->output[i];
        if (output->open)
            close(output->fd);
        block_cache_free(output->block, output->size);
        free(output->folder);
    }
    files->count = 0;
}
