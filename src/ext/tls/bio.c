/*
 * OpenSSL's view of a connection: it reads what is in `in`, and writes to `out`, which takes
 * everything. The end of the socket is no business of OpenSSL's; see flow.c.
 */
#include "conn.h"

#include <openssl/bio.h>
#include <pthread.h>

static BIO_METHOD *method; /* NULL without memory */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static int bio_read(BIO *bio, char *to, size_t size, size_t *n)
{
    rn_tls *c = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    *n = tls_buffer_take(&c->in, to, size);
    if (*n > 0)
        return 1;
    BIO_set_retry_read(bio);
    return 0;
}

static int bio_write(BIO *bio, const char *data, size_t size, size_t *n)
{
    rn_tls *c = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    *n = tls_buffer_append(&c->out, data, size) ? size : 0;
    return *n > 0;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH; /* is done when OpenSSL has returned */
}

static void make_method(void)
{
    int type = BIO_get_new_index();

    if (type < 0 || (method = BIO_meth_new(type | BIO_TYPE_SOURCE_SINK, "runnel")) == NULL)
        return;
    BIO_meth_set_read_ex(method, bio_read);
    BIO_meth_set_write_ex(method, bio_write);
    BIO_meth_set_ctrl(method, bio_control);
}

BIO *tls_bio_new(rn_tls *c)
{
    pthread_once(&once, make_method);
    BIO *bio = method != NULL ? BIO_new(method) : NULL;
    if (bio == NULL)
        return NULL;
    BIO_set_data(bio, c);
    BIO_set_init(bio, 1);
    return bio;
}
