/* Invariants: a watch is in the list of its job while that is not done, then in the list of its
 * tray until it is taken; `place` of a watch in a list points to the pointer that holds it. */
#include "watch.h"

#include "news.h"

#include <stdlib.h>

void tray_init(struct tray *tray, void (*wake)(struct tray *tray))
{
    *tray = (struct tray){.wake = wake};
    tray->tail = &tray->ended;
}

static void put(struct watch *watch, struct watch **place)
{
    watch->next = *place;
    watch->place = place;
    if (watch->next != NULL)
        watch->next->place = &watch->next;
    *place = watch;
}

void watch_leave(struct watch *watch)
{
    if (watch->place == NULL)
        return;
    *watch->place = watch->next;
    if (watch->next != NULL)
        watch->next->place = watch->place;
    if (watch->tray->tail == &watch->next)
        watch->tray->tail = watch->place;
    watch->place = NULL;
}

static void enter_tray(struct watch *watch)
{
    struct tray *tray = watch->tray;
    const bool first = tray->ended == NULL;

    put(watch, tray->tail);
    tray->tail = &watch->next;
    if (first)
        tray->wake(tray);
}

/* Is there what the tray is curious of? */
static bool has_news_for(const struct tray *tray, const struct job *job)
{
    if (tray->curiosity == CURIOUS_OF_PIECES)
        return news_has_piece(job->news);
    return tray->curiosity == CURIOUS_OF_NEWS && news_is_new(job->news);
}

void watch_job(struct watch *watch, struct tray *tray, struct job *job)
{
    watch->tray = tray;
    if (atomic_load_explicit(&job->done, memory_order_acquire) ||
        (!tray->patient && atomic_load(&job->blocked)) || has_news_for(tray, job))
        enter_tray(watch);
    else
        put(watch, &job->watches);
}

struct watch *tray_take(struct tray *tray)
{
    struct watch *watch = tray->ended;

    if (watch != NULL)
        watch_leave(watch);
    return watch;
}

static bool is_any(const struct tray *tray, const struct job *job)
{
    (void)tray;
    (void)job;
    return true;
}

static bool is_impatient(const struct tray *tray, const struct job *job)
{
    (void)job;
    return !tray->patient;
}

/* Move watches of the job, oldest first: those of the trays that are meant. */
static void move_watches(struct job *job, bool (*is_meant)(const struct tray *, const struct job *))
{
    struct watch *oldest = NULL;
    struct watch *next = NULL;

    /* The job's list has the newest first. */
    for (struct watch *watch = job->watches; watch != NULL; watch = next) {
        next = watch->next;
        if (!is_meant(watch->tray, job))
            continue;
        watch_leave(watch);
        put(watch, &oldest);
    }
    while (oldest != NULL) {
        struct watch *watch = oldest;

        watch_leave(watch);
        enter_tray(watch);
    }
}

void job_tell(struct job *job)
{
    move_watches(job, is_any);
}

void job_tell_blocked(struct job *job)
{
    move_watches(job, is_impatient);
}

void job_tell_news(struct job *job)
{
    move_watches(job, has_news_for);
}

/* ---- desks ---- */

/* A number that no other thread of this process ever has: addresses are given out again. */
static uint64_t self(void)
{
    static _Atomic uint64_t last;
    static _Thread_local uint64_t own;

    if (own == 0)
        own = ++last;
    return own;
}

static void wake_thread(struct tray *tray)
{
    const struct desk *desk = (struct desk *)tray;

    if (desk->waiting != NULL)
        desk->waiting->wake(desk->waiting);
}

struct desk *desk_find(struct desk *desks)
{
    while (desks != NULL && desks->owner != self())
        desks = desks->next;
    return desks;
}

struct desk *desk_open(struct desk **desks)
{
    struct desk *desk = desk_find(*desks);

    if (desk != NULL)
        return desk;
    desk = malloc(sizeof(*desk));
    if (desk == NULL)
        return NULL;
    *desk = (struct desk){.owner = self(), .next = *desks};
    tray_init(&desk->tray, wake_thread);
    desk->tray.patient = true;
    *desks = desk;
    return desk;
}

void desk_settle(struct desk **desks, struct desk *desk)
{
    if (desk == NULL || desk->watches > 0 || desk->waiting != NULL)
        return;
    while (*desks != desk)
        desks = &(*desks)->next;
    *desks = desk->next;
    free(desk);
}
