/*
 * rn_pubsub - publish-subscribe: messages go to everybody who subscribed to their topic.
 *
 * A topic has levels, joined by dots: "orders.eu.paid". In a pattern `*` stands for one level and
 * `>`, at the end, for one or more. A level is any text without spaces, dots and wildcards.
 *
 *     rn_pubsub *ps;
 *     rn_subscription *sub;
 *     rn_message m;
 *
 *     err = rn_pubsub_new(&ps, NULL);
 *     err = rn_subscribe(ps, "orders.*", &(rn_subscription_config){ .buffer = 100 }, &sub);
 *     err = rn_publish_copy(ctx, ps, "orders.eu", &(struct order){ .id = 7 });
 *     while (rn_subscription_recv(ctx, sub, &m) == 0)
 *         handle(m.topic, m.data, m.size);              valid until the next receive
 *     rn_subscription_free(sub);
 *     rn_pubsub_free(ps);
 *
 * There is one copy of a payload, however many subscribers. Each subscription has a bounded buffer
 * of its own; when that is full, .when_full says what happens, and no other subscriber notices.
 *
 * Order: what one fiber or thread publishes after something else is received after it, in every
 * subscription that gets both.
 *
 * Lifetime
 * 1. A subscription belongs to who subscribed, who frees it. One fiber or thread at a time receives
 *    from it; several that share the work join a queue group instead, each with its own.
 * 2. What a rn_message points to is valid until the next receive from the same subscription, or
 *    until that is freed. Who needs the payload for longer retains it (runnel/payload.h).
 * 3. A subscription lets go of a payload when its receiver has come for another message and found
 *    none, or one was pushed after two more were received, or it is freed; whichever is first.
 * 4. A pubsub belongs to who made it. Freeing it drains its subscriptions; they stay usable until
 *    they are freed themselves, before or after.
 *
 * At once  every call but the frees, from any number of fibers and threads; recv, try_recv and
 *          rn_on_message of one subscription by one at a time.
 */
#ifndef RUNNEL_PUBSUB_H
#define RUNNEL_PUBSUB_H

#include <runnel/chan.h>
#include <runnel/ctx.h>
#include <runnel/error.h>
#include <runnel/payload.h>
#include <runnel/select.h>
#include <runnel/time.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

RN_BEGIN_DECLS

typedef struct rn_pubsub rn_pubsub;
typedef struct rn_subscription rn_subscription;

#define RN_TOPIC_BYTES_MAX 1023 /* of a topic or pattern, without the NUL */

/* What happens to a message for which a subscription's buffer has no room. */
typedef enum rn_when_full {
    RN_DROP_NEWEST, /* it is dropped */
    RN_DROP_OLDEST, /* the oldest in the buffer are dropped for it */
    /*
     * The publisher waits for room, once all other subscribers have the message, .block_for at
     * most; then it is dropped. Until the subscriber has received something again nobody waits any
     * more: one that hangs costs one deadline, not one a message.
     */
    RN_BLOCK_PUBLISHER,
    /* Dropped, and the subscription ends with RN_ESLOW, after what is buffered. */
    RN_DISCONNECT
} rn_when_full;

/* A message as its subscriber sees it. */
typedef struct rn_message {
    const char *topic;
    const void *data;
    size_t size;
    rn_payload *payload; /* of which data and size are; not the receiver's unless retained */
    uint64_t number;     /* counts what was published to the pubsub, from 1 */
    uint64_t missed;     /* messages dropped from this subscription just before this one */
    bool replayed;       /* published before the subscription began */
} rn_message;

/* Whom an event is about. What it points to is valid during the call. */
typedef struct rn_subscription_event {
    const char *pattern;
    const char *name;  /* .name of the subscription, or NULL */
    uint64_t dropped;  /* so far, by this subscription */
    uint64_t buffered; /* messages in its buffer */
} rn_subscription_event;

/* How to make a pubsub; zero is the default of each field. */
typedef struct rn_pubsub_config {
    const char *name; /* shown in dumps; must outlive the pubsub and its subscriptions */
    size_t retain;    /* last messages kept of each topic, for .replay; default 0, at most 65536 */
    /*
     * Topics remembered, with what is retained of them: beyond, the one that was published to
     * longest ago is forgotten. 1 to 16777216; default 4096.
     */
    size_t topics;
    /*
     * Called by the publisher, under no lock: when a subscription drops a message, but only once
     * until its buffer was empty again; and when it is disconnected.
     */
    void (*on_lag)(void *arg, const rn_subscription_event *event);
    void (*on_disconnect)(void *arg, const rn_subscription_event *event);
    void *events_arg;
} rn_pubsub_config;

/* How to subscribe; zero is the default of each field. */
typedef struct rn_subscription_config {
    size_t buffer;          /* messages that may wait; 1 to 16777216, default 64 */
    size_t buffer_bytes;    /* their bytes together; default: no limit */
    rn_when_full when_full; /* default: RN_DROP_NEWEST */
    /* RN_BLOCK_PUBLISHER: how long one publish waits. Default RN_SECOND; RN_FOREVER: no limit. */
    rn_duration block_for;
    const char *queue; /* the queue group to join: each message goes to one member; copied */
    size_t replay;     /* up to so many retained messages of each topic come first; default 0 */
    const char *name;  /* shown in dumps; must outlive the subscription */
} rn_subscription_config;

