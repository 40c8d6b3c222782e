/*
 * Bearer tokens.
 */
#include "tokens.h"

#include <ctype.h>
#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "log.h"

enum {
    TOKENS_HASH = 32, /* bytes of a SHA-256 */
    TOKENS_FILE = 10000,
    TOKENS_RANDOM = 32, /* bytes of a token that is made here */
};

struct token {
    char name[TOKENS_NAME];
    unsigned char hash[TOKENS_HASH];
};

struct tokens {
    size_t count, capacity;
    struct token *list; /* owned */
};

/* Fills the message and returns false, so that a function can `return wrong(...)`. */
__attribute__((format(printf, 3, 4))) static bool wrong(char *message, size_t size, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, size, format, arguments);
    va_end(arguments);
    return false;
}

static bool is_name(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (!isalnum((unsigned char)text[i]) && !strchr("._-", text[i]))
            return false;
    }
    return len > 0 && len < TOKENS_NAME;
}

static const char name_rule[] = "1 to 64 letters, digits, dots, underscores and hyphens";

/* Whether a text may be a token: what RFC 6750 allows in a header. */
static bool is_token(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (!isalnum((unsigned char)text[i]) && !strchr("-._~+/=", text[i]))
            return false;
    }
    return len > 0 && len <= TOKENS_MOST;
}

/* ---- the file ----------------------------------------------------------------------------------------------------- */

static int hex_digit(char digit)
{
    static const char digits[] = "0123456789abcdef";
    const char *found = digit ? strchr(digits, tolower((unsigned char)digit)) : NULL;
    return found ? (int)(found - digits) : -1;
}

static bool read_hash(const char *text, unsigned char hash[TOKENS_HASH])
{
    for (size_t i = 0; i < TOKENS_HASH; i++) {
        const int high = hex_digit(text[2 * i]), low = high < 0 ? -1 : hex_digit(text[2 * i + 1]);
        if (low < 0)
            return false;
        hash[i] = (unsigned char)(high * 16 + low);
    }
    return text[2 * TOKENS_HASH] == '\0';
}

static bool grow(struct tokens *tokens)
{
    if (tokens->count < tokens->capacity)
        return true;
    const size_t capacity = tokens->capacity > 0 ? tokens->capacity * 2 : 16;
    struct token *list = realloc(tokens->list, capacity * sizeof *list);
    if (!list)
        return false;
    tokens->list = list;
    tokens->capacity = capacity;
    return true;
}

/* Where a line came from, for messages. */
struct place {
    const char *path;
    unsigned line;
};

static bool add_line(struct tokens *tokens, char *line, const struct place *place, char *message, size_t size)
{
    line += strspn(line, " \t\r\n");
    line[strcspn(line, " \t\r\n")] = '\0';
    if (*line == '\0' || *line == '#')
        return true;
    const size_t len = strcspn(line, ":");
    struct token token = {.name = ""};
    /* The line is not quoted: it may be a token that stands there by mistake. */
    if (!is_name(line, len) || line[len] != ':' || !read_hash(line + len + 1, token.hash))
        return wrong(message, size, "%s, line %u: not of the form NAME:SHA256, as `lossd --new-token NAME` prints it",
                     place->path, place->line);
    memcpy(token.name, line, len);
    if (tokens->count == TOKENS_FILE)
        return wrong(message, size, "%s: there are more than %d tokens in it", place->path, TOKENS_FILE);
    if (!grow(tokens))
        return wrong(message, size, "%s: there is no memory for its tokens", place->path);
    tokens->list[tokens->count++] = token;
    return true;
}

static bool read_lines(struct tokens *tokens, FILE *file, const char *path, char *message, size_t size)
{
    char *line = NULL;
    size_t capacity = 0;
    struct place place = {.path = path};
    bool right = true;
    errno = 0;
    while (right && getline(&line, &capacity, file) >= 0) {
        place.line++;
        right = add_line(tokens, line, &place, message, size);
        errno = 0;
    }
    if (right && !feof(file))
        right = wrong(message, size, "cannot read %s: %s", path, strerror(errno));
    if (right && tokens->count == 0)
        right = wrong(message, size, "%s: there is no token in it; `lossd --new-token NAME >> %s` makes one", path, path);
    free(line);
    return right;
}

/* Whoever can write the file can let himself in. */
static void look_at_permissions(FILE *file, const char *path)
{
    struct stat about;
    if (fstat(fileno(file), &about) == 0 && (about.st_mode & S_IWOTH) != 0)
        log_message(LOG_LEVEL_WARNING, "%s: anyone on this machine can write it, and so add a token; chmod o-w", path);
}

