/* Computing without a broker, in the calling thread. */
#ifndef LIBSCOOP_SERIAL_H
#define LIBSCOOP_SERIAL_H

#include "job.h"

/* Run all tasks of a job; it is done afterwards. */
void serial_run(struct job *job);

#endif
