/* The threads of cluster.h. The session is opened as soon as its settings are right (a secret
 * may come later) and then never changes; what the lock guards is marked. */
#include "cluster.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>

#define WATCH_EVERY_MS 1000
#define WATCH_LIMIT_MS 2000
#define CONNECT_MS     3000

/* How long cluster_stop() waits for each thread. */
#define STOP_LIMIT_MS 100

/* The numbers are from -SPAN to SPAN. */
#define SPAN 1000

struct question {
    STAILQ_ENTRY(question) entry;
    uint32_t count;
    int64_t asked_ms;
    void (*done)(void *context, const struct cluster_verdict *verdict);
    void *context;
};

struct cluster {
    struct cluster_options options;
    struct thread watcher;
    struct thread computer;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* on the monotonic clock: a question came, or the end */
    bool stopping;          /* under the lock, likewise below */
    STAILQ_HEAD(, question) waiting;
    size_t waiting_count;
    bool up;
    bool told; /* its state was logged */
    char reason[512];
    struct scoop_cluster *known;
    int64_t answered_ms;
    struct cluster_verdict last;
    bool has_last;

    _Atomic(scoop_session *) session; /* NULL: could not be opened yet */
    struct metric *broker_up;
    struct metric *verdicts[3]; /* equal, different, none */
};

static void set_reason(char *reason, size_t size, const char *text)
{
    snprintf(reason, size, "%s", text[0] != '\0' ? text : "no reason given");
}

/* ---- watching ---- */

/* Does not wait for the broker. Without a session `reason` says what is wrong with the settings. */
static void open_session(struct cluster *cluster)
{
    const struct scoop_settings settings = {
        .broker = cluster->options.broker,
        .client_key_file = cluster->options.client_key_file,
        .broker_key_file = cluster->options.broker_key_file,
        .name = "webui",
        .connect_ms = CONNECT_MS,
    };
    scoop_session *session = scoop_open(&settings);

    if (session == NULL) {
        pthread_mutex_lock(&cluster->lock);
        set_reason(cluster->reason, sizeof(cluster->reason), scoop_last_error());
        pthread_mutex_unlock(&cluster->lock);
    }
    atomic_store(&cluster->session, session);
}

/* Ask the broker. Returns its answer, or NULL with the reason in scoop_last_error(). */
static struct scoop_cluster *watch_once(struct cluster *cluster)
{
    struct scoop_cluster *answer = NULL;

    if (atomic_load(&cluster->session) == NULL)
        open_session(cluster);
    if (atomic_load(&cluster->session) != NULL)
        (void)scoop_cluster(atomic_load(&cluster->session), WATCH_LIMIT_MS, &answer);
    return answer;
}

/* Log once per change of state. Under the lock. */
static void note_broker(struct cluster *cluster, bool up)
{
    char reason[600];

    metric_set(cluster->broker_up, up);
    if (cluster->told && cluster->up == up)
        return;
    if (up)
        log_info("broker_up", "version=%s workers=%u", cluster->known->version,
                 cluster->known->alive);
    else
        log_warn("broker_down", "reason=\"%s\"",
                 log_quote(reason, sizeof(reason), cluster->reason));
    cluster->told = true;
    cluster->up = up;
}

static void publish(struct cluster *cluster, struct scoop_cluster *answer)
{
    struct scoop_cluster *old = NULL;

    pthread_mutex_lock(&cluster->lock);
    if (answer != NULL) {
        old = cluster->known;
        cluster->known = answer;
        cluster->answered_ms = clock_now_ms();
        cluster->reason[0] = '\0';
    } else {
        set_reason(cluster->reason, sizeof(cluster->reason), scoop_last_error());
    }
    note_broker(cluster, answer != NULL);
    pthread_mutex_unlock(&cluster->lock);
    scoop_cluster_free(old);
}

/* Sleep until the next turn. False: the end. */
static bool rest(struct cluster *cluster, int64_t due_ms)
{
    const struct timespec due = thread_time(due_ms);

    pthread_mutex_lock(&cluster->lock);
    while (!cluster->stopping &&
           pthread_cond_timedwait(&cluster->changed, &cluster->lock, &due) == 0)
        ;
    const bool going = !cluster->stopping;
    pthread_mutex_unlock(&cluster->lock);
    return going;
}

