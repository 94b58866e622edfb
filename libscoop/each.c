/* scoop_each(): one task for each worker, which names it. One allocation holds the hosts' names;
 * the futures are in it, too. */
#include "future.h"

#include "error.h"
#include "program.h"

#include <string.h>
#include <unistd.h>

/* A call without a deadline waits that long for the list of workers. */
#define ASK_MS 10000

static bool takes_tasks(const struct scoop_worker *worker)
{
    return strcmp(worker->state, "ready") == 0 || strcmp(worker->state, "silent") == 0;
}

/* Room for `count` workers whose names have `text_bytes`. NULL: no memory. */
static struct scoop_everywhere *everywhere_new(size_t count, size_t text_bytes, char **text)
{
    struct scoop_everywhere *all = calloc(
        1, sizeof(*all) + count * (sizeof(*all->futures) + sizeof(*all->hosts)) + text_bytes);

    if (all == NULL) {
        error_set(SCOOP_NO_MEMORY, "scoop_each: out of memory");
        return NULL;
    }
    all->futures = (scoop_future **)(all + 1);
    void *const hosts = all->futures + count;
    all->hosts = hosts;
    *text = (char *)hosts + count * sizeof(*all->hosts);
    return all;
}

static void add(struct scoop_everywhere *all, const char *host, char **text, scoop_future *future)
{
    const size_t bytes = strlen(host) + 1;

    all->futures[all->count] = future;
    all->hosts[all->count] = memcpy(*text, host, bytes);
    all->count++;
    *text += bytes;
}

static struct scoop_everywhere *for_workers(scoop_session *session,
                                            const struct scoop_options *options,
                                            const struct scoop_function *function,
                                            struct scoop_bytes argument,
                                            const struct scoop_cluster *cluster)
{
    struct scoop_options where = options != NULL ? *options : (struct scoop_options){0};
    size_t text_bytes = 0;
    char *text = NULL;

    for (size_t i = 0; i < cluster->worker_count; i++)
        text_bytes += strlen(cluster->workers[i].host) + 1;
    struct scoop_everywhere *all = everywhere_new(cluster->worker_count, text_bytes, &text);
    for (size_t i = 0; all != NULL && i < cluster->worker_count; i++) {
        if (!takes_tasks(&cluster->workers[i]))
            continue;
        where.worker = cluster->workers[i].incarnation;
        scoop_future *future =
            scoop_submit_with(session, &where, function, argument.data, argument.size);
        if (future == NULL) {
            scoop_everywhere_free(all);
            return NULL;
        }
        add(all, cluster->workers[i].host, &text, future);
    }
    return all;
}

static struct scoop_everywhere *here(const struct scoop_options *options,
                                     const struct scoop_function *function,
                                     struct scoop_bytes argument)
{
    char host[256] = "localhost";
    char *text = NULL;

    gethostname(host, sizeof(host) - 1);
    struct scoop_everywhere *all = everywhere_new(1, strlen(host) + 1, &text);
    scoop_future *future =
        all != NULL ? scoop_submit_with(NULL, options, function, argument.data, argument.size)
                    : NULL;
    if (future == NULL) {
        scoop_everywhere_free(all);
        return NULL;
    }
    add(all, host, &text, future);
    return all;
}

struct scoop_everywhere *scoop_each_with(scoop_session *given,
                                         const struct scoop_options *options,
                                         const struct scoop_function *function,
                                         const void *argument,
                                         size_t size)
{
    const struct scoop_bytes bytes = {argument, size};
    const int deadline_ms =
        options != NULL && options->deadline_ms > 0 ? options->deadline_ms : ASK_MS;
    struct scoop_cluster *cluster = NULL;
    scoop_session *session = NULL;

    if (future_check(function, size) != SCOOP_OK || program_session(given, &session) != SCOOP_OK)
        return NULL;
    if (session == NULL)
        return here(options, function, bytes);
    if (scoop_cluster(session, deadline_ms, &cluster) != SCOOP_OK)
        return NULL;
    struct scoop_everywhere *all = for_workers(session, options, function, bytes, cluster);
    scoop_cluster_free(cluster);
    return all;
}

void scoop_everywhere_free(struct scoop_everywhere *all)
{
    if (all == NULL)
        return;
    for (size_t i = 0; i < all->count; i++)
        scoop_future_free(all->futures[i]);
    free(all);
}
