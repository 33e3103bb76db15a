/*
 * The table of a concurrent map: a directory of segments, each an open-addressed array of pointers
 * to nodes (extendible hashing). Knows keys as bytes with a hash, values not at all.
 *
 * A hash is used from both ends: its top bits choose the entry of the directory, bits from
 * HASH_HOME up the slot where probing in the segment begins, and its low bits are kept beside the
 * pointer in the slot, so that a node of another key is seldom looked at.
 *
 * Readers are in a read section (sync/epoch.h), take no lock and write nothing. Writers take their
 * segment's lock. A segment that is too full, or too empty, is copied into one or two new ones,
 * which take its place in the directory: so the longest time under a lock is the copying of
 * SEGMENT_SLOTS_MAX pointers, however large the map.
 *
 * Invariants:
 *   - key, hash and value of a node never change once it can be reached.
 *   - a slot between a key's home and its node is never EMPTY.
 *   - under a segment's lock, dead == false: the directory leads to it.
 *   - directory, and dead of any segment, change under structure; a segment's dead under its lock
 *     too.
 */
#ifndef RN_SYNC_MAP_TABLE_H
#define RN_SYNC_MAP_TABLE_H

#include "sync/epoch.h"
#include "sync/hash.h"

#define SEGMENT_BITS_MIN 3
#define SEGMENT_BITS_MAX 8
#define SEGMENT_SLOTS_MAX (1 << SEGMENT_BITS_MAX)
#define DIRECTORY_DEPTH_MIN 5 /* 32 segments: so many writers at once */
#define DIRECTORY_DEPTH_MAX 40
#define HASH_HOME 8 /* bits below it are not used for the home */
#define SLOT_TAG_MASK ((uintptr_t)15)
#define SEGMENT_ALIGNMENT 64 /* its low bits hold the number of slots, as a logarithm */

/* One key and value. The value lies behind it, then the key's bytes; see struct rn_map. */
struct node {
    struct retired retired;
    uint64_t hash;
    atomic_u32 refs; /* the table's, and one for each acquire */
    uint32_t key_size;
    struct rn_map *map;
};

struct segment {
    struct retired retired;
    SPINLOCK(lock, segment_lock); /* guards the rest, and the writing of slots; nothing under it */
    uint8_t depth;                /* so many top bits are the same in all its hashes */
    uint8_t bits;                 /* logarithm of the number of slots */
    bool dead;                    /* replaced: the directory has another */
    uint16_t live;                /* nodes */
    uint16_t used;                /* slots that are not EMPTY */
    uint64_t prefix;              /* the smallest hash that belongs here */
    atomic_u64 replaced; /* nodes that took the place of another, also in the segments before */
    /* A node's address with the low bits of its hash, TOMB, or EMPTY. */
    __attribute__((aligned(SEGMENT_ALIGNMENT))) _Atomic(uintptr_t) slots[];
};

struct directory {
    struct retired retired;
    uint64_t segment_count;        /* guarded by structure */
    uint32_t depth;                /* it has 2 to that many entries */
    _Atomic(uintptr_t) segments[]; /* a segment's address with its bits */
};

struct table {
    _Atomic(struct directory *) directory;
    /* guards structure; a segment's lock is taken under it */
    cache_aligned SPINLOCK(structure, map_structure);
};

struct map_key {
    const void *bytes;
    size_t size;
    uint64_t hash;
    size_t offset; /* of the key's bytes in a node */
};

/* A word, what most keys and values are, is copied without a call. */
static inline void copy_bytes(void *to, const void *from, size_t size)
{
    if (likely(size == sizeof(uint64_t)))
        memcpy(to, from, sizeof(uint64_t));
    else
        memcpy(to, from, size);
}

#define EMPTY ((uintptr_t)0)
#define TOMB ((uintptr_t)&table_tomb) /* a node was here; it equals no key */
extern struct node table_tomb;

static inline struct node *slot_node(uintptr_t slot)
{
    return (struct node *)(slot & ~SLOT_TAG_MASK);
}

