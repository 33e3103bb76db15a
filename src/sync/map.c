/*
 * The concurrent map: what the operations do with a table of nodes (sync/map_table.h) and with the
 * life of values.
 *
 * A node is made outside of any lock, put in the table, taken out of it, retired, and then loses
 * the table's reference; with the last one it is destroyed. acquire adds a reference inside a read
 * section, where the table's cannot be lost; so it needs no "unless it is 0".
 *
 * Without .drop nodes are retired in batches and know the map no more: a batch may be reclaimed
 * after the map was freed. With .drop each is retired at once, and counted in retiring and
 * undropped.
 *
 * Operations that run the program's functions (compute, .equal) hold the node that they looked at,
 * and then change the key only if that very node is still in its place: as a held node's memory is
 * not used again, the same address is the same value.
 *
 * Rejected: a reference for each load (readers of one key would share its line); changing values in
 * place (load could see half of one); RCU-like sections of the user's own (a fiber that parks in
 * one would stop all reclaiming).
 */
#include "sync/map_table.h"

#include "base/check.h"
#include "os/os.h"

#include <runnel/debug.h>
#include <runnel/fiber.h>
#include <runnel/map.h>
#include <stdio.h>
#include <stdlib.h>

#define BYTES_MAX ((size_t)1 << 30) /* of a key, or of a value */
#define STRIPES 8                   /* of the counters: a power of two */

/* A share of the counters; which one counts is the thread's choice. */
struct stripe {
    cache_aligned atomic_u64 stored;
    atomic_u64 replaced; /* in tables that were cleared; the rest is in the segments */
    atomic_u64 deleted;
};

struct rn_map {
    struct table table;
    cache_aligned struct hash_key hash_key;
    uint32_t key_offset; /* of the key's bytes in a node */
    uint32_t value_offset;
    size_t value_size;
    size_t key_size; /* 0: keys differ in size */
    unsigned kind;   /* enum rn_map_kind */
    rn_map_config config;
    rn_exhibit exhibit;
    struct stripe stripes[STRIPES];
    cache_aligned atomic_i64 retiring; /* with .drop: nodes that sections may still see */
    atomic_i64 undropped;              /* with .drop: nodes that only holders keep */
};

/* ---- nodes ---- */

static void *value_of(const struct node *node)
{
    return (char *)node + node->map->value_offset;
}

static size_t node_bytes(const struct rn_map *m, size_t key_size)
{
    return m->key_offset + key_size + (m->kind == RN_MAP_STRING);
}

static void node_destroy(struct rn_map *m, struct node *node)
{
    if (m->config.drop != NULL)
        m->config.drop(m->config.arg, value_of(node));
    free(node);
}

static bool lose_reference(struct node *node)
{
    return sub_seq(&node->refs, 1) == 1;
}

/* No section sees it any more. The map may be gone. */
static void reclaim_plain(struct retired *retired)
{
    struct node *node = container_of(retired, struct node, retired);

    if (lose_reference(node))
        free(node);
}

static void reclaim_owning(struct retired *retired)
{
    struct node *node = container_of(retired, struct node, retired);
    struct rn_map *m = node->map;

    add_seq(&m->undropped, 1); /* first: the last holder may already be at it */
    if (lose_reference(node)) {
        node_destroy(m, node);
        sub_seq(&m->undropped, 1);
    }
    sub_seq(&m->retiring, 1); /* last: the map may go */
}

static struct node *node_new(struct rn_map *m, const struct map_key *key)
{
    struct node *node = malloc(node_bytes(m, key->size));

    if (node == NULL)
        return NULL;
    node->retired.reclaim = m->config.drop != NULL ? reclaim_owning : reclaim_plain;
    node->hash = key->hash;
    store_relaxed(&node->refs, 1);
    node->key_size = (uint32_t)key->size;
    node->map = m;
    copy_bytes((char *)node + m->key_offset, key->bytes, key->size);
    if (m->kind == RN_MAP_STRING)
        ((char *)node)[m->key_offset + key->size] = 0;
    return node;
}

static inline void copy_value(const struct rn_map *m, void *to, const void *from)
{
    copy_bytes(to, from, m->value_size);
}

