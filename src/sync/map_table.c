/* Segments and their directory: placing, rebuilding, walking. See sync/map_table.h. */
#include "sync/map_table.h"

#include "base/check.h"

#include <errno.h>
#include <stdlib.h>

#define SPARSE_DIVISOR 8 /* with fewer than 1/8 of its slots live a segment shrinks */

__attribute__((aligned(16))) struct node table_tomb = {.key_size = UINT32_MAX};

static uint32_t slots_of(const struct segment *segment)
{
    return 1u << segment->bits;
}

/* Slots that may be other than EMPTY: three quarters, so probing ends soon. */
static uint32_t room_of(uint32_t bits)
{
    return (1u << bits) / 4 * 3;
}

static size_t segment_bytes(uint32_t bits)
{
    size_t bytes = sizeof(struct segment) + (sizeof(uintptr_t) << bits);

    return (bytes + SEGMENT_ALIGNMENT - 1) / SEGMENT_ALIGNMENT * SEGMENT_ALIGNMENT;
}

static size_t directory_bytes(uint32_t depth)
{
    return sizeof(struct directory) + (sizeof(uintptr_t) << depth);
}

static uintptr_t entry_to(const struct segment *segment)
{
    return (uintptr_t)segment | segment->bits;
}

/* ---- making and freeing ---- */

static void reclaim_segment(struct retired *retired)
{
    free(container_of(retired, struct segment, retired));
}

static void reclaim_directory(struct retired *retired)
{
    free(container_of(retired, struct directory, retired));
}

static struct segment *segment_new(uint32_t depth, uint32_t bits, uint64_t prefix)
{
    struct segment *segment = aligned_alloc(SEGMENT_ALIGNMENT, segment_bytes(bits));

    if (segment == NULL)
        return NULL;
    memset(segment, 0, segment_bytes(bits));
    segment->retired.reclaim = reclaim_segment;
    segment->depth = (uint8_t)depth;
    segment->bits = (uint8_t)bits;
    segment->prefix = prefix;
    return segment;
}

static struct directory *directory_of_depth(uint32_t depth)
{
    struct directory *directory = calloc(1, directory_bytes(depth));

    if (directory == NULL)
        return NULL;
    directory->retired.reclaim = reclaim_directory;
    directory->depth = depth;
    return directory;
}

struct directory *directory_new(void)
{
    struct directory *directory = directory_of_depth(DIRECTORY_DEPTH_MIN);

    for (uint64_t i = 0; directory != NULL && i < 1u << DIRECTORY_DEPTH_MIN; i++) {
        struct segment *segment = segment_new(DIRECTORY_DEPTH_MIN, SEGMENT_BITS_MIN,
                                              i << (64 - DIRECTORY_DEPTH_MIN));
        if (segment == NULL) {
            directory_free(directory);
            return NULL;
        }
        store_relaxed(&directory->segments[i], entry_to(segment));
        directory->segment_count++;
    }
    return directory;
}

/* The segment behind entry i, and in *i the first entry of the next one; NULL: there is none. */
static struct segment *next_segment(struct directory *directory, uint64_t *i)
{
    struct segment *segment;

    if (*i >= (uint64_t)1 << directory->depth)
        return NULL;
    segment = entry_segment(load_relaxed(&directory->segments[*i]));
    if (segment != NULL)
        *i += (uint64_t)1 << (directory->depth - segment->depth);
    return segment;
}

void directory_each(struct directory *directory, void (*fn)(struct node *node))
{
    struct segment *segment;

    for (uint64_t at = 0; (segment = next_segment(directory, &at)) != NULL;)
        for (uint32_t i = 0; i < slots_of(segment); i++) {
            uintptr_t slot = load_relaxed(&segment->slots[i]);
            if (slot != EMPTY && slot != TOMB)
                fn(slot_node(slot));
        }
}

void directory_free(struct directory *directory)
{
    struct segment *segment;

    for (uint64_t at = 0; (segment = next_segment(directory, &at)) != NULL;)
        free(segment);
    free(directory);
}

/* ---- places ---- */

