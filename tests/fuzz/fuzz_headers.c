/*
 * libFuzzer: one line per parsed header value (Accept, Content-Type, Accept-Encoding,
 * Content-Encoding, X-Request-Id, Host, traceparent), then the target of the request.
 */
#include "content/accept_encoding.h"
#include "content/media_type.h"
#include "copy_text.h"
#include "http/head_validation.h"
#include "observe/traceparent.h"
#include "routes/router.h"
#include "util/header_value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void read_media(const char *accept, const char *content)
{
    struct loss_error error;
    enum media_type media = MEDIA_COUNT;
    char value[80];
    if (media_type_accept(accept, MEDIA_JSON, &media, &error) == LOSS_OK)
        require(media <= MEDIA_OCTETS);
    else
        require(error.message[0] && media_type_accept_json(accept, &error) != LOSS_OK);
    if (media_type_parse(content, &media, &error) == LOSS_OK)
        require(media < MEDIA_COUNT);
    require(media_type_quality(accept) >= 0 && media_type_quality(accept) <= 1);
    if (media_type_parameter(content, "boundary", value, sizeof value))
        require(strlen(value) < sizeof value);
}

static void read_codings(const char *accept, const char *content)
{
    struct loss_error error;
    struct accept_encoding_header codings = {.named_any = false};
    struct content_encoding_header body = {.encoding = ENCODING_IDENTITY};
    /* Twice, because a header may be repeated. */
    for (int i = 0; i < 2; i++)
        accept_encoding_add(&codings, accept);
    const struct encoding_choice choice = accept_encoding_choose(&codings);
    require(choice.encoding < ENCODING_COUNT);
    if (choice.encoding != ENCODING_IDENTITY) /* the result must have been accepted */
        require(codings.named_any || codings.named[choice.encoding]);
    content_encoding_add(&body, content);
    if (content_encoding_check(&body, &error) == LOSS_OK)
        require(body.encoding < ENCODING_COUNT && !body.stacked);
    else
        require(error.message[0]);
}

static void read_target(const char *target)
{
    char path[256];
    if (head_decode_path(target, path, sizeof path) != HEAD_PATH_OK)
        return;
    require(path[0] == '/' && strlen(path) < sizeof path);
    for (const char *byte = path; *byte; byte++)
        require((unsigned char)*byte >= 0x20 && (unsigned char)*byte < 0x7f);
    struct response reply = {0};
    const struct route_match match = route_find(SCOPE_MAIN, "GET", path);
    if (!match.allow)
        route_not_found(SCOPE_MAIN, path, &reply);
    response_free(&reply);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { LINES = 8 };
    char *const text = copy_text(data, size), *line[LINES], *rest = text;
    if (!text)
        return 0;
    for (int i = 0; i < LINES; i++) {
        const size_t len = strcspn(rest, "\n");
        line[i] = rest;
        rest += len + (rest[len] == '\n');
        line[i][len] = '\0';
    }
    read_media(line[0], line[1]);
    read_codings(line[2], line[3]);
    require(!is_request_id(line[4]) || strlen(line[4]) <= 128);
    require(!is_host(line[5]) || !strpbrk(line[5], "\"<>\r\n \\"));
    require(!traceparent_is_valid(line[6]) || strlen(line[6]) >= 55);
    read_target(line[7]);
    free(text);
    return 0;
}
