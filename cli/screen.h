/* The terminal as a screen that is drawn anew again and again, and as a keyboard. Main thread. */
#ifndef CLI_SCREEN_H
#define CLI_SCREEN_H

#include "base/blob.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

/* How a wait ended. */
enum screen_event {
    SCREEN_TIME, /* it took as long as was asked */
    SCREEN_SIZE, /* the terminal has another size: draw */
    SCREEN_QUIT, /* q, Ctrl-C, SIGTERM, or the terminal is gone */
};

/* What ends a line of a picture, and what is cut there of the line that stood there before. */
#define SCREEN_LINE_END "\033[K\r\n"

/* Take over the terminal; what it showed comes back with screen_close(), which also runs when a
 * signal ends the process. -ENOTTY: standard input and output are not one. */
NODISCARD int screen_open(void);
void screen_close(void);

void screen_size(unsigned *rows, unsigned *columns);

/* Show a picture, whose lines end in SCREEN_LINE_END: in one write, over the old one. */
void screen_draw(const struct blob *picture);

enum screen_event screen_wait(int ms);

#endif
