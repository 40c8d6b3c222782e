/*
 * The table of endpoints.
 */
#include "routes/routes.h"

#include "routes/handlers.h"

#define MODEL   "/v2/models/{loss}"
#define VERSION MODEL "/versions/{version}"

/* What the routes say of themselves in the OpenAPI document. */
static const char server_tag[] = "server", losses_tag[] = "losses",
                  oip_tag[] = "inference protocol";
static const char json_media[] = "application/json", text_media[] = "text/plain";

#define SAYS(name) static const struct openapi_operation says_##name

SAYS(root) = {"root", server_tag,
              "What this is and where to look; for browsers, a page to try losses on",
              .answer = openapi_root_answer};
SAYS(health) = {"health", server_tag, "Whether the process is alive", .media = text_media};
SAYS(ready) = {"ready", server_tag, "Whether it takes work", .media = text_media, .also = 503};
SAYS(document) = {"document",          server_tag,           "This document",
                  .media = json_media, .schema = "Document", .errors = {406, 503}};
SAYS(docs) = {"docs", server_tag, "This document for readers, in a browser", .media = "text/html"};
SAYS(asset) = {"asset", server_tag, "What pages are made of", .media = "*/*", .errors = {404}};
SAYS(metrics) = {
    "metrics",
    server_tag,
    "What the server does, for Prometheus",
    "On the admin address alone, if there is one.",
    .media = text_media,
    .errors = {503},
};
SAYS(limits) = {
    "limits",
    server_tag,
    "What requests are held to",
    "The limits in force, by the names of the options that set them, in bytes, seconds and units "
    "of work; 0 of a rate, of max_work and of compute_timeout is no limit.",
    .media = json_media,
    .schema = "Limits",
    .errors = {503},
};
SAYS(list) = {
    "listLosses",
    losses_tag,
    "Every loss, with its tensors, parameters and an example",
    .media = json_media,
    .schema = "Losses",
    .errors = {406, 503},
};
SAYS(describe) = {
    "describe",          losses_tag,       "Describe",           .each_loss = true,
    .media = json_media, .schema = "Loss", .errors = {406, 503},
};
SAYS(evaluate) = {
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
SAYS(several) = {
    "evaluateSeveral",
    losses_tag,
    "Evaluate several losses over the same tensors",
    "Tensors are sent and decoded once, and losses over the same terms go through memory together.",
    .parameters = {"timeout"},
    .request = openapi_several_request,
    .answer = openapi_several_answer,
    .errors = {400, 406, 411, 413, 415, 422, 503},
};
SAYS(server) = {"serverMetadata", oip_tag, "Name, version and extensions", .media = json_media,
                .schema = "ServerMetadata"};
SAYS(live) = {"live", oip_tag, "Whether the process is alive", .media = json_media,
              .schema = "Live"};
SAYS(oip_ready) = {"serverReady",       oip_tag,           "Whether it takes work",
                   .media = json_media, .schema = "Ready", .also = 503};
SAYS(statistics) = {
    "statistics",
    oip_tag,
    "What all models have done so far",
    .media = json_media,
    .schema = "ModelStatistics",
    .errors = {503},
};
SAYS(model) = {
    "modelMetadata",
    oip_tag,
    "Inputs, outputs and parameters of a model",
    .media = json_media,
    .schema = "ModelMetadata",
    .errors = {404},
};
SAYS(model_ready) = {
    "modelReady",           oip_tag,         "Whether a model is ready: it is", .media = json_media,
    .schema = "ModelReady", .errors = {404},
};
SAYS(model_config) = {
    "modelConfiguration",
    oip_tag,
    "The configuration of a model, as Triton has it",
    .media = json_media,
    .schema = "ModelConfiguration",
    .errors = {404},
};
SAYS(model_statistics) = {
    "modelStatistics",
    oip_tag,
    "What a model has done so far",
    .media = json_media,
    .schema = "ModelStatistics",
    .errors = {404, 503},
};
SAYS(infer) = {
    "infer",
    oip_tag,
    "Evaluate a model",
    "Numbers are in the JSON, or behind it as bytes; then the header "
    "Inference-Header-Content-Length says how long "
    "the JSON is, both ways.",
    .parameters = {"jsonLength", "timeout"},
    .request = openapi_infer_request,
    .answer = openapi_infer_answer,
    .errors = {400, 404, 411, 413, 415, 503},
};
SAYS(index) = {
    "repositoryIndex",      oip_tag,
    "Every model",          .request = openapi_any_request,
    .optional = true,       .media = json_media,
    .schema = "ModelIndex",
};
SAYS(load) = {"loadModel", oip_tag, "Refused: every loss is a model, and always ready",
              .errors = {400}};
SAYS(unload) = {"unloadModel", oip_tag, "Refused, as loading is", .errors = {400}};

static const struct route routes[] = {
    {.method = "GET", .path = "/", .answer = answer_root, .open = true, .says = &says_root},
    {.method = "GET",
     .path = "/healthz",
     .answer = answer_health,
     .open = true,
     .side = ROUTE_BOTH,
     .says = &says_health},
    {.method = "GET",
     .path = "/readyz",
     .answer = answer_ready,
     .open = true,
     .side = ROUTE_BOTH,
     .says = &says_ready},
    {.method = "GET",
     .path = "/openapi.json",
     .answer = answer_document,
     .open = true,
     .says = &says_document},
    {.method = "GET", .path = "/docs", .answer = answer_docs, .open = true, .says = &says_docs},
    {.method = "GET",
     .path = "/assets/{file}",
     .answer = answer_asset,
     .open = true,
     .says = &says_asset},
    {.method = "GET",
     .path = "/metrics",
     .answer = answer_metrics,
     .at_once = true,
     .side = ROUTE_ADMIN,
     .says = &says_metrics},
    {.method = "GET", .path = "/v1/limits", .answer = answer_limits, .says = &says_limits},
    {.method = "GET", .path = "/v1/losses", .answer = answer_list, .says = &says_list},
    {.method = "GET",
     .path = "/v1/losses/{loss}",
     .answer = answer_describe,
     .says = &says_describe},
    {.method = "POST",
     .path = "/v1/losses/{loss}",
     .answer = answer_evaluate,
     .possible = evaluate_possible,
     .says = &says_evaluate},
    {.method = "POST",
     .path = "/v1/evaluate",
     .answer = answer_several,
     .possible = several_possible,
     .says = &says_several},
    {.method = "GET", .path = "/v2", .answer = answer_server, .says = &says_server},
    {.method = "GET", .path = "/v2/", .answer = answer_server, .says = &says_server},
    {.method = "GET",
     .path = "/v2/health/live",
     .answer = answer_live,
     .open = true,
     .side = ROUTE_BOTH,
     .says = &says_live},
    {.method = "GET",
     .path = "/v2/health/ready",
     .answer = answer_oip_ready,
     .open = true,
     .side = ROUTE_BOTH,
     .says = &says_oip_ready},
    {.method = "GET",
     .path = "/v2/models/stats",
     .answer = answer_model_statistics,
     .says = &says_statistics},
    {.method = "GET", .path = MODEL, .answer = answer_model, .says = &says_model},
    {.method = "GET",
     .path = MODEL "/ready",
     .answer = answer_model_ready,
     .says = &says_model_ready},
    {.method = "GET",
     .path = MODEL "/config",
     .answer = answer_model_config,
     .says = &says_model_config},
    {.method = "GET",
     .path = MODEL "/stats",
     .answer = answer_model_statistics,
     .says = &says_model_statistics},
    {.method = "POST",
     .path = MODEL "/infer",
     .answer = answer_infer,
     .possible = infer_possible,
     .says = &says_infer},
    {.method = "GET", .path = VERSION, .answer = answer_model, .says = &says_model},
    {.method = "GET",
     .path = VERSION "/ready",
     .answer = answer_model_ready,
     .says = &says_model_ready},
    {.method = "GET",
     .path = VERSION "/config",
     .answer = answer_model_config,
     .says = &says_model_config},
    {.method = "GET",
     .path = VERSION "/stats",
     .answer = answer_model_statistics,
     .says = &says_model_statistics},
    {.method = "POST",
     .path = VERSION "/infer",
     .answer = answer_infer,
     .possible = infer_possible,
     .says = &says_infer},
    {.method = "POST", .path = "/v2/repository/index", .answer = answer_index, .says = &says_index},
    {.method = "POST",
     .path = "/v2/repository/models/{loss}/load",
     .answer = answer_fixed,
     .says = &says_load},
    {.method = "POST",
     .path = "/v2/repository/models/{loss}/unload",
     .answer = answer_fixed,
     .says = &says_unload},
};
enum { ROUTE_COUNT = sizeof routes / sizeof routes[0] };

size_t route_count(void)
{
    return ROUTE_COUNT;
}

const struct route *route_at(size_t place)
{
    return &routes[place];
}

size_t route_place(const struct route *route)
{
    return (size_t)(route - routes);
}

struct route_label route_label(size_t place)
{
    return (struct route_label){routes[place].method, routes[place].path};
}
