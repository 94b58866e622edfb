/* One connection to Redis that comes back by itself.
 *
 * The address is found with base/resolve, the password is read again at each connect, and every
 * wait has a deadline. One thread owns the object and drives it: redis_connect() until it returns
 * 0, then commands; after any error the connection is closed and the next redis_connect() begins
 * again, with back-off. Nothing is sent twice: what to repeat is the owner's decision. The log is
 * the owner's too: redis_reason() gives the line. The program must ignore SIGPIPE. */
#ifndef BASE_REDIS_H
#define BASE_REDIS_H

#include "err.h"
#include "settings.h"

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stdint.h>

struct redis;

struct redis_options {
    const char *url;           /* redis://[:password@]host[:port][/db], see redis_new(); copied */
    const char *password_file; /* one line, the password (base/secret); NULL or "": none. Copied */
    int64_t timeout_ms;        /* of connecting, and of each wait for a reply */
};

#define REDIS_URL_FORM "redis://[:PASSWORD@]HOST[:PORT][/DATABASE]"

/* Back-off after a failure: first, doubling to the last. */
#define REDIS_RETRY_FIRST_MS 100
#define REDIS_RETRY_LAST_MS  500

/* Rows of a program's settings for `member`, a struct redis_options in the struct `owner` that they fill in; `what` is
 * kept there. What they took is then for redis_options_check(). */
#define REDIS_SETTINGS(owner, member, what)                                                        \
    {                                                                                              \
        .flag = "redis",                                                                           \
        .variable = "REDIS_URL",                                                                   \
        .type = SETTING_TEXT,                                                                      \
        .offset = offsetof(owner, member.url),                                                     \
        .fallback = "redis://redis:6379",                                                          \
        .min = 1,                                                                                  \
        .max = 512,                                                                                \
        .help = "where " what " are kept: " REDIS_URL_FORM,                                        \
    },                                                                                             \
    {                                                                                              \
        .flag = "redis-password", .variable = "REDIS_PASSWORD_FILE", .type = SETTING_TEXT,         \
        .offset = offsetof(owner, member.password_file), .fallback = "", .max = 4096,              \
        .help = "file with the password of Redis",                                                 \
    }

/* Is this a URL that redis_new() takes? */
bool redis_url_is_valid(const char *url);

/* The same for settings, before anything is started: if not, one line on stderr says so. */
bool redis_options_check(const struct redis_options *options, const char *program);

/* Make an unconnected object and start to look up its host. *out is owned by the caller
 * (redis_free()). -EINVAL: bad URL; -ENOMEM, -EAGAIN: no memory or thread. */
NODISCARD int redis_new(const struct redis_options *options, struct redis **out);
void redis_free(struct redis *redis);

/* Be connected and logged in. 0: connected (perhaps already); -EAGAIN: the back-off is not over, or
 * the name is not looked up yet; another -errno: this try failed, redis_reason() tells why. Waits
 * at most three times timeout_ms. */
NODISCARD int redis_connect(struct redis *redis);

/* Queue one command, to be sent with the next redis_read_reply(). -ENOTCONN, -ENOMEM. */
NODISCARD int redis_queue(struct redis *redis, int count, const char **words, const size_t *bytes);

/* Take the reply of the oldest queued command. *out is owned by the caller (freeReplyObject()).
 * An error reply is an error too: -EREMOTEIO. -ETIMEDOUT: no reply in time; -ECONNRESET: the
 * connection broke. After an error the connection is closed; whether Redis did the command is
 * unknown. */
NODISCARD int redis_read_reply(struct redis *redis, redisReply **out);

/* Close the connection and start the back-off, as after an error of ours with `reason`. */
void redis_drop(struct redis *redis, const char *reason);

bool redis_is_connected(const struct redis *redis);

/* The last failure as one line without secrets, such as "192.0.2.1:6379: Connection refused".
 * Borrowed until the next call. */
const char *redis_reason(const struct redis *redis);

#endif
