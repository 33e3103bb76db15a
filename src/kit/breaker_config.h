/*
 * The configuration of a breaker: what is allowed, and the defaults.
 */
#ifndef RUNNEL_KIT_BREAKER_CONFIG_H
#define RUNNEL_KIT_BREAKER_CONFIG_H

#include <runnel/breaker.h>

/* Fills in the defaults. 0, or -EINVAL with a sentence for rn_error_detail. */
int breaker_config_complete(rn_breaker_config *c);

#endif
