/*
 * Reads JSON objects and lists value by value: requests and the headers of safetensors files.
 * The caller passes a function that reads each value; the reader checks the syntax between values.
 *
 *     static enum loss_status read_member(struct object_reader *json, void *context)
 *     {
 *         struct options *options = context;
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

enum { OBJECT_KEY = 256 }; /* maximum size of a key, with its NUL */

struct object_reader {
    const char *body;          /* errors give byte offsets from here; NULL: no offsets */
    const char *end;           /* of the text that `at` moves through; *end is NUL */
    const char *at;            /* at the value that is being read */
    const struct quota *quota; /* borrowed; cancels reading; may be NULL */
    struct loss_error *error;  /* borrowed */
    char key[OBJECT_KEY];      /* of the member that is being read */
    char path[128];            /* for error->path, such as "/key" */
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

/* Functions that return a status read the value at json->at and move past it. On failure, they
   return LOSS_MALFORMED with the offset of the first invalid byte, LOSS_CANCELLED, or the status of
   `member` or `element`. */

/* Reads an object and calls `member` for each of its members. */
enum loss_status object_reader_members(struct object_reader *json, object_member *member,
                                       void *context);

/* Reads a list and calls `element` for each of its values. */
enum loss_status object_reader_elements(struct object_reader *json, object_element *element,
                                        void *context);

/* Reads a whole document that consists of one object. A byte order mark before it is ignored. */
enum loss_status object_reader_document(struct object_reader *json, object_member *member,
                                        void *context);

/* Moves past any value, like json_skip_value(). */
enum loss_status object_reader_skip(struct object_reader *json);

/* Moves past any value, which must be valid JSON, but NaN and the infinities are accepted, as in
   tensors. */
enum loss_status object_reader_validate(struct object_reader *json);

/* Decodes a string into `text` of `size` bytes. A string that is too long or not valid text is
   copied undecoded and truncated, so that it matches no name and can be quoted. On a wrong type,
   the error says that `expected` was expected. */
enum loss_status object_reader_string(struct object_reader *json, const char *expected, char *text,
                                      size_t size);

/* Reads true or false. Otherwise, the error says that the field must be `expected`. */
enum loss_status object_reader_boolean(struct object_reader *json, const char *expected,
                                       bool *value);

/* If the value is null, moves past it and returns true. */
bool object_reader_null(struct object_reader *json);

/* Returns the index of the key in `names`, a list terminated by NULL, and sets that bit of *seen.
   If the key is not in the list or its bit is already set, returns -1 and sets an error in which
   `what` names the object. */
int object_reader_find(struct object_reader *json, const char *const names[], uint32_t *seen,
                       const char *what);

/* ---- Errors ---- */

/* Moves error->path below a parent, such as "/losses/3". Returns error->status. */
__attribute__((format(printf, 2, 3))) enum loss_status object_reader_below(struct loss_error *error,
                                                                           const char *parent, ...);

/* The functions below fail with LOSS_MALFORMED and return it. */

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
