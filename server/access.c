/*
 * Who gets in.
 */
#include "access.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "refusal.h"
#include "tokens.h"

_Static_assert((int)ACCESS_NAME == (int)TOKENS_NAME, "a token's name is the client's");

enum { ACCESS_MESSAGE = 640 };

struct access {
    struct access_settings settings;
    pthread_rwlock_t lock; /* of what is read again */
    struct tokens *tokens; /* owned; NULL: nobody needs one */
};

static bool has_text(const char *text)
{
    return text && *text;
}

struct access *access_new(const struct access_settings *settings, char *message, size_t size)
{
    struct access *access = calloc(1, sizeof *access);
    if (!access) {
        snprintf(message, size, "no memory to keep access with");
        return NULL;
    }
    access->settings = *settings;
    pthread_rwlock_init(&access->lock, NULL);
    if (has_text(settings->token_file) && !(access->tokens = tokens_read(settings->token_file, message, size))) {
        access_free(access);
        return NULL;
    }
    return access;
}

void access_free(struct access *access)
{
    if (!access)
        return;
    tokens_free(access->tokens);
    pthread_rwlock_destroy(&access->lock);
    free(access);
}

bool access_may_listen(const struct access *access, const struct entrance *entrance, char *message, size_t size)
{
    char text[ADDRESS_TEXT];
    if (entrance->loopback || entrance->admin || access->tokens || access->settings.insecure_open)
        return true;
    snprintf(message, size,
             "%s can be reached from other machines, and anyone there could use it: name those who may with --token-file "
             "(LOSSD_TOKEN_FILE), or say --insecure-open (LOSSD_INSECURE_OPEN=on) if that is what you want",
             address_text(&entrance->address, text));
    return false;
}

void access_reload(struct access *access)
{
    char message[ACCESS_MESSAGE];
    if (!access->tokens)
        return;
    struct tokens *tokens = tokens_read(access->settings.token_file, message, sizeof message);
    if (!tokens) {
        log_message(LOG_LEVEL_ERROR, "the tokens stay as they were: %s", message);
        return;
    }
    log_message(LOG_LEVEL_INFO, "%zu tokens read from %s", tokens_count(tokens), access->settings.token_file);
    pthread_rwlock_wrlock(&access->lock);
    struct tokens *before = access->tokens;
    access->tokens = tokens;
    pthread_rwlock_unlock(&access->lock);
    tokens_free(before);
}

/* ---- requests ----------------------------------------------------------------------------------------------------- */

static const char *header(const struct access_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

/* Judges the token of a request, where one is needed. */
static enum tokens_verdict judge(struct access *access, const struct access_request *request, char client[ACCESS_NAME])
{
    pthread_rwlock_rdlock(&access->lock);
    const enum tokens_verdict verdict =
        access->tokens ? tokens_judge(access->tokens, header(request, "Authorization"), client) : TOKENS_RIGHT;
    pthread_rwlock_unlock(&access->lock);
    return verdict;
}

bool access_allow(struct access *access, const struct access_request *request, char client[ACCESS_NAME], struct reply *reply)
{
    static const struct reply_header challenge[] = {{"WWW-Authenticate", "Bearer"}, {NULL, NULL}};
    client[0] = '\0';
    const enum tokens_verdict verdict = judge(access, request, client);
    if (verdict == TOKENS_RIGHT || request->open || request->entrance->admin)
        return true;
    if (verdict == TOKENS_MISSING) {
        refuse(reply, 401, "a token is needed: send a header `Authorization: Bearer TOKEN`");
        reply->headers = challenge;
    } else {
        refuse(reply, 403, "the token is not one of those that are known here");
    }
    return false;
}
