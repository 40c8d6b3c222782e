#include "formats/csv.h"
#include "number/number.h"
#include "json/scanner.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* ---- Errors ---- */

struct reader {
    const struct csv *csv;
    const char *name;
    struct loss_error *error;
    const char *at;
};

__attribute__((format(printf, 3, 4))) static enum loss_status
malformed(const struct reader *r, const char *at, const char *format, ...)
{
    char message[224], path[64] = "";
    size_t line = 1;
    const char *start = r->csv->text;
    for (const char *c = start; c < at; c++)
        if (*c == '\n') {
            line++;
            start = c + 1;
        }
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    json_pointer_add(path, sizeof path, r->name);
    loss_fail_at(r->error, LOSS_MALFORMED, path, "line %zu, column %zu: %s", line,
                 (size_t)(at - start) + 1, message);
    r->error->offset = at - r->csv->text;
    return LOSS_MALFORMED;
}

/* ---- Fields ---- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool ends_field(const struct reader *r, const char *at)
{
    return at == r->csv->end || is_blank(*at) || *at == ',' || *at == ';' || *at == '\n' ||
           *at == '\r';
}

static const char *skip_blanks(const struct reader *r, const char *at)
{
    while (at < r->csv->end && is_blank(*at))
        at++;
    return at;
}

/* Returns the end of a field. A quoted field may contain separators, but no line break; a quote in
   it is doubled. */
static const char *skip_field(const struct reader *r, const char *at)
{
    const char *quoted = at;
    if (at < r->csv->end && *at == '"')
        for (quoted++; quoted < r->csv->end && *quoted != '\n'; quoted++)
            if (*quoted == '"' && (quoted + 1 == r->csv->end || *++quoted != '"'))
                return quoted;
    while (!ends_field(r, at))
        at++;
    return at;
}

/* Strips the quotes of a field. */
static void unquote(const char **text, const char **end)
{
    if (*end - *text >= 2 && **text == '"' && (*end)[-1] == '"') {
        ++*text;
        --*end;
    }
}

static bool ends_line(const struct reader *r, const char *at)
{
    return at == r->csv->end || *at == '\n' ||
           (*at == '\r' && (at + 1 == r->csv->end || at[1] == '\n'));
}

static const char *skip_line(const struct reader *r, const char *at)
{
    const char *const end = memchr(at, '\n', (size_t)(r->csv->end - at));
    return end ? end + 1 : r->csv->end;
}

/* Skips empty lines and comments. Returns false if no row follows. */
static bool find_row(struct reader *r)
{
    while (r->at < r->csv->end) {
        const char *const at = skip_blanks(r, r->at);
        if (!ends_line(r, at) && *at != '#') {
            r->at = at;
            return true;
        }
        r->at = skip_line(r, at);
    }
    return false;
}

/* Finds the field at r->at, and moves to the next one. If there is none, sets *more to false and
   moves to the next line. */
static enum loss_status take_field(struct reader *r, const char **text, const char **end,
                                   bool *more)
{
    char byte[JSON_BYTE_TEXT];
    const char separator = r->csv->separator, *const start = r->at,
               *const after = skip_field(r, start);
    const char *at = skip_blanks(r, after);
    *text = start;
    *end = after;
    unquote(text, end);
    if (*end == *text)
        return malformed(r, start, "expected a number; write nan for a missing one");
    *more = !ends_line(r, at);
    if (*more && separator == ' ' && at == after)
        return malformed(r, at, "%s where a space or the end of the line was expected",
                         json_byte_text(at, r->csv->end, byte));
    if (*more && separator != ' ' && *at != separator)
        return malformed(r, at, "%s where '%c' or the end of the line was expected%s",
                         json_byte_text(at, r->csv->end, byte), separator,
                         *at == ',' ? "; numbers have a decimal point" : "");
    if (*more)
        at = skip_blanks(r, at + (separator != ' '));
    r->at = *more ? at : skip_line(r, at);
    return LOSS_OK;
}

/* ---- Numbers ---- */

/* Returns the value of a word; NULL if it is not one of these. */
static const double *word(const char *text, size_t len)
{
    static const struct {
        const char *word;
        double value;
    } words[] = {{"nan", NAN},       {"inf", INFINITY},        {"infinity", INFINITY},
                 {"-nan", NAN},      {"-inf", -INFINITY},      {"true", 1},
                 {"false", 0},       {"-infinity", -INFINITY}, {"+nan", NAN},
                 {"+inf", INFINITY}, {"+infinity", INFINITY}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strlen(words[i].word) == len && strncasecmp(words[i].word, text, len) == 0)
            return &words[i].value;
    return NULL;
}

/* Returns true for the spellings of a missing value in spreadsheets, R, pandas and databases. */
static bool is_missing(const char *text, size_t len)
{
    static const char *const words[] = {"na", "n/a", "<na>", "null", "none", "nil", "missing"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strlen(words[i]) == len && strncasecmp(words[i], text, len) == 0)
            return true;
    return false;
}

/* Returns true if a field looks like the name of a column. */
static bool is_name(const char *text, const char *end)
{
    const size_t len = (size_t)(end - text);
    const unsigned char first = len > 0 ? (unsigned char)*text : 0;
    const bool is_letter = (first >= 'a' && first <= 'z') || (first >= 'A' && first <= 'Z') ||
                           first == '_' || first >= 0x80;
    return is_letter && !word(text, len) && !is_missing(text, len);
}

