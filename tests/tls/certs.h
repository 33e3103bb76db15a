/*
 * Certificates for tests, made while they run: P-256, in files that only this process has
 * (memfd_create), so that nothing is left behind.
 */
#ifndef RN_TESTS_CERTS_H
#define RN_TESTS_CERTS_H

#include "test.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define DAY (24 * 60 * 60)

/* A file with a path that other programs of this user can open, too. */
struct file {
    int fd;
    char path[64];
};

static inline struct file file_new(void)
{
    struct file f = {.fd = memfd_create("pem", MFD_CLOEXEC)};

    EXPECT(f.fd >= 0);
    snprintf(f.path, sizeof f.path, "/proc/%d/fd/%d", getpid(), f.fd);
    return f;
}

/* In place of what is in it. */
static inline void file_write(struct file *f, const char *data, size_t size)
{
    EXPECT_EQ(ftruncate(f->fd, 0), 0);
    EXPECT_EQ(pwrite(f->fd, data, size, 0), (ssize_t)size);
}

static inline void file_write_bio(struct file *f, BIO *bio)
{
    char *data;
    long n = BIO_get_mem_data(bio, &data);

    file_write(f, data, (size_t)n);
    BIO_free(bio);
}

/* Who vouches: a key and the certificate to it. */
struct authority {
    EVP_PKEY *key;
    X509 *certificate;
    struct file file; /* with the certificate */
};

struct identity {
    struct file certificate, key;
};

/* What a certificate is to say; zero is the default. */
struct wish {
    const char *name;               /* the subject's CN */
    const char *alt;                /* as in "DNS:localhost,IP:127.0.0.1" */
    const struct authority *issuer; /* NULL: itself */
    bool expired;
    bool authority;
};

static inline void add_extension(X509 *certificate, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

    EXPECT(extension != NULL);
    EXPECT_EQ(X509_add_ext(certificate, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

static inline X509 *make_certificate(EVP_PKEY *key, const struct wish *wish)
{
    static long serial = 1;
    X509 *certificate = X509_new();
    X509_NAME *name = X509_get_subject_name(certificate);
    const struct authority *by = wish->issuer;

    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial++);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -2 * DAY);
    X509_gmtime_adj(X509_getm_notAfter(certificate), wish->expired ? -DAY : 30 * DAY);
    X509_NAME_add_entry_by_txt(name, "O", MBSTRING_ASC, (const unsigned char *)"runnel", -1, -1, 0);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)wish->name, -1, -1,
                               0);
    X509_set_issuer_name(certificate, by != NULL ? X509_get_subject_name(by->certificate) : name);
    X509_set_pubkey(certificate, key);
    if (wish->authority)
        add_extension(certificate, NID_basic_constraints, "critical,CA:TRUE");
    if (wish->alt != NULL)
        add_extension(certificate, NID_subject_alt_name, wish->alt);
    EXPECT(X509_sign(certificate, by != NULL ? by->key : key, EVP_sha256()) > 0);
    return certificate;
}

static inline void write_certificate(struct file *f, X509 *certificate)
{
    BIO *bio = BIO_new(BIO_s_mem());
    EXPECT_EQ(PEM_write_bio_X509(bio, certificate), 1);
    file_write_bio(f, bio);
}

static inline struct authority authority_new(const char *name)
{
    struct authority a = {.key = EVP_EC_gen("P-256"), .file = file_new()};

    a.certificate = make_certificate(a.key, &(struct wish){.name = name, .authority = true});
    write_certificate(&a.file, a.certificate);
    return a;
}

static inline void authority_free(struct authority *a)
{
    EVP_PKEY_free(a->key);
    X509_free(a->certificate);
    close(a->file.fd);
}

/* Another key and certificate in the same files. */
static inline void identity_renew(struct identity *id, const struct wish *wish)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = make_certificate(key, wish);
    BIO *bio = BIO_new(BIO_s_mem());

    write_certificate(&id->certificate, certificate);
    EXPECT_EQ(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), 1);
    file_write_bio(&id->key, bio);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

static inline struct identity identity_new(const struct wish *wish)
{
    struct identity id = {.certificate = file_new(), .key = file_new()};
    identity_renew(&id, wish);
    return id;
}

static inline void identity_free(struct identity *id)
{
    close(id->certificate.fd);
    close(id->key.fd);
}

#endif