static void watch(void *context)
{
    struct cluster *cluster = context;
    int64_t due_ms = 0;

    do {
        due_ms = clock_now_ms() + WATCH_EVERY_MS;
        publish(cluster, watch_once(cluster));
    } while (rest(cluster, due_ms));
}

/* ---- computing ---- */

static int32_t *random_numbers(uint32_t count)
{
    int32_t *numbers = calloc(count, sizeof(*numbers));

    for (uint32_t i = 0; numbers != NULL && i < count; i++)
        numbers[i] = (int32_t)arc4random_uniform(2 * SPAN + 1) - SPAN;
    return numbers;
}

static int64_t compute_serially(const int32_t *in, int32_t *out, uint32_t count)
{
    const int64_t start_ns = clock_now_ns();

    for (uint32_t i = 0; i < count; i++)
        out[i] = in[i] < 0 ? -in[i] : in[i];
    return clock_now_ns() - start_ns;
}

/* Both ways, compared. The broker's own function is used, so no program need be on the workers. */
static void compare(scoop_session *session,
                    const int32_t *in,
                    int32_t *serial,
                    int32_t *parallel,
                    struct cluster_verdict *verdict)
{
    const struct scoop_options options = {.deadline_ms = CLUSTER_COMPUTE_LIMIT_MS / 2};
    const struct scoop_function *absolute =
        scoop_builtin("absolute", sizeof(int32_t), sizeof(int32_t));
    const size_t bytes = sizeof(int32_t);

    verdict->serial_ns = compute_serially(in, serial, verdict->count);
    const int64_t start_ns = clock_now_ns();
    verdict->computed =
        absolute != NULL && scoop_map_with(session, &options, absolute, in, bytes, parallel, bytes,
                                           verdict->count) == SCOOP_OK;
    verdict->parallel_ns = clock_now_ns() - start_ns;
    verdict->equal = verdict->computed && memcmp(serial, parallel, bytes * verdict->count) == 0;
    if (!verdict->computed)
        set_reason(verdict->reason, sizeof(verdict->reason), scoop_last_error());
}

static void compute(scoop_session *session, struct cluster_verdict *verdict)
{
    int32_t *in = random_numbers(verdict->count);
    int32_t *serial = calloc(verdict->count, sizeof(*serial));
    int32_t *parallel = calloc(verdict->count, sizeof(*parallel));

    if (in != NULL && serial != NULL && parallel != NULL)
        compare(session, in, serial, parallel, verdict);
    else
        set_reason(verdict->reason, sizeof(verdict->reason), "out of memory");
    free(in);
    free(serial);
    free(parallel);
}

/* Answer a question, if there is still time and a session. */
static void answer(struct cluster *cluster, struct question *question, bool stopping)
{
    struct cluster_verdict verdict = {.count = question->count};
    scoop_session *session = atomic_load(&cluster->session);
    const int64_t waited_ms = clock_now_ms() - question->asked_ms;

    if (stopping)
        set_reason(verdict.reason, sizeof(verdict.reason), "webui is stopping");
    else if (waited_ms > CLUSTER_COMPUTE_LIMIT_MS / 2)
        set_reason(verdict.reason, sizeof(verdict.reason), "too many computations wait");
    else if (session != NULL)
        compute(session, &verdict);
    verdict.ended_ms = clock_now_ms();

    pthread_mutex_lock(&cluster->lock);
    if (session == NULL && verdict.reason[0] == '\0')
        set_reason(verdict.reason, sizeof(verdict.reason), cluster->reason);
    if (!verdict.computed && cluster->up && cluster->known->alive == 0)
        set_reason(verdict.reason, sizeof(verdict.reason), "the broker has no worker");
    cluster->last = verdict;
    cluster->has_last = true;
    pthread_mutex_unlock(&cluster->lock);
    metric_add(cluster->verdicts[!verdict.computed ? 2 : verdict.equal ? 0 : 1], 1);
    question->done(question->context, &verdict);
    free(question);
}

/* Wait for a question; NULL: the end, and no question waits. */
static struct question *take(struct cluster *cluster, bool *stopping)
{
    pthread_mutex_lock(&cluster->lock);
    while (!cluster->stopping && STAILQ_EMPTY(&cluster->waiting))
        pthread_cond_wait(&cluster->changed, &cluster->lock);
    struct question *question = STAILQ_FIRST(&cluster->waiting);
    if (question != NULL) {
        STAILQ_REMOVE_HEAD(&cluster->waiting, entry);
        cluster->waiting_count--;
    }
    *stopping = cluster->stopping;
    pthread_mutex_unlock(&cluster->lock);
    return question;
}

