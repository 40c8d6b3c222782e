/*
 * What the endpoints do: the functions that the table of routes.c names.
 */
#ifndef SERVER_ROUTES_HANDLERS_H
#define SERVER_ROUTES_HANDLERS_H

#include "routes/routes.h"

void answer_root(const struct call *call, struct response *reply);
void answer_health(const struct call *call, struct response *reply);
void answer_ready(const struct call *call, struct response *reply);
void answer_asset(const struct call *call, struct response *reply);
void answer_metrics(const struct call *call, struct response *reply);
void answer_limits(const struct call *call, struct response *reply);
void answer_docs(const struct call *call, struct response *reply);
void answer_document(const struct call *call, struct response *reply);
void answer_list(const struct call *call, struct response *reply);
void answer_describe(const struct call *call, struct response *reply);
void answer_evaluate(const struct call *call, struct response *reply);
bool evaluate_possible(const struct call *call, struct response *reply);
void answer_several(const struct call *call, struct response *reply);
bool several_possible(const struct call *call, struct response *reply);
void answer_infer(const struct call *call, struct response *reply);
bool infer_possible(const struct call *call, struct response *reply);
void answer_live(const struct call *call, struct response *reply);
void answer_oip_ready(const struct call *call, struct response *reply);
void answer_server(const struct call *call, struct response *reply);
void answer_model(const struct call *call, struct response *reply);
void answer_model_ready(const struct call *call, struct response *reply);
void answer_model_config(const struct call *call, struct response *reply);
void answer_model_statistics(const struct call *call, struct response *reply);
void answer_index(const struct call *call, struct response *reply);
void answer_fixed(const struct call *call, struct response *reply);

#endif
