/* Media types: what a request says it sends, and what it says it takes. */
#ifndef PROTO_MEDIA_H
#define PROTO_MEDIA_H

#include "loss.h"

/* LOSS_UNSUPPORTED unless a Content-Type stands for JSON: application/json, application/...+json, with any parameters; NULL
   counts as JSON. */
enum loss_status media_check_content(const char *content_type, struct loss_error *error);
/* LOSS_NOT_ACCEPTABLE unless an Accept header takes JSON; NULL takes everything. */
enum loss_status media_check_accept(const char *accept, struct loss_error *error);

#endif
