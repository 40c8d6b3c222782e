/*
 * Certificates of the server and of clients.
 */
#include "connection/tls.h"

#include <ctype.h>
#include <errno.h>
#include <gnutls/x509.h>
#include <math.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "observe/log.h"
#include "util/fail.h"

const char tls_priorities[] =
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-RSA:-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:"
    "+CHACHA20-POLY1305:-MAC-ALL:+AEAD:%SERVER_PRECEDENCE";

enum { TLS_CHAIN = 16, TLS_KEY_ID = 64 };

enum tls_file { TLS_SERVER, TLS_CLIENT_CA, TLS_FILES };

/* The contents of the files. */
struct identity {
    unsigned authorities;      /* number of certificates in `trusted` */
    time_t expires[TLS_FILES]; /* earliest expiry of the certificates in each file; 0: no file */
    gnutls_x509_crt_t chain[TLS_CHAIN];
    unsigned count;
    gnutls_x509_privkey_t key;
    gnutls_x509_trust_list_t trusted; /* NULL: clients need no certificate */
};

struct tls {
    struct tls_settings settings;
    pthread_mutex_t mutex; /* protects `identity` */
    struct identity identity;
    atomic_uint readings;            /* number of times the files were read */
    atomic_llong expires[TLS_FILES]; /* copy of identity.expires */
};

/* The only instance: libmicrohttpd passes no context pointer to tls_retrieve. */
static struct tls *only;

/* ---- Files ---- */

static void free_identity(struct identity *identity)
{
    while (identity->count > 0)
        gnutls_x509_crt_deinit(identity->chain[--identity->count]);
    if (identity->key)
        gnutls_x509_privkey_deinit(identity->key);
    if (identity->trusted)
        gnutls_x509_trust_list_deinit(identity->trusted, 1);
    *identity = (struct identity){.count = 0};
}

/* Reads a file. Free `data` with gnutls_free. */
static bool load(const char *path, gnutls_datum_t *data, char *message, size_t size)
{
    errno = 0;
    const int error = gnutls_load_file(path, data);
    return error == 0 || fail(message, size, "cannot read %s: %s", path,
                              errno != 0 ? strerror(errno) : gnutls_strerror(error));
}

/* Returns true if a file is truncated within or directly after the BEGIN line of a certificate.
   GnuTLS ignores such a certificate, but detects any other truncation. */
static bool ends_early(const gnutls_datum_t *data)
{
    static const char end_words[] = "-----END ";
    size_t end = data->size, begin;
    while (end > 0 && isspace(data->data[end - 1]))
        end--;
    for (begin = end; begin > 0 && data->data[begin - 1] != '\n'; begin--)
        ;
    return end > begin && data->data[begin] == '-' &&
           (end - begin < sizeof end_words - 1 ||
            memcmp(data->data + begin, end_words, sizeof end_words - 1) != 0);
}

/* Returns the earliest expiry time of the certificates. */
static time_t first_expiry(gnutls_x509_crt_t *certificates, unsigned count)
{
    time_t first = 0;
    for (unsigned i = 0; i < count; i++) {
        const time_t expires = gnutls_x509_crt_get_expiration_time(certificates[i]);
        first = first == 0 || expires < first ? expires : first;
    }
    return first;
}

static bool read_chain(struct identity *identity, const char *path, char *message, size_t size)
{
    gnutls_datum_t data;
    if (!load(path, &data, message, size))
        return false;
    unsigned count = TLS_CHAIN;
    const int error =
        gnutls_x509_crt_list_import(identity->chain, &count, &data, GNUTLS_X509_FMT_PEM,
                                    GNUTLS_X509_CRT_LIST_IMPORT_FAIL_IF_EXCEED);
    const bool early = ends_early(&data);
    gnutls_free(data.data);
    if (error < 0)
        return fail(message, size,
                    "%s: not a PEM certificate chain that starts with the server certificate: %s",
                    path, gnutls_strerror(error));
    identity->count = (unsigned)error;
    if (early)
        return fail(message, size, "%s: truncated at the start of a certificate", path);
    identity->expires[TLS_SERVER] = first_expiry(identity->chain, identity->count);
    const time_t end = gnutls_x509_crt_get_expiration_time(identity->chain[0]);
    if (end < time(NULL))
        log_message(LOG_LEVEL_WARNING, "%s: the certificate has expired; clients will reject it",
                    path);
    return true;
}

