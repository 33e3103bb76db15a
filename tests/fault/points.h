/*
 * Every call of the library to the outside that can fail: allocations and the os.h contract. The
 * build puts a gate before each (the linker's --wrap), which can make the n-th call fail.
 *
 * POINT(type, name, what a failure returns, parameters, arguments): a line each; CMake reads the
 * names.
 */
#ifndef RN_TESTS_FAULT_POINTS_H
#define RN_TESTS_FAULT_POINTS_H

#define POINTS(POINT)                                                                              \
    POINT(void *, malloc, NULL, (size_t size), (size))                                             \
    POINT(void *, calloc, NULL, (size_t n, size_t size), (n, size))                                \
    POINT(void *, realloc, NULL, (void *old, size_t size), (old, size))                            \
    POINT(void *, aligned_alloc, NULL, (size_t align, size_t size), (align, size))                 \
    POINT(int, os_reserve, -ENOMEM, (void **out, size_t bytes), (out, bytes))                      \
    POINT(int, os_guard, -ENOMEM, (void *at, size_t bytes, size_t stride, unsigned count),         \
          (at, bytes, stride, count))                                                              \
    POINT(int, os_thread_start, -EAGAIN,                                                           \
          (struct os_thread * out, void (*main)(void *), void *arg, const char *name),             \
          (out, main, arg, name))                                                                  \
    POINT(int, os_thread_count, -EMFILE, (void), ())                                               \
    POINT(int, os_poller_open, -EMFILE, (struct os_poller * poller), (poller))                     \
    POINT(int, os_poller_add, -ENOSPC, (struct os_poller * p, int fd, uint64_t tag), (p, fd, tag)) \
    POINT(int, os_fd_set_nonblocking, -EBADF, (int fd, bool on), (fd, on))                         \
    POINT(int64_t, os_fd_read, -EIO, (int fd, void *at, size_t size), (fd, at, size))              \
    POINT(int64_t, os_fd_write, -ENOSPC, (int fd, const void *at, size_t size, bool quiet),        \
          (fd, at, size, quiet))                                                                   \
    POINT(int64_t, os_fd_writev, -ENOSPC, (int fd, const struct iovec *parts, int n, bool quiet),  \
          (fd, parts, n, quiet))                                                                   \
    POINT(int64_t, os_fd_sendfile, -EIO, (int to, int file, int64_t at, size_t size, bool quiet),  \
          (to, file, at, size, quiet))                                                             \
    POINT(int, os_socket, -EMFILE, (int family, bool datagram), (family, datagram))                \
    POINT(int, os_socket_bind, -EADDRINUSE, (int fd, const void *at, uint32_t length),             \
          (fd, at, length))                                                                        \
    POINT(int, os_socket_listen, -EADDRINUSE, (int fd, int backlog), (fd, backlog))                \
    POINT(int, os_socket_accept, -ECONNABORTED, (int fd), (fd))                                    \
    POINT(int, os_socket_connect, -ENETUNREACH, (int fd, const void *at, uint32_t length),         \
          (fd, at, length))                                                                        \
    POINT(int, os_socket_error, -ECONNREFUSED, (int fd), (fd))                                     \
    POINT(int, os_socket_local, -ENOBUFS, (int fd, void *at, uint32_t *length), (fd, at, length))  \
    POINT(int, os_socket_set, -ENOPROTOOPT, (int fd, enum os_option option, int64_t value),        \
          (fd, option, value))                                                                     \
    POINT(int, os_host_lookup, -EAGAIN, (const char *name, struct os_host *out, int room),         \
          (name, out, room))                                                                       \
    POINT(int64_t, os_send_to, -ENOBUFS,                                                           \
          (int fd, const void *data, size_t size, const void *at, uint32_t length),                \
          (fd, data, size, at, length))                                                            \
    POINT(int64_t, os_recv_from, -EIO,                                                             \
          (int fd, void *buffer, size_t size, void *at, uint32_t *length),                         \
          (fd, buffer, size, at, length))                                                          \
    POINT(int, os_pipe, -EMFILE, (int ends[2]), (ends))                                            \
    POINT(int, os_spawn, -EAGAIN, (const struct os_spawn *spawn), (spawn))                         \
    POINT(int, os_pidfd, -EMFILE, (int pid), (pid))                                                \
    POINT(int, os_signal_open, -EMFILE, (void), ())                                                \
    POINT(int, os_fault_handler, -ENOMEM, (void (*fn)(const void *)), (fn))                        \
    POINT(int, os_fault_stack, -ENOMEM, (void **out), (out))

#endif
