/*
 * A keyed hash: without the key nobody can choose inputs that collide.
 *
 * The step is a 64 by 64 bit multiplication whose two halves are folded, with key words mixed into
 * both factors (the family of wyhash); each eight bytes of input pass two steps or the length's.
 * Not for signatures: an adversary who sees hashes could find the key.
 */
#ifndef RN_SYNC_HASH_H
#define RN_SYNC_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct hash_key {
    uint64_t words[4]; /* random */
};

static inline uint64_t hash_fold(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* At most eight bytes as a number. */
static inline uint64_t hash_tail(const unsigned char *bytes, size_t size)
{
    uint64_t word = 0;
    uint32_t low, high;

    if (size == 8) {
        memcpy(&word, bytes, 8);
    } else if (size >= 4) {
        memcpy(&low, bytes, 4);
        memcpy(&high, bytes + size - 4, 4);
        word = (uint64_t)high << 32 | low;
    } else if (size > 0) {
        word = (uint64_t)bytes[0] << 16 | (uint64_t)bytes[size / 2] << 8 | bytes[size - 1];
    }
    return word;
}

static inline uint64_t hash_bytes(const struct hash_key *key, const void *from, size_t size)
{
    const unsigned char *bytes = from;
    uint64_t hash = key->words[0] ^ size, a, b;
    size_t left = size, step;

    for (; left > 8; left -= step) {
        step = left < 16 ? left : 16;
        memcpy(&a, bytes, 8);
        b = hash_tail(bytes + 8, step - 8);
        hash = hash_fold(a ^ key->words[1], b ^ hash) ^ key->words[2];
        bytes += step;
    }
    hash = hash_fold(hash_tail(bytes, left) ^ hash, key->words[3]);
    return hash_fold(hash ^ key->words[1], key->words[2]);
}

#endif
