/*
 * The check of a configuration's .stack_size, for what starts fibers only later.
 */
#ifndef RUNNEL_KIT_STACK_SIZE_H
#define RUNNEL_KIT_STACK_SIZE_H

#include <runnel/error.h>
#include <runnel/fiber.h>

/* 0, or -EINVAL with a sentence in which `kind` stands for the object. */
static inline int stack_size_check(const char *kind, size_t stack_size)
{
    if (stack_size == 0 || (stack_size >= RN_STACK_MIN && stack_size <= RN_STACK_MAX))
        return 0;
    return rn_error_with(-EINVAL, "%s: .stack_size is %zu: allowed are %u to %u bytes", kind,
                         stack_size, RN_STACK_MIN, RN_STACK_MAX);
}

#endif