static struct segment *lock_segment(struct table *table, uint64_t hash)
{
    for (unsigned spins = 0;; spins++) {
        struct segment *segment = entry_segment(entry_of(table, hash));

        spin_lock(&segment->lock);
        if (!segment->dead)
            return segment;
        spin_unlock(&segment->lock);
        spin_wait(spins); /* a clear is about to publish the directory */
    }
}

void place_lock(struct table *table, const struct map_key *key, struct place *place)
{
    struct segment *segment = lock_segment(table, key->hash);
    uint32_t mask = slots_of(segment) - 1, i = home_of(key->hash, mask);
    uintptr_t slot;
    bool reuse = false;

    *place = (struct place){.segment = segment};
    for (; (slot = load_relaxed(&segment->slots[i])) != EMPTY; i = (i + 1) & mask) {
        if (slot == TOMB && !reuse) {
            reuse = true;
            place->index = i;
        }
        if (((slot ^ key->hash) & SLOT_TAG_MASK) == 0 && key_is(key, slot_node(slot))) {
            place->node = slot_node(slot);
            place->index = i;
            return;
        }
    }
    if (!reuse) {
        place->index = i;
        place->full = segment->used >= room_of(segment->bits);
    }
}

void place_unlock(const struct place *place)
{
    spin_unlock(&place->segment->lock);
}

void place_put(struct place *place, struct node *node)
{
    struct segment *segment = place->segment;
    _Atomic(uintptr_t) *slot = &segment->slots[place->index];

    if (place->node == NULL) {
        segment->used += load_relaxed(slot) == EMPTY;
        segment->live++;
    } else {
        count_up(&segment->replaced);
    }
    store_release(slot, (uintptr_t)node | (node->hash & SLOT_TAG_MASK)); /* E65: publishes node */
}

/* Tombs before an EMPTY slot hold nothing up: from the slot backwards they become EMPTY. */
static void sweep_tombs(struct segment *segment, uint32_t i)
{
    uint32_t mask = slots_of(segment) - 1;

    if (load_relaxed(&segment->slots[(i + 1) & mask]) != EMPTY)
        return;
    for (; load_relaxed(&segment->slots[i]) == TOMB; i = (i - 1) & mask) {
        store_relaxed(&segment->slots[i], EMPTY);
        segment->used--;
    }
}

bool place_remove(struct place *place)
{
    struct segment *segment = place->segment;

    store_release(&segment->slots[place->index], TOMB);
    segment->live--;
    sweep_tombs(segment, place->index);
    return segment->bits > SEGMENT_BITS_MIN && segment->live < slots_of(segment) / SPARSE_DIVISOR;
}

/* ---- rebuilding ---- */

/* What takes the place of a segment: one other, or two for the halves of its hashes. */
struct rebuild {
    struct segment *halves[2];
    struct directory *directory; /* twice as large as now, or NULL: it need not grow */
    uint32_t depth, bits;        /* of the old segment when this was planned */
    bool split;
};

/* The number of slots for so many nodes, half of them free. */
static uint32_t bits_for(uint32_t live)
{
    uint32_t bits = SEGMENT_BITS_MIN;

    while (bits < SEGMENT_BITS_MAX && (1u << bits) < live * 2)
        bits++;
    return bits;
}

static bool needs_rebuild(const struct segment *segment)
{
    return segment->used >= room_of(segment->bits) ||
           (segment->bits > SEGMENT_BITS_MIN && segment->live < slots_of(segment) / SPARSE_DIVISOR);
}

static void rebuild_free(struct rebuild *r)
{
    free(r->halves[0]);
    free(r->halves[1]);
    free(r->directory);
}

