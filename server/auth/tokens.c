/*
 * Bearer tokens.
 */
#include "auth/tokens.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <libgen.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "number/hex.h"
#include "observe/log.h"
#include "util/fail.h"

enum {
    TOKENS_HASH = 32, /* size of a SHA-256 hash */
    TOKENS_FILE_MAX = 10000,
    TOKENS_RANDOM = 32, /* random bytes of a token that lossd creates */
};

struct token {
    char name[TOKENS_NAME];
    unsigned char hash[TOKENS_HASH];
};

struct tokens {
    size_t count, capacity;
    struct token *list; /* owned; sorted by name and hash after reading */
};

/* Start of the first line of a file that lossd wrote. The minimum number of tokens follows, so that
   a truncated file is detected. */
static const char header_words[] = "# lossd tokens: ";

static bool is_name(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (!isalnum((unsigned char)text[i]) && !strchr("._-", text[i]))
            return false;
    }
    return len > 0 && len < TOKENS_NAME;
}

static const char name_rule[] = "1 to 64 letters, digits, dots, underscores and hyphens";

/* Returns true if `text` consists of characters that RFC 6750 allows and is not too long. */
static bool is_token(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (!isalnum((unsigned char)text[i]) && !strchr("-._~+/=", text[i]))
            return false;
    }
    return len > 0 && len <= TOKENS_LENGTH_MAX;
}

/* ---- Reading the file ---- */

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

/* Location of a line, for messages. */
struct location {
    const char *path;
    unsigned line;
};

/* Reads the number of tokens that the first line declares, or 0 if it is not a header. Returns
   false if the header is malformed. */
static bool read_header(const char *line, size_t *declared)
{
    const size_t len = sizeof header_words - 1;
    char *end;
    *declared = 0;
    if (strncmp(line, header_words, len) != 0)
        return true;
    if (!isdigit((unsigned char)line[len]))
        return false;
    *declared = strtoul(line + len, &end, 10);
    return end[strspn(end, " \t\r\n")] == '\0';
}

static int compare_tokens(const void *a, const void *b)
{
    const struct token *const left = a, *const right = b;
    const int names = strcmp(left->name, right->name);
    return names != 0 ? names : memcmp(left->hash, right->hash, TOKENS_HASH);
}

static bool add_line(struct tokens *tokens, char *line, const struct location *location,
                     char *message, size_t size)
{
    line += strspn(line, " \t\r\n");
    line[strcspn(line, " \t\r\n")] = '\0';
    if (*line == '\0' || *line == '#')
        return true;
    const size_t len = strcspn(line, ":");
    struct token token = {.name = ""};
    /* The message does not quote the line: a user may have entered the token itself. */
    if (!is_name(line, len) || line[len] != ':' || !read_hash(line + len + 1, token.hash))
        return fail(
            message, size,
            "%s, line %u: not of the form NAME:SHA256, which `lossd --new-token NAME` prints",
            location->path, location->line);
    memcpy(token.name, line, len);
    if (tokens->count == TOKENS_FILE_MAX)
        return fail(message, size, "%s has more than %d tokens", location->path, TOKENS_FILE_MAX);
    if (!grow(tokens))
        return fail(message, size, "insufficient memory for the tokens of %s", location->path);
    tokens->list[tokens->count++] = token;
    return true;
}

static bool read_lines(struct tokens *tokens, FILE *file, const char *path, char *message,
                       size_t size)
{
    char *line = NULL;
    size_t capacity = 0;
    struct location location = {.path = path};
    size_t declared = 0;
    bool ok = true;
    errno = 0;
    while (ok && getline(&line, &capacity, file) >= 0) {
        location.line++;
        if (location.line == 1 && !read_header(line, &declared))
            ok = fail(message, size, "%s, line 1: not of the form %sNUMBER", path, header_words);
        ok = ok && add_line(tokens, line, &location, message, size);
        errno = 0;
    }
    if (ok && !feof(file))
        ok = fail(message, size, "cannot read %s: %s", path, strerror(errno));
    if (ok && tokens->count < declared)
        ok = fail(message, size,
                  "%s may be truncated: its first line declares %zu tokens, but it has %zu; "
                  "if tokens were removed on purpose, lower the declared number",
                  path, declared, tokens->count);
    if (ok && tokens->count == 0)
        ok = fail(message, size, "%s has no tokens; add one with `lossd --new-token NAME >> %s`",
                  path, path);
    if (ok)
        qsort(tokens->list, tokens->count, sizeof *tokens->list, compare_tokens);
    free(line);
    return ok;
}

