/* Computing without a broker, in the calling thread. */
#ifndef LIBSCOOP_SERIAL_H
#define LIBSCOOP_SERIAL_H

#include "job.h"

/* Run all tasks of a job; it is done afterwards. */
void serial_run(struct job *job);

/* The descriptor of scoop_fd() where there is no session: readable when a future was computed since
 * serial_process(). -1: see errno. */
int serial_descriptor(void);
void serial_process(void);

/* A future was computed. */
void serial_raise(void);

#endif
