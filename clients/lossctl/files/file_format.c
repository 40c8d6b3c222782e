#include "files/file_format.h"
#include "files/archive.h"
#include "formats/npy.h"
#include "json/scanner.h"

#include <string.h>
#include <strings.h>

const char *const file_format_names[FILE_FORMATS] = {[FILE_NPY] = "npy",
                                                     [FILE_SAFETENSORS] = "safetensors",
                                                     [FILE_JSON] = "json",
                                                     [FILE_CSV] = "csv"};

enum file_format file_format_of_path(const char *path)
{
    static const struct {
        const char *extension;
        enum file_format format;
    } extensions[] = {{".npy", FILE_NPY},   {".safetensors", FILE_SAFETENSORS},
                      {".json", FILE_JSON}, {".csv", FILE_CSV},
                      {".tsv", FILE_CSV},   {".txt", FILE_CSV}};
    const size_t len = strlen(path);
    for (size_t i = 0; i < sizeof extensions / sizeof extensions[0]; i++) {
        const size_t extension = strlen(extensions[i].extension);
        if (len > extension && strcasecmp(path + len - extension, extensions[i].extension) == 0)
            return extensions[i].format;
    }
    return FILE_UNKNOWN;
}

enum file_format file_format_of_prefix(const char **path)
{
    for (int format = 0; format < FILE_FORMATS; format++) {
        const size_t len = strlen(file_format_names[format]);
        if (strncmp(*path, file_format_names[format], len) == 0 && (*path)[len] == ':') {
            *path += len + 1;
            return (enum file_format)format;
        }
    }
    return FILE_UNKNOWN;
}

enum file_format file_format_of_bytes(const char *bytes, size_t len)
{
    const char first = *json_begin(bytes, NULL);
    if (npy_begins(bytes, len))
        return FILE_NPY;
    if (archive_begins(bytes, len))
        return FILE_SAFETENSORS;
    return first == '{' || first == '[' ? FILE_JSON : FILE_CSV;
}
