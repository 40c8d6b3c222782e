#include "media.h"
#include "json_text.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A type without white space around it or parameters behind it. */
struct span {
    const char *text;
    size_t len;
};

static struct span type_of(const char *text)
{
    text += strspn(text, " \t");
    size_t len = strcspn(text, ";,");
    while (len > 0 && (text[len - 1] == ' ' || text[len - 1] == '\t'))
        len--;
    return (struct span){text, len};
}

static bool is(struct span type, const char *name)
{
    return strlen(name) == type.len && strncasecmp(type.text, name, type.len) == 0;
}

enum loss_status media_check_content(const char *content_type, struct loss_error *error)
{
    static const char any[] = "application/", json[] = "+json";
    char quote[JSON_QUOTE];
    if (!content_type)
        return LOSS_OK;
    const struct span type = type_of(content_type);
    const bool suffixed = type.len > sizeof any + sizeof json - 2 && strncasecmp(type.text, any, sizeof any - 1) == 0 &&
                          strncasecmp(type.text + type.len - (sizeof json - 1), json, sizeof json - 1) == 0;
    if (is(type, "application/json") || suffixed)
        return LOSS_OK;
    if (is(type, "application/x-www-form-urlencoded"))
        return loss_fail(error, LOSS_UNSUPPORTED,
                         "the body is said to be a form, which is what curl -d says of everything; add -H 'Content-Type: "
                         "application/json', or use curl --json");
    if (type.len == 0)
        return loss_fail(error, LOSS_UNSUPPORTED, "Content-Type is empty; send application/json");
    return loss_fail(error, LOSS_UNSUPPORTED, "Content-Type '%s' is not taken; send application/json",
                     json_quote(content_type, quote));
}

/* The q of a media range, 1 where it has none. */
static double quality(const char *range)
{
    const size_t len = strcspn(range, ",");
    for (const char *at = range; (at = memchr(at, ';', len - (size_t)(at - range))); at++) {
        const char *name = at + 1 + strspn(at + 1, " \t");
        if ((*name == 'q' || *name == 'Q') && name[1] == '=')
            return strtod(name + 2, NULL);
    }
    return 1;
}

enum loss_status media_check_accept(const char *accept, struct loss_error *error)
{
    char quote[JSON_QUOTE];
    int best = -1; /* how closely the best range names JSON: the closest decides */
    double q = 0;
    if (!accept || !*accept)
        return LOSS_OK;
    for (const char *range = accept; range; range = strchr(range, ',')) {
        range += *range == ',';
        const struct span type = type_of(range);
        const int closeness = is(type, "application/json") ? 2 : is(type, "application/*") ? 1 : is(type, "*/*") ? 0 : -1;
        if (closeness > best) {
            best = closeness;
            q = quality(range);
        }
    }
    if (best >= 0 && q > 0)
        return LOSS_OK;
    return loss_fail(error, LOSS_NOT_ACCEPTABLE, "answers are application/json, which Accept '%s' does not take",
                     json_quote(accept, quote));
}
