/* scoop cancel: end durable tasks. */
#include "durable.h"
#include "verb.h"

static const struct setting rows[] = {
    BROKER_ROWS(struct durable_options, broker),
};

static const struct settings settings = {
    .program = "scoop cancel",
    .about = "Ends durable tasks: those that wait never run, those that run are killed. 'scoop "
             "wait' then says\n"
             "that they were cancelled.",
    .operands = "ID...",
    .example = "scoop cancel 5f0c3a9e17b2d486",
    .rows = rows,
    .row_count = COUNT_OF(rows),
};

static int run(int argc, char **argv)
{
    return durable_each(argc, argv, &settings, scoop_durable_cancel);
}

const struct verb verb_cancel = {
    .name = "cancel",
    .about = "end durable tasks",
    .settings = &settings,
    .run = run,
};
