/*
 * The progress line.
 */
#include "progress.h"

#include "duration.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

enum { LINE_BYTES = 256, TIME_BYTES = 16, COLUMNS_DEFAULT = 80 };

static const char erase[] = "\r\033[K";

static size_t columns(const struct sink *terminal)
{
    struct winsize size;

    if (ioctl(terminal->number, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return COLUMNS_DEFAULT;
    return size.ws_col;
}

/* "12/500 done" or "12 done". */
static size_t put_done(char *to, size_t room, const struct counts *counts, uint64_t total)
{
    if (total == 0)
        return (size_t)snprintf(to, room, "%llu done", (unsigned long long)counts->done);
    return (size_t)snprintf(to, room, "%llu/%llu done", (unsigned long long)counts->done,
                            (unsigned long long)total);
}

/* The time that is left at the pace so far. */
static size_t put_eta(char *to, size_t room, const struct counts *counts, uint64_t total,
                      rn_duration elapsed)
{
    char text[TIME_BYTES];
    double each = (double)elapsed / (double)counts->done;

    duration_format(text, sizeof(text), (rn_duration)(each * (double)(total - counts->done)));
    return (size_t)snprintf(to, room, ", ETA %s", text);
}

static void compose(char *to, size_t room, const struct progress *progress, struct tally *tally)
{
    struct counts counts = tally_counts(tally);
    rn_duration elapsed = rn_now() - tally->began;
    double rate = (double)counts.done * RN_SECOND / (double)(elapsed + 1);
    char text[TIME_BYTES];
    size_t n = put_done(to, room, &counts, progress->total);

    duration_format(text, sizeof(text), elapsed);
    n += (size_t)snprintf(to + n, room - n, ", %llu failed, %llu running, %.*f jobs/s, %s",
                          (unsigned long long)counts.failed, (unsigned long long)counts.running,
                          rate < 100 ? 1 : 0, rate, text);
    if (counts.done > 0 && counts.done < progress->total)
        put_eta(to + n, room - n, &counts, progress->total, elapsed);
}

void progress_draw(rn_ctx *ctx, struct progress *progress, struct tally *tally)
{
    char line[LINE_BYTES];
    size_t start, width;

    if (progress->terminal == NULL)
        return;
    /* A job's output that did not end its last line stands there, and stays. */
    strcpy(line, !progress->shown && sink_is_in_line(progress->terminal) ? "\n" : "");
    start = strlen(strcat(line, erase));
    compose(line + start, sizeof(line) - start, progress, tally);
    /* The last column stays free: some terminals go to the next line when it is written. */
    width = columns(progress->terminal) - 1;
    if (strlen(line + start) > width)
        line[start + width] = '\0';
    (void)sink_write(ctx, progress->terminal, line, strlen(line));
    progress->shown = true;
}

void progress_hide(rn_ctx *ctx, struct progress *progress)
{
    if (!progress->shown)
        return;
    (void)sink_write(ctx, progress->terminal, erase, sizeof(erase) - 1);
    sink_line_erased(progress->terminal);
    progress->shown = false;
}
