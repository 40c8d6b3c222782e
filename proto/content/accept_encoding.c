#include "content/accept_encoding.h"
#include "content/media_type.h"
#include "json/scanner.h"

#include <string.h>
#include <strings.h>

static const char *const names[CODING_COUNT] = {[CODING_IDENTITY] = "identity",
                                                [CODING_ZSTD] = "zstd",
                                                [CODING_GZIP] = "gzip",
                                                [CODING_DEFLATE] = "deflate"};

const char coding_names[] = "zstd, gzip, deflate";

const char *coding_name(enum coding coding)
{
    return names[coding];
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

/* Returns CODING_COUNT if it is unknown. */
static enum coding coding_of(struct element element)
{
    if (is(element,
           "x-gzip")) /* the old name of gzip, which must be accepted (RFC 9110, section 8.4.1.3) */
        return CODING_GZIP;
    for (enum coding coding = CODING_IDENTITY; coding < CODING_COUNT; coding++)
        if (is(element, names[coding]))
            return coding;
    return CODING_COUNT;
}

/* ---- Content-Encoding ---- */

void coding_content_add(struct coding_content *content, const char *line)
{
    for (const char *list = line; list && !content->refused; list = next_element(list)) {
        const struct element element = element_at(list);
        const enum coding coding = coding_of(element);
        if (element.len == 0 || coding == CODING_IDENTITY)
            continue;
        content->stacked = content->coding != CODING_IDENTITY;
        if (content->stacked || coding == CODING_COUNT)
            content->refused = element.name;
        else
            content->coding = coding;
    }
}

enum loss_status coding_content_check(const struct coding_content *content,
                                      struct loss_error *error)
{
    char quote[JSON_QUOTE];
    if (!content->refused)
        return LOSS_OK;
    json_quote(content->refused, quote);
    quote[strcspn(quote, ",; \t")] = '\0';
    if (content->stacked)
        return loss_fail(error, LOSS_UNSUPPORTED,
                         "Content-Encoding has both '%s' and '%s'; at most one coding is supported",
                         quote, names[content->coding]);
    return loss_fail(error, LOSS_UNSUPPORTED,
                     "Content-Encoding '%s' is not supported; send the body in zstd, gzip or "
                     "deflate, or uncompressed",
                     quote);
}

/* ---- Accept-Encoding ---- */

void coding_accept_add(struct coding_accept *accept, const char *line)
{
    for (const char *list = line; list; list = next_element(list)) {
        const struct element element = element_at(list);
        const enum coding coding = coding_of(element);
        if (is(element, "*")) {
            accept->named_any = true;
            accept->q_any = media_type_quality(list);
        } else if (coding < CODING_COUNT) {
            accept->named[coding] = true;
            accept->q[coding] = media_type_quality(list);
        }
    }
}

static double quality_of(const struct coding_accept *accept, enum coding coding)
{
    if (accept->named[coding])
        return accept->q[coding];
    return accept->named_any && coding != CODING_ZSTD ? accept->q_any : 0;
}

struct coding_choice coding_choose(const struct coding_accept *accept)
{
    struct coding_choice choice = {.coding = CODING_IDENTITY};
    double best = accept->named[CODING_IDENTITY] ? accept->q[CODING_IDENTITY] : 0;
    /* If identity is not mentioned, it is accepted but not preferred. */
    choice.required = (accept->named[CODING_IDENTITY] || accept->named_any) &&
                      !(quality_of(accept, CODING_IDENTITY) > 0);
    for (enum coding coding = CODING_IDENTITY + 1; coding < CODING_COUNT; coding++) {
        const double q = quality_of(accept, coding);
        if (q > best || (q > 0 && q >= best && choice.coding == CODING_IDENTITY)) {
            best = q;
            choice.coding = coding;
        }
    }
    return choice;
}