/* A node that is in no table yet; its value was not taken. */
static struct node *node_with(struct rn_map *m, const struct map_key *key, const void *value)
{
    struct node *node = node_new(m, key);

    if (node != NULL)
        copy_value(m, value_of(node), value);
    return node;
}

/* It has left the table. */
static void node_retire(struct rn_map *m, struct node *node)
{
    if (m->config.drop == NULL) {
        retire(&node->retired, node_bytes(m, node->key_size));
        return;
    }
    add_seq(&m->retiring, 1);
    retire_now(&node->retired);
}

static void node_release(struct rn_map *m, struct node *node)
{
    if (!lose_reference(node))
        return;
    node_destroy(m, node);
    sub_seq(&m->undropped, m->config.drop != NULL);
}

/* ---- keys ---- */

static inline struct map_key key_of(const struct rn_map *m, rn_map_bytes key)
{
    return (struct map_key){.bytes = key.data,
                            .size = key.size,
                            .hash = hash_bytes(&m->hash_key, key.data, key.size),
                            .offset = m->key_offset};
}

/* Only typed calls know the size by themselves. */
static int check_key(const struct rn_map *m, rn_map_bytes key)
{
    if (key.size > BYTES_MAX)
        return rn_error_with(-EINVAL, "map: a key of %zu bytes: allowed are 0 to %zu", key.size,
                             BYTES_MAX);
    if (m->key_size != 0 && key.size != m->key_size)
        return rn_error_with(-EINVAL, "map: a key of %zu bytes: its keys have %zu", key.size,
                             m->key_size);
    return 0;
}

static int check_out(const struct rn_map *m, const void *out)
{
    if (m->config.drop == NULL || out == NULL)
        return 0;
    return rn_error_with(-EINVAL, "map: a map with .drop copies no values out: use rn_map_acquire");
}

/* ---- counting ---- */

static struct stripe *stripe_here(struct rn_map *m)
{
    return &m->stripes[slot_index(slot_here()) % STRIPES];
}

static uint64_t count_keys(const struct rn_map *map)
{
    struct rn_map *m = (struct rn_map *)map;
    uint64_t deleted = 0, stored = 0;

    for (int i = 0; i < STRIPES; i++)
        deleted += load_acquire(&m->stripes[i].deleted);
    for (int i = 0; i < STRIPES; i++)
        stored += load_acquire(&m->stripes[i].stored);
    return stored - deleted; /* stored was read last: never below 0 */
}

/* ---- making and freeing ---- */

static uint32_t natural_alignment(size_t size)
{
    size_t alignment = size & -size;

    return alignment == 0 ? 1 : alignment > 16 ? 16 : (uint32_t)alignment;
}

static uint32_t round_up(size_t n, uint32_t alignment)
{
    return (uint32_t)((n + alignment - 1) / alignment * alignment);
}

static void lay_out(struct rn_map *m)
{
    uint32_t key_alignment = m->key_size != 0 ? natural_alignment(m->key_size) : 1;

    if (m->kind == RN_MAP_BYTES)
        key_alignment = 8;
    m->value_offset = round_up(sizeof(struct node), natural_alignment(m->value_size));
    m->key_offset = round_up(m->value_offset + m->value_size, key_alignment);
}

static void describe(const rn_exhibit *exhibit, char *text, size_t size)
{
    const struct rn_map *m = container_of(exhibit, struct rn_map, exhibit);

    snprintf(text, size, "%llu keys", (unsigned long long)count_keys(m));
}

static int check_config(unsigned kind, size_t key_size, size_t value_size)
{
    if (kind > RN_MAP_BYTES)
        return rn_error_with(-EINVAL, "map: kind is %u: allowed are 0 to %u", kind,
                             (unsigned)RN_MAP_BYTES);
    if (kind <= RN_MAP_INTEGER && (key_size == 0 || key_size > BYTES_MAX))
        return rn_error_with(-EINVAL, "map: key_size is %zu: allowed are 1 to %zu", key_size,
                             BYTES_MAX);
    if (value_size > BYTES_MAX)
        return rn_error_with(-EINVAL, "map: value_size is %zu: allowed are 0 to %zu", value_size,
                             BYTES_MAX);
    return 0;
}

