/* The connection of redis.h, over hiredis in its blocking form with socket timeouts.
 * Invariant: `context` is not NULL exactly while the connection is usable. */
#include "redis.h"

#include "clock.h"
#include "parse.h"
#include "resolve.h"
#include "secret.h"

#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define DEFAULT_PORT       6379
#define LOOKUP_INTERVAL_MS 500
#define PASSWORD_MAX       256

struct target {
    struct host_port server;
    uint64_t database;
    char password[PASSWORD_MAX]; /* from the URL; "": none */
};

struct redis {
    struct target target;
    char *password_file; /* NULL: none */
    int64_t timeout_ms;
    struct resolver *resolver;
    struct resolve_snapshot peers;
    size_t turn;  /* counts tries: which of the addresses is next */
    int failures; /* since a command last succeeded */
    int64_t retry_at_ms;
    redisContext *context;
    bool logged_in;
    char peer[ADDRESS_TEXT_MAX]; /* the address of this try or connection */
    char reason[512];
};

/* redis://[:password@]host[:port][/database]; the password ends at the last '@' and is taken as it
 * is. */
static int parse_target(const char *text, struct target *out)
{
    static const char scheme[] = "redis://";
    struct url url;
    char plain[600];

    if (strncmp(text, scheme, strlen(scheme)) != 0)
        return -EINVAL;
    const char *authority = text + strlen(scheme);
    const char *at = strrchr(authority, '@');
    const char *server = at != NULL ? at + 1 : authority;

    *out = (struct target){0};
    if (at != NULL && (*authority != ':' || at - authority > PASSWORD_MAX))
        return -EINVAL;
    if (at != NULL)
        memcpy(out->password, authority + 1, (size_t)(at - authority - 1));
    if (snprintf(plain, sizeof(plain), "%s%s", scheme, server) >= (int)sizeof(plain))
        return -EINVAL;
    if (parse_url(plain, DEFAULT_PORT, &url) != 0)
        return -EINVAL;
    out->server = url.authority;
    return url.path[1] != '\0' ? parse_u64(url.path + 1, 0, INT32_MAX, &out->database) : 0;
}

bool redis_url_is_valid(const char *url)
{
    struct target target;
    const bool valid = parse_target(url, &target) == 0;

    explicit_bzero(&target, sizeof(target));
    return valid;
}

bool redis_options_check(const struct redis_options *options, const char *program)
{
    if (redis_url_is_valid(options->url))
        return true;
    /* The text may hold a password, so it is not shown. */
    fprintf(stderr, "%s: REDIS_URL: what is set is not " REDIS_URL_FORM "\n", program);
    return false;
}

int redis_new(const struct redis_options *options, struct redis **out)
{
    struct redis *redis = calloc(1, sizeof(*redis));
    int rc = -ENOMEM;

    if (redis == NULL)
        return -ENOMEM;
    redis->timeout_ms = options->timeout_ms;
    if (options->password_file != NULL && options->password_file[0] != '\0') {
        redis->password_file = strdup(options->password_file);
        if (redis->password_file == NULL)
            goto fail;
    }
    rc = parse_target(options->url, &redis->target);
    if (rc != 0)
        goto fail;
    rc = resolve_start(&(struct resolve_options){.name = redis->target.server.host,
                                                 .port = redis->target.server.port,
                                                 .interval_ms = LOOKUP_INTERVAL_MS,
                                                 .wake_fd = -1},
                       &redis->resolver);
    if (rc != 0)
        goto fail;
    *out = redis;
    return 0;
fail:
    redis_free(redis);
    return rc;
}

void redis_free(struct redis *redis)
{
    if (redis == NULL)
        return;
    redisFree(redis->context);
    resolve_stop(redis->resolver);
    free(redis->password_file);
    explicit_bzero(&redis->target, sizeof(redis->target));
    free(redis);
}

void redis_drop(struct redis *redis, const char *reason)
{
    int64_t pause_ms = REDIS_RETRY_FIRST_MS;

    snprintf(redis->reason, sizeof(redis->reason), "%s: %s", redis->peer, reason);
    redisFree(redis->context);
    redis->context = NULL;
    redis->turn++;
    for (int i = 0; i < redis->failures && pause_ms < REDIS_RETRY_LAST_MS; i++)
        pause_ms *= 2;
    redis->failures++;
    redis->retry_at_ms =
        clock_now_ms() + (pause_ms < REDIS_RETRY_LAST_MS ? pause_ms : REDIS_RETRY_LAST_MS);
}

/* Wait until the connection stands. 0 or -errno. */
static int await_connected(int fd, int64_t timeout_ms)
{
    struct pollfd wanted = {.fd = fd, .events = POLLOUT};
    const int64_t end_ms = clock_now_ms() + timeout_ms;
    int ready = 0;

    do {
        const int64_t left_ms = end_ms - clock_now_ms();
        ready = poll(&wanted, 1, left_ms > 0 ? (int)left_ms : 0);
    } while (ready < 0 && errno == EINTR);
    if (ready < 0)
        return -errno;
    return ready == 0 ? -ETIMEDOUT : address_connected(fd);
}

/* A connected, blocking socket, or -errno. */
static int open_socket(const struct address *address, int64_t timeout_ms)
{
    const int fd = address_connect(address, (int)timeout_ms < 1000 ? 1000 : (int)timeout_ms);

    if (fd < 0)
        return fd;
    int rc = await_connected(fd, timeout_ms);
    if (rc == 0 && fcntl(fd, F_SETFL, 0) != 0)
        rc = -errno;
    if (rc == 0)
        return fd;
    close(fd);
    return rc;
}

