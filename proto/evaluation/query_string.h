/* The query of a request as fields: ?reduction=sum&grad=input,target */
#ifndef PROTO_EVALUATION_QUERY_STRING_H
#define PROTO_EVALUATION_QUERY_STRING_H

#include "evaluation/request_fields.h"

/* Reads the fields in a query, percent-encoded as it came, NULL if there is none. LOSS_MALFORMED
   for broken escapes, and what fields_read_plain refuses. */
enum loss_status query_string_read(struct fields *fields, const char *query);

#endif
