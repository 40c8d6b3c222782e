#include "content/media_type.h"
#include "json/scanner.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A media type without white space and parameters. */
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

static const char *const names[MEDIA_COUNT] = {[MEDIA_JSON] = "application/json",
                                               [MEDIA_SAFETENSORS] = "application/vnd.safetensors",
                                               [MEDIA_OCTETS] = "application/octet-stream",
                                               [MEDIA_MULTIPART] = "multipart/form-data"};

const char *media_type_name(enum media_type media)
{
    return names[media];
}

enum loss_status media_type_parse(const char *content_type, enum media_type *media,
                                  struct loss_error *error)
{
    static const char any[] = "application/", json[] = "+json";
    char quote[JSON_QUOTE];
    *media = MEDIA_JSON;
    if (!content_type)
        return LOSS_OK;
    const struct span type = type_of(content_type);
    const bool suffixed =
        type.len > sizeof any + sizeof json - 2 &&
        strncasecmp(type.text, any, sizeof any - 1) == 0 &&
        strncasecmp(type.text + type.len - (sizeof json - 1), json, sizeof json - 1) == 0;
    if (is(type, names[MEDIA_JSON]) || suffixed)
        return LOSS_OK;
    *media = is(type, names[MEDIA_MULTIPART]) ? MEDIA_MULTIPART : MEDIA_SAFETENSORS;
    if (*media == MEDIA_MULTIPART || is(type, names[MEDIA_SAFETENSORS]) ||
        is(type, names[MEDIA_OCTETS]))
        return LOSS_OK;
    if (is(type, "application/x-www-form-urlencoded"))
        return loss_fail(
            error, LOSS_UNSUPPORTED,
            "Content-Type is application/x-www-form-urlencoded, the default of curl -d; "
            "add -H 'Content-Type: "
            "application/json', or use curl --json");
    if (type.len == 0)
        return loss_fail(error, LOSS_UNSUPPORTED,
                         "Content-Type has no media type; send application/json, "
                         "application/vnd.safetensors or multipart/form-data");
    return loss_fail(error, LOSS_UNSUPPORTED,
                     "Content-Type '%s' is not supported; send application/json, "
                     "application/vnd.safetensors or multipart/form-data",
                     json_quote(content_type, quote));
}

/* Returns the end of the value of a parameter: a quoted string, or text up to ';'. */
static const char *skip_value(const char *text)
{
    if (*text != '"')
        return text + strcspn(text, ";");
    for (text++; *text && *text != '"'; text++)
        text += *text == '\\' && text[1];
    return text + (*text == '"');
}

/* Returns the length of the media range at `text`: to the next comma outside quotes, or to the end.
 */
static size_t range_length(const char *text)
{
    const char *at = text;
    while (*at && *at != ',')
        at = *at == '"' ? skip_value(at) : at + 1;
    return (size_t)(at - text);
}

/* Returns the range after `range`, NULL if there is none. */
static const char *next_range(const char *range)
{
    range += range_length(range);
    return *range ? range + 1 : NULL;
}

double media_type_quality(const char *range)
{
    const char *const end = range + range_length(range);
    for (const char *at = range; at < end; at = *at == '"' ? skip_value(at) : at + 1) {
        const char *const name = at + 1 + strspn(at + 1, " \t");
        if (*at == ';' && (*name == 'q' || *name == 'Q') && name[1] == '=') {
            const double q = strtod(name + 2, NULL);
            return q >= 0 && q <= 1 ? q : 1; /* excludes "nan" and "inf" */
        }
    }
    return 1;
}

/* How an Accept header accepts a media type: by its most specific range. */
struct taken {
    int closeness; /* 2: full name, 1: range of subtypes, 0: any type, -1: not accepted */
    double q;
};

/* Returns how closely a range matches a media type (struct taken). */
static int closeness_of(struct span range, enum media_type media)
{
    if (is(range, names[media]))
        return 2;
    if (is(range, "application/*"))
        return 1;
    return is(range, "*/*") ? 0 : -1;
}

static struct taken take(const char *accept, enum media_type media)
{
    struct taken taken = {-1, 0};
    for (const char *range = accept; range; range = next_range(range)) {
        const int closeness = closeness_of(type_of(range), media);
        if (closeness > taken.closeness)
            taken = (struct taken){closeness, media_type_quality(range)};
    }
    return taken;
}

enum loss_status media_type_accept(const char *accept, enum media_type own, enum media_type *media,
                                   struct loss_error *error)
{
    char quote[JSON_QUOTE];
    *media = own;
    if (!accept || !*accept)
        return LOSS_OK;
    struct taken best = take(accept, own);
    for (enum media_type other = MEDIA_JSON; other <= MEDIA_OCTETS; other++) {
        const struct taken taken = take(accept, other);
        if (taken.q > best.q || (taken.q == best.q && taken.closeness > best.closeness)) {
            best = taken;
            *media = other;
        }
    }
    if (best.q > 0)
        return LOSS_OK;
    return loss_fail(error, LOSS_NOT_ACCEPTABLE,
                     "responses are application/json, application/vnd.safetensors or "
                     "application/octet-stream; Accept '%s' allows none of them",
                     json_quote(accept, quote));
}

enum loss_status media_type_accept_json(const char *accept, struct loss_error *error)
{
    char quote[JSON_QUOTE];
    if (!accept || !*accept || take(accept, MEDIA_JSON).q > 0)
        return LOSS_OK;
    return loss_fail(error, LOSS_NOT_ACCEPTABLE,
                     "responses are application/json, which Accept '%s' does not allow",
                     json_quote(accept, quote));
}

bool media_type_is_named(const char *accept, const char *type)
{
    for (const char *range = accept; range; range = next_range(range)) {
        if (is(type_of(range), type))
            return media_type_quality(range) > 0;
    }
    return false;
}

/* ---- Parameters ---- */

/* Copies a token or a quoted string to `out`; returns its end, or NULL if it does not fit. */
static const char *copy_value(const char *text, char *out, size_t size)
{
    const bool quoted = *text == '"';
    size_t len = 0;
    for (text += quoted; *text && (quoted ? *text != '"' : !strchr("; \t\r\n", *text)); text++) {
        if (quoted && *text == '\\' && text[1])
            text++;
        if (len + 1 >= size)
            return NULL;
        out[len++] = *text;
    }
    out[len] = '\0';
    return text + (quoted && *text == '"');
}

bool media_type_parameter(const char *text, const char *name, char *out, size_t size)
{
    while (*(text += strcspn(text, ";"))) {
        text++;
        text += strspn(text, " \t");
        const size_t len = strcspn(text, "=;");
        if (text[len] != '=')
            continue;
        if (strlen(name) == len && strncasecmp(text, name, len) == 0)
            return copy_value(text + len + 1, out, size) != NULL;
        text = skip_value(text + len + 1);
    }
    return false;
}