/* Warns if any user can write the file, and so add tokens. */
static void check_permissions(FILE *file, const char *path)
{
    struct stat about;
    if (fstat(fileno(file), &about) == 0 && (about.st_mode & S_IWOTH) != 0)
        log_message(LOG_LEVEL_WARNING,
                    "%s is world-writable: any local user can add a token; run chmod o-w", path);
}

struct tokens *tokens_read(const char *path, char *message, size_t size)
{
    FILE *file = fopen(path, "re");
    if (!file) {
        fail(message, size, "cannot read the token file %s: %s", path, strerror(errno));
        return NULL;
    }
    struct tokens *tokens = calloc(1, sizeof *tokens);
    if (!tokens) {
        fail(message, size, "insufficient memory for the tokens of %s", path);
    } else if (!read_lines(tokens, file, path, message, size)) {
        tokens_free(tokens);
        tokens = NULL;
    } else {
        check_permissions(file, path);
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

size_t tokens_missing(const struct tokens *tokens, const struct tokens *from)
{
    size_t missing = 0, at = 0;
    for (size_t i = 0; i < tokens->count; i++) {
        while (at < from->count && compare_tokens(&from->list[at], &tokens->list[i]) < 0)
            at++;
        if (at < from->count && compare_tokens(&from->list[at], &tokens->list[i]) == 0)
            at++;
        else
            missing++;
    }
    return missing;
}

/* ---- Checking tokens ---- */

enum tokens_verdict tokens_check(const struct tokens *tokens, const char *authorization,
                                 char name[TOKENS_NAME])
{
    static const char scheme[] = "Bearer ";
    unsigned char hash[TOKENS_HASH];
    if (!authorization || strncasecmp(authorization, scheme, sizeof scheme - 1) != 0)
        return TOKENS_MISSING;
    const char *token = authorization + sizeof scheme - 1;
    token += strspn(token, " ");
    size_t len = strlen(token);
    /* Trailing whitespace is not part of the value. */
    while (len > 0 && (token[len - 1] == ' ' || token[len - 1] == '\t'))
        len--;
    if (!is_token(token, len) || gnutls_hash_fast(GNUTLS_DIG_SHA256, token, len, hash) != 0)
        return TOKENS_UNKNOWN;
    const struct token *found = NULL;
    /* Compare all tokens, so that the time does not reveal which one matched. */
    for (size_t i = 0; i < tokens->count; i++)
        found =
            gnutls_memcmp(tokens->list[i].hash, hash, TOKENS_HASH) == 0 ? &tokens->list[i] : found;
    if (!found)
        return TOKENS_UNKNOWN;
    memcpy(name, found->name, TOKENS_NAME);
    return TOKENS_KNOWN;
}

/* ---- Creating tokens ---- */

/* Writes base64url without padding: 43 characters for 32 bytes. */
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

static bool write_line(const char *name, const char *token, size_t len, FILE *out, char *message,
                       size_t size)
{
    unsigned char hash[TOKENS_HASH];
    char text[2 * TOKENS_HASH + 1];
    if (gnutls_hash_fast(GNUTLS_DIG_SHA256, token, len, hash) != 0)
        return fail(message, size, "cannot compute a SHA-256");
    for (size_t i = 0; i < TOKENS_HASH; i++)
        snprintf(text + 2 * i, 3, "%02x", hash[i]);
    return (fprintf(out, "%s:%s\n", name, text) > 0 && fflush(out) == 0) ||
           fail(message, size, "cannot write the token: %s", strerror(errno));
}

static bool check_name(const char *name, char *message, size_t size)
{
    return is_name(name, strlen(name)) ||
           fail(message, size, "\"%.80s\" is not a valid token name: use %s", name, name_rule);
}

static bool make_token(const char *name, char token[TOKENS_RANDOM * 2], char *message, size_t size)
{
    unsigned char random[TOKENS_RANDOM];
    if (!check_name(name, message, size))
        return false;
    if (getrandom(random, sizeof random, 0) != sizeof random)
        return fail(message, size, "cannot get random bytes: %s", strerror(errno));
    encode(random, token);
    return true;
}

static bool show_token(const char *name, const char *token, FILE *secret, char *message,
                       size_t size)
{
    /* stderr is unbuffered, so fprintf reports write errors. */
    return (fprintf(secret, "the token of %s, which is not shown again: %s\n", name, token) > 0 &&
            fflush(secret) == 0) ||
           fail(message, size, "cannot show the token: %s", strerror(errno));
}

bool tokens_make(const char *name, FILE *secret, FILE *out, char *message, size_t size)
{
    char token[TOKENS_RANDOM * 2];
    return make_token(name, token, message, size) &&
           write_line(name, token, strlen(token), out, message, size) &&
           show_token(name, token, secret, message, size);
}

/* Copies all lines except a header to `out`. Returns 0 or an error number. */
static int copy_lines(FILE *in, FILE *out)
{
    char *line = NULL;
    size_t capacity = 0, number = 0;
    int error = 0;
    for (ssize_t len; error == 0 && (len = getline(&line, &capacity, in)) >= 0; number++) {
        if (number == 0 && strncmp(line, header_words, sizeof header_words - 1) == 0)
            continue;
        if (fputs(line, out) < 0 || (len > 0 && line[len - 1] != '\n' && fputc('\n', out) < 0))
            error = errno;
    }
    if (error == 0 && !feof(in))
        error = errno;
    free(line);
    return error;
}

/* Copies a token file to `out`, without its header. Returns 0 or an error number. */
static int copy_file(const char *path, FILE *out)
{
    FILE *const in = fopen(path, "re");
    if (!in)
        return errno;
    const int error = copy_lines(in, out);
    fclose(in);
    return error;
}

/* A token to add to a file. */
struct new_token {
    size_t count; /* of tokens already in the file */
    const char *name, *text;
};

/* Writes the new file: the lines of the old one, if any, and the new token. */
static bool write_file(FILE *out, const char *path, const struct new_token *token, char *message,
                       size_t size)
{
    if (fprintf(out, "%s%zu\n", header_words, token->count + 1) < 0)
        return fail(message, size, "cannot write %s: %s", path, strerror(errno));
    const int error = token->count > 0 ? copy_file(path, out) : 0;
    if (error != 0)
        return fail(message, size, "cannot copy %s: %s", path, strerror(error));
    return write_line(token->name, token->text, strlen(token->text), out, message, size);
}

/* Gives a file the owner and mode of the one that it replaces, so that a server that runs as
   another user can still read it. */
static bool copy_owner(int fd, const char *path, const struct stat *about, char *message,
                       size_t size)
{
    struct stat own;
    if (fstat(fd, &own) == 0 && (own.st_uid != about->st_uid || own.st_gid != about->st_gid) &&
        fchown(fd, about->st_uid, about->st_gid) != 0)
        return fail(message, size, "cannot set the owner of %s to that of the file it replaces: %s",
                    path, strerror(errno));
    return fchmod(fd, about->st_mode & 07777) == 0 ||
           fail(message, size, "cannot set the mode of %s to that of the file it replaces: %s",
                path, strerror(errno));
}

/* Writes the new file to `fd` and closes it. */
static bool write_fresh(int fd, const char *fresh, const char *path, const struct stat *about,
                        const struct new_token *token, char *message, size_t size)
{
    FILE *const out = fdopen(fd, "w");
    if (!out) {
        fail(message, size, "cannot write %s: %s", fresh, strerror(errno));
        close(fd);
        return false;
    }
    bool done = write_file(out, path, token, message, size) &&
                (token->count == 0 || copy_owner(fd, fresh, about, message, size));
    if (done && fsync(fd) != 0)
        done = fail(message, size, "cannot write %s: %s", fresh, strerror(errno));
    if (fclose(out) != 0 && done)
        done = fail(message, size, "cannot write %s: %s", fresh, strerror(errno));
    return done;
}

/* Opens the directory of a file. On failure, returns -1 and sets errno. */
static int open_directory(const char *path)
{
    char copy[PATH_MAX];
    snprintf(copy, sizeof copy, "%s", path);
    return open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Locks the directory of a file against other processes that add tokens. A lock on the file itself
   does not suffice, because the file is replaced. Returns a descriptor; closing it releases the
   lock. On failure, returns -1 and writes a one-line reason to `message`. */
static int lock_directory(const char *path, char *message, size_t size)
{
    const int fd = open_directory(path);
    int locked = -1;
    while (fd >= 0 && (locked = flock(fd, LOCK_EX)) != 0 && errno == EINTR)
        ;
    if (fd >= 0 && locked == 0)
        return fd;
    fail(message, size, "cannot lock the directory of %s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

/* Syncs the directory of a file, so that a rename survives a crash. */
static bool sync_directory(const char *path, char *message, size_t size)
{
    const int fd = open_directory(path);
    /* Some file systems do not support this, and return EINVAL. */
    const bool done = fd >= 0 && (fsync(fd) == 0 || errno == EINVAL);
    if (!done)
        fail(message, size, "cannot sync the directory of %s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return done;
}

/* Replaces the file atomically. */
static bool replace_file(const char *path, const struct new_token *token, char *message,
                         size_t size)
{
    char fresh[PATH_MAX];
    struct stat about = {.st_mode = 0};
    if ((size_t)snprintf(fresh, sizeof fresh, "%s.new", path) >= sizeof fresh)
        return fail(message, size, "%.200s...: the path is too long", path);
    if (stat(path, &about) != 0 && errno != ENOENT)
        return fail(message, size, "cannot read %s: %s", path, strerror(errno));
    const mode_t mode =
        token->count > 0 ? S_IRUSR | S_IWUSR : S_IRUSR | S_IWUSR | S_IRGRP | S_IROTH;
    const int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0)
        return fail(message, size, "cannot write %s: %s%s", fresh, strerror(errno),
                    errno == EEXIST ? "; unless another lossd is writing it, remove it" : "");
    bool done = write_fresh(fd, fresh, path, &about, token, message, size);
    if (done && rename(fresh, path) != 0)
        done = fail(message, size, "cannot rename %s: %s", fresh, strerror(errno));
    if (!done)
        unlink(fresh);
    return done && sync_directory(path, message, size);
}

/* Counts the tokens in a file; a file that does not exist has 0. Returns false if the file is
   invalid or full. */
static bool count_file(const char *path, size_t *count, char *message, size_t size)
{
    *count = 0;
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return true;
    struct tokens *const tokens = tokens_read(path, message, size);
    *count = tokens ? tokens->count : 0;
    tokens_free(tokens);
    if (*count >= TOKENS_FILE_MAX)
        return fail(message, size, "%s has %zu tokens, the maximum", path, *count);
    return tokens != NULL;
}

bool tokens_add(const char *name, const char *path, FILE *secret, char *message, size_t size)
{
    char text[TOKENS_RANDOM * 2], real[PATH_MAX];
    struct stat about;
    struct new_token token = {.name = name, .text = text};
    const bool found = realpath(path, real) != NULL;
    const int error = errno;
    if (!found && lstat(path, &about) == 0) /* a dangling or unreadable symbolic link */
        return fail(message, size, "cannot read %s: %s", path, strerror(error));
    /* Replace the target of a symbolic link, not the link. */
    const char *const file = found ? real : path;
    if (!make_token(name, text, message, size))
        return false;
    const int lock = lock_directory(file, message, size);
    const bool added = lock >= 0 && count_file(file, &token.count, message, size) &&
                       replace_file(file, &token, message, size);
    if (lock >= 0)
        close(lock);
    return added && show_token(name, text, secret, message, size);
}

bool tokens_hash(const char *name, FILE *in, FILE *out, char *message, size_t size)
{
    char token[TOKENS_LENGTH_MAX + 2];
    if (!check_name(name, message, size))
        return false;
    if (!fgets(token, sizeof token, in))
        return fail(message, size, "no token on stdin");
    const size_t len = strcspn(token, "\r\n");
    if (!is_token(token, len) || len < TOKENS_LENGTH_MIN)
        return fail(message, size,
                    "the text on stdin is not a valid token: use %d to %d letters, digits and "
                    "-._~+/=, chosen at random",
                    (int)TOKENS_LENGTH_MIN, (int)TOKENS_LENGTH_MAX);
    return write_line(name, token, len, out, message, size);
}
