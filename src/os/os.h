/*
 * The whole contract with the operating system. linux/ implements it; everything above knows only
 * this.
 *
 * Results are 0 (or a count) or a negated errno value; errno itself is read only inside the
 * implementation, in the statement after the system call. Interrupted calls are restarted unless
 * the text says otherwise.
 */
#ifndef RN_OS_OS_H
#define RN_OS_OS_H

#include "base/atomic.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* ---- memory ---- */

/* Address space without memory behind it, readable and writable, never huge pages. */
int os_reserve(void **out, size_t bytes);
void os_unreserve(void *start, size_t bytes);
/*
 * Makes ranges fault on access: up to count of them, each `bytes` long, the next one `stride`
 * further. How many of the first were done, at least 1, or a negative code. Where the kernel has no
 * markers each uses up a mapping.
 */
int os_guard(void *start, size_t bytes, size_t stride, unsigned count);
/* Gives the memory of a range back; it reads as zeros afterwards. Guards stay. */
void os_discard(void *start, size_t bytes);
size_t os_page_size(void);
/* The kernel's limit on mappings, for messages. */
long os_mapping_limit(void);

/* ---- threads ---- */

struct os_thread {
    uint64_t handle;
};

/* Probes what the kernel can do (membarrier); call once before a second thread exists. */
void os_init(void);
/* Starts a thread with every signal blocked but those that a fault raises. */
int os_thread_start(struct os_thread *out, void (*main)(void *arg), void *arg, const char *name);
void os_thread_join(struct os_thread thread);
void os_yield(void);
/* Processor time a thread of ours has used; -1 when it cannot be told. */
int64_t os_thread_cpu_ns(struct os_thread thread);
/* Processors that affinity and the cgroup's quota leave to this process; at least 1. */
int os_cpus(void);
/*
 * The processors that the cgroup's quota buys, rounded up; 0: there is no limit. root stands before
 * /proc and /sys: "", but in tests.
 */
int os_quota_cpus(const char *root);
/* Threads of this process, or a negative code. */
int os_thread_count(void);
/* A negative code ends the wait: -ETIMEDOUT. It returns at once when *word != value. */
int os_futex_wait(atomic_u32 *word, uint32_t value, int64_t timeout_ns);
void os_futex_wake(atomic_u32 *word, int count);
/* Unpredictable bytes; where the kernel has none yet, such as differ from run to run. */
void os_random(void *out, size_t bytes);
/* Called in the child of every fork. */
void os_at_fork_child(void (*fn)(void));

/* ---- time ---- */

int64_t os_now(void); /* CLOCK_MONOTONIC, ns */

/* ---- poller: one epoll instance and a wake-up handle ---- */

enum { OS_READABLE = 1, OS_WRITABLE = 2 };

struct os_event {
    uint64_t tag;
    int events; /* OS_READABLE, OS_WRITABLE; both on error or hang-up */
    /* The end, an error, or urgent data is there: what a short read leaves behind is not told. */
    bool final;
};

struct os_poller {
    int epoll;
    int wake;
};

int os_poller_open(struct os_poller *poller);
void os_poller_close(struct os_poller *poller);
/* Edge-triggered, both directions. -EPERM: the file is always ready (a regular file). */
int os_poller_add(struct os_poller *poller, int fd, uint64_t tag);
void os_poller_remove(struct os_poller *poller, int fd);
/* Waits at most timeout_ns (0: not; negative: for ever). Returns events, not counting wake-ups. */
int os_poller_wait(struct os_poller *poller, struct os_event *events, int room, int64_t timeout_ns);
/* Waits as long for something to be there, and leaves it there. */
void os_poller_await(struct os_poller *poller, int64_t timeout_ns);
void os_poller_wake(struct os_poller *poller);

/* ---- descriptors ---- */

