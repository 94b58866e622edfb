/* What scoop_map() and scoop_map_as_completed() have in common. */
#ifndef LIBSCOOP_MAP_H
#define LIBSCOOP_MAP_H

#include "libscoop/include/scoop.h"

/* Are these the function's sizes? Sets the last error. SCOOP_OK, SCOOP_NO_FUNCTION, SCOOP_MISUSE,
 * SCOOP_TOO_LARGE. */
enum scoop_status
map_check(const struct scoop_function *function, size_t in_bytes, size_t out_bytes, size_t n);

#endif