/* Do one command whose reply says no more than "fine". */
static int command(struct redis *redis, const char *verb, const char *argument)
{
    const char *words[] = {verb, argument};
    const size_t bytes[] = {strlen(verb), strlen(argument)};
    redisReply *reply = NULL;
    int rc = redis_queue(redis, 2, words, bytes);

    if (rc == 0)
        rc = redis_read_reply(redis, &reply);
    if (rc == 0)
        freeReplyObject(reply);
    return rc;
}

/* Log in with the password of the file or the URL, if there is one. */
static int authenticate(struct redis *redis)
{
    struct secret secret CLEANUP(secret_wipe) = {0};
    struct problem problem;

    if (redis->password_file == NULL)
        return redis->target.password[0] != '\0' ? command(redis, "AUTH", redis->target.password)
                                                 : 0;
    const int rc = secret_load_line(redis->password_file, SECRET_PRIVATE, &secret, &problem);
    if (rc != 0) {
        redis_drop(redis, problem.text);
        return rc;
    }
    return command(redis, "AUTH", secret.text);
}

static int log_in(struct redis *redis)
{
    char database[24];
    const int rc = authenticate(redis);

    if (rc != 0 || redis->target.database == 0)
        return rc;
    snprintf(database, sizeof(database), "%llu", (unsigned long long)redis->target.database);
    return command(redis, "SELECT", database);
}

/* Elements of one array in a reply. No command of ours is answered with more; hiredis would take
 * memory for as many as somebody claims. */
#define ELEMENTS_MAX (1 << 20)

static void *(*make_array)(const redisReadTask *task, int elements);

static void *make_bounded_array(const redisReadTask *task, int elements)
{
    return elements <= ELEMENTS_MAX ? make_array(task, elements) : NULL;
}

/* The same functions for every connection. */
static pthread_once_t bound_once = PTHREAD_ONCE_INIT;
static redisReplyObjectFunctions bounded;

static void make_bounded(void)
{
    redisReader *reader = redisReaderCreate();

    if (reader == NULL)
        return;
    bounded = *reader->fn;
    make_array = bounded.createArray;
    bounded.createArray = make_bounded_array;
    redisReaderFree(reader);
}

/* Give the socket to hiredis, with a deadline on each of its waits. */
static int adopt_socket(struct redis *redis, int fd)
{
    const struct timeval limit = {.tv_sec = redis->timeout_ms / 1000,
                                  .tv_usec = redis->timeout_ms % 1000 * 1000};
    redisContext *context = redisConnectFd(fd);

    if (context == NULL) {
        close(fd);
        return -ENOMEM;
    }
    redis->context = context;
    pthread_once(&bound_once, make_bounded);
    if (make_array == NULL)
        return -ENOMEM;
    context->reader->fn = &bounded;
    return redisSetTimeout(context, limit) == REDIS_OK ? 0 : -EIO;
}

static int connect_to(struct redis *redis, const struct address *address)
{
    address_text(address, redis->peer);
    const int fd = open_socket(address, redis->timeout_ms);
    int rc = fd < 0 ? fd : adopt_socket(redis, fd);

    if (rc != 0) {
        redis_drop(redis, strerrordesc_np(-rc));
        return rc;
    }
    redis->logged_in = false;
    rc = log_in(redis);
    redis->logged_in = rc == 0;
    return rc;
}

int redis_connect(struct redis *redis)
{
    if (redis->context != NULL)
        return 0;
    if (clock_now_ms() < redis->retry_at_ms)
        return -EAGAIN;
    resolve_read(redis->resolver, &redis->peers);
    if (redis->peers.count > 0)
        return connect_to(redis, &redis->peers.addresses[redis->turn % redis->peers.count]);
    if (redis->peers.version == 0)
        return -EAGAIN;
    snprintf(redis->peer, sizeof(redis->peer), "%.60s", redis->target.server.host);
    redis_drop(redis, redis->peers.error != 0 ? gai_strerror(redis->peers.error)
                                              : "the name has no address");
    return -EHOSTUNREACH;
}

int redis_queue(struct redis *redis, int count, const char **words, const size_t *bytes)
{
    if (redis->context == NULL)
        return -ENOTCONN;
    if (redisAppendCommandArgv(redis->context, count, words, bytes) == REDIS_OK)
        return 0;
    redis_drop(redis, "out of memory");
    return -ENOMEM;
}

/* What hiredis says went wrong, as errno. */
static int context_error(const redisContext *context)
{
    if (context->err == REDIS_ERR_OOM)
        return -ENOMEM;
    if (context->err == REDIS_ERR_IO && errno == EAGAIN)
        return -ETIMEDOUT;
    return context->err == REDIS_ERR_PROTOCOL ? -EPROTO : -ECONNRESET;
}

int redis_read_reply(struct redis *redis, redisReply **out)
{
    redisReply *reply = NULL;

    if (redis->context == NULL)
        return -ENOTCONN;
    if (redisGetReply(redis->context, (void **)&reply) != REDIS_OK) {
        const int rc = context_error(redis->context);
        redis_drop(redis, rc == -ETIMEDOUT ? "no reply in time" : redis->context->errstr);
        return rc;
    }
    if (reply->type == REDIS_REPLY_ERROR) {
        redis_drop(redis, reply->str);
        freeReplyObject(reply);
        return -EREMOTEIO;
    }
    if (redis->logged_in)
        redis->failures = 0;
    *out = reply;
    return 0;
}

bool redis_is_connected(const struct redis *redis)
{
    return redis->context != NULL;
}

const char *redis_reason(const struct redis *redis)
{
    return redis->reason;
}
