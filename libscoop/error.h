/* The last error of each thread, for scoop_last_error() and scoop_report(). Any thread. */
#ifndef LIBSCOOP_ERROR_H
#define LIBSCOOP_ERROR_H

#include "base/err.h"
#include "job.h"
#include "libscoop/include/scoop.h"

/* Keep a message (one line) and return `status`, so that a refusal is one statement. */
enum scoop_status error_set(enum scoop_status status, const char *format, ...) PRINTF(2, 3);

/* Keep how a job ended that has a failure, and return its status; SCOOP_OK when it has none. */
enum scoop_status error_of_job(const struct job *job);

/* The same for the only task of a job that is task `index` of `count` for the caller. */
enum scoop_status error_of_task(const struct job *job, size_t index, size_t count);

#endif
