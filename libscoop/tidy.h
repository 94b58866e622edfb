/* What a function may change of its process and leave behind for the tasks after it. An executor
 * looks after itself, between two tasks: what can be set back is set back; where it cannot, the
 * executor ends with an exit status of enum channel_damage, when no task runs or waits in it. Its
 * agent blames nobody for that and starts another one.
 *
 * Looking costs system calls, so most of it happens once in a while (the figures are in tidy.c): a
 * task may find the doings of one that ended less than 100 us of work before it. Threads are looked
 * for only when there was nothing to do for 5 ms: the pools of parallel libraries are threads that a
 * function left, too, and a process that is in full use keeps them.
 *
 * "Changed" means: not as when main() called scoop_init(). So threads, children, signal handlers and
 * so on that main() makes before are the program's own, and stay.
 *
 * Not looked at, because only the program knows what is meant: memory, static variables, the environment,
 * handlers of signals (a library that was loaded late may live by its own), files that are open (up
 * to half of their limit), affinity. One thread, the executor's. */
#ifndef LIBSCOOP_TIDY_H
#define LIBSCOOP_TIDY_H

#include <stdbool.h>
#include <stdint.h>

/* Remember how things are. `bell` and `files` are descriptors that functions have to leave alone. */
void tidy_init(int bell, int files);

/* Is the descriptor of the bell still that of the bell? */
bool tidy_has_bell(void);

/* A task ran for so long and is answered. True: that took its time. */
bool tidy_after(uint32_t run_us);

/* There is nothing to do. Returns after how many ms of that tidy_idle() shall be called; -1: need
 * not. */
int tidy_before_sleep(void);
void tidy_idle(void);

#endif