RN_API int rn_map_new_untyped(struct rn_map **out, unsigned kind, size_t key_size,
                              size_t value_size, const rn_map_config *config)
{
    int err = check_config(kind, key_size, value_size);
    struct rn_map *m;
    struct directory *directory;

    *out = NULL;
    if (err != 0)
        return err;
    fence_settle();
    m = aligned_alloc(CACHE_LINE, sizeof *m);
    directory = directory_new();
    if (m == NULL || directory == NULL) {
        free(m);
        if (directory != NULL)
            directory_free(directory);
        return -ENOMEM;
    }
    *m = (struct rn_map){.value_size = value_size, .kind = kind};
    m->key_size = kind <= RN_MAP_INTEGER ? key_size : 0;
    if (config != NULL)
        m->config = *config;
    lay_out(m);
    os_random(&m->hash_key, sizeof m->hash_key);
    store_release(&m->table.directory, directory);
    m->exhibit = (rn_exhibit){.kind = "map", .name = m->config.name, .describe = describe};
    if (m->config.name != NULL)
        rn_exhibit_show(&m->exhibit);
    *out = m;
    return 0;
}

static void free_node(struct node *node)
{
    CHECK(load_acquire(&node->refs) == 1, "map %p freed while a value of it is held",
          (void *)node->map);
    node_destroy(node->map, node);
}

RN_API void rn_map_free_untyped(struct rn_map *m)
{
    struct directory *directory;

    if (m == NULL)
        return;
    if (m->config.name != NULL)
        rn_exhibit_hide(&m->exhibit);
    epoch_flush(slot_here());
    while (load_seq(&m->retiring) != 0) { /* behind a reader of some map that is suspended */
        epoch_collect();
        rn_yield();
    }
    CHECK(load_seq(&m->undropped) == 0, "map %p freed while a value of it is held", (void *)m);
    directory = load_acquire(&m->table.directory);
    directory_each(directory, free_node);
    directory_free(directory);
    free(m);
}

/* ---- looking ---- */

RN_API int rn_map_load_untyped(struct rn_map *m, rn_map_bytes bytes, void *value)
{
    struct map_key key;
    struct slot *section;
    struct node *node;

    if (unlikely(m->config.drop != NULL && value != NULL))
        return check_out(m, value);
    key = key_of(m, bytes);
    section = read_enter();
    node = table_find(&m->table, &key);
    if (node != NULL && value != NULL)
        copy_value(m, value, (char *)node + m->value_offset);
    read_exit(section);
    return node != NULL ? 0 : -ENOENT;
}

/* The key's node with a reference more, or NULL. */
static struct node *hold(struct rn_map *m, const struct map_key *key)
{
    struct slot *section = read_enter();
    struct node *node = table_find(&m->table, key);

    if (node != NULL)
        add_seq(&node->refs, 1);
    read_exit(section);
    return node;
}

RN_API const void *rn_map_acquire_untyped(struct rn_map *m, rn_map_bytes bytes)
{
    struct map_key key = key_of(m, bytes);
    struct node *node = hold(m, &key);

    return node != NULL ? value_of(node) : NULL;
}

RN_API void rn_map_release_untyped(struct rn_map *m, const void *held)
{
    if (held != NULL)
        node_release(m, (struct node *)((char *)held - m->value_offset));
}

/* ---- changing ---- */

enum { IF_ANY, IF_ABSENT, IF_SAME }; /* when a change is made: always; on no node; on that node */

struct change {
    int when;
    struct node *expected; /* IF_SAME; NULL: none there */
    struct node *fresh;    /* to put in; NULL: delete */
    struct node *before;   /* set: what was there; after a put or a delete the caller retires it */
    bool hold;             /* what is there afterwards gets a reference more */
    void *actual;          /* IF_ABSENT: a copy of what is there goes here; or NULL */
};

