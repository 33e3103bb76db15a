/*
 * Jobs that want the terminal.
 */
#include "terminal.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

void terminal_init(struct terminal *terminal)
{
    int fd = open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC);

    *terminal = (struct terminal){.exists = fd >= 0};
    if (fd >= 0)
        close(fd);
}

void terminal_enter(struct terminal *terminal, struct terminal_job *entry, const struct job *job,
                    const rn_process *process)
{
    if (!terminal->exists)
        return;
    rn_mutex_lock(&terminal->lock);
    *entry = (struct terminal_job){.next = terminal->jobs,
                                   .link = &terminal->jobs,
                                   .job = job,
                                   .pid = rn_process_pid(process)};
    if (entry->next != NULL)
        entry->next->link = &entry->next;
    terminal->jobs = entry;
    rn_mutex_unlock(&terminal->lock);
}

void terminal_leave(struct terminal *terminal, struct terminal_job *entry)
{
    if (!terminal->exists)
        return;
    rn_mutex_lock(&terminal->lock);
    *entry->link = entry->next;
    if (entry->next != NULL)
        entry->next->link = entry->link;
    rn_mutex_unlock(&terminal->lock);
}

/* The signal that stopped it, told once; or 0. What it exits with stays to be waited for. */
static int take_stop(int pid)
{
    siginfo_t info = {0};

    if (waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOHANG) != 0 || info.si_pid == 0)
        return 0;
    return info.si_status;
}

bool terminal_find_stopped(struct terminal *terminal, char *name, int *signal)
{
    *signal = 0;
    rn_mutex_lock(&terminal->lock);
    for (struct terminal_job *j = terminal->jobs; j != NULL && *signal == 0; j = j->next)
        if ((*signal = take_stop(j->pid)) != 0)
            job_name(j->job, name);
    rn_mutex_unlock(&terminal->lock);
    return *signal != 0;
}
