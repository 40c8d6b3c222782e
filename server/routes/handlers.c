/*
 * The endpoint handlers.
 */
#include "routes/handlers.h"

#include <stdlib.h>

#include "config/options.h"
#include "content/media_type.h"
#include "content/response.h"
#include "observe/metrics.h"
#include "oip/oip.h"
#include "routes/openapi_endpoint.h"
#include "routes/static_files.h"
#include "v1/v1.h"

static void answer_text(struct response *reply, int status, const char *text)
{
    *reply = (struct response){.status = status, .content_type = "text/plain; charset=utf-8"};
    buffer_text(&reply->body, text);
}

/* ---- The server and v1 ---- */

void handle_root(const struct route_request *request, struct response *reply)
{
    static const struct response_header headers[] = {{"Vary", "Accept"}, {NULL, NULL}};
    /* Browsers list text/html in Accept; curl sends only a wildcard. */
    if (media_type_is_named(request->view.accept, "text/html")) {
        asset_answer_page(request->if_none_match, reply);
        return;
    }
    *reply = (struct response){
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
        "Endpoints:\n"
        "\n"
        "  GET  /                  in a browser: a page to try the losses\n"
        "  GET  /v1/losses         list all losses with their tensors and parameters\n"
        "  GET  /v1/losses/{loss}  describe one loss\n"
        "  POST /v1/losses/{loss}  evaluate one loss\n"
        "  POST /v1/evaluate       evaluate several losses at once\n"
        "  GET  /v2/models/{loss}  describe one loss by the Open Inference Protocol; evaluate it "
        "with POST .../infer\n"
        "  GET  /docs              interactive API documentation, in a browser\n"
        "  GET  /openapi.json      the API as an OpenAPI document\n"
        "  GET  /v1/limits         limits on requests\n"
        "  GET  /healthz           liveness check\n"
        "  GET  /readyz            readiness check\n"
        "  GET  /metrics           Prometheus metrics\n",
        request->host);
}

void handle_health(const struct route_request *request, struct response *reply)
{
    (void)request;
    answer_text(reply, 200, "ok\n");
}

void handle_ready(const struct route_request *request, struct response *reply)
{
    if (request->draining)
        answer_text(reply, 503, "draining\n");
    else
        answer_text(reply, 200, "ready\n");
}

void handle_asset(const struct route_request *request, struct response *reply)
{
    asset_answer(request->file, request->if_none_match, reply);
}

void handle_metrics(const struct route_request *request, struct response *reply)
{
    *reply = (struct response){.status = 200,
                               .content_type = "text/plain; version=0.0.4; charset=utf-8"};
    if (!metrics_write(request->metrics, &reply->body))
        reply_error(reply, 503, "insufficient memory for the response; retry later");
}

void handle_limits(const struct route_request *request, struct response *reply)
{
    *reply = (struct response){.status = 200, .content_type = media_type_name(MEDIA_JSON)};
    if (!options_write_limits(request->limits, &reply->body))
        reply_error(reply, 503, "insufficient memory for the response; retry later");
}

void handle_docs(const struct route_request *request, struct response *reply)
{
    asset_answer("docs.html", request->if_none_match, reply);
}

void handle_document(const struct route_request *request, struct response *reply)
{
    struct loss_error error;
    if (media_type_accept_json(request->view.accept, &error) == LOSS_OK)
        document_answer(reply);
    else
        response_error(reply, &error);
}

void handle_list(const struct route_request *request, struct response *reply)
{
    v1_list(request->view.accept, reply);
}

void handle_describe(const struct route_request *request, struct response *reply)
{
    v1_describe(request->view.loss, request->view.accept, reply);
}

/* ---- Open Inference Protocol v2 ---- */

void handle_live(const struct route_request *request, struct response *reply)
{
    (void)request;
    oip_health("live", true, reply);
}

void handle_oip_ready(const struct route_request *request, struct response *reply)
{
    oip_health("ready", !request->draining, reply);
}

void handle_server(const struct route_request *request, struct response *reply)
{
    (void)request;
    oip_server(reply);
}

void handle_model(const struct route_request *request, struct response *reply)
{
    oip_model(request->view.loss, request->view.version, reply);
}

void handle_model_ready(const struct route_request *request, struct response *reply)
{
    oip_model_ready(request->view.loss, request->view.version, reply);
}

void handle_model_config(const struct route_request *request, struct response *reply)
{
    oip_model_config(request->view.loss, request->view.version, reply);
}

void handle_model_statistics(const struct route_request *request, struct response *reply)
{
    struct oip_statistics *const statistics = metrics_statistics(request->metrics);
    if (statistics)
        oip_model_statistics(request->view.loss, request->view.version, statistics, reply);
    else
        reply_error(reply, 503, "insufficient memory for the response; retry later");
    free(statistics);
}

void handle_index(const struct route_request *request, struct response *reply)
{
    (void)request;
    oip_repository_index(reply);
}

void handle_fixed(const struct route_request *request, struct response *reply)
{
    (void)request;
    oip_repository_refuse(reply);
}
