/* The broker's fence (base/fence.h). Main thread, before there are others. */
#ifndef BROKER_CONFINE_H
#define BROKER_CONFINE_H

#include "options.h"

/* It starts ssh only where it starts agents; reads its keys; writes where its sockets, its copies of keys and the
 * journal's mark lie. With hosts of the user's own, whose ssh reads and writes what its settings say, files are not
 * fenced. */
void confine_broker(const struct options *options);

#endif
