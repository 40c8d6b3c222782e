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

static void fill_text(struct response *response, int status, const char *text)
{
    *response = (struct response){.status = status, .content_type = "text/plain; charset=utf-8"};
    buffer_text(&response->body, text);
}

/* ---- The server and v1 ---- */

void handle_root(const struct route_request *request, struct response *response)
{
    static const struct response_header headers[] = {{"Vary", "Accept"}, {NULL, NULL}};
    /* Browsers list text/html in Accept; curl sends only a wildcard. */
    if (media_type_is_named(request->view.accept, "text/html")) {
        asset_respond_page(request->if_none_match, response);
        return;
    }
    *response = (struct response){
        .status = 200, .content_type = "text/plain; charset=utf-8", .headers = headers};
    buffer_printf(
        &response->body,
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
        "  POST /v1/merge          merge partial results of parts of a batch\n"
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

void handle_health(const struct route_request *request, struct response *response)
{
    (void)request;
    fill_text(response, 200, "ok\n");
}

void handle_ready(const struct route_request *request, struct response *response)
{
    if (request->draining)
        fill_text(response, 503, "draining\n");
    else
        fill_text(response, 200, "ready\n");
}

void handle_asset(const struct route_request *request, struct response *response)
{
    asset_respond(request->file, request->if_none_match, response);
}

void handle_metrics(const struct route_request *request, struct response *response)
{
    *response = (struct response){.status = 200,
                                  .content_type = "text/plain; version=0.0.4; charset=utf-8"};
    if (!metrics_write(request->metrics, &response->body))
        reply_error(response, 503, "insufficient memory for the response; retry later");
}

void handle_limits(const struct route_request *request, struct response *response)
{
    *response = (struct response){.status = 200, .content_type = media_type_name(MEDIA_JSON)};
    if (!options_write_limits(request->limits, &response->body))
        reply_error(response, 503, "insufficient memory for the response; retry later");
}

void handle_docs(const struct route_request *request, struct response *response)
{
    asset_respond("docs.html", request->if_none_match, response);
}

void handle_document(const struct route_request *request, struct response *response)
{
    struct loss_error error;
    if (media_type_accept_json(request->view.accept, &error) == LOSS_OK)
        document_respond(response);
    else
        response_error(response, &error);
}

void handle_list(const struct route_request *request, struct response *response)
{
    v1_list(request->view.accept, response);
}

void handle_describe(const struct route_request *request, struct response *response)
{
    v1_describe(request->view.loss, request->view.accept, response);
}

/* ---- Open Inference Protocol v2 ---- */

void handle_live(const struct route_request *request, struct response *response)
{
    (void)request;
    oip_health("live", true, response);
}

void handle_oip_ready(const struct route_request *request, struct response *response)
{
    oip_health("ready", !request->draining, response);
}

void handle_server(const struct route_request *request, struct response *response)
{
    (void)request;
    oip_server(response);
}

void handle_model(const struct route_request *request, struct response *response)
{
    oip_model(request->view.loss, request->view.version, response);
}

void handle_model_ready(const struct route_request *request, struct response *response)
{
    oip_model_ready(request->view.loss, request->view.version, response);
}

void handle_model_config(const struct route_request *request, struct response *response)
{
    oip_model_config(request->view.loss, request->view.version, response);
}

void handle_model_statistics(const struct route_request *request, struct response *response)
{
    struct oip_statistics *const statistics = metrics_statistics(request->metrics);
    if (statistics)
        oip_model_statistics(request->view.loss, request->view.version, statistics, response);
    else
        reply_error(response, 503, "insufficient memory for the response; retry later");
    free(statistics);
}

void handle_index(const struct route_request *request, struct response *response)
{
    (void)request;
    oip_repository_index(response);
}

void handle_load_unload(const struct route_request *request, struct response *response)
{
    (void)request;
    oip_repository_refuse(response);
}
