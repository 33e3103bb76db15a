/* Codes and sentences for what libcurl says; see codes.h. */
#include "codes.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

/* Those that mean the same whatever the circumstances. */
static const struct {
    CURLcode code;
    int err;
} meanings[] = {
    {CURLE_URL_MALFORMAT, -EINVAL},
    {CURLE_BAD_FUNCTION_ARGUMENT, -EINVAL},
    {CURLE_SSL_ENGINE_NOTFOUND, -EINVAL},
    {CURLE_SSL_CACERT_BADFILE, -EINVAL},
    {CURLE_SSL_CRL_BADFILE, -EINVAL},
    {CURLE_COULDNT_RESOLVE_PROXY, RN_ENOHOST},
    {CURLE_COULDNT_RESOLVE_HOST, RN_ENOHOST},
    {CURLE_PARTIAL_FILE, -ECONNRESET},
    {CURLE_GOT_NOTHING, -ECONNRESET},
    {CURLE_SEND_ERROR, -ECONNRESET},
    {CURLE_RECV_ERROR, -ECONNRESET},
    {CURLE_WEIRD_SERVER_REPLY, -EPROTO},
    {CURLE_HTTP2, -EPROTO},
    {CURLE_HTTP2_STREAM, -EPROTO},
    {CURLE_HTTP3, -EPROTO},
    {CURLE_BAD_CONTENT_ENCODING, -EPROTO},
    {CURLE_SSL_CONNECT_ERROR, RN_ETLS},
    {CURLE_SSL_CIPHER, RN_ETLS},
    {CURLE_PEER_FAILED_VERIFICATION, RN_ECERT},
    {CURLE_SSL_ISSUER_ERROR, RN_ECERT},
    {CURLE_SSL_CERTPROBLEM, RN_ECERT},
    {CURLE_SSL_INVALIDCERTSTATUS, RN_ECERT},
    {CURLE_SSL_PINNEDPUBKEYNOTMATCH, RN_ECERT},
    {CURLE_SSL_CLIENTCERT, RN_ECERT},
    {CURLE_REMOTE_ACCESS_DENIED, -EACCES},
    {CURLE_LOGIN_DENIED, -EACCES},
    {CURLE_AUTH_ERROR, -EACCES},
    {CURLE_HTTP_RETURNED_ERROR, -EREMOTEIO},
    {CURLE_WRITE_ERROR, -ECONNABORTED},
    {CURLE_READ_ERROR, -ECONNABORTED},
    {CURLE_CHUNK_FAILED, -ECONNABORTED},
    {CURLE_OUT_OF_MEMORY, -ENOMEM},
    {CURLE_OPERATION_TIMEDOUT, -ETIMEDOUT},
    {CURLE_TOO_MANY_REDIRECTS, -ELOOP},
    {CURLE_FILESIZE_EXCEEDED, -EMSGSIZE},
};

static int plain_meaning(CURLcode code)
{
    for (size_t i = 0; i < sizeof meanings / sizeof meanings[0]; i++)
        if (meanings[i].code == code)
            return meanings[i].err;
    return -EIO;
}

/*
 * libcurl tells of a socket that it could not have as of a host that it could not reach. So when it
 * says that, it is tried whether there is one.
 */
static int descriptors_left(void)
{
    int fd = epoll_create1(EPOLL_CLOEXEC);

    if (fd < 0)
        return -errno;
    close(fd);
    return 0;
}

static int connect_meaning(CURL *easy)
{
    int err = descriptors_left();
    long os = 0;

    if (err != 0)
        return err;
    curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &os);
    return os > 0 ? -(int)os : -ECONNREFUSED;
}

static int resolve_meaning(void)
{
    int err = descriptors_left();

    return err != 0 ? err : RN_ENOHOST;
}

/* The URL's scheme, or a redirect's; or, when a request was sent, an answer that is no HTTP. */
static int protocol_meaning(CURL *easy)
{
    long sent = 0, status = 0;

    curl_easy_getinfo(easy, CURLINFO_REQUEST_SIZE, &sent);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    return sent > 0 && status / 100 != 3 ? -EPROTO : -EPROTONOSUPPORT;
}

int code_of_transfer(CURL *easy, CURLcode code, int watch_err)
{
    switch (code) {
    case CURLE_OK:
        return 0;
    case CURLE_COULDNT_CONNECT:
        return connect_meaning(easy);
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return resolve_meaning();
    case CURLE_UNSUPPORTED_PROTOCOL:
        return protocol_meaning(easy);
    case CURLE_ABORTED_BY_CALLBACK: /* a callback of the caller's, or the engine's */
        return watch_err != 0 ? watch_err : -ECONNABORTED;
    default:
        return plain_meaning(code);
    }
}

static const char *refusal(int err)
{
    switch (err) {
    case -EBUSY:
        return "the easy handle is being performed already";
    case -EINVAL:
        return "this is no easy handle";
    default:
        return rn_strerror(err);
    }
}

void forget_sentence(void)
{
    if (rn_error_detail()[0] != '\0')
        rn_error_with(0, "%s", "");
}

int report_transfer(const struct transfer *t, const char *message)
{
    if (t->err == 0)
        return 0;
    if (t->refused)
        message = refusal(t->err);
    else if (message[0] == '\0')
        message = curl_easy_strerror(t->code);
    return rn_error_with(t->err, "curl: %s", message);
}