static void run_computer(void *context)
{
    struct cluster *cluster = context;
    struct question *question = NULL;
    bool stopping = false;

    while ((question = take(cluster, &stopping)) != NULL)
        answer(cluster, question, stopping);
}

int cluster_compute(struct cluster *cluster,
                    uint32_t count,
                    void (*done)(void *context, const struct cluster_verdict *verdict),
                    void *context)
{
    struct question *question = calloc(1, sizeof(*question));
    int rc = -EBUSY;

    if (question == NULL)
        return -ENOMEM;
    *question = (struct question){
        .count = count, .asked_ms = clock_now_ms(), .done = done, .context = context};
    pthread_mutex_lock(&cluster->lock);
    if (!cluster->stopping && cluster->waiting_count < CLUSTER_WAITING_MAX) {
        STAILQ_INSERT_TAIL(&cluster->waiting, question, entry);
        cluster->waiting_count++;
        pthread_cond_broadcast(&cluster->changed);
        rc = 0;
    }
    pthread_mutex_unlock(&cluster->lock);
    if (rc != 0)
        free(question);
    return rc;
}

/* ---- the rest ---- */

void cluster_look(struct cluster *cluster,
                  void (*see)(void *context, const struct cluster_view *view),
                  void *context)
{
    pthread_mutex_lock(&cluster->lock);
    const struct cluster_view view = {
        .up = cluster->up,
        .reason = cluster->reason,
        .known = cluster->known,
        .answered_ms = cluster->answered_ms,
        .last = cluster->has_last ? &cluster->last : NULL,
    };
    see(context, &view);
    pthread_mutex_unlock(&cluster->lock);
}

static void register_metrics(struct cluster *cluster, struct metrics *metrics)
{
    static const char *const labels[] = {"verdict=\"equal\"", "verdict=\"different\"",
                                         "verdict=\"none\""};

    for (size_t i = 0; i < COUNT_OF(labels); i++)
        cluster->verdicts[i] = metrics_counter(metrics, "webui_computations_total", labels[i],
                                               "Computations for GET /scoop.");
    cluster->broker_up =
        metrics_gauge(metrics, "webui_broker_up", "", "1 while the broker answers.");
}

/* Without threads: close the session and free. */
static void close_cluster(struct cluster *cluster)
{
    scoop_close(atomic_load(&cluster->session));
    scoop_cluster_free(cluster->known);
    pthread_cond_destroy(&cluster->changed);
    pthread_mutex_destroy(&cluster->lock);
    free(cluster);
}

static struct cluster *make(const struct cluster_options *options, struct metrics *metrics)
{
    struct cluster *cluster = calloc(1, sizeof(*cluster));

    if (cluster == NULL)
        return NULL;
    cluster->options = *options;
    STAILQ_INIT(&cluster->waiting);
    pthread_mutex_init(&cluster->lock, NULL);
    thread_init_condition(&cluster->changed);
    register_metrics(cluster, metrics);
    return cluster;
}

static void tell_stop(struct cluster *cluster)
{
    pthread_mutex_lock(&cluster->lock);
    cluster->stopping = true;
    pthread_cond_broadcast(&cluster->changed);
    pthread_mutex_unlock(&cluster->lock);
}

int cluster_start(const struct cluster_options *options,
                  struct metrics *metrics,
                  struct cluster **out)
{
    struct cluster *cluster = make(options, metrics);

    if (cluster == NULL)
        return -ENOMEM;
    /* First, so that a question of the first moment is not refused. */
    open_session(cluster);
    int rc = thread_start(&cluster->computer, run_computer, cluster);
    if (rc != 0) {
        close_cluster(cluster);
        return rc;
    }
    rc = thread_start(&cluster->watcher, watch, cluster);
    if (rc != 0) {
        tell_stop(cluster);
        if (thread_join(&cluster->computer, STOP_LIMIT_MS))
            close_cluster(cluster);
        return rc;
    }
    *out = cluster;
    return 0;
}

void cluster_stop(struct cluster *cluster)
{
    if (cluster == NULL)
        return;
    tell_stop(cluster);
    const bool computer_ended = thread_join(&cluster->computer, STOP_LIMIT_MS);
    const bool watcher_ended = thread_join(&cluster->watcher, STOP_LIMIT_MS);
    if (computer_ended && watcher_ended)
        close_cluster(cluster);
}
