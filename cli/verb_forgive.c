/* scoop forgive: what waits for failed durable tasks goes on without them. */
#include "durable.h"
#include "verb.h"

static const struct setting rows[] = {
    BROKER_ROWS(struct durable_options, broker),
};

static const struct settings settings = {
    .program = "scoop forgive",
    .about = "What waits for these durable tasks, which did not end well, goes on without them, "
             "and gets nothing\n"
             "in their place. See 'scoop submit --after', and 'scoop retry' to run them once more.",
    .operands = "ID...",
    .example = "scoop forgive 5f0c3a9e17b2d486",
    .rows = rows,
    .row_count = COUNT_OF(rows),
};

static int run(int argc, char **argv)
{
    return durable_each(argc, argv, &settings, scoop_durable_forgive);
}

const struct verb verb_forgive = {
    .name = "forgive",
    .about = "let what waits for failed durable tasks go on without them",
    .settings = &settings,
    .run = run,
};
