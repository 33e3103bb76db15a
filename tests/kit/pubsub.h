/*
 * What the tests of publish-subscribe share: messages that are one int.
 */
#ifndef RN_TESTS_KIT_PUBSUB_H
#define RN_TESTS_KIT_PUBSUB_H

#include "core.h"
#include "sync/waiting.h"
#include "test.h"

#include <runnel/payload.h>
#include <runnel/pubsub.h>

static inline rn_pubsub *pubsub(const rn_pubsub_config *config)
{
    rn_pubsub *ps;

    EXPECT_EQ(rn_pubsub_new(&ps, config), 0);
    return ps;
}

static inline rn_subscription *subscribe(rn_pubsub *ps, const char *pattern,
                                         const rn_subscription_config *config)
{
    rn_subscription *sub;

    EXPECT_EQ(rn_subscribe(ps, pattern, config, &sub), 0);
    return sub;
}

static inline void publish(rn_pubsub *ps, const char *topic, int value)
{
    EXPECT_EQ(rn_publish_copy(NULL, ps, topic, &value), 0);
}

static inline void publish_range(rn_pubsub *ps, const char *topic, int first, int last)
{
    for (int i = first; i <= last; i++)
        publish(ps, topic, i);
}

static inline int value_of(const rn_message *m)
{
    int value;

    EXPECT_EQ(m->size, sizeof value);
    memcpy(&value, m->data, sizeof value);
    return value;
}

/* The next message, which must be there. */
static inline int next(rn_subscription *sub)
{
    rn_message m;

    EXPECT_EQ(rn_subscription_try_recv(sub, &m), 0);
    return value_of(&m);
}

static inline void expect_range(rn_subscription *sub, int first, int last)
{
    for (int i = first; i <= last; i++)
        EXPECT_EQ(next(sub), i);
}

static inline void expect_code(rn_subscription *sub, int code)
{
    rn_message m;

    EXPECT_EQ(rn_subscription_try_recv(sub, &m), code);
}

static inline rn_subscription_stats stats_of(rn_subscription *sub)
{
    rn_subscription_stats stats;

    rn_subscription_stats_read(sub, &stats);
    EXPECT_EQ(stats.offered,
              stats.received + stats.buffered + stats.awaited + stats.dropped + stats.discarded);
    return stats;
}

static inline rn_pubsub_stats pubsub_stats(rn_pubsub *ps)
{
    rn_pubsub_stats stats;

    rn_pubsub_stats_read(ps, &stats);
    return stats;
}

#endif
