/* The keyed hash: every bit of the input and of the key counts, in every bit of the hash. */
/* ctest: WORKERS=1 */
#include "core.h"
#include "os/os.h"
#include "sync/hash.h"
#include "test.h"

#define LENGTH_MAX 70
#define KEYS 200
#define COUNTS 256

static struct hash_key random_key(void)
{
    struct hash_key key;

    os_random(&key, sizeof key);
    return key;
}

/* Flipping a bit of the input flips each bit of the hash in about half of all cases. */
TEST(each_input_bit_changes_half_of_the_hash)
{
    struct hash_key keys[KEYS];

    os_random(keys, sizeof keys);
    for (size_t length = 1; length <= LENGTH_MAX; length++)
        for (size_t bit = 0; bit < length * 8; bit += 7) {
            int flips[64] = {0};
            for (int i = 0; i < KEYS; i++) {
                unsigned char bytes[LENGTH_MAX] = {(unsigned char)i};
                uint64_t before = hash_bytes(&keys[i], bytes, length);
                bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
                uint64_t changed = before ^ hash_bytes(&keys[i], bytes, length);
                for (int b = 0; b < 64; b++)
                    flips[b] += (int)(changed >> b & 1);
            }
            for (int b = 0; b < 64; b++)
                EXPECT(flips[b] > KEYS / 5 && flips[b] < KEYS * 4 / 5);
        }
}

TEST(lengths_differ)
{
    struct hash_key key = random_key();
    unsigned char zeros[LENGTH_MAX] = {0};

    for (size_t a = 0; a <= LENGTH_MAX; a++)
        for (size_t b = 0; b < a; b++)
            EXPECT(hash_bytes(&key, zeros, a) != hash_bytes(&key, zeros, b));
}

/* Keys as programs have them, in order or by the page: the bits that choose a place are even. */
TEST(regular_keys_spread_evenly)
{
    static const uint64_t strides[] = {1, 64, 4096, (uint64_t)1 << 32, (uint64_t)1 << 48};

    for (size_t s = 0; s < array_size(strides); s++) {
        struct hash_key key = random_key();
        int top[COUNTS] = {0}, home[COUNTS] = {0};
        for (uint64_t i = 0; i < 256 * COUNTS; i++) {
            uint64_t n = i * strides[s], hash = hash_bytes(&key, &n, sizeof n);
            top[hash >> 56]++;
            home[hash >> 8 & 255]++;
        }
        for (int i = 0; i < COUNTS; i++) /* 256 expected, and 16 standard deviation */
            EXPECT(top[i] > 128 && top[i] < 384 && home[i] > 128 && home[i] < 384);
    }
}

TEST(keys_differ)
{
    struct hash_key a = random_key(), b = random_key();
    int same = 0;

    for (uint64_t i = 0; i < 1000; i++)
        same += hash_bytes(&a, &i, sizeof i) >> 56 == hash_bytes(&b, &i, sizeof i) >> 56;
    EXPECT(same < 40); /* 4 expected */
}
