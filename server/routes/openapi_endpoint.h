/*
 * Serves the OpenAPI document, generated from the table of routes and the losses.
 */
#ifndef SERVER_ROUTES_OPENAPI_ENDPOINT_H
#define SERVER_ROUTES_OPENAPI_ENDPOINT_H

#include "content/response.h"

/* Fills the response with the document, or with an error. The document is generated on first
   use. */
void document_respond(struct response *response);

#endif
