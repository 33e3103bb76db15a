/* Files as answers; see runnel/http_files.h. */
#include <runnel/http_files.h>

#include "file_answer.h"
#include "root.h"
#include "text.h"
#include "types.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct rn_http_files {
    struct root root;
    char *index, *cache_control;
    bool dot_files;
};

/* ---- making and freeing ---- */

static int check_config(const rn_http_files_config *c)
{
    if (c->root == NULL)
        return rn_error_with(-EINVAL, "http files: .root is NULL");
    if (c->index != NULL && strchr(c->index, '/') != NULL)
        return rn_error_with(-EINVAL, "http files: .index is \"%s\": it is a name", c->index);
    if (c->cache_control != NULL &&
        !text_is(c->cache_control, strlen(c->cache_control), BYTE_VALUE))
        return rn_error_with(-EINVAL, "http files: .cache_control has a control character");
    return 0;
}

int rn_http_files_new(rn_http_files **out, const rn_http_files_config *config)
{
    int err = check_config(config);
    rn_http_files *files;

    *out = NULL;
    if (err != 0)
        return err;
    if ((files = calloc(1, sizeof *files)) == NULL)
        return -ENOMEM;
    if ((err = root_begin(&files->root, config->root)) != 0) {
        free(files);
        return rn_error_with(err, "http files: %s: %s", config->root, rn_strerror(err));
    }
    files->dot_files = config->dot_files;
    files->index = strdup(config->index != NULL ? config->index : "index.html");
    if (config->cache_control != NULL)
        files->cache_control = strdup(config->cache_control);
    if (files->index == NULL || (config->cache_control != NULL && files->cache_control == NULL)) {
        rn_http_files_free(files);
        return -ENOMEM;
    }
    *out = files;
    return 0;
}

void rn_http_files_free(rn_http_files *files)
{
    if (files == NULL)
        return;
    root_end(&files->root);
    free(files->index);
    free(files->cache_control);
    free(files);
}

/* ---- opened files ---- */

/* The answer to what open(2) says. */
static int refuse(rn_ctx *ctx, rn_http_response *res, int err)
{
    switch (err) {
    case -EACCES:
    case -EPERM:
        return rn_http_error(ctx, res, 403, NULL);
    case -EMFILE:
    case -ENFILE:
        return rn_http_error(ctx, res, 503, NULL);
    case -ENOENT:
    case -ENOTDIR:
    case -ELOOP:
    case -EXDEV: /* outside the root */
    case -ENAMETOOLONG:
    case -EAGAIN: /* a folder on the way was moved, again and again */
    case -ENXIO:
    case -ENODEV:
        return rn_http_error(ctx, res, 404, NULL);
    default:
        return err;
    }
}

/* Answers with an open file, which is closed. */
static int send_number(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, int number,
                       struct file_answer *answer)
{
    int err = S_ISREG(answer->stat.st_mode) ? rn_fd_open(&answer->file, number) : -ENOENT;

    if (err != 0) {
        close(number);
        return refuse(ctx, res, err);
    }
    err = file_answer_send(ctx, req, res, answer);
    rn_fd_close(answer->file);
    return err;
}

/* ---- below a root ---- */

/* Whether a part of the name begins with a dot, "." and ".." included. */
static bool has_dot_part(const char *name)
{
    return *name == '.' || strstr(name, "/.") != NULL;
}

/* Whether a part of the name is "..". The router leaves none; this does not rely on it. */
static bool has_parent_part(const char *name)
{
    for (const char *at = name; (at = strstr(at, "..")) != NULL; at += 2)
        if ((at == name || at[-1] == '/') && (at[2] == 0 || at[2] == '/'))
            return true;
    return false;
}

/*
 * The path with a slash behind it, as a location on this server: it begins with one slash exactly,
 * for two would begin another server's name.
 */
