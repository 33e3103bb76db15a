/*
 * What a pubsub and its subscriptions are made of; shared by pubsub.c (the object, publishing),
 * pubsub_table.c (topics, what is retained) and subscription.c (subscribing, receiving).
 *
 * Two mutexes: `changes` is held by whoever subscribes or unsubscribes while it builds the change;
 * `lock` by publishers, by receivers that find nothing, and for the moment of each change.
 * changes < lock.
 *
 * A subscription's buffer is a ring with at least one slot to spare. The publishers, under lock,
 * write tail; the receiver writes taken, without a lock while messages wait. The message that it
 * took last is borrowed until it comes again, so its slot is the spare one. A publisher counts the
 * room from the same look at taken as it has cleaned up to.
 *
 * Invariants, under lock:
 *   - clean <= taken <= tail. Slots from clean to taken - 1 were received; of these all but the
 *     last are finished with. The message in `borrowed` was received too, before them.
 *   - a message's pending counts the places that hold it: slots, borrowed, replays, what a topic
 *     retains, and the publish that made it. At 0 it goes to `dead`, and whoever unlocks frees it.
 *   - waiting: the receiver found nothing, and looks again when there is something in its bell.
 *   - ended: the bell is closed; nothing is pushed any more.
 *   - selected: the bell has an element whenever a message waits, unless a select has heard it
 *     since the receiver last came; making the case puts that right.
 */
#ifndef RN_KIT_PUBSUB_PARTS_H
#define RN_KIT_PUBSUB_PARTS_H

#include "topic.h"
#include "mutex_class.h"

#include <runnel/cond.h>
#include <runnel/debug.h>
#include <runnel/pubsub.h>

#include <stdatomic.h>

#define LINE_BYTES 64

struct topic;

/* One published message. */
struct message {
    uint64_t pending; /* under lock: places that hold it */
    uint64_t number;
    rn_payload *payload;
    struct topic *topic;
    const void *data; /* the payload's, and its size */
    size_t size;
    struct message *next_dead;
};

/* The messages of a queue group go round its members. */
struct queue_group {
    struct queue_group *next; /* under changes */
    size_t members;           /* under changes */
    size_t turn;              /* under lock */
    char name[];
};

/* Members of one queue group among the subscriptions of a match. */
struct span {
    struct queue_group *group;
    size_t first, count;
};

/* Who gets the messages of a topic. */
struct match {
    rn_subscription **subscriptions; /* those without a group, then group by group */
    size_t count, room;
    size_t plain; /* of these, without a group */
    struct span *spans;
    size_t span_count;
};

/* A topic that was published to. All under lock. */
struct topic {
    uint64_t hash;
    uint64_t uses;       /* 1 for the table, and 1 for each message */
    struct topic *chain; /* the next in its bucket */
    struct topic *newer; /* the order in which they were published to */
    struct topic *older;
    uint64_t matched_at; /* value of rn_pubsub.changed for which match holds */
    struct match match;
    struct message **last;  /* retained: a ring of rn_pubsub.retain slots, or NULL */
    size_t first, retained; /* the oldest, and how many */
    size_t length;
    char text[];
};

struct slot {
    struct message *message;
    uint64_t missed; /* dropped just before it */
};

/* A publisher that waits for room in one subscription. All under lock. */
struct blocked {
    struct blocked *next;
    rn_subscription *sub; /* NULL: no longer waited for */
    rn_cond *turn; /* it is the first, and there may be room; or the subscription has ended */
};

/* Reasons for the receiver to take the lock even though messages wait. */
enum {
    SLOW_LOCKED = 1,    /* RN_DROP_OLDEST: publishers take messages out too */
    SLOW_REPLAY = 2,    /* retained messages come first */
    SLOW_DISCARD = 4,   /* unsubscribed */
    SLOW_SELECTED = 8,  /* the bell must be kept right */
    SLOW_RECEIVING = 16 /* a receiver waits; another is misuse */
};

struct rn_subscription {
    /* The receiver's line; `taken` is all of it that publishers read often. */
    _Alignas(LINE_BYTES) _Atomic(uint64_t) taken;
    uint64_t tail_seen;     /* the receiver's copy of tail */
    struct slot *slots;     /* never changes; their contents are published by tail */
    uint64_t slot_mask;     /* never changes: slots are a power of 2, more than limit */
    _Atomic(unsigned) slow; /* SLOW_ bits */
    rn_when_full when_full; /* never changes */
    _Atomic(bool) blocking; /* `blocked` is not empty */

