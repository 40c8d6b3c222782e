/* Media types: Content-Type and Accept. */
#ifndef PROTO_CONTENT_MEDIA_TYPE_H
#define PROTO_CONTENT_MEDIA_TYPE_H

#include "loss.h"

/* Requests have any of these except OCTETS, which is parsed as SAFETENSORS. Responses have one of
   the first three. */
enum media_type { MEDIA_JSON, MEDIA_SAFETENSORS, MEDIA_OCTETS, MEDIA_MULTIPART, MEDIA_COUNT };

/* Returns the name, such as "application/json"; static. */
const char *media_type_name(enum media_type media);

/* Parses a Content-Type, whose parameters are ignored: one of the names above. NULL and
   application/...+json are JSON; application/octet-stream is SAFETENSORS. Returns LOSS_UNSUPPORTED
   for anything else. */
enum loss_status media_type_parse(const char *content_type, enum media_type *media,
                                  struct loss_error *error);

/* Chooses which of the first three an Accept header prefers: that of the highest q, then of the
   most specific range, then `own`. NULL and "" accept everything. Returns LOSS_NOT_ACCEPTABLE if it
   accepts none. */
enum loss_status media_type_accept(const char *accept, enum media_type own, enum media_type *media,
                                   struct loss_error *error);

/* Returns LOSS_NOT_ACCEPTABLE unless the Accept header accepts JSON. NULL accepts everything. */
enum loss_status media_type_accept_json(const char *accept, struct loss_error *error);

/* Returns true if an Accept header accepts a media type by its full name, not by a range, with a q
   above 0. */
bool media_type_is_named(const char *accept, const char *type);

/* Returns the q of an element of an Accept header or a similar one ("text/html;q=0.5"), which ends
   at a comma; 1 if it has no q from 0 to 1. */
double media_type_quality(const char *range);

/* Copies the value of a parameter of a header ("form-data; name=\"input\"") to `out` without quotes
   and backslashes. Returns false if there is none, or it does not fit in `size` bytes with its NUL.
   */
bool media_type_parameter(const char *text, const char *name, char *out, size_t size);

#endif
