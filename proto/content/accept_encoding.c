#include "content/accept_encoding.h"
#include "content/media_type.h"
#include "json/scanner.h"

#include <string.h>
#include <strings.h>

static const char *const names[ENCODING_COUNT] = {[ENCODING_IDENTITY] = "identity",
                                                  [ENCODING_ZSTD] = "zstd",
                                                  [ENCODING_GZIP] = "gzip",
                                                  [ENCODING_DEFLATE] = "deflate"};

const char encoding_names[] = "zstd, gzip, deflate";

const char *encoding_name(enum content_encoding encoding)
{
    return names[encoding];
}

/* An element of a list: its name, without parameters. */
struct element {
    const char *name;
    size_t len;
};

/* Returns the first element of a list; empty ones are legal. */
static struct element element_at(const char *list)
{
    list += strspn(list, " \t");
    return (struct element){list, strcspn(list, ",; \t")};
}

/* Returns the list after its first element; NULL at the end. */
static const char *next_element(const char *list)
{
    const char *comma = strchr(list, ',');
    return comma ? comma + 1 : NULL;
}

static bool is(struct element element, const char *name)
{
    return strlen(name) == element.len && strncasecmp(element.name, name, element.len) == 0;
}

/* Returns ENCODING_COUNT if it is unknown. */
static enum content_encoding encoding_of(struct element element)
{
    if (is(element,
           "x-gzip")) /* the old name of gzip, which must be accepted (RFC 9110, section 8.4.1.3) */
        return ENCODING_GZIP;
    for (enum content_encoding encoding = ENCODING_IDENTITY; encoding < ENCODING_COUNT; encoding++)
        if (is(element, names[encoding]))
            return encoding;
    return ENCODING_COUNT;
}

/* ---- Content-Encoding ---- */

void content_encoding_add(struct content_encoding_header *content, const char *line)
{
    for (const char *list = line; list && !content->refused; list = next_element(list)) {
        const struct element element = element_at(list);
        const enum content_encoding encoding = encoding_of(element);
        if (element.len == 0 || encoding == ENCODING_IDENTITY)
            continue;
        content->stacked = content->encoding != ENCODING_IDENTITY;
        if (content->stacked || encoding == ENCODING_COUNT)
            content->refused = element.name;
        else
            content->encoding = encoding;
    }
}

enum loss_status content_encoding_check(const struct content_encoding_header *content,
                                        struct loss_error *error)
{
    char quote[JSON_QUOTE];
    if (!content->refused)
        return LOSS_OK;
    json_quote(content->refused, quote);
    quote[strcspn(quote, ",; \t")] = '\0';
    if (content->stacked)
        return loss_fail(error, LOSS_UNSUPPORTED,
                         "Content-Encoding has '%s' and '%s'; at most one coding is supported",
                         names[content->encoding], quote);
    return loss_fail(error, LOSS_UNSUPPORTED,
                     "Content-Encoding '%s' is not supported; send the body in zstd, gzip or "
                     "deflate, or uncompressed",
                     quote);
}

/* ---- Accept-Encoding ---- */

void accept_encoding_add(struct accept_encoding_header *accept, const char *line)
{
    for (const char *list = line; list; list = next_element(list)) {
        const struct element element = element_at(list);
        const enum content_encoding encoding = encoding_of(element);
        if (is(element, "*")) {
            accept->named_any = true;
            accept->q_any = media_type_quality(list);
        } else if (encoding < ENCODING_COUNT) {
            accept->named[encoding] = true;
            accept->q[encoding] = media_type_quality(list);
        }
    }
}

static double quality_of(const struct accept_encoding_header *accept,
                         enum content_encoding encoding)
{
    if (accept->named[encoding])
        return accept->q[encoding];
    return accept->named_any && encoding != ENCODING_ZSTD ? accept->q_any : 0;
}

struct encoding_choice accept_encoding_choose(const struct accept_encoding_header *accept)
{
    struct encoding_choice choice = {.encoding = ENCODING_IDENTITY};
    double best = accept->named[ENCODING_IDENTITY] ? accept->q[ENCODING_IDENTITY] : 0;
    /* If identity is not mentioned, it is accepted but not preferred. */
    choice.required = (accept->named[ENCODING_IDENTITY] || accept->named_any) &&
                      !(quality_of(accept, ENCODING_IDENTITY) > 0);
    for (enum content_encoding encoding = ENCODING_IDENTITY + 1; encoding < ENCODING_COUNT;
         encoding++) {
        const double q = quality_of(accept, encoding);
        if (q > best || (q > 0 && q >= best && choice.encoding == ENCODING_IDENTITY)) {
            best = q;
            choice.encoding = encoding;
        }
    }
    return choice;
}