static int redirect_to_folder(rn_ctx *ctx, rn_http_request *req, rn_http_response *res)
{
    static const char hex[] = "0123456789ABCDEF";
    const char *path = rn_http_path(req), *query = rn_http_query(req);
    char *location = rn_http_alloc(req, 3 * strlen(path) + strlen(query) + 4), *at = location;

    if (location == NULL)
        return -ENOMEM;
    *at++ = '/';
    for (path += strspn(path, "/"); *path != 0; path++) {
        unsigned char c = (unsigned char)*path;
        if (strchr("/-._~!$&'()*+,;=:@", c) != NULL || (c < 0x80 && isalnum(c))) {
            *at++ = (char)c;
        } else {
            *at++ = '%';
            *at++ = hex[c >> 4];
            *at++ = hex[c & 15];
        }
    }
    *at++ = '/';
    *at = 0;
    if (*query != 0) {
        *at++ = '?';
        strcpy(at, query);
    }
    return rn_http_redirect(ctx, res, 301, location);
}

/* The name below the root, with the index where it ends with a slash; NULL without memory. */
static char *name_below(const rn_http_files *files, rn_http_request *req, bool folder)
{
    const char *path = rn_http_param(req, "path");
    if (path == NULL)
        path = rn_http_path(req);
    path += strspn(path, "/");
    size_t length = strlen(path), room = length + strlen(files->index) + 2;
    char *name = rn_http_alloc(req, room);

    if (name == NULL)
        return NULL;
    memcpy(name, path, length + 1);
    if (folder) {
        while (length > 0 && name[length - 1] == '/')
            length--;
        if (length > 0)
            name[length++] = '/';
        strcpy(name + length, files->index);
    }
    return name;
}

int rn_http_files_serve(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, void *arg)
{
    rn_http_files *files = arg;
    const char *method = rn_http_method(req), *path = rn_http_path(req);
    bool folder = path[strlen(path) - 1] == '/';
    struct file_answer answer = {.cache_control = files->cache_control};

    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
        int err = rn_http_set(res, "Allow", "GET, HEAD");
        return err == 0 ? rn_http_error(ctx, res, 405, NULL) : err;
    }
    char *name = name_below(files, req, folder);
    if (name == NULL)
        return -ENOMEM;
    if ((folder && *files->index == 0) || has_parent_part(name) ||
        (!files->dot_files && has_dot_part(name)))
        return rn_http_error(ctx, res, 404, NULL);
    int number = root_open(&files->root, name);
    if (number >= 0 && fstat(number, &answer.stat) != 0) {
        close(number);
        number = -ENOENT;
    }
    if (number < 0)
        return refuse(ctx, res, number);
    if (S_ISDIR(answer.stat.st_mode) && !folder) {
        close(number);
        return redirect_to_folder(ctx, req, res);
    }
    answer.type = type_of(name);
    return send_number(ctx, req, res, number, &answer);
}

/* ---- one file ---- */

int rn_http_send_file(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, const char *path,
                      const char *type)
{
    struct file_answer answer = {.type = type != NULL ? type : type_of(path)};

    if (rn_http_started(res))
        return -EBUSY;
    int number = root_open_any(path);
    if (number >= 0 && fstat(number, &answer.stat) != 0) {
        close(number);
        number = -ENOENT;
    }
    return number < 0 ? refuse(ctx, res, number) : send_number(ctx, req, res, number, &answer);
}

int rn_http_send_fd(rn_ctx *ctx, rn_http_request *req, rn_http_response *res, rn_fd file,
                    const char *type)
{
    struct file_answer answer = {.file = file, .type = type != NULL ? type : type_of("")};
    int number = rn_fd_number(file);

    if (number < 0)
        return number;
    if (fstat(number, &answer.stat) != 0 || !S_ISREG(answer.stat.st_mode))
        return rn_error_with(-EINVAL, "http files: the handle is not of a regular file");
    return file_answer_send(ctx, req, res, &answer);
}
