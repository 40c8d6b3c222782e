/* Serves the files of web/. */
#include "routes/static_files.h"

#include <stdbool.h>
#include <string.h>

#include "content/response.h"
#include "json/scanner.h"

/* Pages load everything from this server, and no other site may frame them. Browsers revalidate the
   files each time, because a file keeps its name when its content changes; the ETag makes this
   cheap. */
static const struct response_header page_headers[] = {
    {"Vary", "Accept"}, /* only for the page whose path depends on Accept; FOR_FILES skips it */
    {"Content-Security-Policy", "default-src 'self'; object-src 'none'; base-uri 'none'; "
                                "form-action 'self'; frame-ancestors 'none'"},
    {"Referrer-Policy", "no-referrer"},
    {"Cross-Origin-Opener-Policy", "same-origin"},
    {"Cross-Origin-Resource-Policy", "same-origin"},
    {"Cache-Control", "no-cache"},
    {NULL, NULL},
};
enum { FOR_FILES = 1 };

static const struct asset *find(const char *name)
{
    for (size_t i = 0; i < asset_count; i++)
        if (strcmp(assets[i].name, name) == 0)
            return &assets[i];
    return NULL;
}

/* Returns true if an If-None-Match header contains a tag, weak or strong. A substring search is
   exact, because the quoted part of a tag contains no quotes. */
static bool has_tag(const char *if_none_match, const char *etag)
{
    return if_none_match &&
           (strcmp(if_none_match, "*") == 0 || strstr(if_none_match, strchr(etag, '"')) != NULL);
}

static void respond_not_found(const char *name, struct response *response)
{
    char suggestion[LOSS_SUGGESTION_TEXT], quote[JSON_QUOTE];
    struct loss_nearest search = {.name = name};
    for (size_t i = 0; i < asset_count; i++)
        loss_nearest_try(&search, assets[i].name);
    reply_error(response, 404, "no such file '%s'%s", json_quote(name, quote),
                loss_nearest_text(&search, "'/assets/", "'", NULL, suggestion));
}

static void respond(const struct asset *asset, const char *if_none_match,
                    const struct response_header *headers, struct response *response)
{
    *response = (struct response){.status = has_tag(if_none_match, asset->etag) ? 304 : 200,
                                  .content_type = asset->content_type,
                                  .etag = asset->etag,
                                  .headers = headers};
    buffer_append(&response->body, asset->bytes,
                  (size_t)(asset->end - asset->bytes)); /* for a 304, only the length is sent */
}

void asset_respond(const char *name, const char *if_none_match, struct response *response)
{
    const struct asset *const asset = find(name);
    if (asset)
        respond(asset, if_none_match, page_headers + FOR_FILES, response);
    else
        respond_not_found(name, response);
}

void asset_respond_page(const char *if_none_match, struct response *response)
{
    respond(find("index.html"), if_none_match, page_headers, response);
}