static enum loss_status no_number(const struct reader *r, const char *text, const char *end,
                                  const char *expected)
{
    char field[JSON_QUOTE], quote[JSON_QUOTE];
    snprintf(field, sizeof field, "%.*s", (int)(end - text < JSON_QUOTE ? end - text : JSON_QUOTE),
             text);
    return malformed(r, text, "'%s' where %s was expected%s", json_quote(field, quote), expected,
                     is_missing(text, (size_t)(end - text)) ? "; write nan for a missing number"
                                                            : "");
}

static enum loss_status read_integer(const struct reader *r, const char *text, const char *end,
                                     int64_t *value)
{
    const char *after = NULL;
    const enum number_status status = number_read_i64(text, value, &after);
    if (status == NUMBER_OK && after == end)
        return LOSS_OK;
    const double *const named = word(text, (size_t)(end - text));
    if (!named || !isfinite(*named))
        return no_number(r, text, end,
                         status == NUMBER_RANGE && after == end
                             ? "a whole number that fits in 64 bits"
                             : "a whole number");
    *value = (int64_t)*named;
    return LOSS_OK;
}

static enum loss_status read_real(const struct reader *r, const char *text, const char *end,
                                  bool wide, void *out, size_t i)
{
    double *const value = (double *)out + (wide ? i : 0);
    float *const narrow = (float *)out + (wide ? 0 : i);
    if ((wide ? number_read_f64(text, value) : number_read_f32(text, narrow)) == end)
        return LOSS_OK;
    const double *const named = word(text, (size_t)(end - text));
    if (!named)
        return no_number(r, text, end, "a number");
    if (wide)
        *value = *named;
    else
        *narrow = (float)*named;
    return LOSS_OK;
}

/* ---- Table ---- */

/* Returns the separator of a line: semicolon, else comma, else blanks. */
static char separator_of(const struct reader *r)
{
    const char *const end = skip_line(r, r->at);
    const size_t len = (size_t)(end - r->at);
    if (memchr(r->at, ';', len))
        return ';';
    return memchr(r->at, ',', len) ? ',' : ' ';
}

/* Returns the end of a field, which may contain blanks unless they are the separator. */
static const char *skip_name(const struct reader *r, const char *at, char separator)
{
    if (separator == ' ' || *at == '"')
        return skip_field(r, at);
    const char *end = at;
    for (; !ends_line(r, at) && *at != separator; at++)
        if (!is_blank(*at))
            end = at + 1;
    return end;
}

/* Returns true if every field of the line at r->at looks like a name. */
static bool is_header(const struct reader *r)
{
    const char separator = separator_of(r);
    for (const char *at = r->at; !ends_line(r, at);) {
        const char *text = at, *end = skip_name(r, at, separator);
        at = skip_blanks(r, end);
        unquote(&text, &end);
        if (!is_name(text, end))
            return false;
        if (!ends_line(r, at) && separator != ' ' && *at++ != separator)
            return false; /* text after a closing quote */
        at = skip_blanks(r, at);
    }
    return true;
}

static enum loss_status scan_rows(struct csv *csv, struct reader *r)
{
    size_t rows = 0, columns = 0;
    for (; find_row(r); rows++) {
        const char *const start = r->at, *text, *end;
        size_t fields = 0;
        for (bool more = true; more; fields++)
            if (take_field(r, &text, &end, &more) != LOSS_OK)
                return r->error->status;
        if (rows > 0 && fields != columns)
            return malformed(r, start, "this row has %zu fields; the rows before it have %zu",
                             fields, columns);
        columns = fields;
    }
    csv->shape = (struct loss_tensor){.rank = columns > 1 ? 2 : 1,
                                      .shape = {rows, columns > 1 ? columns : 0}};
    return LOSS_OK;
}

enum loss_status csv_scan(struct csv *csv, const char *text, size_t len, enum csv_header header,
                          const char *name, struct loss_error *error)
{
    static const char mark[] = "\xef\xbb\xbf"; /* a byte order mark, which spreadsheets write */
    *csv = (struct csv){.text = text, .end = text + len};
    struct reader r = {csv, name, error, text};
    if (len >= sizeof mark - 1 && memcmp(text, mark, sizeof mark - 1) == 0)
        r.at += sizeof mark - 1;
    bool any = find_row(&r);
    if (any && (header == CSV_HEADER_YES || (header == CSV_HEADER_AUTO && is_header(&r)))) {
        r.at = skip_line(&r, r.at);
        any = find_row(&r);
    }
    if (!any)
        return malformed(&r, r.at, "the end where a row of numbers was expected");
    csv->first = r.at;
    csv->separator = separator_of(&r);
    return scan_rows(csv, &r);
}

enum loss_status csv_decode(const struct csv *csv, enum loss_dtype dtype, void *out,
                            const char *name, struct loss_error *error)
{
    struct reader r = {csv, name, error, csv->first};
    for (size_t i = 0; find_row(&r);) {
        const char *text, *end;
        for (bool more = true; more; i++) {
            if (take_field(&r, &text, &end, &more) != LOSS_OK ||
                (dtype == LOSS_INT64
                     ? read_integer(&r, text, end, (int64_t *)out + i)
                     : read_real(&r, text, end, dtype == LOSS_FLOAT64, out, i)) != LOSS_OK)
                return error->status;
        }
    }
    return LOSS_OK;
}
