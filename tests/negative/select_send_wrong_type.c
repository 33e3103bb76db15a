/* A select's send checks its value. */
/* expect: incompatible|invalid initializer|initializing|makes integer from pointer */
#include <runnel/select.h>

int wait(rn_chan(int) numbers, const char *word)
{
    (void)word;
#ifdef RN_FIXED
    return rn_select(NULL, rn_on_send(numbers, 1));
#else
    return rn_select(NULL, rn_on_send(numbers, word));
#endif
}
