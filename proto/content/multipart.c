#include "content/multipart.h"
#include "content/media_type.h"
#include "json/scanner.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { LINE_SIZE = 1024 }; /* bytes of the longest header of a part, with its NUL */

/* Returns the next delimiter from `at` on, NULL if there is none. */
static const char *find_delimiter(const struct multipart *form, const char *at)
{
    return memmem(at, (size_t)(form->end - at), form->delimiter, form->delimiter_len);
}

enum loss_status multipart_begin(struct multipart *form, const char *content_type, const char *body,
                                 size_t len, struct loss_error *error)
{
    char boundary[MULTIPART_BOUNDARY + 1];
    *form = (struct multipart){.body = body, .end = body + len, .error = error};
    if (!media_type_parameter(content_type, "boundary", boundary, sizeof boundary) || !*boundary)
        return loss_fail(error, LOSS_MALFORMED,
                         "Content-Type multipart/form-data needs a boundary of 1 to %d characters",
                         MULTIPART_BOUNDARY);
    form->delimiter_len =
        (size_t)snprintf(form->delimiter, sizeof form->delimiter, "\r\n--%s", boundary);
    const char *const first =
        form->delimiter + 2; /* the first delimiter may have no line break before it */
    const size_t first_len = form->delimiter_len - 2;
    const char *const preamble =
        len < first_len || memcmp(body, first, first_len) != 0 ? find_delimiter(form, body) : NULL;
    if (preamble)
        form->at = preamble + form->delimiter_len;
    else if (len >= first_len && memcmp(body, first, first_len) == 0)
        form->at = body + first_len;
    else
        return json_malformed(
            error, body, body, "",
            "no line of the body begins with '--' and the boundary of Content-Type");
    return LOSS_OK;
}

/* Moves past a line break and blanks before it; returns false if there is none. */
static bool skip_line_break(struct multipart *form)
{
    const char *at = form->at;
    while (at < form->end && (*at == ' ' || *at == '\t'))
        at++;
    if (form->end - at < 2 || at[0] != '\r' || at[1] != '\n')
        return false;
    form->at = at + 2;
    return true;
}

/* Reads a header line of a part. */
static enum loss_status read_header(struct multipart *form, struct multipart_part *part,
                                    const char *line, bool *is_field)
{
    static const char disposition[] = "Content-Disposition:",
                      encoding[] = "Content-Transfer-Encoding:";
    char file_name[LINE_SIZE], quote[JSON_QUOTE];
    if (strncasecmp(line, encoding, sizeof encoding - 1) == 0) {
        const char *const value =
            line + sizeof encoding - 1 + strspn(line + sizeof encoding - 1, " \t");
        if (strcasecmp(value, "binary") != 0 && strcasecmp(value, "8bit") != 0 &&
            strcasecmp(value, "7bit") != 0)
            return json_malformed(
                form->error, form->body, form->at, "",
                "a part has Content-Transfer-Encoding '%s'; it must be 7bit, 8bit or binary",
                json_quote(value, quote));
    }
    if (strncasecmp(line, disposition, sizeof disposition - 1) != 0)
        return LOSS_OK;
    const char *const value =
        line + sizeof disposition - 1 + strspn(line + sizeof disposition - 1, " \t");
    *is_field = strncasecmp(value, "form-data", 9) == 0 && strchr("; \t", value[9]) &&
                media_type_parameter(value, "name", part->name, sizeof part->name);
    part->is_file = media_type_parameter(value, "filename", file_name, sizeof file_name) ||
                    media_type_parameter(value, "filename*", file_name, sizeof file_name);
    return LOSS_OK;
}

/* Reads the headers of a part and the empty line after them. */
static enum loss_status read_headers(struct multipart *form, struct multipart_part *part)
{
    const char *const start = form->at;
    bool is_field = false;
    while (!(form->end - form->at >= 2 && form->at[0] == '\r' && form->at[1] == '\n')) {
        char line[LINE_SIZE];
        const char *const end = memmem(form->at, (size_t)(form->end - form->at), "\r\n", 2);
        if (!end)
            return json_malformed(form->error, form->body, form->end, "",
                                  "the body ends within the headers of a part");
        const size_t len = (size_t)(end - form->at);
        if (len >= sizeof line)
            return json_malformed(form->error, form->body, form->at, "",
                                  "a header of a part has more than %d bytes", LINE_SIZE - 1);
        memcpy(line, form->at, len);
        line[len] = '\0';
        if (read_header(form, part, line, &is_field) != LOSS_OK)
            return form->error->status;
        form->at = end + 2;
    }
    form->at += 2;
    if (!is_field)
        return json_malformed(
            form->error, form->body, start, "",
            "a part has no Content-Disposition: form-data with a name of at most %d bytes",
            MULTIPART_NAME - 1);
    return LOSS_OK;
}

enum loss_status multipart_next(struct multipart *form, struct multipart_part *part, bool *found)
{
    char quote[JSON_QUOTE];
    *found = false;
    if (form->end - form->at >= 2 && form->at[0] == '-' && form->at[1] == '-')
        return LOSS_OK;
    if (!skip_line_break(form))
        return json_malformed(
            form->error, form->body, form->at, "",
            "the boundary must be followed by a line break, or by '--' after the last part");
    *part = (struct multipart_part){.is_file = false};
    if (read_headers(form, part) != LOSS_OK)
        return form->error->status;
    part->data = form->at;
    /* The line break before a delimiter belongs to it. In an empty part it may be the one that ends
       the headers. */
    const char *const next = find_delimiter(form, form->at - 2);
    if (!next)
        return json_malformed(form->error, form->body, form->end, "",
                              "the body ends within part '%s': the last boundary is missing",
                              json_quote(part->name, quote));
    part->len = next > part->data ? (size_t)(next - part->data) : 0;
    form->at = next + form->delimiter_len;
    *found = true;
    return LOSS_OK;
}
