/*
 * Serves the OpenAPI document. Generating it takes milliseconds and it does not change while the
 * server runs, so it is cached.
 */
#include "routes/openapi_endpoint.h"

#include <pthread.h>
#include <stdlib.h>

#include "content/response.h"
#include "openapi/openapi.h"
#include "routes/routes.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct response made; /* the cached document; its status is 0 until it is generated */

/* Generates the document. On failure, fills the response with an error. */
static void make(struct response *reply)
{
    struct openapi_route *const routes = calloc(route_count(), sizeof *routes);
    if (!routes) {
        reply_error(reply, 503, "insufficient memory for the response; retry later");
        return;
    }
    for (size_t i = 0; i < route_count(); i++) {
        const struct route *const route = route_at(i);
        routes[i] =
            (struct openapi_route){route->method, route->path, route->public, route->openapi};
    }
    openapi_document(routes, route_count(), reply);
    free(routes);
}

void document_answer(struct response *reply)
{
    pthread_mutex_lock(&mutex);
    if (made.status != 200)
        make(&made);
    *reply = made;
    if (made.status == 200) {
        reply->body = (struct buffer){.data = NULL};
        buffer_append(&reply->body, made.body.data, made.body.len);
    } else {
        made = (struct response){.status = 0};
    }
    pthread_mutex_unlock(&mutex);
}
