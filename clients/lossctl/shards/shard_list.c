#include "shards/shard_list.h"
#include "evaluation/evaluation.h"
#include "files/archive.h"
#include "formats/npy.h"
#include "json/tensor_json.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- Headers ---- */

/* Reports a file that is shorter or longer than its tensor. `row_bytes` is 0 if a row is not
   contiguous. */
static enum exit_code wrong_size(const struct shard *shard, size_t row_bytes, uint64_t rows)
{
    const uint64_t size = shard->stamp.size,
                   expected = shard->offset + loss_tensor_bytes(&shard->tensor);
    if (size > expected)
        return fail(EXIT_INPUT, "%s has %" PRIu64 " bytes; its header describes %" PRIu64,
                    shard->path, size, expected);
    if (row_bytes == 0)
        return fail(EXIT_INPUT, "%s ends at byte %" PRIu64 " of %" PRIu64, shard->path, size,
                    expected);
    return fail(EXIT_INPUT,
                "%s ends at byte %" PRIu64 " of %" PRIu64 ", in row %" PRIu64 " of %" PRIu64,
                shard->path, size, expected, (size - shard->offset) / row_bytes, rows);
}

static enum exit_code read_npy(const struct shard_list *list, struct shard *shard,
                               const char *bytes)
{
    struct loss_error error;
    bool swapped;
    if (npy_read_header(&shard->tensor, &swapped, bytes, shard->stamp.size, list->name, &error) !=
        LOSS_OK)
        return fail_error(shard->path, &error);
    if (list->spec.member)
        return fail(EXIT_USAGE,
                    "%s: a .npy file contains one unnamed tensor; '%s' cannot select one",
                    shard->path, list->spec.member);
    if (shard->tensor.strided && loss_tensor_elements(&shard->tensor) > 0)
        return fail(EXIT_INPUT,
                    "%s is in Fortran order; its rows are not contiguous: save it in C order "
                    "(numpy.ascontiguousarray)",
                    shard->path);
    if (swapped)
        return fail(EXIT_INPUT, "%s is big-endian; shards must be little-endian", shard->path);
    shard->offset = (uint64_t)((const char *)shard->tensor.data - bytes);
    shard->tensor.strided = false;
    return EXIT_OK;
}

static enum exit_code read_safetensors(const struct shard_list *list, struct shard *shard,
                                       const char *bytes)
{
    struct loss_error error;
    struct archive archive;
    if (archive_open(&archive, bytes, shard->stamp.size, &error) != LOSS_OK)
        return fail_error(shard->path, &error);
    const char *name = list->spec.member;
    if (!name)
        name = archive_has(&archive, list->name) ? list->name : archive_only(&archive);
    const enum loss_status status =
        archive_find(&archive, name ? name : list->name, &shard->tensor, &error);
    if (status == LOSS_OK)
        shard->offset = (uint64_t)((const char *)shard->tensor.data - bytes);
    archive_close(&archive);
    return status == LOSS_OK ? EXIT_OK : fail_error(shard->path, &error);
}

/* Derives the number of rows from the size of the file. */
static enum exit_code read_raw(const struct shard_list *list, struct shard *shard)
{
    const struct shard_spec *const spec = &list->spec;
    shard->tensor = spec->raw;
    shard->tensor.shape[spec->raw_axis] = 1;
    size_t count;
    if (!loss_tensor_count(&shard->tensor, &count))
        return fail(EXIT_USAGE, "'%s': a row has more elements than can be addressed", list->text);
    const size_t row = loss_tensor_bytes(&shard->tensor);
    if (list->axis >= 0 && spec->raw_axis != list->axis)
        return fail(EXIT_USAGE, "'%s': %s has its rows along dimension %d, so * must be there",
                    list->text, list->name, list->axis + 1);
    shard->tensor.shape[spec->raw_axis] = (size_t)((shard->stamp.size + row - 1) / row);
    if (shard->stamp.size % row != 0)
        return wrong_size(shard, spec->raw_axis == 0 ? row : 0,
                          shard->tensor.shape[spec->raw_axis]);
    return EXIT_OK;
}

/* Reads a header from the bytes of a file. */
static enum exit_code read_bytes(const struct shard_list *list, struct shard *shard,
                                 const char *bytes)
{
    shard->format = list->spec.format;
    if (shard->format == SHARD_DETECT && npy_begins(bytes, shard->stamp.size))
        shard->format = SHARD_NPY;
    if (shard->format == SHARD_DETECT && archive_begins(bytes, shard->stamp.size))
        shard->format = SHARD_SAFETENSORS;
    switch (shard->format) {
    case SHARD_NPY:
        return read_npy(list, shard, bytes);
    case SHARD_SAFETENSORS:
        return read_safetensors(list, shard, bytes);
    default:
        return fail(EXIT_INPUT,
                    "%s is not a .npy or safetensors file, the formats of shards; raw numbers need "
                    "their dtype and shape: raw:float32,(*,10):%s",
                    shard->path, shard->path);
    }
}

static enum exit_code read_header(struct shard_list *list, struct shard *shard)
{
    struct shard_window window;
    enum exit_code code = shard_stamp_read(&shard->stamp, shard->path);
    if (code != EXIT_OK || list->spec.format == SHARD_RAW)
        return code;
    code = shard_window_open(&window, shard->path, &shard->stamp, 0, shard->stamp.size, false);
    if (code != EXIT_OK)
        return code;
    code = read_bytes(list, shard, window.data);
    const char *const changed = shard_window_close(&window);
    shard->tensor.data = NULL;
    return code == EXIT_OK && changed ? shard_window_fail_changed(changed) : code;
}

/* ---- Comparing ---- */

