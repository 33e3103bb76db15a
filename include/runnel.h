/*
 * runnel.h - everything that librunnel offers. Each noun has a header of its own under runnel/.
 */
#ifndef RUNNEL_H
#define RUNNEL_H

#include <runnel/breaker.h>
#include <runnel/address.h>
#include <runnel/chan.h>
#include <runnel/clock.h>
#include <runnel/cond.h>
#include <runnel/ctx.h>
#include <runnel/debug.h>
#include <runnel/error.h>
#include <runnel/fan_in.h>
#include <runnel/fan_out.h>
#include <runnel/fd.h>
#include <runnel/fiber.h>
#include <runnel/group.h>
#include <runnel/keyed_limiter.h>
#include <runnel/limiter.h>
#include <runnel/hedge.h>
#include <runnel/map.h>
#include <runnel/mutex.h>
#include <runnel/net.h>
#include <runnel/object_pool.h>
#include <runnel/once.h>
#include <runnel/policy.h>
#include <runnel/pipeline.h>
#include <runnel/process.h>
#include <runnel/retry.h>
#include <runnel/payload.h>
#include <runnel/process.h>
#include <runnel/pubsub.h>
#include <runnel/reader.h>
#include <runnel/rwmutex.h>
#include <runnel/sd_notify.h>
#include <runnel/select.h>
#include <runnel/shutdown.h>
#include <runnel/semaphore.h>
#include <runnel/signal.h>
#include <runnel/single_flight.h>
#include <runnel/time.h>
#include <runnel/wait_group.h>
#include <runnel/worker_pool.h>
#include <runnel/writer.h>

#endif