/*
 * rn_pubsub_new - make a pubsub; config may be NULL.
 *
 * Caller   any thread or fiber.
 * Returns  0         *out is the pubsub
 *          -EINVAL   a field is out of range; rn_error_detail says which
 *          -ENOMEM   out of memory
 *          On every error *out is NULL, which rn_pubsub_free takes.
 */
RN_API int rn_pubsub_new(rn_pubsub **out, const rn_pubsub_config *config);

/*
 * rn_pubsub_close - end publishing; every subscription is drained.
 *
 * Caller   any thread or fiber.
 * Blocks   never.
 * Returns  0            closed by this call
 *          RN_ECLOSED   it was closed already
 */
RN_API int rn_pubsub_close(rn_pubsub *ps);

/*
 * rn_pubsub_free - close it and let it go. NULL is fine.
 *
 * Caller   any thread or fiber; nobody may be in a call on it, or begin one. Its subscriptions can
 *          still be received from, and are freed as ever.
 */
RN_API void rn_pubsub_free(rn_pubsub *ps);

/*
 * rn_publish - give a message to all who subscribed to its topic.
 *
 * The payload is retained as long as needed; the caller's reference stays the caller's. That a
 * subscriber's buffer was full is not an error: it is counted, and reported to .on_lag.
 *
 * Caller   any thread or fiber; never a signal handler.
 * Blocks   the fiber only for subscriptions with RN_BLOCK_PUBLISHER that are full, each .block_for
 *          at most and all at the same time; until ctx ends.
 * Order    the publish happens before the receive of the message.
 * Returns  0            every subscription with room has it
 *          -EINVAL      the topic is none; rn_error_detail says why
 *          RN_ECLOSED   the pubsub was closed
 *          -ENOMEM      out of memory, or payload is NULL: nobody has it
 *          -ECANCELED   ctx was cancelled: before, and nobody has it; or while it waited, and all
 *                       have it but those that it waited for
 *          -ETIMEDOUT   the same, by ctx's deadline
 * Cost     one lock among the publishers of the pubsub, and one allocation; a few instructions for
 *          each subscriber. Who subscribes builds the change outside that lock and takes it for a
 *          pointer's; .replay takes it again and again, for a part of the topics each time, and who
 *          frees a subscription for as long as its buffer is emptied.
 * See      rn_publish_bytes, rn_publish_copy, examples/pubsub.c
 */
RN_API int rn_publish(rn_ctx *ctx, rn_pubsub *ps, const char *topic, rn_payload *payload);

/*
 * rn_publish_bytes, rn_publish_copy - publish a copy of some bytes, or of a value.
 *
 * rn_publish_copy(ctx, ps, topic, &value) copies *(&value).
 *
 * Caller   any thread or fiber; never a signal handler.
 * Blocks   as rn_publish.
 * Returns  as rn_publish.
 */
RN_API int rn_publish_bytes(rn_ctx *ctx, rn_pubsub *ps, const char *topic, const void *bytes,
                            size_t size);
#define rn_publish_copy(ctx, ps, topic, ...)                                                       \
    rn_publish_bytes((ctx), (ps), (topic), (__VA_ARGS__), sizeof(*(__VA_ARGS__)))

/*
 * rn_pubsub_forget - drop what is retained of the topics that match a pattern.
 *
 * Caller   any thread or fiber.
 * Returns  0         done
 *          -EINVAL   the pattern is none; rn_error_detail says why
 */
RN_API int rn_pubsub_forget(rn_pubsub *ps, const char *pattern);

/*
 * rn_subscribe - receive what is published to topics that match the pattern, from now on.
 *
 * With .replay the last messages retained of each topic come first, in the order in which they were
 * published; between them and what follows none is missing and none comes twice. They do not count
 * towards the buffer. config may be NULL.
 *
 * Caller   any thread or fiber.
 * Order    what is published after it returns is received, or counted as dropped.
 * Returns  0            *out is the subscription
 *          -EINVAL      the pattern is none, or a field is out of range; rn_error_detail says which
 *          RN_ECLOSED   the pubsub was closed
 *          -ENOMEM      out of memory
 *          On every error *out is NULL, which rn_subscription_free takes.
 */
RN_API int rn_subscribe(rn_pubsub *ps, const char *pattern, const rn_subscription_config *config,
                        rn_subscription **out);

