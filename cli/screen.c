#include "screen.h"

#include "base/clock.h"
#include "base/wire.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

/* The second screen without a cursor, and back. */
#define ENTER "\033[?1049h\033[?25l\033[2J"
#define LEAVE "\033[?25h\033[?1049l"

#define HOME      "\033[H"
#define CUT_BELOW "\033[K\033[J"

/* Terminals move text about when their size changes. */
#define CLEAR "\033[2J"

/* Without a size from the terminal. */
#define ROWS    24
#define COLUMNS 80

static struct termios before;
static int signals = -1;

static void put(const char *bytes, size_t size)
{
    /* A terminal that is gone shows at the next wait. */
    while (size > 0) {
        const ssize_t written = write(STDOUT_FILENO, bytes, size);

        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return;
        bytes += written;
        size -= (size_t)written;
    }
}

static int open_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGWINCH);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
        return -1;
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int screen_open(void)
{
    if (isatty(STDIN_FILENO) != 1 || isatty(STDOUT_FILENO) != 1 ||
        tcgetattr(STDIN_FILENO, &before) != 0)
        return -ENOTTY;
    struct termios raw = before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    raw.c_cc[VSUSP] = _POSIX_VDISABLE;
    signals = open_signals();
    if (signals < 0 || tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw) != 0)
        return -ENOTTY;
    put(ENTER, strlen(ENTER));
    return 0;
}

void screen_close(void)
{
    put(LEAVE, strlen(LEAVE));
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    close(signals);
    signals = -1;
}

void screen_size(unsigned *rows, unsigned *columns)
{
    struct winsize size = {0};

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0)
        size = (struct winsize){0};
    *rows = size.ws_row != 0 ? size.ws_row : ROWS;
    *columns = size.ws_col != 0 ? size.ws_col : COLUMNS;
}

void screen_draw(const struct blob *picture)
{
    const size_t size = strlen(HOME) + picture->size + strlen(CUT_BELOW);
    struct blob *frame CLEANUP(blob_unref_p) = blob_new(size);

    if (frame == NULL)
        return;
    wire_put_bytes(frame, HOME, strlen(HOME));
    wire_put_bytes(frame, picture->data, picture->size);
    wire_put_bytes(frame, CUT_BELOW, strlen(CUT_BELOW));
    put((const char *)frame->data, frame->size);
}

/* True: the keyboard asks to quit, or is gone. */
static bool keys_quit(void)
{
    char keys[64];
    const ssize_t got = read(STDIN_FILENO, keys, sizeof(keys));

    if (got <= 0)
        return got == 0 || errno != EINTR;
    return memchr(keys, 'q', (size_t)got) != NULL || memchr(keys, 'Q', (size_t)got) != NULL;
}

enum screen_event screen_wait(int ms)
{
    const int64_t until_ms = clock_now_ms() + ms;
    struct pollfd fds[] = {
        {.fd = STDIN_FILENO, .events = POLLIN},
        {.fd = signals, .events = POLLIN},
    };
    struct signalfd_siginfo info;

    for (;;) {
        const int64_t left_ms = until_ms - clock_now_ms();

        if (left_ms <= 0)
            return SCREEN_TIME;
        if (poll(fds, COUNT_OF(fds), (int)left_ms) < 0 && errno != EINTR)
            return SCREEN_QUIT;
        if (fds[0].revents != 0 && keys_quit())
            return SCREEN_QUIT;
        if ((fds[1].revents & POLLIN) == 0 || read(signals, &info, sizeof(info)) < 0)
            continue;
        if (info.ssi_signo != SIGWINCH)
            return SCREEN_QUIT;
        put(CLEAR, strlen(CLEAR));
        return SCREEN_SIZE;
    }
}
