/* What librunnel-curl, as installed, says of a port where nobody listens. */
#include <errno.h>
#include <runnel.h>
#include <runnel/curl.h>
#include <stdio.h>

static int app(int argc, char **argv)
{
    rn_curl_response response = {0};

    (void)argc, (void)argv;
    int err = rn_curl_get(NULL, "http://127.0.0.1:1/", NULL, &response);
    printf("curl: %s\n", rn_strerror(err));
    rn_curl_response_free(&response);
    return err != -ECONNREFUSED;
}

int main(int argc, char **argv)
{
    return rn_run(app, argc, argv);
}