size_t shard_row_bytes(const struct loss_tensor *tensor)
{
    size_t bytes = loss_dtype_size(tensor->dtype);
    for (int axis = 1; axis < tensor->rank; axis++)
        bytes *= tensor->shape[axis];
    return bytes;
}

/* Checks that a shard has the same dtype, and the same dimensions after that of the rows, as the
   first one. */
static enum exit_code compare(const struct shard_list *list, const struct shard *shard)
{
    const struct loss_tensor *const tensor = &shard->tensor, *const first = &list->shard->tensor;
    char shape[LOSS_SHAPE_TEXT], first_shape[LOSS_SHAPE_TEXT];
    bool same = tensor->dtype == first->dtype && tensor->rank == first->rank;
    for (int i = list->axis + 1; list->axis >= 0 && same && i < tensor->rank; i++)
        same = tensor->shape[i] == first->shape[i];
    return same ? EXIT_OK
                : fail(EXIT_INPUT,
                       "%s has shape %.64s and dtype %s, but the first file of %s, %s, has %.64s "
                       "and %s; only the number of rows may differ",
                       shard->path, loss_shape_text(tensor, shape), loss_dtype_name(tensor->dtype),
                       list->name, list->shard->path, loss_shape_text(first, first_shape),
                       loss_dtype_name(first->dtype));
}

/* Checks that a .npy file ends with its tensor. Other formats are checked when they are read. */
static enum exit_code check_size(const struct shard_list *list, const struct shard *shard)
{
    if (shard->format != SHARD_NPY ||
        shard->stamp.size == shard->offset + loss_tensor_bytes(&shard->tensor))
        return EXIT_OK;
    return wrong_size(shard, list->axis == 0 ? shard_row_bytes(&shard->tensor) : 0, shard->rows);
}

/* ---- Lists ---- */

/* Sets the dimension of the rows, from the first shard. */
static void choose_axis(struct shard_list *list, const struct loss_descriptor *loss, int k)
{
    const int rank =
        list->spec.format == SHARD_RAW ? list->spec.raw.rank : list->shard->tensor.rank;
    list->axis = k < LOSS_MAX_TENSORS ? loss_sample_axis(loss, k, rank) : 0;
    if (list->axis >= rank)
        list->axis = LOSS_SHARED;
}

static enum exit_code add_shard(struct shard_list *list, const struct loss_descriptor *loss, int k,
                                size_t i)
{
    struct shard *const shard = &list->shard[i];
    *shard = (struct shard){.path = list->spec.path[i], .first = list->rows};
    enum exit_code code = read_header(list, shard);
    if (code == EXIT_OK && i == 0)
        choose_axis(list, loss, k);
    if (code == EXIT_OK && list->spec.format == SHARD_RAW)
        code = read_raw(list, shard);
    if (code == EXIT_OK)
        code = compare(list, shard);
    if (code != EXIT_OK)
        return code;
    shard->rows = list->axis >= 0 ? shard->tensor.shape[list->axis] : 0;
    list->rows += shard->rows;
    if (list->rows >= LOSS_COUNT_LIMIT)
        return fail(EXIT_INPUT, "%s has 2^53 rows or more", list->name);
    return check_size(list, shard);
}

enum exit_code shard_list_open(struct shard_list *list, const struct loss_descriptor *loss, int k,
                               const char *name, const char *text)
{
    *list = (struct shard_list){.name = name, .text = text};
    enum exit_code code = shard_spec_read(&list->spec, text);
    if (code != EXIT_OK)
        return code;
    list->shard = malloc(list->spec.count * sizeof *list->shard);
    if (!list->shard)
        return fail_memory();
    for (size_t i = 0; i < list->spec.count && code == EXIT_OK; i++)
        code = add_shard(list, loss, k, i);
    return code;
}

void shard_list_describe(const struct shard_list *list, enum shard_detail detail,
                         struct buffer *out)
{
    for (size_t i = 0; i < list->spec.count; i++) {
        const struct shard *const shard = &list->shard[i];
        const struct timespec *const modified = &shard->stamp.modified;
        buffer_printf(out, "%s in ", list->name);
        json_append_string(out, shard->path);
        buffer_printf(out, ": %" PRIu64 " bytes, ", shard->stamp.size);
        if (detail == SHARD_WITH_TIMES)
            buffer_printf(out, "modified %lld.%09ld", (long long)modified->tv_sec,
                          modified->tv_nsec);
        else
            buffer_printf(out, "%" PRIu64 " rows", shard->rows);
        buffer_printf(out, ", tensor at byte %" PRIu64 "\n", shard->offset);
    }
}

void shard_list_free(struct shard_list *list)
{
    free(list->shard);
    shard_spec_free(&list->spec);
    *list = (struct shard_list){.shard = NULL};
}

struct loss_tensor shard_list_whole(const struct shard_list *list)
{
    struct loss_tensor whole = list->shard->tensor;
    for (size_t i = 1; i < list->spec.count; i++)
        for (int axis = 0; axis < whole.rank; axis++) {
            const size_t size = list->shard[i].tensor.shape[axis];
            if (list->axis == LOSS_OWN)
                whole.shape[axis] += size;
            else if (size > whole.shape[axis])
                whole.shape[axis] = size;
        }
    if (list->axis >= 0)
        whole.shape[list->axis] = (size_t)list->rows;
    return whole;
}

size_t shard_list_find(const struct shard_list *list, uint64_t row)
{
    size_t low = 0, high = list->spec.count; /* the last shard in [low, high) that begins there */
    while (high - low > 1) {
        const size_t middle = low + (high - low) / 2;
        if (list->shard[middle].first <= row)
            low = middle;
        else
            high = middle;
    }
    return low;
}
