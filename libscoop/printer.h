/* What functions print elsewhere, on this process's stdout and stderr: whole lines, each labelled
 * with where it comes from ("w1/2| text"), in the order in which they came.
 *
 * A thread of its own writes, so that a reader who stops reading (a pager, a full disk) holds up no
 * session: what does not fit the queue is dropped, counted and told. Any thread may call. */
#ifndef LIBSCOOP_PRINTER_H
#define LIBSCOOP_PRINTER_H

#include "base/err.h"
#include "base/wire.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Bytes of lines that wait for a slow reader. */
#define PRINTER_QUEUE_BYTES ((size_t)1 << 20)

struct printer;

/* Lines go to `out` and `err` (borrowed until printer_close; they are locked while a line is
 * written, so it never stands inside a line that another thread prints whole). Starts no thread
 * before the first line. NULL: out of memory. */
NODISCARD struct printer *printer_new(FILE *out, FILE *err);

/* Write what is queued, for at most limit_ms, and free it. NULL is accepted. */
void printer_close(struct printer *printer, int64_t limit_ms);

/* Queue one line (`text` without its newline; control characters but tabs become '?'). Never waits
 * for a reader. */
void printer_line(struct printer *printer,
                  bool to_stderr,
                  struct wire_bytes host,
                  unsigned lane,
                  struct wire_bytes text);

/* So many lines were lost before they came here: tell it in their place. */
void printer_lost(struct printer *printer, uint64_t lines);

/* Wait until all that is queued has been written, no longer than limit_ms. Cheap when nothing is. */
void printer_drain(struct printer *printer, int64_t limit_ms);

#endif
