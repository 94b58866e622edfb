#include "options.h"

#include "bounds.h"
#include "cpus.h"

int agent_options_check(const struct agent_options *options, struct problem *problem)
{
    struct needs needs;
    struct problem why = {.text = ""};

    if (needs_parse(options->resources, &needs, &why) != 0)
        return problem_set(problem, -EINVAL, "--resources: %s", why.text);
    unsigned may = 0;
    if (bounds_parse(options->may, &may, &why) != 0)
        return problem_set(problem, -EINVAL, "--tasks-may: %s", why.text);
    if (bounds_check_hide(options->hide, &why) != 0)
        return problem_set(problem, -EINVAL, "--hide: %s", why.text);
    return 0;
}

unsigned agent_options_may(const struct agent_options *options)
{
    struct problem ignored;
    unsigned may = 0;

    (void)!bounds_parse(options->may, &may, &ignored); /* it was checked */
    return may;
}

uint32_t agent_options_slots(const struct agent_options *options)
{
    const uint32_t wanted = options->slots != 0 ? (uint32_t)options->slots : cpus_usable("");

    return wanted < WIRE_SLOTS_MAX ? wanted : WIRE_SLOTS_MAX;
}