/* Warns if other users can read or replace the key, and so impersonate the server. */
static void check_permissions(const char *path)
{
    struct stat about;
    if (stat(path, &about) == 0 && (about.st_mode & (S_IRWXO | S_IWGRP)) != 0)
        log_message(
            LOG_LEVEL_WARNING,
            "%s: the key has permissions %o, so users other than its owner can access it; set 600",
            path, (unsigned)about.st_mode & 0777);
}

static bool read_key(struct identity *identity, const char *path, char *message, size_t size)
{
    gnutls_datum_t data;
    if (!load(path, &data, message, size))
        return false;
    int error = gnutls_x509_privkey_init(&identity->key);
    if (error == 0)
        error = gnutls_x509_privkey_import2(identity->key, &data, GNUTLS_X509_FMT_PEM, NULL, 0);
    gnutls_memset(data.data, 0, data.size);
    gnutls_free(data.data);
    if (error < 0)
        return fail(message, size, "%s: not an unencrypted PEM private key: %s", path,
                    gnutls_strerror(error));
    check_permissions(path);
    return true;
}

static bool key_fits(const struct identity *identity)
{
    unsigned char of_key[TLS_KEY_ID], of_certificate[TLS_KEY_ID];
    size_t key_len = sizeof of_key, certificate_len = sizeof of_certificate;
    return gnutls_x509_privkey_get_key_id(identity->key, 0, of_key, &key_len) == 0 &&
           gnutls_x509_crt_get_key_id(identity->chain[0], 0, of_certificate, &certificate_len) ==
               0 &&
           key_len == certificate_len && memcmp(of_key, of_certificate, key_len) == 0;
}

static bool read_trusted(struct identity *identity, const char *path, char *message, size_t size)
{
    gnutls_datum_t data;
    gnutls_x509_crt_t *list = NULL;
    unsigned count = 0;
    if (!load(path, &data, message, size))
        return false;
    const bool early = ends_early(&data);
    int error = gnutls_x509_crt_list_import2(&list, &count, &data, GNUTLS_X509_FMT_PEM, 0);
    gnutls_free(data.data);
    if (error < 0 || count == 0)
        return fail(message, size, "%s: contains no CA certificate in PEM format: %s", path,
                    gnutls_strerror(error < 0 ? error : GNUTLS_E_NO_CERTIFICATE_FOUND));
    identity->authorities = count;
    identity->expires[TLS_CLIENT_CA] = first_expiry(list, count);
    bool ok = !early || fail(message, size, "%s: truncated at the start of a certificate", path);
    error = ok ? gnutls_x509_trust_list_init(&identity->trusted, 0) : 0;
    if (ok && error == 0 &&
        gnutls_x509_trust_list_add_cas(identity->trusted, list, count, 0) == (int)count) {
        gnutls_free(list); /* the trust list owns the certificates */
        return true;
    }
    /* GnuTLS adds fewer certificates than requested only if memory is insufficient. */
    if (ok)
        ok = fail(message, size, "%s: cannot load the certificates: %s", path,
                  gnutls_strerror(error < 0 ? error : GNUTLS_E_MEMORY_ERROR));
    if (identity->trusted)
        gnutls_x509_trust_list_deinit(identity->trusted, 0);
    identity->trusted = NULL;
    while (count > 0)
        gnutls_x509_crt_deinit(list[--count]);
    gnutls_free(list);
    return ok;
}

static bool read_all(const struct tls_settings *settings, struct identity *identity, char *message,
                     size_t size)
{
    *identity = (struct identity){.count = 0};
    bool ok = read_chain(identity, settings->certificate, message, size) &&
              read_key(identity, settings->key, message, size);
    if (ok && !key_fits(identity))
        ok = fail(message, size, "the key in %s does not match the certificate in %s",
                  settings->key, settings->certificate);
    if (ok && *settings->client_ca)
        ok = read_trusted(identity, settings->client_ca, message, size);
    if (!ok)
        free_identity(identity);
    return ok;
}

/* Copies the expiry times for the metrics, which must not wait for the mutex. */
static void set_expiry(struct tls *tls, const struct identity *identity)
{
    for (size_t i = 0; i < TLS_FILES; i++)
        atomic_store(&tls->expires[i], (long long)identity->expires[i]);
}