    /* The publishers' line. All but tail under lock. */
    _Alignas(LINE_BYTES) _Atomic(uint64_t) tail;
    size_t limit, limit_bytes; /* never change; limit_bytes 0: none */
    uint64_t clean;
    struct message *borrowed;
    struct blocked *blocked;
    _Atomic(int) ended; /* 0, or what receivers get in the end; read for stats without the lock */
    bool waiting;
    bool lagging; /* an episode: has dropped, and was not empty since */
    bool hung;    /* a publisher waited in vain, with taken at hung_at */
    _Atomic(uint64_t) offered;

    /* Under lock. */
    uint64_t counted; /* bytes are without the slots before this one */
    size_t bytes;     /* kept while there is a limit */
    uint64_t missed;  /* dropped since the last push */
    uint64_t hung_at;
    struct message **replay; /* retained messages to receive first, or NULL */
    size_t replay_next, replay_count;
    uint64_t uses;                /* the owner, and who comes back to it after an unlock */
    rn_subscription *next, *prev; /* all of the pubsub */
    _Atomic(uint64_t) dropped, lags;
    uint64_t discarded;   /* out of the buffer */
    uint64_t turned_away; /* it ended while their publisher waited */
    uint64_t awaited;     /* messages whose publishers wait, or will, for room */
    uint64_t replayed, dropped_oldest;

    /* Never change. */
    struct rn_chan *bell;
    rn_pubsub *ps;
    rn_duration block_for;
    struct queue_group *group;
    struct topic_text pattern;
    uint64_t since; /* the number of the last message before it began */
    const char *name;
    rn_exhibit exhibit;
    char text[]; /* the pattern */
};

struct rn_pubsub {
    MUTEX(changes, pubsub_changes); /* guards the tree against other writers, and groups */
    struct queue_group *groups;

    _Alignas(LINE_BYTES) MUTEX(lock, pubsub_lock); /* guards the rest */
    struct topic_tree tree;                        /* read under lock, written under both */
    uint64_t changed;                              /* counts the changes of the tree */
    struct topic **buckets;
    size_t bucket_count; /* a power of 2 */
    struct topic *newest, *oldest;
    struct message *dead;
    rn_subscription *subscriptions;
    bool closed;
    /* Counters, read for dumps without the lock. */
    _Atomic(uint64_t) published, dropped, subscription_count;
    uint64_t unheard, offered, lags, disconnected, topic_count;

    _Atomic(uint64_t) uses; /* the owner and the subscriptions; dropped under no lock */
    rn_pubsub_config config;
    rn_exhibit exhibit;
};

/* ---- pubsub.c ---- */

/* Unlocks, and frees what died meanwhile, which calls the program's destroy: under no lock. */
void pubsub_leave(rn_pubsub *ps);
/* Unlocks. What died is returned, for who holds `changes` still and frees it later. */
struct message *pubsub_unlock(rn_pubsub *ps);
void messages_free(struct message *dead);
/* Drops a use of the pubsub; the last frees it. */
void pubsub_drop(rn_pubsub *ps);
/* A place no longer holds the message. */
void message_drop_locked(rn_pubsub *ps, struct message *message);
/* Nothing is pushed any more; receivers get the code in the end. False: it had ended already. */
bool subscription_end_locked(rn_subscription *sub, int code);
/* Lets go of what was received but for what is borrowed still. Returns the taken that it saw. */
uint64_t subscription_clean_locked(rn_subscription *sub);
/* Somebody who held on to it no longer does; the last frees it. */
void subscription_drop_locked(rn_subscription *sub);
/* Tells the first publisher that waits for room. */
void subscription_room_locked(rn_subscription *sub);

/* ---- pubsub_table.c ---- */

/* The topic, made when it is new, its match up to date; NULL: out of memory. */
struct topic *table_topic_locked(rn_pubsub *ps, const struct topic_text *text);
/* Keeps the message as the topic's last. */
int table_retain_locked(rn_pubsub *ps, struct topic *topic, struct message *message);
/* A message has gone that used the topic. */
void topic_drop_locked(struct topic *topic);
void table_free(rn_pubsub *ps);

/*
 * Up to n retained messages of each topic that matches the pattern, published up to number `until`,
 * in order, each with one more pending. Takes the lock, again and again. 0 or -ENOMEM.
 */
int table_replay(rn_pubsub *ps, const struct topic_text *pattern, size_t n, uint64_t until,
                 struct message ***out, size_t *count);

static inline struct slot *subscription_slot(rn_subscription *sub, uint64_t index)
{
    return &sub->slots[index & sub->slot_mask];
}

/* ---- counters that others read without the lock ---- */

static inline void count_up(_Atomic(uint64_t) *counter, uint64_t n)
{
    uint64_t before = atomic_load_explicit(counter, memory_order_relaxed);

    atomic_store_explicit(counter, before + n, memory_order_relaxed);
}

static inline uint64_t count_read(_Atomic(uint64_t) *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

#endif
