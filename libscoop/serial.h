/* Computing without a broker, in the calling thread. */
#ifndef LIBSCOOP_SERIAL_H
#define LIBSCOOP_SERIAL_H

#include "job.h"

/* Run all tasks of a job; it is done afterwards, unless it is blocked (after.h): then it is run when it is
 * no more, by one of the calls below or by a retry of what it waits for. */
void serial_run(struct job *job);

/* Let what waits for this job, which did not end well, go on. */
void serial_forgive(struct job *job);

/* End a job that is blocked. */
void serial_cancel(struct job *job);

/* Drop the caller's hold of a future's job. */
void serial_drop(struct job *job);

/* The descriptor of scoop_fd() where there is no session: readable when a future was computed since
 * serial_process(). -1: see errno. */
int serial_descriptor(void);
void serial_process(void);

/* A future was computed. */
void serial_raise(void);

#endif