/* Looks at the segment and allocates what should replace it. 0, 1: not needed, or -ENOMEM. */
static int rebuild_plan(struct table *table, uint64_t hash, struct rebuild *r)
{
    struct slot *slot = read_enter();
    struct segment *segment = lock_segment(table, hash);
    uint64_t prefix = segment->prefix;
    uint32_t live = segment->live, bits, directory_depth;
    bool needed = needs_rebuild(segment);

    *r = (struct rebuild){.depth = segment->depth, .bits = segment->bits};
    directory_depth = load_acquire(&table->directory)->depth;
    spin_unlock(&segment->lock);
    read_exit(slot);
    if (!needed)
        return 1;
    bits = bits_for(live);
    r->split = live * 2 > SEGMENT_SLOTS_MAX;
    r->halves[0] = segment_new(r->depth + r->split, bits, prefix);
    if (r->split)
        r->halves[1] = segment_new(r->depth + 1, bits, prefix | (uint64_t)1 << (63 - r->depth));
    if (r->split && r->depth == directory_depth)
        r->directory = directory_of_depth(directory_depth + 1);
    if (r->halves[0] == NULL || (r->split && r->halves[1] == NULL) ||
        (r->split && r->depth == directory_depth && r->directory == NULL)) {
        rebuild_free(r);
        return -ENOMEM;
    }
    return 0;
}

/* Whether the plan still fits: the segment can have been rebuilt, filled or emptied meanwhile. */
static bool plan_fits(const struct table *table, const struct segment *old, const struct rebuild *r)
{
    uint32_t depth = load_relaxed(&((struct table *)table)->directory)->depth;
    uint32_t room = r->split ? room_of(SEGMENT_BITS_MAX) : room_of(r->halves[0]->bits);

    if (old->depth != r->depth || old->bits != r->bits || !needs_rebuild(old) || old->live > room)
        return false;
    return r->split ? (r->directory != NULL) == (old->depth == depth) : true;
}

static void copy_nodes(struct segment *old, struct rebuild *r)
{
    store_relaxed(&r->halves[0]->replaced, load_relaxed(&old->replaced));
    for (uint32_t i = 0; i < slots_of(old); i++) {
        uintptr_t slot = load_relaxed(&old->slots[i]);
        if (slot == EMPTY || slot == TOMB)
            continue;
        uint64_t hash = slot_node(slot)->hash;
        struct segment *to = r->halves[r->split && (hash >> (63 - old->depth) & 1) != 0];
        uint32_t mask = slots_of(to) - 1, at = home_of(hash, mask);
        while (load_relaxed(&to->slots[at]) != EMPTY)
            at = (at + 1) & mask;
        store_relaxed(&to->slots[at], slot);
        to->live++;
        to->used++;
    }
}

/* The directory's larger copy: each entry twice. */
static void copy_entries(const struct directory *old, struct directory *to)
{
    to->segment_count = old->segment_count;
    for (uint64_t i = 0; i < (uint64_t)1 << to->depth; i++)
        store_relaxed(&to->segments[i], load_relaxed(&((struct directory *)old)->segments[i >> 1]));
}

static void enter_segment(struct directory *directory, struct segment *segment)
{
    uint64_t first = segment->prefix >> (64 - directory->depth);

    for (uint64_t i = 0; i < (uint64_t)1 << (directory->depth - segment->depth); i++)
        store_release(&directory->segments[first + i], entry_to(segment)); /* E66 */
}

/* Under both locks. Returns the directory that was replaced, or NULL. */
static struct directory *publish_locked(struct table *table, struct segment *old, struct rebuild *r)
{
    struct directory *before = load_relaxed(&table->directory);
    struct directory *directory = r->directory != NULL ? r->directory : before;

    if (directory != before)
        copy_entries(before, directory);
    enter_segment(directory, r->halves[0]);
    if (r->split)
        enter_segment(directory, r->halves[1]);
    directory->segment_count += r->split;
    old->dead = true;
    if (directory == before)
        return NULL;
    store_release(&table->directory, directory); /* E66: publishes entries and segments */
    return before;
}

int table_rebuild(struct table *table, uint64_t hash, uint64_t *grown)
{
    struct directory *directory = NULL;
    struct segment *old;
    struct rebuild r;
    int err = rebuild_plan(table, hash, &r);
    bool fits;

    if (err != 0)
        return err < 0 ? err : 0;
    CHECK(r.depth < DIRECTORY_DEPTH_MAX, "a map's hashes do not differ");
    spin_lock(&table->structure); /* while it is held no segment is replaced: no section needed */
    old = lock_segment(table, hash);
    fits = plan_fits(table, old, &r);
    if (fits) {
        copy_nodes(old, &r);
        directory = publish_locked(table, old, &r);
        if (r.split)
            *grown = load_relaxed(&table->directory)->segment_count;
    }
    spin_unlock(&old->lock);
    spin_unlock(&table->structure);
    if (!fits) {
        rebuild_free(&r);
        return 0;
    }
    retire(&old->retired, segment_bytes(old->bits));
    if (directory != NULL)
        retire(&directory->retired, directory_bytes(directory->depth));
    return 0;
}

