/* Address space, Linux. The contract is os/os.h. */
#include "os/os.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 /* Linux 6.13 */
#endif
#define MADV_UNKNOWN 0x7fff /* no kernel has it */
#ifndef SYS_process_madvise
#define SYS_process_madvise 440 /* on every architecture */
#endif
#define OWN_PIDFD (-10000) /* PIDFD_SELF, Linux 6.15 */
#define GUARDS_AT_ONCE 16

int os_reserve(void **out, size_t bytes)
{
    void *start = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (start == MAP_FAILED)
        return -errno;
    madvise(start, bytes, MADV_NOHUGEPAGE); /* advice: failing costs memory, not correctness */
    *out = start;
    return 0;
}

void os_unreserve(void *start, size_t bytes)
{
    munmap(start, bytes);
}

/* Whether the kernel has guard markers; known after the first try. */
enum markers { MARKERS_UNKNOWN, MARKERS_THERE, MARKERS_NOT };

/*
 * An emulator may accept any advice and do nothing (qemu-user does): then an unknown one succeeds
 * too.
 */
static enum markers try_markers(void *start, size_t bytes)
{
    bool lies = madvise(start, bytes, MADV_UNKNOWN) == 0;
    return lies || (madvise(start, bytes, MADV_GUARD_INSTALL) != 0 && errno == EINVAL)
               ? MARKERS_NOT
               : MARKERS_THERE;
}

/* Several markers by one call, which halves their price; how many, 0 where the kernel cannot. */
static int mark_many(char *start, size_t bytes, size_t stride, unsigned count)
{
    static atomic_flag_t cannot;
    struct iovec ranges[GUARDS_AT_ONCE];

    if (count > GUARDS_AT_ONCE)
        count = GUARDS_AT_ONCE;
    if (count < 2 || load_relaxed(&cannot))
        return 0;
    for (unsigned i = 0; i < count; i++)
        ranges[i] = (struct iovec){start + i * stride, bytes};
    long done = syscall(SYS_process_madvise, OWN_PIDFD, ranges, (size_t)count, MADV_GUARD_INSTALL,
                        0);
    if (done < 0)
        store_relaxed(&cannot, true);
    return done <= 0 ? 0 : (int)((size_t)done / bytes);
}

int os_guard(void *start, size_t bytes, size_t stride, unsigned count)
{
    static atomic_u32 markers; /* enum markers */
    int done;

    if (load_relaxed(&markers) == MARKERS_UNKNOWN)
        store_relaxed(&markers, try_markers(start, bytes));
    if (load_relaxed(&markers) == MARKERS_NOT)
        return mprotect(start, bytes, PROT_NONE) == 0 ? 1 : -errno;
    if ((done = mark_many(start, bytes, stride, count)) > 0)
        return done;
    return madvise(start, bytes, MADV_GUARD_INSTALL) == 0 ? 1 : -errno;
}

void os_discard(void *start, size_t bytes)
{
    madvise(start, bytes, MADV_DONTNEED);
}

size_t os_page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

long os_mapping_limit(void)
{
    long limit = -1;
    FILE *file = fopen("/proc/sys/vm/max_map_count", "re");
    if (file == NULL)
        return -1;
    if (fscanf(file, "%ld", &limit) != 1)
        limit = -1;
    fclose(file);
    return limit;
}
