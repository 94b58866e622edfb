/* Hands commands to the broker as durable tasks, and prints the id of each, in their order, when it is
 * safe. Main thread. */
#ifndef CLI_SUBMISSION_H
#define CLI_SUBMISSION_H

#include "base/err.h"
#include "input.h"
#include "template.h"

#include <scoop.h>

struct submission {
    scoop_session *session;
    const char *program; /* begins messages */
    bool strict;         /* an exit code other than 0 is a failure */
    const char *key;     /* names the task; with an input, "KEY/N" its Nth. NULL: random ids */
    struct scoop_options options;
};

/* One task. -EIO: it was not accepted, or that could not be printed; stderr says why. */
NODISCARD int submission_one(const struct submission *submission, char *const *words, size_t count);

/* One task for each item of the input, many under way. After the first that is not accepted no
 * further one is begun. -EIO: as above, or the input is bad. */
NODISCARD int submission_each(const struct submission *submission,
                              const struct template *template,
                              struct input *input);

#endif
