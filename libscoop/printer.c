/* Invariants: `queued` is the sum of the lines in the list, at most PRINTER_QUEUE_BYTES; a line
 * leaves the list before it is written, and `writing` is true until it has been; only the printer's
 * thread writes. */
#include "printer.h"

#include "base/clock.h"
#include "base/thread.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>

struct line {
    struct line *next;
    bool to_stderr;
    size_t size;
    char text[]; /* with its newline */
};

struct printer {
    FILE *files[2]; /* stdout, stderr */
    struct thread thread;
    bool has_thread;
    pthread_mutex_t lock; /* protects the rest */
    pthread_cond_t changed;
    struct line *first;
    struct line **last;
    size_t queued;
    uint64_t lost; /* lines that are to be told */
    bool writing;
    bool closing;
    atomic_bool busy; /* something is queued or being written; for a look without the lock */
};

/* ---- the thread ---- */

/* The lock is held; NULL: nothing to write now. */
static struct line *take_line(struct printer *p)
{
    struct line *line = p->first;

    if (line == NULL)
        return NULL;
    p->first = line->next;
    if (p->first == NULL)
        p->last = &p->first;
    p->queued -= line->size;
    return line;
}

static void write_line(const struct printer *p, const struct line *line)
{
    FILE *file = p->files[line->to_stderr ? 1 : 0];

    /* A root that closed its output has said that it does not want it. */
    if (fwrite(line->text, 1, line->size, file) == line->size)
        (void)fflush(file);
}

static void tell_lost(const struct printer *p, uint64_t lines)
{
    fprintf(p->files[1], "scoop: %" PRIu64 " lines of output were dropped: too many at once\n",
            lines);
    (void)fflush(p->files[1]);
}

/* Write one line, or tell of lost ones. The lock is held, and released meanwhile. */
static void write_one(struct printer *p)
{
    struct line *line = take_line(p);
    const uint64_t lost = p->lost;

    p->lost = 0;
    p->writing = true;
    pthread_mutex_unlock(&p->lock);
    if (line != NULL)
        write_line(p, line);
    if (lost != 0)
        tell_lost(p, lost);
    free(line);
    pthread_mutex_lock(&p->lock);
    p->writing = false;
}

static void run(void *context)
{
    struct printer *p = context;

    pthread_mutex_lock(&p->lock);
    while (!p->closing || p->first != NULL || p->lost != 0) {
        if (p->first != NULL || p->lost != 0) {
            write_one(p);
            continue;
        }
        atomic_store(&p->busy, false);
        pthread_cond_broadcast(&p->changed);
        pthread_cond_wait(&p->changed, &p->lock);
    }
    pthread_mutex_unlock(&p->lock);
}

/* ---- queueing ---- */

/* Something was put in. The lock is held. */
static void wake(struct printer *p)
{
    atomic_store(&p->busy, true);
    if (!p->has_thread)
        p->has_thread = thread_start(&p->thread, run, p) == 0;
    pthread_cond_broadcast(&p->changed);
}

static struct line *
line_new(bool to_stderr, struct wire_bytes host, unsigned lane, struct wire_bytes text)
{
    char label[24];
    const int label_bytes = snprintf(label, sizeof(label), "/%u| ", lane);
    const size_t size = host.size + (size_t)label_bytes + text.size + 1;
    struct line *line = malloc(sizeof(*line) + size);

    if (line == NULL)
        return NULL;
    *line = (struct line){.to_stderr = to_stderr, .size = size};
    char *at = line->text;
    memcpy(at, host.data, host.size);
    at += host.size;
    memcpy(at, label, (size_t)label_bytes);
    at += label_bytes;
    for (size_t i = 0; i < text.size; i++) {
        const uint8_t c = text.data[i];

        *at++ = (c < 0x20 && c != '\t') || c == 0x7f ? '?' : (char)c;
    }
    *at = '\n';
    return line;
}

void printer_line(struct printer *p,
                  bool to_stderr,
                  struct wire_bytes host,
                  unsigned lane,
                  struct wire_bytes text)
{
    struct line *line = line_new(to_stderr, host, lane, text);

    pthread_mutex_lock(&p->lock);
    if (line == NULL || p->queued + line->size > PRINTER_QUEUE_BYTES) {
        p->lost++;
        free(line);
    } else {
        *p->last = line;
        p->last = &line->next;
        p->queued += line->size;
    }
    wake(p);
    pthread_mutex_unlock(&p->lock);
}

void printer_lost(struct printer *p, uint64_t lines)
{
    pthread_mutex_lock(&p->lock);
    p->lost += lines;
    wake(p);
    pthread_mutex_unlock(&p->lock);
}

/* ---- life ---- */

void printer_drain(struct printer *p, int64_t limit_ms)
{
    if (!atomic_load(&p->busy))
        return;
    const struct timespec until = thread_time(clock_now_ms() + limit_ms);

    pthread_mutex_lock(&p->lock);
    while (p->has_thread && (p->first != NULL || p->lost != 0 || p->writing) &&
           pthread_cond_timedwait(&p->changed, &p->lock, &until) == 0)
        ;
    pthread_mutex_unlock(&p->lock);
}

struct printer *printer_new(FILE *out, FILE *err)
{
    struct printer *p = calloc(1, sizeof(*p));

    if (p == NULL)
        return NULL;
    p->files[0] = out;
    p->files[1] = err;
    p->last = &p->first;
    pthread_mutex_init(&p->lock, NULL);
    thread_init_condition(&p->changed);
    return p;
}

void printer_close(struct printer *p, int64_t limit_ms)
{
    if (p == NULL)
        return;
    pthread_mutex_lock(&p->lock);
    p->closing = true;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
    /* A thread that is stuck in its reader goes on with what it uses, until the process ends. */
    if (p->has_thread && !thread_join(&p->thread, limit_ms))
        return;
    while (p->first != NULL)
        free(take_line(p));
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->lock);
    free(p);
}
