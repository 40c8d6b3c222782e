/*
 * The service as an OpenAPI document: what the table of routes says of itself, and proto/ of
 * losses.
 */
#ifndef SERVER_ROUTES_OPENAPI_ENDPOINT_H
#define SERVER_ROUTES_OPENAPI_ENDPOINT_H

#include "content/response.h"

/* Answers with the document, which is made when it is first asked for. */
void document_answer(struct response *reply);

#endif