struct tokens *tokens_read(const char *path, char *message, size_t size)
{
    FILE *file = fopen(path, "re");
    if (!file) {
        wrong(message, size, "cannot read the tokens: %s: %s", path, strerror(errno));
        return NULL;
    }
    struct tokens *tokens = calloc(1, sizeof *tokens);
    if (!tokens) {
        wrong(message, size, "%s: there is no memory for its tokens", path);
    } else if (!read_lines(tokens, file, path, message, size)) {
        tokens_free(tokens);
        tokens = NULL;
    } else {
        look_at_permissions(file, path);
    }
    fclose(file);
    return tokens;
}

void tokens_free(struct tokens *tokens)
{
    if (tokens)
        free(tokens->list);
    free(tokens);
}

size_t tokens_count(const struct tokens *tokens)
{
    return tokens->count;
}

/* ---- judging ------------------------------------------------------------------------------------------------------ */

enum tokens_verdict tokens_judge(const struct tokens *tokens, const char *authorization, char name[TOKENS_NAME])
{
    static const char scheme[] = "Bearer ";
    unsigned char hash[TOKENS_HASH];
    if (!authorization || strncasecmp(authorization, scheme, sizeof scheme - 1) != 0)
        return TOKENS_MISSING;
    const char *token = authorization + sizeof scheme - 1;
    token += strspn(token, " ");
    size_t len = strlen(token);
    while (len > 0 && (token[len - 1] == ' ' || token[len - 1] == '\t')) /* they are no part of a header's value */
        len--;
    if (!is_token(token, len) || gnutls_hash_fast(GNUTLS_DIG_SHA256, token, len, hash) != 0)
        return TOKENS_WRONG;
    const struct token *found = NULL;
    for (size_t i = 0; i < tokens->count; i++) /* all of them, whichever it is */
        found = gnutls_memcmp(tokens->list[i].hash, hash, TOKENS_HASH) == 0 ? &tokens->list[i] : found;
    if (!found)
        return TOKENS_WRONG;
    memcpy(name, found->name, TOKENS_NAME);
    return TOKENS_RIGHT;
}

/* ---- making ------------------------------------------------------------------------------------------------------- */

/* Base64 with - and _, without padding: 43 characters for 32 bytes. */
static void encode(const unsigned char random[TOKENS_RANDOM], char *text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint32_t bits = 0;
    int held = 0;
    for (size_t i = 0; i < TOKENS_RANDOM; i++) {
        bits = bits << 8 | random[i];
        for (held += 8; held >= 6; held -= 6)
            *text++ = digits[bits >> (held - 6) & 63];
    }
    *text++ = digits[bits << (6 - held) & 63];
    *text = '\0';
}

static bool write_line(const char *name, const char *token, size_t len, FILE *out, char *message, size_t size)
{
    unsigned char hash[TOKENS_HASH];
    if (gnutls_hash_fast(GNUTLS_DIG_SHA256, token, len, hash) != 0)
        return wrong(message, size, "cannot compute a SHA-256");
    fprintf(out, "%s:", name);
    for (size_t i = 0; i < TOKENS_HASH; i++)
        fprintf(out, "%02x", hash[i]);
    fputc('\n', out);
    return fflush(out) == 0 || wrong(message, size, "cannot write the line: %s", strerror(errno));
}

static bool check_name(const char *name, char *message, size_t size)
{
    return is_name(name, strlen(name)) || wrong(message, size, "\"%.80s\" is no name for a token: %s", name, name_rule);
}

bool tokens_make(const char *name, FILE *secret, FILE *out, char *message, size_t size)
{
    unsigned char random[TOKENS_RANDOM];
    char token[TOKENS_RANDOM * 2];
    if (!check_name(name, message, size))
        return false;
    if (getrandom(random, sizeof random, 0) != sizeof random)
        return wrong(message, size, "cannot get random bytes: %s", strerror(errno));
    encode(random, token);
    if (!write_line(name, token, strlen(token), out, message, size))
        return false;
    fprintf(secret, "the token of %s, which is not shown again: %s\n", name, token);
    return fflush(secret) == 0 || wrong(message, size, "cannot show the token: %s", strerror(errno));
}

bool tokens_hash(const char *name, FILE *in, FILE *out, char *message, size_t size)
{
    char token[TOKENS_MOST + 2];
    if (!check_name(name, message, size))
        return false;
    if (!fgets(token, sizeof token, in))
        return wrong(message, size, "there is no token on stdin");
    const size_t len = strcspn(token, "\r\n");
    if (!is_token(token, len) || len < TOKENS_LEAST)
        return wrong(message, size, "what is on stdin is no token: %d to %d letters, digits and -._~+/=, chosen at random",
                     (int)TOKENS_LEAST, (int)TOKENS_MOST);
    return write_line(name, token, len, out, message, size);
}