struct tls *tls_new(const struct tls_settings *settings, char *message, size_t size)
{
    struct identity identity;
    if (MHD_is_feature_supported(MHD_FEATURE_TLS) != MHD_YES || !gnutls_check_version("3.7.0")) {
        fail(message, size,
             "TLS requires a libmicrohttpd built with TLS, and GnuTLS 3.7.0 or later");
        return NULL;
    }
    struct tls *tls = calloc(1, sizeof *tls);
    if (!tls) {
        fail(message, size, "insufficient memory for TLS");
        return NULL;
    }
    if (!read_all(settings, &identity, message, size)) {
        free(tls);
        return NULL;
    }
    tls->settings = *settings;
    tls->identity = identity;
    set_expiry(tls, &identity);
    atomic_init(&tls->readings, 1);
    pthread_mutex_init(&tls->mutex, NULL);
    only = tls;
    return tls;
}

void tls_free(struct tls *tls)
{
    if (!tls)
        return;
    only = NULL;
    free_identity(&tls->identity);
    pthread_mutex_destroy(&tls->mutex);
    free(tls);
}

bool tls_reload(struct tls *tls, char *message, size_t size)
{
    struct identity identity;
    if (!read_all(&tls->settings, &identity, message, size))
        return false;
    pthread_mutex_lock(&tls->mutex);
    struct identity before = tls->identity;
    tls->identity = identity;
    set_expiry(tls, &identity);
    atomic_fetch_add(&tls->readings, 1);
    pthread_mutex_unlock(&tls->mutex);
    log_message(LOG_LEVEL_INFO,
                "reloaded TLS files: %u server certificates (before: %u), %u authorities (before: "
                "%u)",
                identity.count, before.count, identity.authorities, before.authorities);
    free_identity(&before);
    return true;
}

/* Returns the earliest expiry of the certificates in a file, as Unix time, or NaN if there is no
   file. */
static double read_expiry(void *context, size_t index)
{
    const struct tls *tls = context;
    const long long expires = tls ? atomic_load(&tls->expires[index % TLS_FILES]) : 0;
    return expires != 0 ? (double)expires : NAN;
}

static double read_expiry_days(void *context, size_t index)
{
    struct timespec now = {0};
    clock_gettime(CLOCK_REALTIME, &now);
    return (read_expiry(context, index) - (double)now.tv_sec) / (24 * 60 * 60);
}

#define EXPIRY(file)                                                                               \
    {                                                                                              \
        "lossd_tls_certificate_expiry_timestamp_seconds", METRIC_GAUGE,                            \
            "Earliest expiry of the certificates in a file, as Unix time.", "file=\"" file "\"",   \
            read_expiry                                                                            \
    }

/* Remove in the release after 0.1. */
#define EXPIRY_DAYS(file)                                                                          \
    {                                                                                              \
        "lossd_tls_certificate_expiry_days", METRIC_GAUGE,                                         \
            "Deprecated: use lossd_tls_certificate_expiry_timestamp_seconds.",                     \
            "file=\"" file "\"", read_expiry_days                                                  \
    }

static const struct metric_source sources[2 * TLS_FILES] = {
    [TLS_SERVER] = EXPIRY("server"),
    [TLS_CLIENT_CA] = EXPIRY("client_ca"),
    [TLS_FILES + TLS_SERVER] = EXPIRY_DAYS("server"),
    [TLS_FILES + TLS_CLIENT_CA] = EXPIRY_DAYS("client_ca"),
};

bool tls_add_metrics(struct tls *tls, struct metrics *metrics)
{
    return metrics_add_sources(metrics, sources, sizeof sources / sizeof *sources, tls);
}

bool tls_wants_clients(const struct tls *tls)
{
    return *tls->settings.client_ca != '\0';
}

/* ---- Handshakes ---- */

/* Copies the certificates, because a reload may free the originals during the handshake. GnuTLS
   frees the copies. Returns NULL if memory is insufficient. */
static gnutls_pcert_st *copy_chain(const struct identity *identity)
{
    gnutls_pcert_st *copies = gnutls_calloc(identity->count, sizeof *copies);
    for (unsigned i = 0; copies && i < identity->count; i++) {
        if (gnutls_pcert_import_x509(&copies[i], identity->chain[i], 0) == 0)
            continue;
        while (i > 0)
            gnutls_pcert_deinit(&copies[--i]);
        gnutls_free(copies);
        return NULL;
    }
    return copies;
}

static gnutls_privkey_t copy_key(const struct identity *identity)
{
    gnutls_privkey_t copy;
    if (gnutls_privkey_init(&copy) != 0)
        return NULL;
    if (gnutls_privkey_import_x509(copy, identity->key, GNUTLS_PRIVKEY_IMPORT_COPY) == 0)
        return copy;
    gnutls_privkey_deinit(copy);
    return NULL;
}

static void free_chain(gnutls_pcert_st *chain, unsigned count)
{
    while (chain && count > 0)
        gnutls_pcert_deinit(&chain[--count]);
    gnutls_free(chain);
}

