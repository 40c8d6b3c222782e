#include "files/output.h"
#include "cli/progress.h"
#include "files/replacement.h"
#include "number/number.h"
#include "json/tensor_json.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Destinations ---- */

static bool is_stdout(const char *path)
{
    return strcmp(path, "-") == 0;
}

enum exit_code outputs_add(struct outputs *outputs, const char *name, const char *spec)
{
    struct output *const output = &outputs->output[outputs->count];
    *output = (struct output){.path = spec};
    snprintf(output->name, sizeof output->name, "%s", name);
    output->format = file_format_of_prefix(&output->path);
    if (output->format == FILE_UNKNOWN)
        output->format = is_stdout(output->path) ? FILE_JSON : file_format_of_path(output->path);
    if (*output->path == '\0')
        return fail(EXIT_USAGE, "'%s' contains no file name to write %s to", spec, name);
    if (output->format == FILE_UNKNOWN)
        return fail(EXIT_USAGE,
                    "'%s' has no known format to write %s in; it must end in .npy, .safetensors, "
                    ".json or .csv, or begin with npy:, safetensors:, json: or csv:",
                    spec, name);
    for (int i = 0; i < outputs->count; i++)
        if (strcmp(outputs->output[i].path, output->path) == 0 &&
            (output->format != FILE_SAFETENSORS || outputs->output[i].format != FILE_SAFETENSORS))
            return fail(EXIT_USAGE,
                        "cannot write both %s and %s to %s; only a safetensors file can contain "
                        "several tensors",
                        outputs->output[i].name, name, output->path);
    outputs->count++;
    return EXIT_OK;
}

bool outputs_use_stdout(const struct outputs *outputs)
{
    for (int i = 0; i < outputs->count; i++)
        if (is_stdout(outputs->output[i].path))
            return true;
    return false;
}

/* ---- Formats ---- */

/* Writes version 1 of the format, padded with spaces to a multiple of 64 bytes. */
void output_npy_header(struct buffer *out, const struct loss_tensor *tensor)
{
    enum { FIXED = 10, ALIGNMENT = 64 };
    struct buffer header = {0};
    buffer_printf(&header, "{'descr': '<f%zu', 'fortran_order': False, 'shape': (",
                  loss_dtype_size(tensor->dtype));
    for (int axis = 0; axis < tensor->rank; axis++)
        buffer_printf(&header, "%zu,%s", tensor->shape[axis], axis + 1 < tensor->rank ? " " : "");
    buffer_text(&header, "), }");
    while ((FIXED + header.len + 1) % ALIGNMENT != 0 && !header.failed)
        buffer_text(&header, " ");
    buffer_text(&header, "\n");
    const uint16_t len = (uint16_t)header.len; /* little-endian, like the host */
    buffer_append(out, "\x93NUMPY\x01", 8);
    buffer_append(out, &len, sizeof len);
    if (!header.failed)
        buffer_append(out, header.data, header.len);
    out->failed |= header.failed;
    buffer_free(&header);
}

/* Writes one line per row. A tensor of rank 0 is one number; one of rank 3 or more has a row for
   each combination of all indices but the last. */
static void put_csv(struct buffer *out, const struct loss_tensor *tensor)
{
    const size_t columns = tensor->rank > 1 ? tensor->shape[tensor->rank - 1] : 1,
                 n = loss_tensor_elements(tensor);
    for (size_t i = 0; i < n; i++) {
        char *const at = buffer_reserve(out, NUMBER_TEXT + 1);
        if (!at)
            return;
        const bool wide = tensor->dtype == LOSS_FLOAT64;
        const double value =
            wide ? ((const double *)tensor->data)[i] : (double)((const float *)tensor->data)[i];
        size_t len;
        if (isnan(value))
            len = (size_t)sprintf(at, "nan");
        else if (isinf(value))
            len = (size_t)sprintf(at, "%s", value > 0 ? "inf" : "-inf");
        else
            len = wide ? number_write_f64(at, value) : number_write_f32(at, (float)value);
        at[len] = (i + 1) % columns == 0 ? '\n' : ',';
        out->len += len + 1;
    }
}

