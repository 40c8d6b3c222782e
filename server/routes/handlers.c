/*
 * What the endpoints do.
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

void answer_root(const struct call *call, struct response *reply)
{
    static const struct response_header headers[] = {{"Vary", "Accept"}, {NULL, NULL}};
    if (media_type_is_named(
            call->accept, "text/html")) { /* by a browser; curl takes anything and names nothing */
        asset_answer_page(call->if_none_match, reply);
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

void answer_health(const struct call *call, struct response *reply)
{
    (void)call;
    answer_text(reply, 200, "ok\n");
}

void answer_ready(const struct call *call, struct response *reply)
{
    if (call->draining)
        answer_text(reply, 503, "draining\n");
    else
        answer_text(reply, 200, "ready\n");
}

void answer_asset(const struct call *call, struct response *reply)
{
    asset_answer(call->file, call->if_none_match, reply);
}

void answer_metrics(const struct call *call, struct response *reply)
{
    *reply = (struct response){.status = 200,
                               .content_type = "text/plain; version=0.0.4; charset=utf-8"};
    if (!metrics_write(call->metrics, &reply->body))
        reply_error(reply, 503, "there is no memory for the answer at the moment");
}

void answer_limits(const struct call *call, struct response *reply)
{
    *reply = (struct response){.status = 200, .content_type = media_type_name(MEDIA_JSON)};
    if (!options_write_limits(call->limits, &reply->body))
        reply_error(reply, 503, "there is no memory for the answer at the moment");
}

void answer_docs(const struct call *call, struct response *reply)
{
    asset_answer("docs.html", call->if_none_match, reply);
}

void answer_document(const struct call *call, struct response *reply)
{
    struct loss_error error;
    if (media_type_accept_json(call->accept, &error) == LOSS_OK)
        document_answer(reply);
    else
        response_error(reply, &error);
}

void answer_list(const struct call *call, struct response *reply)
{
    v1_list(call->accept, reply);
}

void answer_describe(const struct call *call, struct response *reply)
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
                               .quota = call->quota,
                               .threads = call->threads};
}

void answer_evaluate(const struct call *call, struct response *reply)
{
    struct v1_request request = evaluation(call);
    v1_evaluate(&request, reply);
}

bool evaluate_possible(const struct call *call, struct response *reply)
{
    struct v1_request request = evaluation(call);
    return v1_evaluate_possible(&request, reply);
}

void answer_several(const struct call *call, struct response *reply)
{
    struct v1_request request = evaluation(call);
    v1_evaluate_many(&request, reply);
}

bool several_possible(const struct call *call, struct response *reply)
{
    struct v1_request request = evaluation(call);
    return v1_evaluate_many_possible(&request, reply);
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
                                .quota = call->quota,
                                .threads = call->threads};
}

void answer_infer(const struct call *call, struct response *reply)
{
    struct oip_request request = inference(call);
    oip_infer(&request, reply);
}

bool infer_possible(const struct call *call, struct response *reply)
{
    struct oip_request request = inference(call);
    return oip_infer_possible(&request, reply);
}

void answer_live(const struct call *call, struct response *reply)
{
    (void)call;
    oip_health("live", true, reply);
}

void answer_oip_ready(const struct call *call, struct response *reply)
{
    oip_health("ready", !call->draining, reply);
}

void answer_server(const struct call *call, struct response *reply)
{
    (void)call;
    oip_server(reply);
}

void answer_model(const struct call *call, struct response *reply)
{
    oip_model(call->loss, call->version, reply);
}

void answer_model_ready(const struct call *call, struct response *reply)
{
    oip_model_ready(call->loss, call->version, reply);
}

void answer_model_config(const struct call *call, struct response *reply)
{
    oip_model_config(call->loss, call->version, reply);
}

void answer_model_statistics(const struct call *call, struct response *reply)
{
    struct oip_statistics *const statistics = metrics_statistics(call->metrics);
    if (statistics)
        oip_model_statistics(call->loss, call->version, statistics, reply);
    else
        reply_error(reply, 503, "there is no memory for the answer at the moment");
    free(statistics);
}

void answer_index(const struct call *call, struct response *reply)
{
    (void)call;
    oip_repository_index(reply);
}

void answer_fixed(const struct call *call, struct response *reply)
{
    (void)call;
    oip_repository_refuse(reply);
}
