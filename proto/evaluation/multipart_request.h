/* A request as a form: a NumPy file for each tensor, a text for each parameter. curl -F
 * input=@pred.npy -F reduction=sum */
#ifndef PROTO_EVALUATION_MULTIPART_REQUEST_H
#define PROTO_EVALUATION_MULTIPART_REQUEST_H

#include "evaluation/request_fields.h"

/* Reads the body of an evaluation as multipart/form-data. What `fields`, with which a query may
   have been read, has seen already counts more. */
enum loss_status multipart_request_read(struct fields *fields, const char *content_type);

#endif
