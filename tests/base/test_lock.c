/* The spin lock and the biased lock keep each other's users out. */
#include "base/asym.h"
#include "base/spinlock.h"
#include "os/os.h"

#include "core.h"
#include "test.h"

#include <pthread.h>

#define THREADS 4

static struct spinlock lock;
static struct bias_lock bias;
static int counter; /* not atomic: the lock guards it */
static atomic_int inside;

static void step(void)
{
    EXPECT_EQ(atomic_fetch_add(&inside, 1), 0);
    counter++;
    EXPECT_EQ(atomic_fetch_sub(&inside, 1), 1);
}

static void *add_under_lock(void *arg)
{
    int n = *(int *)arg;
    for (int i = 0; i < n; i++) {
        if (i % 7 == 0) {
            while (!spin_try_lock(&lock))
                spin_wait(0);
        } else {
            spin_lock(&lock);
        }
        step();
        spin_unlock(&lock);
    }
    return NULL;
}

TEST(the_spin_lock_excludes)
{
    int n = rounds(30000);
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++)
        EXPECT_EQ(pthread_create(&threads[i], NULL, add_under_lock, &n), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    EXPECT_EQ(counter, THREADS * n);
}

TEST(try_lock_fails_while_the_lock_is_held)
{
    EXPECT(spin_try_lock(&lock));
    EXPECT(!spin_try_lock(&lock));
    spin_unlock(&lock);
    EXPECT(spin_try_lock(&lock));
    spin_unlock(&lock);
}

static void *visit(void *arg)
{
    int n = *(int *)arg;
    for (int i = 0; i < n; i++) {
        if (i % 3 != 0)
            bias_visit(&bias);
        else if (!bias_try_visit(&bias))
            bias_visit(&bias);
        step();
        bias_leave(&bias);
    }
    return NULL;
}

static void owner_and_visitors(void)
{
    int n = rounds(1000), owned = rounds(300000);
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++)
        EXPECT_EQ(pthread_create(&threads[i], NULL, visit, &n), 0);
    for (int i = 0; i < owned; i++) {
        bias_enter(&bias);
        step();
        bias_exit(&bias);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    EXPECT_EQ(counter, owned + THREADS * n);
}

TEST(the_biased_lock_excludes)
{
    os_init(); /* finds out how to fence */
    owner_and_visitors();
}

TEST(the_biased_lock_excludes_without_help_from_the_kernel)
{
    asym_fenced = true;
    owner_and_visitors();
}
