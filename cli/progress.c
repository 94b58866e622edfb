#include "progress.h"

#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define REDRAW_MS 100
#define BAR_WIDTH 30

void progress_init(struct progress *progress)
{
    *progress = (struct progress){
        .shown = isatty(STDERR_FILENO) == 1,
        .start_ms = clock_now_ms(),
    };
}

static void draw_bar(size_t done, size_t total)
{
    char bar[BAR_WIDTH + 1];
    const size_t full = done * BAR_WIDTH / total;

    memset(bar, '-', BAR_WIDTH);
    memset(bar, '#', full);
    bar[BAR_WIDTH] = '\0';
    fprintf(stderr, "\r[%s] %zu/%zu", bar, done, total);
}

void progress_update(struct progress *progress, size_t done, size_t failed, size_t total)
{
    const int64_t now_ms = clock_now_ms();

    if (!progress->shown || (progress->drawn && now_ms < progress->drawn_ms + REDRAW_MS))
        return;
    progress->drawn = true;
    progress->drawn_ms = now_ms;
    const double seconds = (double)(now_ms - progress->start_ms) / 1000.0;
    if (total > 0)
        draw_bar(done, total);
    else
        fprintf(stderr, "\r%zu done", done);
    if (seconds > 0.5)
        fprintf(stderr, ", %.1f/s", (double)done / seconds);
    if (failed > 0)
        fprintf(stderr, ", %zu failed", failed);
    fprintf(stderr, "\033[K");
    fflush(stderr);
}

void progress_clear(struct progress *progress)
{
    if (!progress->drawn)
        return;
    fprintf(stderr, "\r\033[K");
    fflush(stderr);
    progress->drawn = false;
    progress->drawn_ms = 0;
}