/* ---- Files ---- */

/* Encodes the content of one path: text or a header in `head`, then `count` tensors as raw data. */
static enum exit_code encode(const struct outputs *outputs, int first, int threads,
                             struct buffer *head, const struct loss_tensor *data[], int *count)
{
    const struct output *const output = &outputs->output[first];
    struct archive_entry entry[OUTPUTS];
    *count = 0;
    switch (output->format) {
    case FILE_NPY:
        output_npy_header(head, output->tensor);
        data[(*count)++] = output->tensor;
        break;
    case FILE_SAFETENSORS:
        for (int i = first; i < outputs->count; i++)
            if (strcmp(outputs->output[i].path, output->path) == 0) {
                data[*count] = entry[*count].tensor = outputs->output[i].tensor;
                memcpy(entry[(*count)++].name, outputs->output[i].name, sizeof entry->name);
            }
        archive_header(head, entry, *count);
        break;
    case FILE_JSON:
        tensor_json_encode(head, output->tensor, FORM_NESTED, threads);
        buffer_text(head, "\n");
        break;
    default:
        put_csv(head, output->tensor);
    }
    return head->failed ? fail_memory() : EXIT_OK;
}

static bool put_all(FILE *file, const struct buffer *head, const struct loss_tensor *const data[],
                    int count)
{
    bool ok = fwrite(head->data, 1, head->len, file) == head->len;
    for (int i = 0; i < count && ok; i++) {
        const size_t bytes = loss_tensor_bytes(data[i]);
        ok = bytes == 0 || fwrite(data[i]->data, 1, bytes, file) == bytes;
    }
    return fflush(file) == 0 && ok;
}

/* Replaces the file at `path`; see replacement.h. */
static enum exit_code write_file(const char *path, const struct buffer *head,
                                 const struct loss_tensor *const data[], int count, bool sync)
{
    struct replacement file;
    if (replacement_begin(&file, path) &&
        replacement_end(&file, put_all(file.file, head, data, count), sync))
        return EXIT_OK;
    return fail(EXIT_FAILED, "cannot write %s: %s", path, strerror(errno));
}

static enum exit_code write_path(const char *path, const struct buffer *head,
                                 const struct loss_tensor *const data[], int count, bool sync)
{
    if (!is_stdout(path))
        return write_file(path, head, data, count, sync);
    if (!put_all(stdout, head, data, count))
        return fail(EXIT_FAILED, "cannot write to standard output: %s", strerror(errno));
    return EXIT_OK;
}

enum exit_code output_write_text(const char *path, const struct buffer *text)
{
    return text->failed ? fail_memory() : write_path(path, text, NULL, 0, true);
}

enum exit_code output_print(struct buffer *text, bool taken, bool quiet)
{
    enum exit_code code = text->failed ? fail_memory() : EXIT_OK;
    if (code == EXIT_OK && !taken)
        code = output_write_text("-", text);
    else if (code == EXIT_OK && !quiet)
        fwrite(text->data, 1, text->len, stderr);
    buffer_free(text);
    return code;
}

static enum exit_code write_one(const struct outputs *outputs, int first, int threads)
{
    const struct loss_tensor *data[OUTPUTS];
    const struct output *const output = &outputs->output[first];
    struct buffer head = {0};
    int count;
    progress_begin("writing %s", output->path);
    enum exit_code code = encode(outputs, first, threads, &head, data, &count);
    if (code == EXIT_OK && !is_stdout(output->path))
        replacement_remove_leftovers(output->path);
    if (code == EXIT_OK)
        code = write_path(output->path, &head, data, count, false);
    progress_end();
    buffer_free(&head);
    return code;
}

enum exit_code outputs_write(const struct outputs *outputs, int threads)
{
    for (int i = 0; i < outputs->count; i++) {
        bool written = false;
        for (int k = 0; k < i; k++)
            written |= strcmp(outputs->output[k].path, outputs->output[i].path) == 0;
        const enum exit_code code = written ? EXIT_OK : write_one(outputs, i, threads);
        if (code != EXIT_OK)
            return code;
    }
    return EXIT_OK;
}
