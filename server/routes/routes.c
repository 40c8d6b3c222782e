/*
 * The table of routes.
 */
#include "routes/routes.h"

#include "oip/oip.h"
#include "routes/handlers.h"
#include "v1/v1.h"

#define MODEL   "/v2/models/{loss}"
#define VERSION MODEL "/versions/{version}"

/* The descriptions of the routes in the OpenAPI document. */
static const char server_tag[] = "server", losses_tag[] = "losses",
                  oip_tag[] = "inference protocol";
static const char json_media[] = "application/json", text_media[] = "text/plain";

#define DESCRIBE(name) static const struct openapi_operation doc_##name

DESCRIBE(root) = {"root", server_tag,
                  "An overview of the endpoints; for browsers, a page to try the losses",
                  .answer = openapi_root_answer};
DESCRIBE(health) = {"health", server_tag, "Liveness check", .media = text_media};
DESCRIBE(ready) = {"ready", server_tag, "Readiness check", .media = text_media, .also = 503};
DESCRIBE(document) = {"document",          server_tag,           "This document",
                      .media = json_media, .schema = "Document", .errors = {406, 503}};
DESCRIBE(docs) = {"docs", server_tag, "This document as interactive pages, for browsers",
                  .media = "text/html"};
DESCRIBE(asset) = {"asset", server_tag, "A file of the pages", .media = "*/*", .errors = {404}};
DESCRIBE(metrics) = {
    "metrics",
    server_tag,
    "Metrics of the server, for Prometheus",
    "Served only on the admin address, if there is one.",
    .media = text_media,
    .errors = {503},
};
DESCRIBE(limits) = {
    "limits",
    server_tag,
    "Limits on requests",
    "The limits in effect, by the names or former names of the options that set them, in bytes, "
    "seconds and units of work. For a rate, memory_hold, max_work, compute_timeout and "
    "max_connections_per_address, 0 means no limit.",
    .media = json_media,
    .schema = "Limits",
    .errors = {503},
};
DESCRIBE(list) = {
    "listLosses",
    losses_tag,
    "Every loss, with its tensors, parameters and an example",
    .media = json_media,
    .schema = "Losses",
    .errors = {406, 503},
};
DESCRIBE(describe) = {
    "describe",          losses_tag,       "Describe",           .each_loss = true,
    .media = json_media, .schema = "Loss", .errors = {406, 503},
};
DESCRIBE(evaluate) = {
    "evaluate",
    losses_tag,
    "Evaluate",
    .each_loss = true,
    .options = true,
    .parameters = {"timeout"},
    .request = openapi_evaluate_request,
    .answer = openapi_evaluate_answer,
    .errors = {400, 406, 411, 413, 415, 422, 503},
};
DESCRIBE(several) = {
    "evaluateSeveral",
    losses_tag,
    "Evaluate several losses over the same tensors",
    "Tensors are sent and decoded once, and losses over the same terms share one pass over memory.",
    .parameters = {"timeout"},
    .request = openapi_several_request,
    .answer = openapi_several_answer,
    .errors = {400, 406, 411, 413, 415, 422, 503},
};
DESCRIBE(merge) = {
    "merge",
    losses_tag,
    "Merge partial results of parts of a batch",
    "Parts are evaluated with `partial` true, in any number of requests and on any servers. The "
    "result has the same bits as if the whole batch were evaluated in one request.",
    .parameters = {"timeout"},
    .request = openapi_merge_request,
    .answer = openapi_merge_answer,
    .errors = {400, 406, 411, 413, 415, 422, 503},
};
DESCRIBE(server) = {"serverMetadata", oip_tag, "Name, version and extensions", .media = json_media,
                    .schema = "ServerMetadata"};
DESCRIBE(live) = {"live", oip_tag, "Liveness check", .media = json_media, .schema = "Live"};
DESCRIBE(oip_ready) = {"serverReady",       oip_tag,           "Readiness check",
                       .media = json_media, .schema = "Ready", .also = 503};
DESCRIBE(statistics) = {
    "statistics",
    oip_tag,
    "Statistics of all models",
    .media = json_media,
    .schema = "ModelStatistics",
    .errors = {503},
};
DESCRIBE(model) = {
    "modelMetadata",
    oip_tag,
    "Inputs, outputs and parameters of a model",
    .media = json_media,
    .schema = "ModelMetadata",
    .errors = {404},
};
DESCRIBE(model_ready) = {
    "modelReady",
    oip_tag,
    "Readiness of a model; always ready",
    .media = json_media,
    .schema = "ModelReady",
    .errors = {404},
};
DESCRIBE(model_config) = {
    "modelConfiguration",
    oip_tag,
    "The configuration of a model, in Triton's format",
    .media = json_media,
    .schema = "ModelConfiguration",
    .errors = {404},
};
DESCRIBE(model_statistics) = {
    "modelStatistics",           oip_tag,
    "Statistics of a model",     .media = json_media,
    .schema = "ModelStatistics", .errors = {404, 503},
};
DESCRIBE(infer) = {
    "infer",
    oip_tag,
    "Evaluate a model",
    "Numbers are in the JSON, or in binary after it. With binary data, the header "
    "Inference-Header-Content-Length of the request or response gives the length of the JSON in "
    "bytes.",
    .parameters = {"jsonLength", "timeout"},
    .request = openapi_infer_request,
    .answer = openapi_infer_answer,
    .errors = {400, 404, 411, 413, 415, 503},
};
DESCRIBE(index) = {
    "repositoryIndex",      oip_tag,
    "Every model",          .request = openapi_any_request,
    .optional = true,       .media = json_media,
    .schema = "ModelIndex",
};
DESCRIBE(load) = {"loadModel", oip_tag,
                  "Always fails with 400: every loss is a model that is always loaded",
                  .errors = {400}};