/* Sets the mode; returns whether it was non-blocking before: 1, 0, or a negative code. */
int os_fd_set_nonblocking(int fd, bool on);
/* No program that is executed later inherits it. */
int os_fd_set_cloexec(int fd);
int64_t os_fd_read(int fd, void *buffer, size_t size);
/* A file's bytes if that needs no disk: -EAGAIN when it does, or when the kernel cannot tell. */
int64_t os_fd_read_cached(int fd, void *buffer, size_t size);
/* One write(2). quiet: this thread does not block SIGPIPE, and must not get it. */
int64_t os_fd_write(int fd, const void *buffer, size_t size, bool quiet);
/* One writev(2), as os_fd_write. */
int64_t os_fd_writev(int fd, const struct iovec *parts, int n, bool quiet);
/* One sendfile(2) from the file's byte `offset` on; the file's own position stays. */
int64_t os_fd_sendfile(int to, int file, int64_t offset, size_t size, bool quiet);
/* Whether both ends of a range of a file are in memory; false also when that cannot be told. */
bool os_file_cached(int fd, int64_t offset, size_t size);
/* Which of the events (OS_READABLE, OS_WRITABLE) are there now; both on error or hang-up. */
int os_fd_ready(int fd, int events);
void os_fd_close(int fd);
/* A pipe, close-on-exec, blocking. ends[0] is read from. */
int os_pipe(int ends[2]);
/* How many descriptors this process may have, for messages. */
long os_fd_limit(void);

/* ---- network ---- */

/* An address is the system's struct sockaddr and its length; on the way out *length is the room. */

/* An address that a name stands for. */
struct os_host {
    int family;
    uint32_t scope;          /* of a link-local one: the interface */
    unsigned char bytes[16]; /* in network order; of IPv4 the first 4 */
};

/* The first ones are rn_net_option's. A duration is in nanoseconds, rounded up; 0 or 1: off, on. */
enum os_option {
    OS_NODELAY,
    OS_KEEPALIVE,
    OS_KEEPALIVE_IDLE,
    OS_KEEPALIVE_INTERVAL,
    OS_KEEPALIVE_COUNT,
    OS_UNACKED_MAX,
    OS_LINGER, /* negative: off */
    OS_READ_BUFFER,
    OS_WRITE_BUFFER,
    OS_BROADCAST,
    OS_REUSE_ADDRESS,
    OS_REUSE_PORT,
    OS_IPV6_ONLY,
    OS_BIND_NO_PORT, /* a bind to port 0 leaves the choice to connect */
    OS_OPTIONS
};

/* A socket, close-on-exec and non-blocking. */
int os_socket(int family, bool datagram);
int os_socket_bind(int fd, const void *address, uint32_t length);
/* The permission bits that the file of a unix socket gets when it is bound. */
int os_socket_mode(int fd, int mode);
/* More than the system allows stands for what it allows. */
int os_socket_listen(int fd, int backlog);
/* A connection, close-on-exec and non-blocking. */
int os_socket_accept(int fd);
/* 0: connected. -EINPROGRESS: it becomes writable, and os_socket_error tells. */
int os_socket_connect(int fd, const void *address, uint32_t length);
/* What became of a connection attempt: 0 or a negative code. */
int os_socket_error(int fd);
int os_socket_local(int fd, void *address, uint32_t *length);
int os_socket_peer(int fd, void *address, uint32_t *length);
/* 1 when it is of datagrams, 0 when not, or a negative code. */
int os_socket_is_datagram(int fd);
/* TCP itself: a stream of an internet family may be of another protocol (SCTP, MPTCP). */
bool os_socket_is_tcp(int fd);
/* Ends the directions in events: OS_READABLE, OS_WRITABLE. */
int os_socket_shutdown(int fd, int events);
int os_socket_set(int fd, enum os_option option, int64_t value);
int os_socket_get(int fd, enum os_option option, int64_t *out);
/* A datagram; SIGPIPE is not raised. address may be NULL. */
int64_t os_send_to(int fd, const void *data, size_t size, const void *address, uint32_t length);
/* One datagram. -EMSGSIZE: it was longer than size, and its rest is lost. */
int64_t os_recv_from(int fd, void *buffer, size_t size, void *address, uint32_t *length);
/*
 * Looks a host's name up; blocks, for seconds maybe. How many there are, at most room;
 * -ENOENT: no such host; -EAGAIN: whom it asked did not answer; another code: it could not ask.
 */
