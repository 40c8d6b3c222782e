/* Media types: what a request says it sends, and what it says it takes. */
#ifndef PROTO_CONTENT_MEDIA_TYPE_H
#define PROTO_CONTENT_MEDIA_TYPE_H

#include "loss.h"

/* Requests come in all of these but OCTETS, which counts as SAFETENSORS; answers go out in the
 * first three. */
enum media_type { MEDIA_JSON, MEDIA_SAFETENSORS, MEDIA_OCTETS, MEDIA_MULTIPART, MEDIA_COUNT };

/* "application/json" and so on. */
const char *media_type_name(enum media_type media);

/* What a Content-Type stands for, with any parameters: application/json and application/...+json
   are JSON, and so is NULL; application/octet-stream is SAFETENSORS. LOSS_UNSUPPORTED for all that
   is not taken. */
enum loss_status media_type_parse(const char *content_type, enum media_type *media,
                                  struct loss_error *error);

/* Which of the first three an Accept header prefers: the one of the highest q, of several the one
   that it names most closely, of several still `own`. NULL and "" take everything.
   LOSS_NOT_ACCEPTABLE where it takes none. */
enum loss_status media_type_accept(const char *accept, enum media_type own, enum media_type *media,
                                   struct loss_error *error);

/* LOSS_NOT_ACCEPTABLE unless an Accept header takes JSON; NULL takes everything. */
enum loss_status media_type_accept_json(const char *accept, struct loss_error *error);

/* Whether an Accept header names a media type by itself, and takes it: not by a range, and with a q
 * above 0. */
bool media_type_is_named(const char *accept, const char *type);

/* The q of an element of an Accept header or one of its kind ("text/html;q=0.5"), which ends at a
   comma; 1 where it has none from 0 to 1. */
double media_type_quality(const char *range);

/* Copies the value of a parameter of a media type or another header of that kind ("form-data;
   name=\"input\"") into `out`, without the quotes and backslashes; false if there is none, or it
   does not fit in `size` with its NUL. */
bool media_type_parameter(const char *text, const char *name, char *out, size_t size);

#endif