static inline const char *node_key(const struct node *node, size_t offset)
{
    return (const char *)node + offset;
}

static inline bool key_is(const struct map_key *key, const struct node *node)
{
    uint64_t a, b;

    if (node->hash != key->hash || node->key_size != key->size)
        return false;
    if (key->size != sizeof a)
        return memcmp(node_key(node, key->offset), key->bytes, key->size) == 0;
    memcpy(&a, node_key(node, key->offset), sizeof a);
    memcpy(&b, key->bytes, sizeof b);
    return a == b;
}

static inline uint32_t home_of(uint64_t hash, uint32_t mask)
{
    return (uint32_t)(hash >> HASH_HOME) & mask;
}

static inline uintptr_t entry_of(struct table *table, uint64_t hash)
{
    struct directory *directory = load_acquire(&table->directory); /* pairs with E66 */

    return load_acquire(&directory->segments[hash >> (64 - directory->depth)]);
}

static inline struct segment *entry_segment(uintptr_t entry)
{
    return (struct segment *)(entry & ~(uintptr_t)(SEGMENT_ALIGNMENT - 1));
}

static inline uint32_t entry_mask(uintptr_t entry)
{
    return (1u << (entry & (SEGMENT_ALIGNMENT - 1))) - 1;
}

/* In a read section: the key's node, or NULL. */
static inline struct node *table_find(struct table *table, const struct map_key *key)
{
    uintptr_t entry = entry_of(table, key->hash);
    struct segment *segment = entry_segment(entry);
    uint32_t mask = entry_mask(entry);

    for (uint32_t i = home_of(key->hash, mask);; i++) {
        uintptr_t slot = load_acquire(&segment->slots[i & mask]); /* pairs with E65 */

        if (slot == EMPTY)
            return NULL;
        if (((slot ^ key->hash) & SLOT_TAG_MASK) == 0 && key_is(key, slot_node(slot)))
            return slot_node(slot);
    }
}

/* Where a key is, or may be put, in a locked segment. */
struct place {
    struct segment *segment;
    struct node *node; /* the key's, or NULL */
    uint32_t index;    /* of its slot, or of the one to put it in */
    bool full;         /* it is not there and must not be added: rebuild first */
};

/* In a read section: locks the segment of the key and finds its place. */
void place_lock(struct table *table, const struct map_key *key, struct place *place);
void place_unlock(const struct place *place);

/* Puts node there, in place of place->node when there is one; the place must not be full. */
void place_put(struct place *place, struct node *node);

/* Takes place->node out. True when the segment should be rebuilt, as it has become sparse. */
bool place_remove(struct place *place);

/*
 * Gives the segment of the hash the size that its nodes need, or splits it. Under no lock, outside
 * of sections. 0 or -ENOMEM; 0 also when it was not needed any more. *grown: how many segments
 * there are now, when it was split; untouched otherwise.
 */
int table_rebuild(struct table *table, uint64_t hash, uint64_t *grown);

/* A directory of empty segments, NULL: out of memory. */
struct directory *directory_new(void);

/* Calls fn for each node of a directory that nobody writes to any more. */
void directory_each(struct directory *directory, void (*fn)(struct node *node));
void directory_free(struct directory *directory);

/*
 * Puts an empty directory in; the caller gets the old one, to retire it. *removed, *replaced: what
 * was in it, and what its segments had counted.
 */
struct directory *table_clear(struct table *table, struct directory *fresh, size_t *removed,
                              uint64_t *replaced);

/*
 * The nodes of the first segment from the hash on, each with a reference more. Returns how many;
 * *next is where to go on, and 0 when that was the last segment.
 */
uint32_t table_snapshot(struct table *table, uint64_t from, struct node **out, uint64_t *next);

struct table_shape {
    size_t segments;
    size_t bytes; /* of segments and directory */
    uint64_t replaced;
};
struct table_shape table_shape(struct table *table);

/* Checks every segment against the invariants above; 0, or the line of the rule that is broken. */
int table_check(struct table *table);

#endif
