/* scoop retry: run failed durable tasks once more. */
#include "durable.h"
#include "verb.h"

static const struct setting rows[] = {
    BROKER_ROWS(struct durable_options, broker),
};

static const struct settings settings = {
    .program = "scoop retry",
    .about = "Runs durable tasks once more that did not end well, under the same id.",
    .operands = "ID...",
    .example = "scoop retry $(scoop tasks --failed --ids)",
    .rows = rows,
    .row_count = COUNT_OF(rows),
};

static int run(int argc, char **argv)
{
    return durable_each(argc, argv, &settings, scoop_durable_retry);
}

const struct verb verb_retry = {
    .name = "retry",
    .about = "run failed durable tasks once more",
    .settings = &settings,
    .run = run,
};
