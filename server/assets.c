/* Serving the files of web/. */
#include "assets.h"

#include <stdbool.h>
#include <string.h>

#include "refusal.h"

/* Pages get everything from here, and nobody else may frame them. They are asked for again each time, for their names stay when
   their content changes; the tag makes that cheap. */
static const struct reply_header page_headers[] = {
    {"Content-Security-Policy",
     "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"},
    {"Referrer-Policy", "no-referrer"},
    {"Cross-Origin-Opener-Policy", "same-origin"},
    {"Cross-Origin-Resource-Policy", "same-origin"},
    {"Cache-Control", "no-cache"},
    {NULL, NULL},
};

static const struct asset *find(const char *name)
{
    for (size_t i = 0; i < asset_count; i++)
        if (strcmp(assets[i].name, name) == 0)
            return &assets[i];
    return NULL;
}

/* Whether an If-None-Match has a tag, weak or not: no tag holds a quote, so that its quoted part cannot be a part of another.
 */
static bool has_tag(const char *if_none_match, const char *etag)
{
    return if_none_match && (strcmp(if_none_match, "*") == 0 || strstr(if_none_match, strchr(etag, '"')) != NULL);
}

static void refuse_unknown(const char *name, struct reply *reply)
{
    struct loss_nearest search = {.name = name};
    for (size_t i = 0; i < asset_count; i++)
        loss_nearest_try(&search, assets[i].name);
    if (search.best)
        refuse(reply, 404, "there is no file %.100s; did you mean /assets/%.100s?", name, search.best);
    else
        refuse(reply, 404, "there is no file %.100s", name);
}

void asset_answer(const char *name, const char *if_none_match, struct reply *reply)
{
    const struct asset *const asset = find(name);
    if (!asset) {
        refuse_unknown(name, reply);
        return;
    }
    *reply = (struct reply){.status = has_tag(if_none_match, asset->etag) ? 304 : 200,
                            .content_type = asset->content_type,
                            .etag = asset->etag,
                            .headers = page_headers};
    buffer_append(&reply->body, asset->bytes, (size_t)(asset->end - asset->bytes)); /* of a 304 only its length is sent */
}
