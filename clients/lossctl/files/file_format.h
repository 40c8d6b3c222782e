/* File formats, recognized by path, prefix or content. */
#ifndef LOSSCTL_FILES_FILE_FORMAT_H
#define LOSSCTL_FILES_FILE_FORMAT_H

#include <stddef.h>

enum file_format {
    FILE_NPY,
    FILE_SAFETENSORS,
    FILE_JSON,
    FILE_CSV,
    FILE_FORMATS,
    FILE_UNKNOWN = FILE_FORMATS
};
/* The names of the formats, as in prefixes such as "npy:". */
extern const char *const file_format_names[FILE_FORMATS];

/* Returns the format of a path's extension, or FILE_UNKNOWN. */
enum file_format file_format_of_path(const char *path);
/* Returns the format of a prefix such as "npy:" and advances *path past it. Returns FILE_UNKNOWN
   and leaves *path unchanged if there is no such prefix. */
enum file_format file_format_of_prefix(const char **path);
/* Detects the format of the content; bytes[len] must be NUL. Returns FILE_CSV if the content
   matches no other format. */
enum file_format file_format_of_bytes(const char *bytes, size_t len);

#endif
