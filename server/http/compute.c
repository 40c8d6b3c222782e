/*
 * Evaluates a request after its body is complete: on the I/O thread if it is little work, otherwise
 * on the executor.
 */
#include "http/http_internal.h"

#include "connection/connection_monitor.h"
#include "mhd_workarounds/strict_parser.h"
#include "system/watchdog.h"
#include "util/clock.h"

enum {
    /* The I/O thread evaluates bodies shorter than this: about 10 000 numbers, which take well
       under a millisecond. Waking another thread and this one again would double that time. Longer
       bodies would delay other connections. */
    HTTP_INLINE_BODY = 64 * 1024,
    /* Maximum work of an evaluation on the I/O thread (loss_plan.work): about 150 us. */
    HTTP_INLINE_WORK = 150 * 1000,
    /* Work per byte of the body. Up to this, the executor runs a job immediately after preparing
       it, because reading the body took about as long. With more work, shorter jobs go first. */
    HTTP_BYTE_WORK = 100,
    HTTP_BODY_COST = 4, /* expected core nanoseconds per byte of a body, to read and write JSON */
    HTTP_COMPRESSION_COST =
        20, /* expected core nanoseconds per byte of a response, to compress it */
};

/* Counts a request that ran out of memory for `what`. Changes the response to a 413 if no retry can
   succeed. */
static void check_memory(struct request *request, const char *what)
{
    if (request->response.status == 503 && !request_is_cancelled(request))
        request_fail_no_memory(request, what);
}

/* Decompresses a compressed body. Stops at `max_bytes` bytes (0: --max-decompressed-body). */
static enum decompression decompress_body(struct request *request, size_t max_bytes)
{
    const int64_t started = clock_ns();
    struct content_coding_body body = {&request->memory.quota, request->body, request->len,
                                       request->capacity};
    const enum decompression done = content_coding_expand(
        &request->content_coding, request->http->settings.limits.max_decompressed_body, max_bytes,
        &body, &request->response);
    request->body = body.bytes;
    request->len = body.len;
    request->capacity = body.capacity;
    request->expand_ms += (double)(clock_ns() - started) / 1e6;
    if (request->response.status == 413)
        request_count_rejection(request, REJECTION_EXPANDED_SIZE);
    check_memory(request, "the decompressed body");
    return done;
}

/* Reads the body and plans the evaluation. On failure, returns false and fills the response. */
static bool prepare(struct request *request)
{
    struct request_view *const view = &request->input.view;
    view->body = request->body ? request->body : "";
    view->len = request->len;
    view->max_work = request->http->settings.limits.max_work;
    view->quota = request->response.body.quota = &request->memory.quota;
    request->prepared = handler_prepare(request->route->evaluate, view, &request->response);
    if (request->response.status == 413)
        request_count_rejection(request, REJECTION_WORK);
    check_memory(request, "the request");
    return request->prepared != NULL;
}

/* Evaluates the prepared request and fills the response. */
static void run(struct request *request, int threads)
{
    prepared_run(request->prepared, threads, &request->response);
    check_memory(request, "the request");
    if (request->response.decode_ms > 0)
        request->response.decode_ms += request->expand_ms;
}

/* Estimates how many nanoseconds a request will occupy the executor. */
static int64_t estimate_cost_ns(const struct request *request)
{
    const struct response *const response = &request->response;
    const double work = request->prepared ? (double)request->prepared->work : 0;
    const double computing = work + (double)request->len * HTTP_BODY_COST;
    const double compressing = (double)response->body.len * HTTP_COMPRESSION_COST;
    const int threads = executor_threads(request->http->settings.executor);
    const double ns = (response->status == RESPONSE_NONE ? computing : compressing) / threads;
    return ns < (double)FAIR_QUEUE_COST_MAX_NS ? (int64_t)ns : FAIR_QUEUE_COST_MAX_NS;
}

/* ---- The executor ---- */

/* Adds the wait that has just ended: compute_on_executor may queue a request a second time. */
static void end_queue_wait(struct request *request)
{
    const int64_t now = clock_ns(), ns = now - request->enqueued;
    request->waited += ns;
    request->ns[PHASE_QUEUE] = request->ns[PHASE_QUEUE] > 0 ? request->ns[PHASE_QUEUE] + ns : ns;
    request->enqueued = 0;
}

/* Fills the response. If the request needs so much work that shorter jobs should go first, only
   prepares it and returns false. A request is queued again at most once. */
