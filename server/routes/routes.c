/*
 * What there is to ask for.
 */
#include "routes/routes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/options.h"
#include "content/media_type.h"
#include "http/http_error.h"
#include "observe/metrics.h"
#include "oip/oip.h"
#include "routes/openapi_endpoint.h"
#include "routes/static_files.h"
#include "v1/v1.h"
#include "json/scanner.h"

static void answer_text(struct reply *reply, int status, const char *text)
{
    *reply = (struct reply){.status = status, .content_type = "text/plain; charset=utf-8"};
    buffer_text(&reply->body, text);
}

/* ---- the answers ---- */

static void answer_root(const struct call *call, struct reply *reply)
{
    static const struct reply_header headers[] = {{"Vary", "Accept"}, {NULL, NULL}};
    if (media_named(call->accept,
                    "text/html")) { /* by a browser; curl takes anything and names nothing */
        asset_answer_page(call->if_none_match, reply);
        return;
    }
    *reply = (struct reply){
        .status = 200, .content_type = "text/plain; charset=utf-8", .headers = headers};
    buffer_printf(
        &reply->body,
        "lossd " LOSS_VERSION ": loss functions and their gradients over HTTP and JSON\n"
        "\n"
        "Try:\n"
        "\n"
        "  curl -s http://%s/v1/losses/mse -H 'Content-Type: application/json' \\\n"
        "       -d '{\"input\": [1, 2, 3], \"target\": [1, 2, 5], \"grad\": true}'\n"
        "\n"
        "Where to look:\n"
        "\n"
        "  GET  /                  in a browser: a page to try them on\n"
        "  GET  /v1/losses         every loss, its tensors and its parameters\n"
        "  GET  /v1/losses/{loss}  the same of one\n"
        "  POST /v1/losses/{loss}  evaluate it\n"
        "  POST /v1/evaluate       evaluate several at once\n"
        "  GET  /v2/models/{loss}  the same of the Open Inference Protocol, with .../infer\n"
        "  GET  /docs              all of this in a browser, to try out\n"
        "  GET  /openapi.json      the same as an OpenAPI document\n"
        "  GET  /v1/limits         what requests are held to\n"
        "  GET  /healthz           whether the server lives\n"
        "  GET  /readyz            whether it takes requests\n"
        "  GET  /metrics           what it does, for Prometheus\n",
        call->host);
}

static void answer_health(const struct call *call, struct reply *reply)
{
    (void)call;
    answer_text(reply, 200, "ok\n");
}

static void answer_ready(const struct call *call, struct reply *reply)
{
    if (call->draining)
        answer_text(reply, 503, "draining\n");
    else
        answer_text(reply, 200, "ready\n");
}

static void answer_asset(const struct call *call, struct reply *reply)
{
    asset_answer(call->file, call->if_none_match, reply);
}

static void answer_metrics(const struct call *call, struct reply *reply)
{
    *reply =
        (struct reply){.status = 200, .content_type = "text/plain; version=0.0.4; charset=utf-8"};
    if (!metrics_write(call->metrics, &reply->body))
        refuse(reply, 503, "there is no memory for the answer at the moment");
}

static void answer_limits(const struct call *call, struct reply *reply)
{
    *reply = (struct reply){.status = 200, .content_type = media_name(MEDIA_JSON)};
    if (!options_write_limits(call->limits, &reply->body))
        refuse(reply, 503, "there is no memory for the answer at the moment");
}

static void answer_docs(const struct call *call, struct reply *reply)
{
    asset_answer("docs.html", call->if_none_match, reply);
}

static void answer_document(const struct call *call, struct reply *reply)
{
    struct loss_error error;
    if (media_accept_json(call->accept, &error) == LOSS_OK)
        document_answer(reply);
    else
        reply_problem(reply, &error);
}

static void answer_list(const struct call *call, struct reply *reply)
{
    v1_list(call->accept, reply);
}

static void answer_describe(const struct call *call, struct reply *reply)
{
    v1_describe(call->loss, call->accept, reply);
}

