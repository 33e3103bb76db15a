/* Bad accesses and last words, Linux. The contract is os/os.h. */
#define _GNU_SOURCE
#include "os/os.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define FAULT_STACK_BYTES (64 * 1024)

static void (*fault_fn)(const void *address);
static struct sigaction before[2]; /* SIGSEGV, SIGBUS */

static void pass_on(int number, siginfo_t *info, void *context)
{
    struct sigaction *old = &before[number == SIGBUS];
    if (old->sa_flags & SA_SIGINFO) {
        old->sa_sigaction(number, info, context);
    } else if (old->sa_handler != SIG_DFL && old->sa_handler != SIG_IGN) {
        old->sa_handler(number);
    } else {
        sigaction(number, old, NULL); /* the access is repeated, and kills as it would have */
    }
}

static void on_fault(int number, siginfo_t *info, void *context)
{
    int saved = errno;
    fault_fn(info->si_addr);
    errno = saved;
    pass_on(number, info, context);
}

int os_fault_handler(void (*fn)(const void *address))
{
    struct sigaction action = {.sa_sigaction = on_fault,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};

    fault_fn = fn;
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGSEGV, &action, &before[0]) != 0)
        return -errno;
    if (sigaction(SIGBUS, &action, &before[1]) != 0)
        return -errno;
    return 0;
}

static void put_back(int number, const struct sigaction *old)
{
    struct sigaction now;
    if (sigaction(number, NULL, &now) == 0 && now.sa_sigaction == on_fault)
        sigaction(number, old, NULL);
}

void os_fault_handler_undo(void)
{
    put_back(SIGSEGV, &before[0]);
    put_back(SIGBUS, &before[1]);
}

static void (*quit_fn)(void);
static struct sigaction before_quit;

static void on_quit(int number)
{
    int saved = errno;
    (void)number;
    quit_fn();
    errno = saved;
}

void os_on_quit(void (*fn)(void))
{
    struct sigaction action = {.sa_handler = on_quit, .sa_flags = SA_RESTART | SA_ONSTACK};

    quit_fn = fn;
    sigemptyset(&action.sa_mask);
    sigaction(SIGQUIT, &action, &before_quit);
}

void os_on_quit_undo(void)
{
    sigaction(SIGQUIT, &before_quit, NULL);
}

int os_fault_stack(void **out)
{
    stack_t old;

    *out = NULL;
    if (sigaltstack(NULL, &old) == 0 && !(old.ss_flags & SS_DISABLE))
        return 0; /* a sanitizer's, or the program's own: it will do */
    stack_t stack = {.ss_sp = malloc(FAULT_STACK_BYTES), .ss_size = FAULT_STACK_BYTES};
    if (stack.ss_sp == NULL)
        return -ENOMEM;
    if (sigaltstack(&stack, NULL) != 0) {
        int err = -errno;
        free(stack.ss_sp);
        return err;
    }
    *out = stack.ss_sp;
    return 0;
}

void os_fault_stack_free(void *stack)
{
    if (stack == NULL)
        return;
    sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL);
    free(stack);
}

void os_complain(const char *text, size_t length)
{
    os_write_all(STDERR_FILENO, text, length);
}

void os_write_all(int fd, const char *text, size_t length)
{
    while (length > 0) {
        ssize_t n = write(fd, text, length);
        if (n < 0 && errno != EINTR)
            return; /* nobody can be told */
        if (n > 0) {
            text += n;
            length -= (size_t)n;
        }
    }
}