static bool compute_on_executor(struct request *request, int threads)
{
    if (!request->prepared) {
        if (decompress_body(request, 0) != DECOMPRESSED || !prepare(request))
            return true;
        if (prepared_exceeds(request->prepared, HTTP_INLINE_WORK + request->len * HTTP_BYTE_WORK)) {
            request->job.entry.cost_ns = estimate_cost_ns(request);
            request->enqueued = clock_ns();
            return false;
        }
    }
    run(request, threads);
    return true;
}

/* Fills the response and compresses it. Returns false if the job must be queued again. */
static bool fill_response(struct request *request, int threads)
{
    if (request->response.status == RESPONSE_NONE && !compute_on_executor(request, threads))
        return false;
    request_free_body(request); /* not needed while the response is being sent */
    watchdog_phase("compressing the response");
    if (content_coding_due(&request->content_coding, &request->response) &&
        !request_is_cancelled(request))
        content_coding_compress(&request->content_coding, threads, &request->response);
    return true;
}

/* Called on the executor thread. The comment at the top of request.c explains who owns the
   request. */
static bool run_job(struct job *job, int threads)
{
    struct request *request = (struct request *)job;
    end_queue_wait(request);
    watchdog_begin(WATCHDOG_EXECUTOR, "decoding, computing or encoding");
    request_report_to_watchdog(request);
    const bool filled = fill_response(request, threads);
    watchdog_end();
    return filled;
}

/* Called on any thread when the executor is done with a request. */
static void on_job_done(struct job *job, enum job_end end)
{
    struct request *request = (struct request *)job;
    if (request->enqueued > 0)
        end_queue_wait(request);
    request_free_body(request);
    switch (end) {
    case JOB_DONE:
        break;
    case JOB_GONE:
        request_fail_cancelled(request);
        break;
    case JOB_TIMED_OUT:
        request_fail_timeout(request);
        break;
    case JOB_EVICTED:
        request_fail_queue_full(request);
        break;
    }
    request_keep_response_memory(request);
    request->state = REQUEST_READY;
    MHD_resume_connection(request->connection);
}

bool request_enqueue_suspended(struct request *request)
{
    const int64_t now = clock_ns();
    struct job *const job = &request->job;
    request->body_complete = request->body_complete > 0 ? request->body_complete : now;
    job->entry = (struct fair_queue_entry){.client = request_client_key(request),
                                           .cost_ns = estimate_cost_ns(request)};
    job->gone =
        request->monitored ? monitor_gone_flag(request->monitored) : &request->http->cancel_all;
    job->deadline = request_deadline(request);
    job->cancel = false;
    job->run = run_job;
    job->done = on_job_done;
    request->memory.quota.cancel = &job->cancel;
    request->state = REQUEST_COMPUTING;
    request->enqueued = now;
    if (executor_submit(request->http->settings.executor, job))
        return true;
    request->enqueued = 0;
    request->state = REQUEST_READY;
    return false;
}

bool request_enqueue_compute(struct request *request)
{
    strict_parser_hide_end(request->parser, true);
    MHD_suspend_connection(request->connection);
    if (request_enqueue_suspended(request))
        return true;
    MHD_resume_connection(request->connection);
    return false;
}

/* ---- A complete body ---- */

/* Fills the response on the I/O thread. If that is too much work, returns false and keeps what has
   been prepared. */
static bool try_inline(struct request *request)
{
    if (request->len >= HTTP_INLINE_BODY)
        return false;
    const enum decompression done = decompress_body(request, HTTP_INLINE_BODY - 1);
    if (done == DECOMPRESSION_STOPPED)
        return false;
    if (done == DECOMPRESSION_FAILED || !prepare(request))
        return true;
    if (prepared_exceeds(request->prepared, HTTP_INLINE_WORK))
        return false;
    run(request, 1);
    return true;
}

enum MHD_Result request_on_body_complete(struct request *request)
{
    if (!monitor_set_phase(request->monitored, MONITOR_COMPUTING))
        return MHD_NO;
    request->body_complete = clock_ns();
    strict_parser_hide_end(request->parser, true);
    request->ns[PHASE_RECEIVE] = request->body_complete - request->started;
    if (request->body)
        request->body[request->len] = '\0';
    const bool filled =
        reservation_complete(&request->memory, request_expected_bytes(request, request->len));
    if (filled && try_inline(request)) {
        request_free_body(request);
        return request_finish_response(request);
    }
    if (filled)
        return request_enqueue_compute(request) ? MHD_YES : request_fail_enqueue(request);
    if (reservation_may_wait(&request->memory)) {
        request_wait_for_memory(request, REQUEST_WAITING_FOR_COMPUTE_MEMORY);
        return MHD_YES;
    }
    request_free_body(request);
    request_fail_no_memory(request, "the request");
    return request_finish_response(request);
}
