/*
 * Atomics, with the memory order in the name. Fields that several threads touch are declared
 * _Atomic and reached through these only.
 *
 * No atomic_thread_fence: ThreadSanitizer does not know it. Where a store must be ordered before a
 * later load (Dekker's pattern), see base/asym.h.
 */
#ifndef RN_BASE_ATOMIC_H
#define RN_BASE_ATOMIC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef _Atomic(bool) atomic_flag_t;
typedef _Atomic(uint8_t) atomic_u8;
typedef _Atomic(uint16_t) atomic_u16;
typedef _Atomic(uint32_t) atomic_u32;
typedef _Atomic(int32_t) atomic_i32;
typedef _Atomic(uint64_t) atomic_u64;
typedef _Atomic(int64_t) atomic_i64;
typedef _Atomic(uintptr_t) atomic_uptr;

#define load_relaxed(p) atomic_load_explicit((p), memory_order_relaxed)
#define load_acquire(p) atomic_load_explicit((p), memory_order_acquire)
#define load_seq(p) atomic_load_explicit((p), memory_order_seq_cst)
#define store_relaxed(p, v) atomic_store_explicit((p), (v), memory_order_relaxed)
#define store_release(p, v) atomic_store_explicit((p), (v), memory_order_release)
#define store_seq(p, v) atomic_store_explicit((p), (v), memory_order_seq_cst)
#define swap_acquire(p, v) atomic_exchange_explicit((p), (v), memory_order_acquire)
#define swap_seq(p, v) atomic_exchange_explicit((p), (v), memory_order_seq_cst)
#define add_relaxed(p, v) atomic_fetch_add_explicit((p), (v), memory_order_relaxed)
#define add_seq(p, v) atomic_fetch_add_explicit((p), (v), memory_order_seq_cst)
#define sub_seq(p, v) atomic_fetch_sub_explicit((p), (v), memory_order_seq_cst)
#define or_seq(p, v) atomic_fetch_or_explicit((p), (v), memory_order_seq_cst)
#define and_seq(p, v) atomic_fetch_and_explicit((p), (v), memory_order_seq_cst)

/* Compare and swap; on failure *expected is what was there. */
#define cas_acquire(p, expected, v)                                                                \
    atomic_compare_exchange_strong_explicit((p), (expected), (v), memory_order_acquire,            \
                                            memory_order_relaxed)
#define cas_seq(p, expected, v)                                                                    \
    atomic_compare_exchange_strong_explicit((p), (expected), (v), memory_order_seq_cst,            \
                                            memory_order_seq_cst)

/* A plain field that its owner alone writes, and others now and then look at. */
#define store_owned(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define peek_owned(p) __atomic_load_n((p), __ATOMIC_RELAXED)

/* A counter that one thread writes and others only read: no locked instruction. */
#define count_up(p) store_relaxed((p), load_relaxed(p) + 1)

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define CACHE_LINE 64
#define cache_aligned __attribute__((aligned(CACHE_LINE)))

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#define array_size(a) (sizeof(a) / sizeof((a)[0]))

#endif