int tls_retrieve(gnutls_session_t session, const struct gnutls_cert_retr_st *info,
                 gnutls_pcert_st **certificates, unsigned *count, gnutls_ocsp_data_st **ocsp,
                 unsigned *ocsp_count, gnutls_privkey_t *key, unsigned *flags)
{
    (void)info;
    struct tls *const tls = only;
    pthread_mutex_lock(&tls->mutex);
    *certificates = copy_chain(&tls->identity);
    *count = tls->identity.count;
    *key = copy_key(&tls->identity);
    pthread_mutex_unlock(&tls->mutex);
    *ocsp = NULL;
    *ocsp_count = 0;
    *flags = GNUTLS_CERT_RETR_DEINIT_ALL;
    if (!*certificates || !*key) {
        free_chain(*certificates, *count);
        if (*key)
            gnutls_privkey_deinit(*key);
        return -1;
    }
    if (tls_wants_clients(tls))
        gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUEST);
    return 0;
}

/* ---- Clients ---- */

enum { PEER_CHAIN = 8 };

/* Writes the common name of a certificate, or "certificate" if it has none. Replaces characters
   other than letters, digits and "._-@" with '_'. */
static void name_of(gnutls_x509_crt_t certificate, char name[TLS_NAME])
{
    char text[256];
    size_t len = sizeof text;
    if (gnutls_x509_crt_get_dn_by_oid(certificate, GNUTLS_OID_X520_COMMON_NAME, 0, 0, text, &len) !=
            0 ||
        len == 0)
        len = (size_t)snprintf(text, sizeof text, "certificate");
    if (len >= TLS_NAME)
        len = TLS_NAME - 1;
    for (size_t i = 0; i < len; i++)
        name[i] = isalnum((unsigned char)text[i]) || strchr("._-@", text[i]) ? text[i] : '_';
    name[len] = '\0';
}

/* Verifies a chain and sets peer->fault. The mutex must be locked. */
static void verify(struct tls *tls, gnutls_x509_crt_t *chain, unsigned count, struct tls_peer *peer)
{
    static char purpose[] = GNUTLS_KP_TLS_WWW_CLIENT;
    gnutls_typed_vdata_st wanted = {.type = GNUTLS_DT_KEY_PURPOSE_OID,
                                    .data = (unsigned char *)purpose};
    unsigned status = 0;
    gnutls_datum_t text = {NULL, 0};
    const int error = gnutls_x509_trust_list_verify_crt2(tls->identity.trusted, chain, count,
                                                         &wanted, 1, 0, &status, NULL);
    if (error == 0 && status == 0) {
        peer->fault[0] = '\0';
        return;
    }
    if (error == 0)
        gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, &text, 0);
    snprintf(peer->fault, sizeof peer->fault, "the client's certificate is not trusted: %s",
             text.data ? (const char *)text.data
                       : gnutls_strerror(error < 0 ? error : GNUTLS_E_MEMORY_ERROR));
    gnutls_free(text.data);
    peer->fault[strcspn(peer->fault, "\n")] = '\0';
}

bool tls_check_peer(struct tls *tls, gnutls_session_t session, struct tls_peer *peer)
{
    gnutls_x509_crt_t chain[PEER_CHAIN];
    unsigned sent = 0, count = 0;
    if (peer->verified == atomic_load(&tls->readings))
        return peer->fault[0] == '\0';
    const gnutls_datum_t *raw = gnutls_certificate_get_peers(session, &sent);
    snprintf(peer->fault, sizeof peer->fault,
             "a client certificate is required, but the client sent none that can be parsed");
    pthread_mutex_lock(&tls->mutex);
    peer->verified = atomic_load(&tls->readings);
    for (; raw && count < sent && count < PEER_CHAIN; count++) {
        if (gnutls_x509_crt_init(&chain[count]) != 0)
            break;
        if (gnutls_x509_crt_import(chain[count], &raw[count], GNUTLS_X509_FMT_DER) != 0) {
            gnutls_x509_crt_deinit(chain[count]);
            break;
        }
    }
    if (count > 0) {
        verify(tls, chain, count, peer);
        name_of(chain[0], peer->name);
    }
    pthread_mutex_unlock(&tls->mutex);
    while (count > 0)
        gnutls_x509_crt_deinit(chain[--count]);
    return peer->fault[0] == '\0';
}

bool tls_send(gnutls_session_t session, const char *bytes, size_t len)
{
    return gnutls_record_send(session, bytes, len) == (ssize_t)len;
}