/* Under the segment's lock. 0, or -EEXIST, -ENOENT, -EAGAIN: nothing was changed. */
static int may_change(const struct change *c, const struct node *there)
{
    if (c->when == IF_ABSENT)
        return there == NULL ? 0 : -EEXIST;
    if (c->when == IF_SAME && there != c->expected)
        return -EAGAIN;
    return c->fresh == NULL && there == NULL ? -ENOENT : 0;
}

static void count_change(struct rn_map *m, const struct change *c)
{
    if (c->fresh == NULL)
        add_seq(&stripe_here(m)->deleted, 1);
    else if (c->before == NULL)
        add_seq(&stripe_here(m)->stored, 1);
}

/* One try. -EBUSY: the segment must be rebuilt first; *sparse: it should be afterwards. */
static int try_change(struct rn_map *m, const struct map_key *key, struct change *c, bool *sparse)
{
    struct slot *section = read_enter();
    struct node *left;
    struct place place;
    int err;

    place_lock(&m->table, key, &place);
    c->before = place.node;
    err = may_change(c, place.node);
    if (err == 0 && c->fresh != NULL && place.full)
        err = -EBUSY;
    if (err == 0) {
        count_change(m, c); /* before another can count the opposite */
        if (c->fresh != NULL)
            place_put(&place, c->fresh);
        else
            *sparse = place_remove(&place);
    }
    left = err == 0 ? c->fresh : place.node;
    if (c->hold && left != NULL)
        add_seq(&left->refs, 1);
    place_unlock(&place);
    if (err == -EEXIST && c->actual != NULL)
        copy_value(m, c->actual, value_of(place.node)); /* the section still keeps it */
    read_exit(section);
    return err;
}

static int rebuild(struct rn_map *m, uint64_t hash)
{
    uint64_t grown = 0;
    int err = table_rebuild(&m->table, hash, &grown);

    if (grown != 0 && m->config.on_grown != NULL)
        m->config.on_grown(m->config.events_arg, grown);
    return err;
}

/*
 * Changes a key. On success the node before, if any, has left the table and is still the caller's
 * to look at and retire; on an error the fresh one is still the caller's.
 */
static int change(struct rn_map *m, const struct map_key *key, struct change *c)
{
    bool sparse = false;
    int err;

    while ((err = try_change(m, key, c, &sparse)) == -EBUSY)
        if ((err = rebuild(m, key->hash)) != 0)
            return err;
    if (sparse)
        (void)rebuild(m, key->hash); /* without memory it stays larger */
    return err;
}

/* Puts a node in, and frees it when it was not taken. Retires what was there, after a copy. */
static int put(struct rn_map *m, const struct map_key *key, struct change *c, void *old)
{
    int err = c->fresh == NULL ? -ENOMEM : change(m, key, c);

    if (err != 0) {
        free(c->fresh);
        return err;
    }
    if (c->before == NULL)
        return 0;
    if (old != NULL)
        copy_value(m, old, value_of(c->before));
    node_retire(m, c->before);
    return 1;
}

RN_API int rn_map_swap_untyped(struct rn_map *m, rn_map_bytes bytes, const void *value, void *old)
{
    int err = check_key(m, bytes);
    struct map_key key;
    struct change c = {.when = IF_ANY};

    if (err != 0 || (err = check_out(m, old)) != 0)
        return err;
    key = key_of(m, bytes);
    c.fresh = node_with(m, &key, value);
    return put(m, &key, &c, old);
}

RN_API int rn_map_store_untyped(struct rn_map *m, rn_map_bytes key, const void *value)
{
    int err = rn_map_swap_untyped(m, key, value, NULL);

    return err < 0 ? err : 0;
}

RN_API int rn_map_load_or_store_untyped(struct rn_map *m, rn_map_bytes bytes, const void *value,
                                        void *actual)
{
    int err = check_key(m, bytes);
    struct map_key key;
    struct change c = {.when = IF_ABSENT, .actual = actual};

    if (err != 0 || (err = check_out(m, actual)) != 0)
        return err;
    if (rn_map_load_untyped(m, bytes, actual) == 0)
        return -EEXIST;
    key = key_of(m, bytes);
    c.fresh = node_with(m, &key, value);
    err = put(m, &key, &c, NULL);
    if (err == 0 && actual != NULL)
        copy_value(m, actual, value);
    return err;
}

