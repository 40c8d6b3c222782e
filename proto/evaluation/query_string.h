/* The query string of a request as fields: ?reduction=sum&grad=input,target */
#ifndef PROTO_EVALUATION_QUERY_STRING_H
#define PROTO_EVALUATION_QUERY_STRING_H

#include "evaluation/request_fields.h"

/* Reads the fields of a percent-encoded query string; NULL: none. Returns LOSS_MALFORMED if an
   escape is invalid, or a name or value contains NUL or is too long; other errors as
   fields_read_plain. */
enum loss_status query_string_read(struct fields *fields, const char *query);

#endif
