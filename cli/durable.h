/* What the verbs about durable tasks share: their ids as people write them. Main thread. */
#ifndef CLI_DURABLE_H
#define CLI_DURABLE_H

#include "base/err.h"
#include "options.h"

#include <scoop.h>
#include <stdint.h>

/* Characters of an id with its end: 16 hex digits. */
#define DURABLE_ID_TEXT 17

void durable_id_text(uint64_t id, char text[DURABLE_ID_TEXT]);

/* Read ids as `scoop submit` prints them. *out is owned by the caller (free()). NULL: one line on
 * stderr says which one is wrong, or that there is none. */
NODISCARD uint64_t *durable_read_ids(char **words, size_t count, const char *program);

/* The same for ids with commas between them. */
NODISCARD uint64_t *durable_split_ids(const char *text, size_t *count, const char *program);

/* A verb that does one thing to each durable task that it names, and prints nothing when all goes
 * well. */
struct durable_options {
    struct broker_options broker;
};

/* Its row in the table of verbs is all that it needs beside this. Returns the exit code. */
int durable_each(int argc,
                 char **argv,
                 const struct settings *settings,
                 enum scoop_status (*act)(scoop_session *session, uint64_t id, int deadline_ms));

#endif
