/* What the agent tells of a task while it runs: that it does, how far it is, and pieces of its result.
 * Short tasks pay nothing for it: nothing is told of a task in its first moments, unless it gives pieces.
 * Source: docs/PROTOCOL.md section 4, "Notes". One thread. */
#ifndef WORKER_NEWS_H
#define WORKER_NEWS_H

#include "executor.h"

/* A task that runs for so long is told of. */
#define NEWS_FIRST_MS 50

/* Between two looks at how far it is. */
#define NEWS_EVERY_MS 100

/* Look at the task that runs there, if it is time. Returns when it is time again; INT64_MAX: never. */
int64_t news_check(struct executor *executor, int64_t now_ms);

/* The task that runs there says how far it is, before it ends or waits. */
void news_take_progress(struct executor *executor, struct channel_progress progress);

/* It gives a piece of its result. Without memory, or when the broker takes them slower than they come, it
 * is dropped: its index will be missing. */
void news_take_partial(struct executor *executor,
                       const struct channel_outcome *head,
                       const uint8_t *bytes);

#endif
