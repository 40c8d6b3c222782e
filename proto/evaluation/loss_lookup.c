#include "evaluation/loss_lookup.h"
#include "json/scanner.h"

const char loss_lookup_http_hint[] = "GET /v1/losses lists them";

const struct loss_descriptor *loss_lookup(const char *name, const char *hint,
                                          struct loss_error *error)
{
    char quote[JSON_QUOTE], suggestion[LOSS_SUGGESTION_TEXT];
    const struct loss_descriptor *const loss = loss_find(name);
    if (loss)
        return loss;
    struct loss_nearest search = {.name = name};
    for (size_t i = 0; i < loss_count(); i++) {
        loss_nearest_try(&search, loss_at(i)->name);
        for (int k = 0; k < LOSS_MAX_ALIASES && loss_at(i)->aliases[k]; k++)
            loss_nearest_try(&search, loss_at(i)->aliases[k]);
    }
    loss_fail(error, LOSS_NOT_FOUND, "no such loss '%s'%s", json_quote(name, quote),
              loss_nearest_text(&search, "'", "'", hint, suggestion));
    return NULL;
}
