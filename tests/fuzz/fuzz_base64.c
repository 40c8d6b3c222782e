/*
 * libFuzzer: round trip of bytes through base64; and any text as base64 in a JSON string, decoded
 * to every number of bytes that its length allows, and to one more and one fewer. The sanitizer
 * checks the bounds.
 */
#include "json/base64.h"
#include "json/scanner.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

static void round_trip(const uint8_t *data, size_t size)
{
    const size_t len = base64_text_len(size);
    char *const text = malloc(len + 1);
    uint8_t *const back = malloc(size + 1);
    if (text && back) {
        base64_encode(text, data, size);
        text[len] = '\0';
        require(base64_characters(text, text + len) == len);
        require(base64_decode(text, text + len, back, size) == NULL);
        require(size == 0 || memcmp(back, data, size) == 0);
    }
    free(text);
    free(back);
}

static void decode(const char *text, const char *end, size_t len)
{
    uint8_t *const bytes = malloc(len + (len == 0));
    if (!bytes)
        return;
    const char *const at = base64_decode(text, end, bytes, len);
    require(!at || (at >= text && at <= end));
    if (!at) /* the length of the text is exact */
        require(base64_characters(text, end) == base64_text_len(len));
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *at;
    round_trip(data, size);
    char *const string = malloc(size + 3);
    if (!string)
        return 0;
    string[0] = '"';
    memcpy(string + 1, data, size);
    memcpy(string + 1 + size, "\"", 2);
    const char *const end = json_skip_string(string, &at);
    if (end) {
        const size_t bytes = base64_characters(string + 1, end - 1) / 4 * 3;
        for (size_t less = 0; less <= 4; less++)
            if (bytes + 1 >= less)
                decode(string + 1, end - 1, bytes + 1 - less);
    }
    free(string);
    return 0;
}
