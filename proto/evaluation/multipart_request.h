/*
 * A request as multipart/form-data: a NumPy file per tensor, a text per parameter.
 *
 *     curl -F input=@pred.npy -F target=@target.npy -F reduction=sum URL
 */
#ifndef PROTO_EVALUATION_MULTIPART_REQUEST_H
#define PROTO_EVALUATION_MULTIPART_REQUEST_H

#include "evaluation/request_fields.h"

/* Reads the body of the evaluation of `fields` as multipart/form-data. Fields that `fields` has
   seen already (a query may have set them) take precedence. */
enum loss_status multipart_request_read(struct fields *fields, const char *content_type);

#endif
