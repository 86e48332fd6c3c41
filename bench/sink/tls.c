/* tls.c - the wrapper of OpenSSL.
 *
 *     authority (P-256, a day, CA:TRUE) --signs--> certificate (P-256, a day, IP:127.0.0.1 …)
 *         |
 *         +--> --tls FILE, for the server's outbound.caFile. Its key is gone with tls_init().
 *
 * Elliptic curves, as most receivers have them now; what an RSA key would cost is handshakes, and
 * these are rare with connections that stay open. A struct tls_session is OpenSSL's SSL by another
 * name, so that its headers are needed here only. */
#include "tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

enum { VALID_S = 24 * 3600 };

static SSL_CTX *context;

__attribute__((noreturn)) static void die(const char *what)
{
    fprintf(stderr, "bench-sink: %s\n", what);
    ERR_print_errors_fp(stderr);
    exit(1);
}

static void extension_add(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX about;
    X509V3_set_ctx_nodb(&about);
    X509V3_set_ctx(&about, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &about, nid, value);
    if (!extension || X509_add_ext(certificate, extension, -1) != 1)
        die("an extension of a certificate");
    X509_EXTENSION_free(extension);
}

/* A certificate for `key` without extensions or signature. */
static X509 *certificate_new(EVP_PKEY *key, X509 *issuer, const char *name, long serial)
{
    X509 *certificate = X509_new();
    if (!certificate || X509_set_version(certificate, X509_VERSION_3) != 1 ||
        ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial) != 1 ||
        !X509_gmtime_adj(X509_getm_notBefore(certificate), -60) ||
        !X509_gmtime_adj(X509_getm_notAfter(certificate), VALID_S) ||
        X509_set_pubkey(certificate, key) != 1)
        die("a certificate");
    X509_NAME *subject = X509_get_subject_name(certificate);
    if (X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1,
                                   0) != 1 ||
        X509_set_issuer_name(certificate, issuer ? X509_get_subject_name(issuer) : subject) != 1)
        die("the name of a certificate");
    return certificate;
}

static X509 *authority_new(EVP_PKEY *key)
{
    X509 *authority = certificate_new(key, NULL, "bench-sink's authority", 1);
    extension_add(authority, authority, NID_basic_constraints, "critical,CA:TRUE");
    extension_add(authority, authority, NID_key_usage, "critical,keyCertSign");
    extension_add(authority, authority, NID_subject_key_identifier, "hash");
    if (X509_sign(authority, key, EVP_sha256()) == 0)
        die("signing the authority");
    return authority;
}

static void authority_write(X509 *authority, const char *path)
{
    FILE *file = fopen(path, "we");
    if (!file) {
        perror(path);
        exit(1);
    }
    if (PEM_write_X509(file, authority) != 1 || fclose(file) != 0)
        die("writing the authority");
}

void tls_init(const char *ca_path)
{
    EVP_PKEY *authority_key = EVP_EC_gen("P-256"), *key = EVP_EC_gen("P-256");
    if (!authority_key || !key)
        die("making keys");
    X509 *authority = authority_new(authority_key);
    X509 *certificate = certificate_new(key, authority, "bench-sink", 2);
    extension_add(certificate, authority, NID_subject_alt_name,
                  "IP:127.0.0.1,IP:::1,DNS:localhost");
    if (X509_sign(certificate, authority_key, EVP_sha256()) == 0)
        die("signing the certificate");
    context = SSL_CTX_new(TLS_server_method());
    if (!context || SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1 ||
        SSL_CTX_use_certificate(context, certificate) != 1 ||
        SSL_CTX_use_PrivateKey(context, key) != 1)
        die("setting up TLS");
    authority_write(authority, ca_path);
    X509_free(authority);
    X509_free(certificate);
    EVP_PKEY_free(authority_key);
    EVP_PKEY_free(key);
}

struct tls_session *tls_session_new(int fd)
{
    SSL *ssl = SSL_new(context);
    if (!ssl || SSL_set_fd(ssl, fd) != 1)
        die("a TLS session");
    SSL_set_accept_state(ssl);
    return (struct tls_session *)ssl;
}

void tls_session_free(struct tls_session *session)
{
    SSL_free((SSL *)session);
}

/* What OpenSSL answered, as read() and write() say it. */
static ssize_t result_of(SSL *ssl, int n)
{
    if (n > 0)
        return n;
    int error = SSL_get_error(ssl, n);
    ERR_clear_error();
    if (error == SSL_ERROR_ZERO_RETURN)
        return 0;
    errno = error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? EAGAIN : EPROTO;
    return -1;
}

ssize_t tls_read(struct tls_session *session, void *at, size_t len)
{
    SSL *ssl = (SSL *)session;
    return result_of(ssl, SSL_read(ssl, at, (int)len));
}

ssize_t tls_write(struct tls_session *session, const void *at, size_t len)
{
    SSL *ssl = (SSL *)session;
    return result_of(ssl, SSL_write(ssl, at, (int)len));
}

bool tls_has_more(struct tls_session *session)
{
    return SSL_pending((SSL *)session) > 0;
}
