/* Opening beneath a root, with openat2 and without. */
#include "http/root.h"

#include "http.h"

#include <errno.h>
#include <fcntl.h>
#include <runnel/http.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];
static int folder_fd;

static int remove_tree(void *unused)
{
    char command[128];
    (void)unused;
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static void put_text(const char *name, const char *text)
{
    int fd = openat(folder_fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    EXPECT_EQ(write(fd, text, strlen(text)), (long long)strlen(text));
    close(fd);
}

/* root/a, root/sub/b, outside, and links. */
static void make_tree(void)
{
    char outside[128];

    strcpy(folder, "/tmp/runnel-root-XXXXXX");
    EXPECT(mkdtemp(folder) != NULL);
    folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    EXPECT_EQ(mkdirat(folder_fd, "root", 0755), 0);
    EXPECT_EQ(mkdirat(folder_fd, "root/sub", 0755), 0);
    put_text("root/a", "a");
    put_text("root/sub/b", "b");
    put_text("outside", "outside");
    snprintf(outside, sizeof outside, "%s/outside", folder);
    EXPECT_EQ(symlinkat("../outside", folder_fd, "root/up"), 0);
    EXPECT_EQ(symlinkat(outside, folder_fd, "root/absolute"), 0);
    EXPECT_EQ(symlinkat("..", folder_fd, "root/parent"), 0);
    EXPECT_EQ(symlinkat("sub", folder_fd, "root/inside"), 0);
}

static struct root open_root(bool walk)
{
    char path[128];
    struct root root;

    snprintf(path, sizeof path, "%s/root", folder);
    EXPECT_EQ(root_begin(&root, path), 0);
    atomic_store(&root.walk, walk);
    return root;
}

/* The letter in a file, or a negative code. */
static int letter(struct root *root, const char *path)
{
    int fd = root_open(root, path);
    char c = 0;

    if (fd < 0)
        return fd;
    EXPECT_EQ(read(fd, &c, 1), 1);
    close(fd);
    return c;
}

static mode_t kind(struct root *root, const char *path)
{
    int fd = root_open(root, path);
    struct stat stat;

    EXPECT(fd >= 0);
    EXPECT_EQ(fstat(fd, &stat), 0);
    close(fd);
    return stat.st_mode & S_IFMT;
}

static void expect_beneath(bool walk)
{
    make_tree();
    struct root root = open_root(walk);
    EXPECT_EQ(letter(&root, "a"), 'a');
    EXPECT_EQ(letter(&root, "sub/b"), 'b');
    EXPECT_EQ(letter(&root, "sub//b"), 'b');
    EXPECT_EQ(kind(&root, ""), S_IFDIR);
    EXPECT_EQ(kind(&root, "sub"), S_IFDIR);
    EXPECT_EQ(kind(&root, "sub/"), S_IFDIR);
    EXPECT_EQ(root_open(&root, "c"), -ENOENT);
    EXPECT_EQ(root_open(&root, "c/d"), -ENOENT);
    EXPECT_EQ(root_open(&root, "a/"), -ENOTDIR);
    EXPECT_EQ(root_open(&root, "a/b"), -ENOTDIR);
    EXPECT_EQ(root_open(&root, ".."), -EXDEV);
    EXPECT_EQ(root_open(&root, "../outside"), -EXDEV);
    EXPECT_EQ(root_open(&root, "sub/../../outside"), -EXDEV);
    EXPECT(root_open(&root, "up") < 0);
    EXPECT(root_open(&root, "absolute") < 0);
    EXPECT(root_open(&root, "parent/outside") < 0);
    char name[300];
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = 0;
    EXPECT_EQ(root_open(&root, name), -ENAMETOOLONG);
    /* Links that stay inside are followed where the kernel can tell. */
    EXPECT_EQ(atomic_load(&root.walk) ? letter(&root, "inside/b") < 0 : letter(&root, "inside/b"),
              atomic_load(&root.walk) ? 1 : 'b');
    root_end(&root);
    EXPECT_EQ(rn_blocking(remove_tree, NULL), 0);
    close(folder_fd);
}

TEST_FIBER(stays_beneath_the_root)
{
    expect_beneath(false);
}

TEST_FIBER(stays_beneath_the_root_without_openat2)
{
    expect_beneath(true);
}

TEST_FIBER(opens_absolute_paths_only_without_a_root)
{
    make_tree();
    struct root root = open_root(false);
    EXPECT_EQ(root_open(&root, "/dev/null"), -EXDEV);
    int fd = root_open_any("/dev/null");
    EXPECT(fd >= 0);
    close(fd);
    EXPECT_EQ(root_open_any("/nowhere/at/all"), -ENOENT);
    root_end(&root);
    EXPECT_EQ(rn_blocking(remove_tree, NULL), 0);
    close(folder_fd);
}

TEST_FIBER(does_not_wait_for_a_writer_of_a_fifo)
{
    make_tree();
    EXPECT_EQ(mkfifoat(folder_fd, "root/fifo", 0644), 0);
    struct root root = open_root(false);
    EXPECT_EQ(kind(&root, "fifo"), S_IFIFO);
    root_end(&root);
    EXPECT_EQ(rn_blocking(remove_tree, NULL), 0);
    close(folder_fd);
}

TEST_FIBER(says_what_is_wrong_with_a_root)
{
    struct root root;

    EXPECT_EQ(root_begin(&root, "/nowhere/at/all"), -ENOENT);
    EXPECT_EQ(root_begin(&root, "/dev/null"), -ENOTDIR);
}
