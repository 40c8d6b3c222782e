/*
 * Reads JSON objects and lists value by value: the envelopes of requests and of safetensors files.
 * The caller passes a function that reads each value; the reader checks what is between them.
 *
 *     static enum loss_status read_member(struct object_reader *json, void *context)
 *     {
 *         if (strcmp(json->key, "binary") == 0)
 *             return object_reader_boolean(json, "true or false", &options->binary);
 *         return object_reader_skip(json);
 *     }
 *
 *     object_reader_begin(&json, body, len, quota, &error);
 *     object_reader_document(&json, read_member, &options);
 */
#ifndef PROTO_JSON_OBJECT_READER_H
#define PROTO_JSON_OBJECT_READER_H

#include "loss.h"
#include "memory/quota.h"

enum { OBJECT_KEY = 256 }; /* bytes of the longest key that is read, with its NUL */

struct object_reader {
    const char *body; /* byte offsets in errors count from here; NULL: errors have no offset */
    const char *end;  /* of the text that `at` moves through; *end is NUL */
    const char *at;   /* at the value that is being read */
    const struct quota *quota; /* borrowed; cancels reading; may be NULL */
    struct loss_error *error;  /* borrowed */
    char key[OBJECT_KEY];      /* of the member that is being read */
    char path[128];            /* error->path: "/key" */
};

/* Reads the value at json->at and moves past it, or fails and sets *json->error. */
typedef enum loss_status object_member(struct object_reader *json, void *context);
typedef enum loss_status object_element(struct object_reader *json, size_t index, void *context);

/* Starts at the first byte of `body`, which is borrowed; body[len] is NUL. */
void object_reader_begin(struct object_reader *json, const char *body, size_t len,
                         const struct quota *quota, struct loss_error *error);

/* Sets the key, and the path to it. */
void object_reader_set_key(struct object_reader *json, const char *key);

/* ---- Reading ---- */

/* Each function reads the value at json->at and moves past it. On failure, it returns
   LOSS_MALFORMED with the offset of the first invalid byte, or LOSS_CANCELLED. */

/* Reads an object, and calls `member` at the value of each of its keys. */
enum loss_status object_reader_members(struct object_reader *json, object_member *member,
                                       void *context);

/* Reads a list, and calls `element` at each of its values. */
enum loss_status object_reader_elements(struct object_reader *json, object_element *element,
                                        void *context);

/* Reads a whole document that is one object, which a byte order mark may precede. */
enum loss_status object_reader_document(struct object_reader *json, object_member *member,
                                        void *context);

/* Moves past any value; checks only its brackets and strings. */
enum loss_status object_reader_skip(struct object_reader *json);

/* Moves past any value, which must be valid JSON; NaN and the infinities are accepted, as in
   tensors. */
enum loss_status object_reader_validate(struct object_reader *json);

/* Decodes a string into `text` of `size` bytes. One that is too long, or that is not valid text, is
   copied as it is written and truncated, so that it matches no name and can be quoted. `expected`
   says in the error what should be there. */
enum loss_status object_reader_string(struct object_reader *json, const char *expected, char *text,
                                      size_t size);

/* Reads true or false. `expected` says in the error what the field must be. */
enum loss_status object_reader_boolean(struct object_reader *json, const char *expected,
                                       bool *value);

/* Returns true and moves past a null, if there is one. */
bool object_reader_null(struct object_reader *json);

/* Returns the index of the key in `names`, which NULL ends, and sets that bit of *seen. If the key
   is none of them, or its bit is set already, returns -1 and fails; `what` has these members. */
int object_reader_find(struct object_reader *json, const char *const names[], uint32_t *seen,
                       const char *what);

/* ---- Errors ---- */

/* All fail with LOSS_MALFORMED and return it. */

/* Fails at byte `at`. */
__attribute__((format(printf, 3, 4))) enum loss_status
object_reader_malformed(struct object_reader *json, const char *at, const char *format, ...);

/* Fails at byte `at`: "'x' where EXPECTED was expected". If reading was cancelled, returns
   LOSS_CANCELLED. */
enum loss_status object_reader_unexpected(struct object_reader *json, const char *at,
                                          const char *expected);

/* Fails at the value: "KEY must be EXPECTED". */
enum loss_status object_reader_wrong_type(struct object_reader *json, const char *expected);

#endif