RN_API int rn_map_acquire_or_store_untyped(struct rn_map *m, rn_map_bytes bytes, const void *value,
                                           const void **held)
{
    int err = check_key(m, bytes);
    struct map_key key;
    struct change c = {.when = IF_ABSENT, .hold = true};
    struct node *node;

    *held = NULL;
    if (err != 0)
        return err;
    key = key_of(m, bytes);
    node = hold(m, &key);
    if (node == NULL) {
        node = c.fresh = node_with(m, &key, value);
        err = put(m, &key, &c, NULL);
        if (err == -EEXIST)
            node = c.before;
        else if (err != 0)
            return err;
    } else {
        err = -EEXIST;
    }
    *held = value_of(node);
    return err;
}

/* Takes a key out. */
static int take_out(struct rn_map *m, const struct map_key *key, struct change *c, void *old)
{
    int err = change(m, key, c);

    if (err != 0)
        return err;
    if (old != NULL)
        copy_value(m, old, value_of(c->before));
    node_retire(m, c->before);
    return 0;
}

RN_API int rn_map_load_and_delete_untyped(struct rn_map *m, rn_map_bytes bytes, void *old)
{
    int err = check_out(m, old);
    struct map_key key = key_of(m, bytes);
    struct change c = {.when = IF_ANY};

    return err != 0 ? err : take_out(m, &key, &c, old);
}

/* ---- changing what was looked at ---- */

static bool equal(const struct rn_map *m, const void *a, const void *b)
{
    if (m->config.equal != NULL)
        return m->config.equal(m->config.arg, a, b);
    return memcmp(a, b, m->value_size) == 0;
}

/*
 * One try to replace, or with fresh NULL to delete, the expected value. -EBUSY: another came in
 * between; nothing was changed.
 */
static int try_exchange(struct rn_map *m, const struct map_key *key, const void *expected,
                        struct node *fresh)
{
    struct change c = {.when = IF_SAME, .fresh = fresh};
    int err = -EAGAIN;

    c.expected = hold(m, key);
    if (c.expected == NULL)
        return -ENOENT;
    if (equal(m, value_of(c.expected), expected)) {
        err = change(m, key, &c);
        err = err == -EAGAIN ? -EBUSY : err;
    }
    if (err == 0)
        node_retire(m, c.before);
    node_release(m, c.expected);
    return err;
}

RN_API int rn_map_compare_and_swap_untyped(struct rn_map *m, rn_map_bytes bytes,
                                           const void *expected, const void *value)
{
    struct map_key key = key_of(m, bytes);
    struct node *fresh = node_with(m, &key, value);
    int err = fresh == NULL ? -ENOMEM : -EBUSY;

    while (err == -EBUSY)
        err = try_exchange(m, &key, expected, fresh);
    if (err != 0)
        free(fresh);
    return err;
}

RN_API int rn_map_compare_and_delete_untyped(struct rn_map *m, rn_map_bytes bytes,
                                             const void *expected)
{
    struct map_key key = key_of(m, bytes);
    int err;

    while ((err = try_exchange(m, &key, expected, NULL)) == -EBUSY)
        continue;
    return err;
}

/* What fn said is done, if the key is as fn saw it; otherwise -EBUSY. */
static int compute_done(struct rn_map *m, const struct map_key *key, struct change *c, int wanted)
{
    int err = 0;

    if (wanted == RN_MAP_STORE) {
        err = change(m, key, c);
    } else if (wanted == RN_MAP_DELETE && c->expected != NULL) {
        c->fresh = NULL;
        err = change(m, key, c);
    } else {
        return wanted;
    }
    if (err == 0 && c->before != NULL)
        node_retire(m, c->before);
    return err == -EAGAIN ? -EBUSY : err == 0 ? wanted : err;
}