DESCRIBE(unload) = {"unloadModel", oip_tag, "Always fails with 400: models cannot be unloaded",
                    .errors = {400}};

static const struct route routes[] = {
    {.method = "GET", .path = "/", .handle = handle_root, .public = true, .openapi = &doc_root},
    {.method = "GET",
     .path = "/healthz",
     .handle = handle_health,
     .public = true,
     .scope = SCOPE_ALL,
     .openapi = &doc_health},
    {.method = "GET",
     .path = "/readyz",
     .handle = handle_ready,
     .public = true,
     .scope = SCOPE_ALL,
     .openapi = &doc_ready},
    {.method = "GET",
     .path = "/openapi.json",
     .handle = handle_document,
     .public = true,
     .openapi = &doc_document},
    {.method = "GET", .path = "/docs", .handle = handle_docs, .public = true, .openapi = &doc_docs},
    {.method = "GET",
     .path = "/assets/{file}",
     .handle = handle_asset,
     .public = true,
     .openapi = &doc_asset},
    {.method = "GET",
     .path = "/metrics",
     .handle = handle_metrics,
     .inline_only = true,
     .scope = SCOPE_ADMIN,
     .openapi = &doc_metrics},
    {.method = "GET", .path = "/v1/limits", .handle = handle_limits, .openapi = &doc_limits},
    {.method = "GET", .path = "/v1/losses", .handle = handle_list, .openapi = &doc_list},
    {.method = "GET",
     .path = "/v1/losses/{loss}",
     .handle = handle_describe,
     .openapi = &doc_describe},
    {.method = "POST",
     .path = "/v1/losses/{loss}",
     .evaluate = &v1_evaluate,
     .openapi = &doc_evaluate},
    {.method = "POST",
     .path = "/v1/evaluate",
     .evaluate = &v1_evaluate_many,
     .openapi = &doc_several},
    {.method = "POST", .path = "/v1/merge", .evaluate = &v1_merge, .openapi = &doc_merge},
    {.method = "GET", .path = "/v2", .handle = handle_server, .openapi = &doc_server},
    {.method = "GET", .path = "/v2/", .handle = handle_server, .openapi = &doc_server},
    {.method = "GET",
     .path = "/v2/health/live",
     .handle = handle_live,
     .public = true,
     .scope = SCOPE_ALL,
     .openapi = &doc_live},
    {.method = "GET",
     .path = "/v2/health/ready",
     .handle = handle_oip_ready,
     .public = true,
     .scope = SCOPE_ALL,
     .openapi = &doc_oip_ready},
    {.method = "GET",
     .path = "/v2/models/stats",
     .handle = handle_model_statistics,
     .openapi = &doc_statistics},
    {.method = "GET", .path = MODEL, .handle = handle_model, .openapi = &doc_model},
    {.method = "GET",
     .path = MODEL "/ready",
     .handle = handle_model_ready,
     .openapi = &doc_model_ready},
    {.method = "GET",
     .path = MODEL "/config",
     .handle = handle_model_config,
     .openapi = &doc_model_config},
    {.method = "GET",
     .path = MODEL "/stats",
     .handle = handle_model_statistics,
     .openapi = &doc_model_statistics},
    {.method = "POST", .path = MODEL "/infer", .evaluate = &oip_infer, .openapi = &doc_infer},
    {.method = "GET", .path = VERSION, .handle = handle_model, .openapi = &doc_model},
    {.method = "GET",
     .path = VERSION "/ready",
     .handle = handle_model_ready,
     .openapi = &doc_model_ready},
    {.method = "GET",
     .path = VERSION "/config",
     .handle = handle_model_config,
     .openapi = &doc_model_config},
    {.method = "GET",
     .path = VERSION "/stats",
     .handle = handle_model_statistics,
     .openapi = &doc_model_statistics},
    {.method = "POST", .path = VERSION "/infer", .evaluate = &oip_infer, .openapi = &doc_infer},
    {.method = "POST",
     .path = "/v2/repository/index",
     .handle = handle_index,
     .openapi = &doc_index},
    {.method = "POST",
     .path = "/v2/repository/models/{loss}/load",
     .handle = handle_load_unload,
     .openapi = &doc_load},
    {.method = "POST",
     .path = "/v2/repository/models/{loss}/unload",
     .handle = handle_load_unload,
     .openapi = &doc_unload},
};
enum { ROUTE_COUNT = sizeof routes / sizeof routes[0] };

size_t route_count(void)
{
    return ROUTE_COUNT;
}

const struct route *route_at(size_t index)
{
    return &routes[index];
}

size_t route_index(const struct route *route)
{
    return (size_t)(route - routes);
}

struct route_label route_label(size_t index)
{
    return (struct route_label){routes[index].method, routes[index].path};
}