/* ---- the whole table ---- */

struct directory *table_clear(struct table *table, struct directory *fresh, size_t *removed,
                              uint64_t *replaced)
{
    struct directory *old;
    struct segment *segment;

    *removed = 0;
    *replaced = 0;
    spin_lock(&table->structure);
    old = load_relaxed(&table->directory);
    for (uint64_t at = 0; (segment = next_segment(old, &at)) != NULL;) {
        spin_lock(&segment->lock);
        segment->dead = true; /* writers wait for the new directory */
        *removed += segment->live;
        *replaced += load_relaxed(&segment->replaced);
        spin_unlock(&segment->lock);
    }
    store_release(&table->directory, fresh); /* E66 */
    spin_unlock(&table->structure);
    return old;
}

uint32_t table_snapshot(struct table *table, uint64_t from, struct node **out, uint64_t *next)
{
    struct slot *section = read_enter();
    struct segment *segment = lock_segment(table, from);
    uint32_t count = 0;

    for (uint32_t i = 0; i < slots_of(segment); i++) {
        uintptr_t slot = load_relaxed(&segment->slots[i]);
        if (slot == EMPTY || slot == TOMB || slot_node(slot)->hash < from)
            continue;
        out[count] = slot_node(slot);
        add_seq(&out[count++]->refs, 1);
    }
    *next = segment->prefix + ((uint64_t)1 << (64 - segment->depth));
    spin_unlock(&segment->lock);
    read_exit(section);
    return count;
}

struct table_shape table_shape(struct table *table)
{
    struct slot *section = read_enter();
    struct directory *directory = load_acquire(&table->directory);
    struct table_shape shape = {.bytes = directory_bytes(directory->depth)};
    struct segment *segment;

    for (uint64_t at = 0; (segment = next_segment(directory, &at)) != NULL; shape.segments++) {
        shape.bytes += segment_bytes(segment->bits);
        shape.replaced += load_relaxed(&segment->replaced);
    }
    read_exit(section);
    return shape;
}

static int check_segment(struct segment *segment, const struct directory *directory)
{
    uint32_t live = 0, used = 0, mask = slots_of(segment) - 1;

    for (uint32_t i = 0; i <= mask; i++) {
        uintptr_t slot = load_relaxed(&segment->slots[i]);
        used += slot != EMPTY;
        if (slot == EMPTY || slot == TOMB)
            continue;
        uint64_t hash = slot_node(slot)->hash;
        live++;
        if ((hash ^ segment->prefix) >> (64 - segment->depth) != 0 ||
            (slot & SLOT_TAG_MASK) != (hash & SLOT_TAG_MASK))
            return __LINE__;
        for (uint32_t at = home_of(hash, mask); at != i; at = (at + 1) & mask)
            if (load_relaxed(&segment->slots[at]) == EMPTY)
                return __LINE__;
    }
    if (live != segment->live || used != segment->used || segment->dead)
        return __LINE__;
    return segment->depth > directory->depth || used > room_of(segment->bits) ? __LINE__ : 0;
}

int table_check(struct table *table)
{
    struct segment *segment;
    uint64_t count = 0;
    int wrong = 0;

    spin_lock(&table->structure);
    struct directory *directory = load_relaxed(&table->directory);
    for (uint64_t at = 0; wrong == 0 && (segment = next_segment(directory, &at)) != NULL;) {
        spin_lock(&segment->lock);
        wrong = check_segment(segment, directory);
        spin_unlock(&segment->lock);
        count++;
    }
    if (wrong == 0 && count != directory->segment_count)
        wrong = __LINE__;
    spin_unlock(&table->structure);
    return wrong;
}
