/* The function makes results of the single flight's type. */
/* expect: function.*s result is not the single flight */
#include <runnel/single_flight.h>

#ifdef RN_FIXED
typedef long value;
#else
typedef int value;
#endif

static int load(rn_ctx *ctx, void *arg, const void *key, size_t key_size, value *result)
{
    (void)ctx, (void)arg, (void)key;
    *result = (value)key_size;
    return 0;
}

int make(void);
int make(void)
{
    rn_single_flight(long) sf;
    return rn_single_flight_new(&sf, load, NULL, NULL);
}
