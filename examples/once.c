/*
 * A hundred fibers want the database; the first to ask opens it, the others wait for it, and all
 * use the one connection. Prints who opened what, and how many rows the fibers wrote. Link it with
 * -lsqlite3 too.
 */
#include <runnel.h>

#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FIBERS 100

static const char schema[] = "PRAGMA synchronous = OFF; CREATE TABLE visits (fiber INTEGER)";
static rn_once_value(sqlite3 *) connection;
static atomic_int opened;

static int open_database(void *arg, sqlite3 **db)
{
    const char *path = arg;

    atomic_fetch_add(&opened, 1);
    if (sqlite3_open(path, db) != SQLITE_OK)
        return -EIO; /* every caller gets this code */
    return sqlite3_exec(*db, schema, NULL, NULL, NULL) == SQLITE_OK ? 0 : -EIO;
}

struct visit {
    char *path;
    int fiber;
};

static int visit(rn_ctx *ctx, void *arg)
{
    struct visit *v = arg;
    char sql[64];
    sqlite3 *db;
    int err = rn_once_value_get(&connection, open_database, v->path, &db);

    (void)ctx;
    if (err != 0)
        return err;
    snprintf(sql, sizeof sql, "INSERT INTO visits VALUES (%d)", v->fiber);
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : -EIO;
}

static int print_count(void *arg, int columns, char **values, char **names)
{
    (void)arg, (void)columns, (void)names;
    printf("%s rows from %s fibers\n", values[0], values[1]);
    return 0;
}

static int app(int argc, char **argv)
{
    char path[] = "/tmp/runnel-once-XXXXXX";
    int file = mkstemp(path), err;
    rn_group *g = rn_group_new(NULL);

    (void)argc, (void)argv;
    for (int i = 0; i < FIBERS; i++)
        rn_group_go_copy(g, visit, &(struct visit){path, i});
    err = rn_group_wait(g);
    if (err == 0) {
        printf("opened %d time\n", atomic_load(&opened));
        sqlite3_exec(connection.value, "SELECT count(*), count(DISTINCT fiber) FROM visits",
                     print_count, NULL, NULL);
    }
    sqlite3_close(connection.value);
    close(file);
    unlink(path);
    return err == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    return rn_run(app, argc, argv);
}
