/* What a caller asks for a call's tasks, checked. Any thread. */
#ifndef LIBSCOOP_OPTIONS_H
#define LIBSCOOP_OPTIONS_H

#include "job.h"
#include "libscoop/include/scoop.h"

/* Take the options (NULL: none) that the tasks of a job carry. SCOOP_MISUSE: one of them is out of
 * its range, see scoop_last_error(). */
enum scoop_status options_apply(struct job *job, const struct scoop_options *options);

/* What its tasks need, as text: "" nothing. Borrowed for ever; the same needs are the same text. */
const char *options_needs(const struct job *job);

#endif
