/* One thread per name. getaddrinfo cannot be interrupted, so thread and owner share the resolver by
 * a count of references. Stopping joins a thread that sleeps, which ends at once and leaves nothing
 * of its own behind; one that looks up is left to end in the background.
 * Invariant: after `stopped` is set under the lock, the thread touches neither wake_fd nor the set.
 */
#include "resolve.h"

#include "clock.h"
#include "thread.h"

#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* getaddrinfo with its NSS modules stays well below this. */
#define STACK_BYTES ((size_t)256 * 1024)

struct resolver {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* on the monotonic clock; signalled by resolve_stop() */
    int references;         /* owner and thread; under the lock */
    bool stopped;           /* under the lock */
    bool sleeping;          /* between two lookups; under the lock */
    bool has_thread;        /* of the owner, like `thread` */
    pthread_t thread;
    int wake_fd;
    int64_t interval_ms;
    uint16_t port;
    char name[256];
    struct resolve_snapshot known; /* under the lock */
    struct resolve_snapshot found; /* by the last lookup; of the thread that asks */
};

static void unref(struct resolver *resolver)
{
    pthread_mutex_lock(&resolver->lock);
    const bool last = --resolver->references == 0;
    pthread_mutex_unlock(&resolver->lock);
    if (!last)
        return;
    pthread_cond_destroy(&resolver->changed);
    pthread_mutex_destroy(&resolver->lock);
    free(resolver);
}

static int compare(const void *a, const void *b)
{
    return address_compare(a, b);
}

/* Make the sorted set of distinct addresses in *set from a list of getaddrinfo. */
static void collect(const struct addrinfo *list, struct resolve_snapshot *set)
{
    size_t kept = 0;

    set->count = 0;
    set->omitted = 0;
    for (const struct addrinfo *at = list; at != NULL; at = at->ai_next) {
        if (set->count == RESOLVE_ADDRESSES_MAX)
            set->omitted++;
        else if (address_from(at->ai_addr, &set->addresses[set->count]) == 0)
            set->count++;
    }
    qsort(set->addresses, set->count, sizeof(set->addresses[0]), compare);
    for (size_t i = 0; i < set->count; i++) {
        if (kept == 0 || address_compare(&set->addresses[kept - 1], &set->addresses[i]) != 0)
            set->addresses[kept++] = set->addresses[i];
    }
    set->count = kept;
}

/* Ask once: fills in `found`, all but its version. */
static void look_up(struct resolver *resolver, int flags)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags | AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    char service[8];

    snprintf(service, sizeof(service), "%u", resolver->port);
    resolver->found.error = getaddrinfo(resolver->name, service, &hints, &list);
    if (resolver->found.error != 0)
        list = NULL;
    collect(list, &resolver->found);
    if (list != NULL)
        freeaddrinfo(list);
}

/* "There is no such name" is an answer too: the service has no tasks. */
static bool is_answer(int error)
{
    return error == 0 || error == EAI_NONAME || error == EAI_NODATA;
}

static bool same_set(const struct resolve_snapshot *a, const struct resolve_snapshot *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        if (address_compare(&a->addresses[i], &b->addresses[i]) != 0)
            return false;
    }
    return true;
}

/* Take over what a lookup found; true: that is news. Under the lock. */
static bool take_over(struct resolve_snapshot *known, const struct resolve_snapshot *found)
{
    const uint64_t version = known->version;
    bool changed = version == 0 || known->error != found->error;

    if (is_answer(found->error)) {
        changed |= !same_set(known, found);
        *known = *found;
        known->answered_ms = clock_now_ms();
    }
    known->error = found->error;
    known->version = version + (changed ? 1 : 0);
    return changed;
}

/* Show what a lookup found, and wake the owner if it is news. Under the lock. */
static void publish(struct resolver *resolver)
{
    const uint64_t one = 1;
    const bool changed = take_over(&resolver->known, &resolver->found);

    /* An eventfd takes 2^64 - 2 additions before it would refuse one. */
    if (changed && resolver->wake_fd >= 0)
        (void)!write(resolver->wake_fd, &one, sizeof(one));
}

/* Sleep until the next lookup is due. Under the lock; false: stopped. */
static bool wait_for_turn(struct resolver *resolver)
{
    const struct timespec due = thread_time(clock_now_ms() + resolver->interval_ms);

    resolver->sleeping = true;
    while (!resolver->stopped &&
           pthread_cond_timedwait(&resolver->changed, &resolver->lock, &due) == 0)
        ;
    resolver->sleeping = resolver->stopped;
    return !resolver->stopped;
}

static void *run(void *argument)
{
    struct resolver *resolver = argument;
    bool going = true;

    while (going) {
        look_up(resolver, 0);
        pthread_mutex_lock(&resolver->lock);
        if (!resolver->stopped)
            publish(resolver);
        going = wait_for_turn(resolver);
        pthread_mutex_unlock(&resolver->lock);
    }
    unref(resolver);
    return NULL;
}

/* Signals belong to the threads of the program. */
static int start_thread(struct resolver *resolver)
{
    pthread_attr_t attributes;
    sigset_t all;
    sigset_t before;

    sigfillset(&all);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    resolver->references++;
    const int error = pthread_create(&resolver->thread, &attributes, run, resolver);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    resolver->has_thread = error == 0;
    if (error != 0)
        resolver->references--;
    return -error;
}

static struct resolver *make(const struct resolve_options *options)
{
    struct resolver *resolver = calloc(1, sizeof(*resolver));

    if (resolver == NULL)
        return NULL;
    resolver->references = 1;
    resolver->wake_fd = options->wake_fd;
    resolver->interval_ms = options->interval_ms;
    resolver->port = options->port;
    snprintf(resolver->name, sizeof(resolver->name), "%s", options->name);
    pthread_mutex_init(&resolver->lock, NULL);
    thread_init_condition(&resolver->changed);
    return resolver;
}

int resolve_start(const struct resolve_options *options, struct resolver **out)
{
    struct resolver *resolver = NULL;
    int rc = 0;

    if (options->name[0] == '\0' || strlen(options->name) >= sizeof(resolver->name))
        return -EINVAL;
    resolver = make(options);
    if (resolver == NULL)
        return -ENOMEM;
    look_up(resolver, AI_NUMERICHOST);
    if (resolver->found.error == 0)
        publish(resolver);
    else
        rc = start_thread(resolver);
    if (rc != 0) {
        unref(resolver);
        return rc;
    }
    *out = resolver;
    return 0;
}

uint64_t resolve_version(struct resolver *resolver)
{
    pthread_mutex_lock(&resolver->lock);
    const uint64_t version = resolver->known.version;
    pthread_mutex_unlock(&resolver->lock);
    return version;
}

void resolve_read(struct resolver *resolver, struct resolve_snapshot *out)
{
    pthread_mutex_lock(&resolver->lock);
    *out = resolver->known;
    pthread_mutex_unlock(&resolver->lock);
}

void resolve_stop(struct resolver *resolver)
{
    if (resolver == NULL)
        return;
    pthread_mutex_lock(&resolver->lock);
    resolver->stopped = true;
    pthread_cond_signal(&resolver->changed);
    const bool ends_at_once = resolver->sleeping;
    pthread_mutex_unlock(&resolver->lock);
    if (resolver->has_thread && ends_at_once)
        pthread_join(resolver->thread, NULL);
    else if (resolver->has_thread)
        pthread_detach(resolver->thread);
    unref(resolver);
}
