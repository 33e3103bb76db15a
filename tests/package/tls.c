/* What librunnel-tls, as installed, says of a file of certificates that does not exist. */
#include <errno.h>
#include <runnel.h>
#include <runnel/tls.h>
#include <stdio.h>

static int app(int argc, char **argv)
{
    rn_tls_client *client;

    (void)argc, (void)argv;
    int err = rn_tls_client_new(&client, &(rn_tls_client_config){.ca = "/nowhere.pem"});
    printf("tls: %s\n", rn_error_detail());
    rn_tls_client_free(client);
    return err != -ENOENT;
}

int main(int argc, char **argv)
{
    return rn_run(app, argc, argv);
}