static struct v1_request evaluation(const struct call *call)
{
    return (struct v1_request){.loss = call->loss,
                               .content_type = call->content_type,
                               .accept = call->accept,
                               .query = call->query,
                               .body = call->body,
                               .len = call->len,
                               .work = call->work,
                               .allowance = call->allowance,
                               .threads = call->threads};
}

static void answer_evaluate(const struct call *call, struct reply *reply)
{
    struct v1_request request = evaluation(call);
    v1_evaluate(&request, reply);
}

static bool evaluate_possible(const struct call *call, struct reply *reply)
{
    struct v1_request request = evaluation(call);
    return v1_evaluate_possible(&request, reply);
}

static void answer_several(const struct call *call, struct reply *reply)
{
    struct v1_request request = evaluation(call);
    v1_several(&request, reply);
}

static bool several_possible(const struct call *call, struct reply *reply)
{
    struct v1_request request = evaluation(call);
    return v1_several_possible(&request, reply);
}

/* ---- Open Inference Protocol v2 ---- */

static struct oip_request inference(const struct call *call)
{
    return (struct oip_request){.model = call->loss,
                                .version = call->version,
                                .header_length = call->inference_header,
                                .body = call->body,
                                .len = call->len,
                                .work = call->work,
                                .allowance = call->allowance,
                                .threads = call->threads};
}

static void answer_infer(const struct call *call, struct reply *reply)
{
    struct oip_request request = inference(call);
    oip_infer(&request, reply);
}

static bool infer_possible(const struct call *call, struct reply *reply)
{
    struct oip_request request = inference(call);
    return oip_infer_possible(&request, reply);
}

static void answer_live(const struct call *call, struct reply *reply)
{
    (void)call;
    oip_health("live", true, reply);
}

static void answer_oip_ready(const struct call *call, struct reply *reply)
{
    oip_health("ready", !call->draining, reply);
}

static void answer_server(const struct call *call, struct reply *reply)
{
    (void)call;
    oip_server(reply);
}

static void answer_model(const struct call *call, struct reply *reply)
{
    oip_model(call->loss, call->version, reply);
}

static void answer_model_ready(const struct call *call, struct reply *reply)
{
    oip_model_ready(call->loss, call->version, reply);
}

static void answer_model_config(const struct call *call, struct reply *reply)
{
    oip_model_config(call->loss, call->version, reply);
}

static void answer_model_statistics(const struct call *call, struct reply *reply)
{
    struct oip_statistics *const statistics = metrics_statistics(call->metrics);
    if (statistics)
        oip_model_statistics(call->loss, call->version, statistics, reply);
    else
        refuse(reply, 503, "there is no memory for the answer at the moment");
    free(statistics);
}

static void answer_index(const struct call *call, struct reply *reply)
{
    (void)call;
    oip_index(reply);
}

static void answer_fixed(const struct call *call, struct reply *reply)
{
    (void)call;
    oip_fixed(reply);
}

/* ---- the table ---- */

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

const char routes_allow_any[] = "GET, HEAD, POST, OPTIONS";

/* Allow headers by which methods a path has: 1 for GET, 2 for POST. */
static const char *const allow_texts[] = {NULL, "GET, HEAD, OPTIONS", "POST, OPTIONS",
                                          routes_allow_any};

/* Parameters of paths. */
enum place { PLACE_LOSS, PLACE_VERSION, PLACE_FILE, PLACES };
static const char *const place_names[PLACES] = {"{loss}", "{version}", "{file}"};

/* Where they are in a path, else NULL; each ends with its segment. */
struct places {
    char *at[PLACES];
};

static enum place place_of(const char *wanted, size_t len)
{
    enum place place = PLACE_LOSS;
    while (strncmp(place_names[place], wanted, len) !=
           0) /* every name in the table of routes is one of these */
        place++;
    return place;
}

