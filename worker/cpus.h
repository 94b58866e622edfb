/* How many CPUs this process may use. */
#ifndef WORKER_CPUS_H
#define WORKER_CPUS_H

#include <stdint.h>

/* min(CPUs of the affinity mask, CPU quota of the control groups rounded up), at least 1.
 * Control groups of both versions are read, below `root` ("" on a real system; tests pass a
 * folder of fixtures); what is missing or unreadable does not limit. */
uint32_t cpus_usable(const char *root);

/* The quota alone, rounded up; UINT32_MAX: there is none. */
uint32_t cpus_quota(const char *root);

#endif