/* One call of fn. *again: it has to be called once more. */
static int try_compute(struct rn_map *m, const struct map_key *key,
                       int (*fn)(void *arg, const void *old, void *value), void *arg, bool *again)
{
    struct node *fresh = node_new(m, key);
    struct change c = {.when = IF_SAME, .fresh = fresh};
    int wanted, result;

    if (fresh == NULL)
        return -ENOMEM;
    memset(value_of(fresh), 0, m->value_size);
    c.expected = hold(m, key);
    wanted = fn(arg, c.expected != NULL ? value_of(c.expected) : NULL, value_of(fresh));
    if (wanted > RN_MAP_DELETE)
        result = rn_error_with(-EINVAL, "map: compute's function returned %d: allowed are 0 to %d",
                               wanted, RN_MAP_DELETE);
    else
        result = wanted < 0 ? wanted : compute_done(m, key, &c, wanted);
    *again = wanted >= 0 && result == -EBUSY;
    if (c.expected != NULL)
        node_release(m, c.expected);
    if (wanted == RN_MAP_STORE && result < 0)
        node_destroy(m, fresh);
    else if (result != RN_MAP_STORE)
        free(fresh);
    return result;
}

RN_API int rn_map_compute_untyped(struct rn_map *m, rn_map_bytes bytes,
                                  int (*fn)(void *arg, const void *old, void *value), void *arg)
{
    int result = check_key(m, bytes);
    struct map_key key;
    bool again = false;

    if (result != 0)
        return result;
    key = key_of(m, bytes);
    do {
        result = try_compute(m, &key, fn, arg, &again);
    } while (again);
    return result;
}

/* ---- the whole map ---- */

static void lose_node(struct node *node)
{
    node->retired.reclaim(&node->retired);
}

/* No section sees the directory of a cleared table. */
static void reclaim_cleared(struct retired *retired)
{
    struct directory *directory = container_of(retired, struct directory, retired);

    directory_each(directory, lose_node);
    directory_free(directory);
}

RN_API int rn_map_clear_untyped(struct rn_map *m)
{
    struct directory *fresh = directory_new(), *old;
    uint64_t replaced;
    size_t removed;

    if (fresh == NULL)
        return -ENOMEM;
    old = table_clear(&m->table, fresh, &removed, &replaced);
    add_seq(&stripe_here(m)->deleted, removed);
    add_relaxed(&stripe_here(m)->replaced, replaced);
    if (m->config.drop != NULL)
        add_seq(&m->retiring, (int64_t)removed);
    old->retired.reclaim = reclaim_cleared;
    retire_now(&old->retired);
    return 0;
}

RN_API size_t rn_map_len_untyped(struct rn_map *m)
{
    return count_keys(m);
}

/* One key, as the kind of map shows it. */
static int visit(const struct rn_map *m, const struct node *node,
                 int (*fn)(void *arg, const void *key, const void *value), void *arg)
{
    const char *text = node_key(node, m->key_offset);
    rn_map_bytes bytes = {text, node->key_size};

    if (m->kind == RN_MAP_STRING)
        return fn(arg, &text, value_of(node));
    if (m->kind == RN_MAP_BYTES)
        return fn(arg, &bytes, value_of(node));
    return fn(arg, text, value_of(node));
}

RN_API int rn_map_range_untyped(struct rn_map *m,
                                int (*fn)(void *arg, const void *key, const void *value), void *arg)
{
    struct node *nodes[SEGMENT_SLOTS_MAX];
    uint64_t at = 0;
    int result = 0;

    do {
        uint32_t count = table_snapshot(&m->table, at, nodes, &at);
        for (uint32_t i = 0; i < count; i++) {
            if (result == 0)
                result = visit(m, nodes[i], fn, arg);
            node_release(m, nodes[i]);
        }
    } while (result == 0 && at != 0);
    return result;
}

RN_API void rn_map_stats_read_untyped(struct rn_map *m, rn_map_stats *out)
{
    struct table_shape shape = table_shape(&m->table);

    *out = (rn_map_stats){.keys = count_keys(m),
                          .undropped = (uint64_t)load_seq(&m->undropped),
                          .replaced = shape.replaced,
                          .segments = shape.segments,
                          .bytes = shape.bytes};
    for (int i = 0; i < STRIPES; i++) {
        out->stored += load_relaxed(&m->stripes[i].stored);
        out->replaced += load_relaxed(&m->stripes[i].replaced);
        out->deleted += load_relaxed(&m->stripes[i].deleted);
    }
}