int os_host_lookup(const char *name, struct os_host *out, int room);
/* The number of a network interface, 0 when there is none of that name. */
uint32_t os_interface(const char *name);
/* Removes a file that is a socket's; -EEXIST: it is another one. */
int os_socket_unlink(const char *path);

/* ---- processes ---- */

enum { OS_STDIO_INHERIT = -1, OS_STDIO_NULL = -2 };

struct os_spawn {
    const char *program; /* a path, or a name to be found by PATH */
    char *const *argv;
    char *const *env; /* NULL: this process's */
    const char *dir;  /* NULL: this process's */
    int stdio[3];     /* what becomes 0, 1 and 2: a descriptor of any number, or OS_STDIO_ */
    bool own_group;
};

struct os_exit {
    int code;   /* -1 when a signal ended it */
    int signal; /* 0 when none did */
    bool core_dumped;
    int64_t user_ns, system_ns;
};

/* The number of this process. */
int os_process_id(void);
/*
 * Executes a program; blocks until that is done. The process id, or a negative code. As by execvp,
 * a text that the kernel does not know how to execute is run by /bin/sh.
 */
int os_spawn(const struct os_spawn *spawn);
/* Where the file is that os_spawn would execute, seen from dir; false when there is none. */
bool os_program_find(const char *program, const char *dir, char *path, size_t room);
/* How a file begins: so many bytes, or a negative code. Where it is, os_program_find said. */
int64_t os_program_head(const char *path, const char *dir, char *head, size_t room);
/* Whether a program could start in dir: 0, or what chdir would say. */
int os_dir_check(const char *dir);
/* A descriptor that is readable once the process has ended. -ENOSYS: the kernel has none. */
int os_pidfd(int pid);
/* Reaps a child that has ended: 1 and *out; 0 when it still runs; -ECHILD when it is not ours. */
int os_reap(int pid, struct os_exit *out);
/* Blocks until a child has ended; it is left to be reaped. */
void os_await_exit(int pid);
/* Signals a process, or with group the process group that it leads. */
int os_kill(int pid, bool group, int number);
/* Whether a process that has not ended is in the group. */
bool os_group_lives(int group);

/* ---- signals from outside ---- */

#define OS_SIGNAL_MAX 64

/* Whether it is a signal that may be taken: not SIGKILL, SIGSTOP, or one that a fault raises. */
bool os_signal_valid(int number);
/* A descriptor that becomes readable when a signal that was taken arrives. One at a time. */
int os_signal_open(void);
/*
 * Gives back what was taken. No handler uses the descriptor any more; closing it is the caller's.
 */
void os_signal_detach(void);
/* From now on its arrivals are counted. Remembers the disposition before the first change. */
void os_signal_take(int number);
void os_signal_ignore(int number);
/* What it was before the first change. */
void os_signal_give_back(int number);
/* Makes the descriptor unreadable; to be called before the counts are read. */
void os_signal_drain(void);
/* How often it arrived since the last call. */
uint32_t os_signal_count(int number);

/* ---- faults ---- */

/*
 * Calls fn(address) on this thread's alternate stack for a bad access; fn returns for "not mine".
 */
int os_fault_handler(void (*fn)(const void *address));
void os_fault_handler_undo(void);
/* Calls fn, which must be safe in a signal handler, on SIGQUIT. */
void os_on_quit(void (*fn)(void));
void os_on_quit_undo(void);
/* Gives the calling thread an alternate signal stack; undo frees it. */
int os_fault_stack(void **out);
void os_fault_stack_free(void *stack);

/* Writes all of it, come what may; the second to standard error. */
void os_write_all(int fd, const char *text, size_t length);
void os_complain(const char *text, size_t length);

#endif
