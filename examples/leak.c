/*
 * A leak, and the report that finds it.
 *
 * first_of returns the faster of two answers. The slower fiber then sends to a channel from which
 * nobody receives any more, and waits for ever: the classic mistake. With RUNNEL_DEBUG=leak the
 * program says so when it ends. (Room for both answers, rn_chan_make(int, 2), mends it.)
 */
#include <runnel.h>

#include <stdio.h>
#include <stdlib.h>

struct query {
    rn_duration takes;
    int answer;
};

static rn_chan(int) answers; /* cannot be released: somebody waits on it for ever */

static void slow_query(void *arg)
{
    struct query *q = arg;

    rn_sleep(NULL, q->takes);
    rn_send(NULL, answers, q->answer);
}

static int first_of(rn_duration one, rn_duration other)
{
    int answer = 0;

    answers = rn_chan_make(int, 0);
    rn_go_copy(slow_query, &(struct query){one, 1});
    rn_go_copy(slow_query, &(struct query){other, 2});
    rn_recv(NULL, answers, &answer);
    return answer;
}

static int app(int argc, char **argv)
{
    (void)argc, (void)argv;
    printf("answer %d came first\n", first_of(20 * RN_MILLISECOND, 5 * RN_MILLISECOND));
    fflush(stdout);
    return rn_sleep(NULL, 50 * RN_MILLISECOND); /* the program has other things to do */
}

int main(int argc, char **argv)
{
    setenv("RUNNEL_DEBUG", "leak", 1); /* usually set outside */
    rn_clock_virtual(0);
    return rn_run(app, argc, argv);
}
