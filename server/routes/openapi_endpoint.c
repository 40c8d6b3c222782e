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
static void make(struct response *response)
{
    struct openapi_route *const routes = calloc(route_count(), sizeof *routes);
    if (!routes) {
        reply_error(response, 503, "insufficient memory for the response; retry later");
        return;
    }
    for (size_t i = 0; i < route_count(); i++) {
        const struct route *const route = route_at(i);
        routes[i] =
            (struct openapi_route){route->method, route->path, route->public, route->openapi};
    }
    openapi_document(routes, route_count(), response);
    free(routes);
}

void document_respond(struct response *response)
{
    pthread_mutex_lock(&mutex);
    if (made.status != 200)
        make(&made);
    *response = made;
    if (made.status == 200) {
        response->body = (struct buffer){.data = NULL};
        buffer_append(&response->body, made.body.data, made.body.len);
    } else {
        made = (struct response){.status = 0};
    }
    pthread_mutex_unlock(&mutex);
}
