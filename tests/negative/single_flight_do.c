/* A result is asked for with its own type only. */
/* expect: not to the single flight.*s result type */
#include <runnel/single_flight.h>

#ifdef RN_FIXED
typedef long value;
#else
typedef int value;
#endif

int ask(rn_single_flight(long) sf);
int ask(rn_single_flight(long) sf)
{
    value v;
    return rn_single_flight_do(NULL, sf, "key", 3, &v);
}
