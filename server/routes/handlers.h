/*
 * The handlers in the table of routes.c. Each fills the response.
 */
#ifndef SERVER_ROUTES_HANDLERS_H
#define SERVER_ROUTES_HANDLERS_H

#include "routes/routes.h"

void handle_root(const struct route_request *request, struct response *response);
void handle_health(const struct route_request *request, struct response *response);
void handle_ready(const struct route_request *request, struct response *response);
void handle_asset(const struct route_request *request, struct response *response);
void handle_metrics(const struct route_request *request, struct response *response);
void handle_limits(const struct route_request *request, struct response *response);
void handle_docs(const struct route_request *request, struct response *response);
void handle_document(const struct route_request *request, struct response *response);
void handle_list(const struct route_request *request, struct response *response);
void handle_describe(const struct route_request *request, struct response *response);
void handle_live(const struct route_request *request, struct response *response);
void handle_oip_ready(const struct route_request *request, struct response *response);
void handle_server(const struct route_request *request, struct response *response);
void handle_model(const struct route_request *request, struct response *response);
void handle_model_ready(const struct route_request *request, struct response *response);
void handle_model_config(const struct route_request *request, struct response *response);
void handle_model_statistics(const struct route_request *request, struct response *response);
void handle_index(const struct route_request *request, struct response *response);
void handle_load_unload(const struct route_request *request, struct response *response);

#endif
