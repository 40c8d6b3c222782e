/* Errors, and suggestions for misspelt names. */
#include "loss.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void describe(struct loss_error *error, enum loss_status status, const char *path,
                     const char *format, va_list args)
{
    *error = (struct loss_error){.status = status, .tensor = -1, .element = -1, .offset = -1};
    snprintf(error->path, sizeof error->path, "%s", path);
    vsnprintf(error->message, sizeof error->message, format, args);
}

enum loss_status loss_fail(struct loss_error *error, enum loss_status status, const char *format,
                           ...)
{
    va_list args;
    va_start(args, format);
    describe(error, status, "", format, args);
    va_end(args);
    return status;
}

enum loss_status loss_fail_at(struct loss_error *error, enum loss_status status, const char *path,
                              const char *format, ...)
{
    va_list args;
    va_start(args, format);
    describe(error, status, path, format, args);
    va_end(args);
    return status;
}

enum { NEAREST_LENGTH = 48 }; /* longer names are not suggested or corrected */

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Returns the number of edits (insert, delete, replace, swap neighbors) that turn a into b,
   ignoring case: the optimal string alignment distance. */
static size_t edits(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t row[3][NEAREST_LENGTH + 1];
    for (size_t j = 0; j <= b_len; j++)
        row[0][j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        size_t *current = row[i % 3], *last = row[(i + 2) % 3], *before = row[(i + 1) % 3];
        current[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            const bool same = lower(a[i - 1]) == lower(b[j - 1]);
            current[j] = smaller(smaller(current[j - 1], last[j]) + 1, last[j - 1] + !same);
            if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) &&
                lower(a[i - 2]) == lower(b[j - 1]))
                current[j] = smaller(current[j], before[j - 2] + 1);
        }
    }
    return row[a_len % 3][b_len];
}

void loss_nearest_try(struct loss_nearest *search, const char *candidate)
{
    const size_t name_len = strlen(search->name), len = strlen(candidate);
    if (name_len == 0 || name_len > NEAREST_LENGTH || len > NEAREST_LENGTH)
        return;
    /* A candidate is near if at most a third of the letters differ, or if the name is a prefix of
       it, such as "cross" of "cross_entropy". */
    const bool begins =
        name_len >= 3 && name_len < len && strncmp(search->name, candidate, name_len) == 0;
    const size_t distance = begins ? 1 : edits(search->name, name_len, candidate, len);
    if (distance > (name_len > len ? name_len : len) / 3 ||
        (search->best && distance >= search->distance))
        return;
    search->best = candidate;
    search->distance = distance;
}

const char *loss_nearest_text(const struct loss_nearest *search, const char *open,
                              const char *close, const char *otherwise, char *text)
{
    text[0] = '\0';
    if (search->best)
        snprintf(text, LOSS_SUGGESTION_TEXT, "; did you mean %s%.100s%s?", open, search->best,
                 close);
    else if (otherwise)
        snprintf(text, LOSS_SUGGESTION_TEXT, "; %s", otherwise);
    return text;
}