/* Whether a path is that of a route, segment by segment. */
static bool match(const struct route *route, char *path, struct places *places)
{
    const char *wanted = route->path;
    *places = (struct places){.at = {NULL}};
    for (;; wanted++, path++) {
        const size_t len = strcspn(path, "/"), wanted_len = strcspn(wanted, "/");
        if (*wanted == '{') {
            places->at[place_of(wanted, wanted_len)] = path;
            if (len == 0)
                return false;
        } else if (len != wanted_len || strncmp(path, wanted, len) != 0) {
            return false;
        }
        path += len;
        wanted += wanted_len;
        if (*path == '\0' || *wanted == '\0')
            return *path == *wanted;
    }
}

static const char *cut(char *segment)
{
    if (segment)
        segment[strcspn(segment, "/")] = '\0';
    return segment;
}

static bool is_served(const struct route *route, enum route_side side)
{
    return side == ROUTE_BOTH || route->side == ROUTE_BOTH || route->side == side;
}

struct route_match route_find(enum route_side side, const char *method, char *path)
{
    struct route_match found = {.route = NULL};
    struct places places, chosen = {.at = {NULL}};
    unsigned methods = 0;
    const bool head = strcmp(method, "HEAD") == 0;
    for (size_t i = 0; i < ROUTE_COUNT; i++) {
        if (!is_served(&routes[i], side) || !match(&routes[i], path, &places))
            continue;
        methods |= strcmp(routes[i].method, "GET") == 0 ? 1 : 2;
        if (!found.route && strcmp(routes[i].method, head ? "GET" : method) == 0) {
            found.route = &routes[i];
            chosen = places;
        }
    }
    found.allow = allow_texts[methods];
    found.loss = cut(chosen.at[PLACE_LOSS]);
    found.version = cut(chosen.at[PLACE_VERSION]);
    found.file = cut(chosen.at[PLACE_FILE]);
    return found;
}

enum reply_errors route_errors(const char *target)
{
    return strncmp(target, "/v2", 3) == 0 && strchr("/?", target[3])
               ? REPLY_OIP
               : REPLY_PROBLEM; /* or its end */
}

/* ---- what is not there ---- */

enum { CANDIDATE = 320 };

/* A route's path with the parameters of another path in it, segment by segment: "/v1/loss/mse" is
 * to find "/v1/losses/mse". */
static void fill_in(const struct route *route, const char *path, char *text)
{
    size_t len = 0;
    for (const char *wanted = route->path; *wanted && len < CANDIDATE;) {
        const size_t wanted_len = 1 + strcspn(wanted + 1, "/"),
                     given_len = *path ? 1 + strcspn(path + 1, "/") : 0;
        const bool given = wanted[1] == '{' && given_len > 1;
        len += (size_t)snprintf(text + len, CANDIDATE - len, "%.*s",
                                (int)(given ? given_len : wanted_len), given ? path : wanted);
        wanted += wanted_len;
        path += given_len;
    }
}

void route_not_found(enum route_side side, const char *path, struct reply *reply)
{
    char candidates[ROUTE_COUNT][CANDIDATE], meant[LOSS_MEANT_TEXT], quote[JSON_QUOTE_LONG],
        best[JSON_QUOTE_LONG];
    struct loss_nearest search = {.name = path};
    for (size_t i = 0; i < ROUTE_COUNT; i++) {
        fill_in(&routes[i], path, candidates[i]);
        if (is_served(&routes[i], side) && strcmp(candidates[i], path) != 0)
            loss_nearest_try(&search, candidates[i]);
    }
    json_quote_long(path, quote);
    if (search.best) /* it may hold segments of the path */
        search.best = json_quote_long(search.best, best);
    if (!search.best && side == ROUTE_ADMIN)
        refuse(reply, 404,
               "there is no path '%s' on this address, which is for health and metrics alone",
               quote);
    else
        refuse(reply, 404, "there is no path '%s'%s", quote,
               loss_nearest_text(&search, "'", "'", "GET / says which there are", meant));
}
