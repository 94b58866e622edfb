#include "options.h"

#include "cpus.h"

uint32_t agent_options_slots(const struct agent_options *options)
{
    const uint32_t wanted = options->slots != 0 ? (uint32_t)options->slots : cpus_usable("");

    return wanted < WIRE_SLOTS_MAX ? wanted : WIRE_SLOTS_MAX;
}
