/* Handing out slots; see sync/slot.h. */
#include "sync/slot.h"

#include "sync/epoch.h"

#include <pthread.h>
#include <stddef.h>

__thread __attribute__((tls_model("initial-exec"), visibility("hidden"))) struct slot *here_slot;

struct slot slots[SLOTS_MAX + 1];
atomic_u32 slots_count;

STATIC_SPINLOCK(lock, slot_lock); /* guards free_slots and the growing of slots_count */
static struct slot *free_slots;
static pthread_key_t key;
static bool key_made;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;

/* The thread ends. */
static void give_back(void *arg)
{
    struct slot *slot = arg;

    epoch_flush(slot);
    here_slot = NULL;
    spin_lock(&lock);
    slot->next = free_slots;
    free_slots = slot;
    spin_unlock(&lock);
}

static void make_key(void)
{
    key_made = pthread_key_create(&key, give_back) == 0;
}

static struct slot *find_free(void)
{
    struct slot *slot = &slots[SLOTS_MAX];
    uint32_t count;

    spin_lock(&lock);
    count = load_relaxed(&slots_count);
    if (free_slots != NULL) {
        slot = free_slots;
        free_slots = slot->next;
    } else if (count < SLOTS_MAX) {
        slot = &slots[count];
        store_release(&slots_count, count + 1); /* E63: the slot may be looked at */
    }
    spin_unlock(&lock);
    return slot;
}

struct slot *slot_take(void)
{
    struct slot *slot = &slots[SLOTS_MAX];

    pthread_once(&key_once, make_key);
    if (key_made)
        slot = find_free();
    if (!slot_is_shared(slot) && pthread_setspecific(key, slot) != 0) {
        give_back(slot); /* could not be given back when the thread ends */
        slot = &slots[SLOTS_MAX];
    }
    here_slot = slot;
    return slot;
}
