/* What a function says while it runs, and what the holder of its future hears of it. */
#include "await.h"
#include "error.h"
#include "executor.h"
#include "function.h"
#include "news.h"
#include "program.h"
#include "session_state.h"

/* NOLINTNEXTLINE(misc-redundant-expression): the public header and the wire each have their own. */
_Static_assert(SCOOP_PARTIAL_MAX == WIRE_PARTIAL_MAX, "as it travels");

/* ---- inside a function ---- */

void scoop_progress(uint64_t done, uint64_t total)
{
    const struct scoop_output *out = function_output();

    if (out == NULL)
        return;
    if (executor_is_here())
        executor_say_progress(done, total);
    else if (out->told != NULL)
        news_say_progress(&out->told->news, (struct wire_progress){done, total});
}

bool scoop_partial(const void *data, size_t size)
{
    struct scoop_output *out = function_output();

    if (out == NULL || size > SCOOP_PARTIAL_MAX)
        return false;
    if (executor_is_here()) {
        executor_put_partial(data, size);
        return true;
    }
    const struct wire_partial partial = {.index = out->partials++, .bytes = {data, size}};
    if (out->told != NULL)
        news_put_piece(&out->told->news, out->attempt, &partial);
    return true;
}

/* ---- outside ----
 * The news of a future that is done are its holder's; those of another one may change under our eyes. */

struct glance {
    struct news *news; /* NULL: nothing is known */
    scoop_session *locked;
};

static struct glance begin_glance(scoop_future *future)
{
    struct glance glance = {.news = NULL};

    if (future_is_done(future)) {
        glance.news = future->job.news;
    } else if (future->session !=
               NULL) { /* else it is blocked, or computed by another thread now */
        glance.locked = future->session;
        pthread_mutex_lock(&glance.locked->lock);
        glance.news = future->job.news;
    }
    return glance;
}

static void end_glance(const struct glance *glance)
{
    if (glance->locked != NULL)
        pthread_mutex_unlock(&glance->locked->lock);
}

/* For callers who only look: take in what has come. */
static void catch_up(scoop_future *future)
{
    if (!future_is_done(future) && future->session != NULL)
        session_look(future->session);
}

bool scoop_running(scoop_future *future)
{
    if (future == NULL)
        return false;
    catch_up(future);
    const struct glance glance = begin_glance(future);
    const bool running = glance.locked != NULL && glance.news != NULL && glance.news->running &&
                         glance.news->link == glance.locked->link;
    end_glance(&glance);
    return running && !future_is_done(future);
}

bool scoop_progress_of(scoop_future *future, uint64_t *done, uint64_t *total)
{
    if (future == NULL)
        return false;
    catch_up(future);
    const struct glance glance = begin_glance(future);
    const bool known = glance.news != NULL && glance.news->has_progress;
    if (known) {
        *done = glance.news->progress.done;
        *total = glance.news->progress.total;
    }
    end_glance(&glance);
    return known;
}

static bool see_news(scoop_future *future)
{
    const struct glance glance = begin_glance(future);
    const bool is_new = news_see(glance.news);

    end_glance(&glance);
    return is_new;
}

static bool take_piece(scoop_future *future, struct scoop_piece *piece)
{
    const struct glance glance = begin_glance(future);
    const bool taken = news_take_piece(glance.news, piece);

    end_glance(&glance);
    return taken;
}

/* Wait for what was not there. SCOOP_OK: look again. */
static enum scoop_status
wait_for(scoop_future *future, enum curiosity curiosity, int64_t deadline, int deadline_ms)
{
    if (!await_news(future, curiosity, deadline))
        return error_set(SCOOP_TIMEOUT, "%s: nothing new within %d ms", future->job.function->name,
                         deadline_ms);
    if (!future_is_done(future) && atomic_load(&future->job.blocked))
        return error_set(SCOOP_BLOCKED, "%s: blocked, as a task that it waits for did not end well",
                         future->job.function->name);
    return SCOOP_OK;
}

enum scoop_status scoop_wait_news(scoop_future *future, int deadline_ms)
{
    const int64_t deadline = program_deadline(deadline_ms);
    enum scoop_status status = SCOOP_OK;

    if (future == NULL)
        return error_set(SCOOP_MISUSE, "scoop_wait_news: there is no future");
    while (status == SCOOP_OK) {
        /* What came before the end is told before the end. */
        const bool done = future_is_done(future);

        if (see_news(future))
            return SCOOP_OK;
        if (done)
            return SCOOP_END;
        status = wait_for(future, CURIOUS_OF_NEWS, deadline, deadline_ms);
    }
    return status;
}

enum scoop_status
scoop_partial_next(scoop_future *future, int deadline_ms, struct scoop_piece *piece)
{
    const int64_t deadline = program_deadline(deadline_ms);
    enum scoop_status status = SCOOP_OK;

    if (future == NULL || piece == NULL)
        return error_set(SCOOP_MISUSE, "scoop_partial_next: there is no %s",
                         future == NULL ? "future" : "place for a piece");
    while (status == SCOOP_OK) {
        const bool done = future_is_done(future);

        if (take_piece(future, piece))
            return SCOOP_OK;
        if (done)
            return SCOOP_END;
        status = wait_for(future, CURIOUS_OF_PIECES, deadline, deadline_ms);
    }
    return status;
}