/*
 * rn_subscription_recv - take the next message, waiting for one.
 *
 * Ends the process when another receives from the subscription at the same time and waits.
 *
 * Caller   any thread or fiber, one at a time.
 * Blocks   the fiber until there is a message, the subscription has ended, or ctx ends.
 * Returns  0            *message is the next
 *          RN_ECLOSED   unsubscribed, or drained (also by the pubsub's end) and all is received
 *          RN_ESLOW     disconnected for not keeping up, and all that was buffered is received
 *          -ECANCELED   ctx was cancelled
 *          -ETIMEDOUT   ctx's deadline passed
 *          On every error *message is untouched, and what the one before points to may be gone.
 * Cost     no allocation, and no lock while messages wait; RN_DROP_OLDEST, select and replay take
 *          the publishers' lock.
 */
RN_API int rn_subscription_recv(rn_ctx *ctx, rn_subscription *sub, rn_message *message);

/*
 * rn_subscription_try_recv - take the next message if there is one.
 *
 * Caller   any thread or fiber, one at a time.
 * Returns  0            *message is the next
 *          -EAGAIN      there is none yet
 *          RN_ECLOSED   unsubscribed, or drained and all is received
 *          RN_ESLOW     disconnected for not keeping up, and all that was buffered is received
 */
RN_API int rn_subscription_try_recv(rn_subscription *sub, rn_message *message);

/*
 * rn_on_message - a select case that fires when try_recv has a message, or the end, to give.
 *
 *     case 0: while (rn_subscription_try_recv(sub, &m) == 0) ...
 */
#define rn_on_message(sub)                                                                         \
    ((rn_case){.kind = RN_CASE_RECV,                                                               \
               .chan = rn_subscription_ready((sub)),                                               \
               .value = (void *)"" /* elements of size 0 */})

/*
 * rn_subscription_ready - the channel under rn_on_message.
 *
 * Its elements have size 0; it holds one while a message waits, and is closed when the subscription
 * ends. Only the subscription sends and closes.
 *
 * Caller   any thread or fiber, as recv.
 */
RN_API struct rn_chan *rn_subscription_ready(rn_subscription *sub);

/*
 * rn_unsubscribe - end a subscription now; what is buffered will not be received.
 *
 * Who waits in recv gets RN_ECLOSED.
 *
 * Caller   any thread or fiber.
 * Blocks   never.
 * Returns  0            ended by this call
 *          RN_ECLOSED   it had ended: unsubscribed, drained, or with the pubsub
 *          RN_ESLOW     it had ended: disconnected
 */
RN_API int rn_unsubscribe(rn_subscription *sub);

/*
 * rn_subscription_drain - take no more messages; what is buffered is received, then RN_ECLOSED.
 *
 * Caller   any thread or fiber.
 * Blocks   never.
 * Returns  as rn_unsubscribe.
 */
RN_API int rn_subscription_drain(rn_subscription *sub);

/*
 * rn_subscription_free - unsubscribe and free. NULL is fine.
 *
 * Caller   any thread or fiber; nobody may be in another call on it, or begin one. Publishers may
 *          be in the middle of anything.
 */
RN_API void rn_subscription_free(rn_subscription *sub);

/* Counters of a pubsub. */
typedef struct rn_pubsub_stats {
    uint64_t published;     /* messages */
    uint64_t unheard;       /* of these, with nobody subscribed */
    uint64_t offered;       /* messages times the live subscriptions that they were for */
    uint64_t dropped;       /* of these, not put in a full buffer, or taken out for a newer one */
    uint64_t lags;          /* episodes in which a subscription dropped */
    uint64_t disconnected;  /* subscriptions ended with RN_ESLOW */
    uint64_t subscriptions; /* gauge: not yet freed */
    uint64_t topics;        /* gauge: remembered */
} rn_pubsub_stats;

/*
 * rn_pubsub_stats_read - fill in *out, all of one instant.
 *
 * Caller   any thread or fiber.
 */
RN_API void rn_pubsub_stats_read(rn_pubsub *ps, rn_pubsub_stats *out);

/* Counters of a subscription: offered = received + buffered + awaited + dropped + discarded. */
typedef struct rn_subscription_stats {
    uint64_t offered;        /* messages for it, since it began and until it ended */
    uint64_t received;       /* by the subscriber; replayed ones are not counted here */
    uint64_t replayed;       /* retained messages received */
    uint64_t dropped;        /* for want of room: not put in, or taken out for a newer one */
    uint64_t discarded;      /* buffered when it was unsubscribed */
    uint64_t lags;           /* episodes in which it dropped */
    uint64_t buffered;       /* gauge: messages that wait */
    uint64_t awaited;        /* gauge: those whose publishers wait for room */
    uint64_t buffered_bytes; /* gauge: their bytes */
    int ended;               /* 0, RN_ECLOSED or RN_ESLOW; what is buffered may still be received */
} rn_subscription_stats;

/*
 * rn_subscription_stats_read - fill in *out.
 *
 * Caller   any thread or fiber.
 */
RN_API void rn_subscription_stats_read(rn_subscription *sub, rn_subscription_stats *out);

/*
 * rn_topic_matches - whether a topic matches a pattern.
 *
 * Caller   any thread or fiber.
 * Returns  true or false; false when either is not one.
 */
RN_API bool rn_topic_matches(const char *pattern, const char *topic);

RN_END_DECLS

#endif
