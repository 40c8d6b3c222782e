#include "evaluation/query_string.h"
#include "number/hex.h"
#include "json/scanner.h"

#include <stdlib.h>
#include <string.h>

enum { VALUE_SIZE = 512 }; /* the longest valid value lists all tensors of a loss */

/* Decodes `len` bytes of a query into `out`. Returns NULL, or on failure the reason. */
static const char *decode(const char *text, size_t len, char *out, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        char c = text[i] == '+' ? ' ' : text[i];
        if (c == '%') {
            const int high = len - i > 2 ? hex_digit(text[i + 1]) : -1;
            const int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
            if (low < 0)
                return "has an invalid percent escape";
            c = (char)(high * 16 + low);
            i += 2;
        }
        if (c == '\0')
            return "contains a NUL byte";
        if (n + 1 >= size)
            return "has a name or value that is too long";
        out[n++] = c;
    }
    out[n] = '\0';
    return NULL;
}

enum loss_status query_string_read(struct fields *fields, const char *query)
{
    char name[OBJECT_KEY], value[VALUE_SIZE], quote[JSON_QUOTE];
    for (const char *pair = query; pair && *pair;) {
        const size_t len = strcspn(pair, "&"), name_len = strcspn(pair, "=&");
        const size_t value_at = name_len < len ? name_len + 1 : len;
        const char *reason = decode(pair, name_len, name, sizeof name);
        if (!reason)
            reason = decode(pair + value_at, len - value_at, value, sizeof value);
        if (reason)
            return loss_fail(fields->json.error, LOSS_MALFORMED, "the query %s: '%s'", reason,
                             json_quote(pair, quote));
        if (len > 0 && fields_read_plain(fields, name, value, 0) != LOSS_OK)
            return fields->json.error->status;
        pair += len + (pair[len] == '&');
    }
    return LOSS_OK;
}
