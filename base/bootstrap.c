#include "bootstrap.h"

#include "parse.h"
#include "wire.h"

#include <stdio.h>
#include <string.h>

#define FIRST_LINE  "scoop 1"
#define LAST_LINE   "end"
#define ANSWER_WORD "scoop-worker"

/* A word that survives being written between blanks: not empty, printable ASCII. */
static bool is_word(const char *text)
{
    for (const char *p = text; *p != '\0'; p++) {
        if (*p <= ' ' || *p > '~')
            return false;
    }
    return text[0] != '\0';
}

static int copy_word(char *to, size_t size, const char *text)
{
    if (!is_word(text) || strlen(text) >= size)
        return -EINVAL;
    memcpy(to, text, strlen(text) + 1);
    return 0;
}

static int fits(int length, size_t size)
{
    return length > 0 && (size_t)length < size ? length : -EINVAL;
}

/* ---- configuration ---- */

/* A path stands at the end of its line, so it may hold blanks. */
static bool is_path(const char *text)
{
    return *text != '\0' && strpbrk(text, "\n\r") == NULL;
}

/* The lines that only some brokers write. */
static void write_additions(const struct bootstrap_config *config, char *text, size_t size)
{
    int used = snprintf(text, size, "%s", config->attached ? "attached yes\n" : "");

    if (config->slots != 0)
        used += snprintf(text + used, size - (size_t)used, "slots %llu\n",
                         (unsigned long long)config->slots);
    if (config->programs[0] != '\0')
        snprintf(text + used, size - (size_t)used, "programs %s\n", config->programs);
}

int bootstrap_write_config(const struct bootstrap_config *config, char text[BOOTSTRAP_CONFIG_MAX])
{
    char additions[sizeof(config->programs) + 64];

    if (!is_word(config->broker) || !curve_is_key(config->broker_key.text) ||
        (config->programs[0] != '\0' && !is_path(config->programs)))
        return -EINVAL;
    write_additions(config, additions, sizeof(additions));
    const int length = snprintf(
        text, BOOTSTRAP_CONFIG_MAX,
        FIRST_LINE "\nbroker %s\nbroker_key %s\ngone_ms %llu\n%s" LAST_LINE "\n", config->broker,
        config->broker_key.text, (unsigned long long)config->gone_ms, additions);
    return fits(length, BOOTSTRAP_CONFIG_MAX);
}

bool bootstrap_config_complete(const char *text)
{
    static const char tail[] = "\n" LAST_LINE "\n";
    const size_t length = strlen(text);

    return length >= sizeof(tail) - 1 && strcmp(text + length - (sizeof(tail) - 1), tail) == 0;
}

static int read_broker(const char *value, struct bootstrap_config *out)
{
    struct url url;

    if (parse_url(value, 0, &url) != 0 || url.authority.port == 0 || strcmp(url.scheme, "tcp") != 0)
        return -EINVAL;
    return copy_word(out->broker, sizeof(out->broker), value);
}

static int read_broker_key(const char *value, struct bootstrap_config *out)
{
    return curve_parse(value, &out->broker_key);
}

static int read_gone_ms(const char *value, struct bootstrap_config *out)
{
    return parse_u64(value, BOOTSTRAP_GONE_MIN_MS, BOOTSTRAP_GONE_MAX_MS, &out->gone_ms);
}

static int read_attached(const char *value, struct bootstrap_config *out)
{
    return parse_flag(value, &out->attached);
}

static int read_slots(const char *value, struct bootstrap_config *out)
{
    return parse_u64(value, 1, WIRE_SLOTS_MAX, &out->slots);
}

static int read_programs(const char *value, struct bootstrap_config *out)
{
    if (!is_path(value) || strlen(value) >= sizeof(out->programs))
        return -EINVAL;
    memcpy(out->programs, value, strlen(value) + 1);
    return 0;
}

/* Every key, each at most once. */
static const struct {
    const char *name;
    int (*read)(const char *value, struct bootstrap_config *out);
    const char *allowed;
    bool required;
} keys[] = {
    {"broker", read_broker, "tcp://HOST:PORT", true},
    {"broker_key", read_broker_key, "40 characters of Z85", true},
    {"gone_ms", read_gone_ms, "1000 to 3600000", true},
    {"attached", read_attached, "yes or no", false},
    {"slots", read_slots, "1 to 1024", false},
    {"programs", read_programs, "a path", false},
};

/* Take one line "KEY VALUE". `seen` has a bit for each row of `keys`. */
static int
read_line(char *line, struct bootstrap_config *out, unsigned *seen, struct problem *problem)
{
    const char *name = strsep(&line, " ");

    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        if (strcmp(name, keys[i].name) != 0)
            continue;
        if ((*seen & 1U << i) != 0)
            return problem_set(problem, -EINVAL, "configuration: %s is there twice", name);
        if (line == NULL || keys[i].read(line, out) != 0)
            return problem_set(problem, -EINVAL, "configuration: %s is not %s", name,
                               keys[i].allowed);
        *seen |= 1U << i;
        return 0;
    }
    return 0;
}

static int check_seen(unsigned seen, struct problem *problem)
{
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        if (keys[i].required && (seen & 1U << i) == 0)
            return problem_set(problem, -EINVAL, "configuration: %s is missing", keys[i].name);
    }
    return 0;
}

int bootstrap_read_config(char *text, struct bootstrap_config *out, struct problem *problem)
{
    struct bootstrap_config config = {0};
    unsigned seen = 0;
    int rc = 0;

    if (!bootstrap_config_complete(text))
        return problem_set(problem, -EINVAL, "configuration: it was cut, there is no line \"%s\"",
                           LAST_LINE);
    if (strcmp(strsep(&text, "\n"), FIRST_LINE) != 0)
        return problem_set(problem, -EINVAL, "configuration: the first line is not \"%s\"",
                           FIRST_LINE);
    for (char *line = strsep(&text, "\n"); rc == 0 && strcmp(line, LAST_LINE) != 0;
         line = strsep(&text, "\n"))
        rc = read_line(line, &config, &seen, problem);
    if (rc == 0)
        rc = check_seen(seen, problem);
    if (rc == 0)
        *out = config;
    return rc;
}

int bootstrap_resolve_origin(struct bootstrap_config *config,
                             const char *connection,
                             struct problem *problem)
{
    static const char origin[] = "tcp://" BOOTSTRAP_ORIGIN ":";
    const char *from = connection != NULL ? connection : "127.0.0.1";
    const size_t length = strcspn(from, " ");
    const bool is_v6 = memchr(from, ':', length) != NULL;
    char port[8];
    char host[64];

    if (strncmp(config->broker, origin, sizeof(origin) - 1) != 0)
        return 0;
    snprintf(port, sizeof(port), "%s", config->broker + sizeof(origin) - 1);
    snprintf(host, sizeof(host), "%.*s", (int)length, from);
    if (length == 0 || length >= sizeof(host) || !is_word(host))
        return problem_set(problem, -EINVAL, "SSH_CONNECTION: \"%.100s\" has no address", from);
    snprintf(config->broker, sizeof(config->broker), "tcp://%s%s%s:%s", is_v6 ? "[" : "", host,
             is_v6 ? "]" : "", port);
    return 0;
}

/* ---- answer ---- */

int bootstrap_write_answer(const struct bootstrap_answer *answer, char text[BOOTSTRAP_ANSWER_MAX])
{
    if (!curve_is_key(answer->key.text) || !is_word(answer->version) || !is_word(answer->host))
        return -EINVAL;
    const int length = snprintf(text, BOOTSTRAP_ANSWER_MAX, ANSWER_WORD " %s %u %s %s\n",
                                answer->key.text, answer->slots, answer->version, answer->host);
    return fits(length, BOOTSTRAP_ANSWER_MAX);
}

int bootstrap_read_answer(char *text, struct bootstrap_answer *out, struct problem *problem)
{
    struct bootstrap_answer answer;
    uint64_t slots = 0;
    char *words[5] = {0};

    for (size_t i = 0; i < COUNT_OF(words); i++)
        words[i] = strsep(&text, " ");
    if (text != NULL || words[4] == NULL || strcmp(words[0], ANSWER_WORD) != 0)
        return problem_set(problem, -EINVAL, "answer is not \"%s KEY SLOTS VERSION HOST\"",
                           ANSWER_WORD);
    if (curve_parse(words[1], &answer.key) != 0)
        return problem_set(problem, -EINVAL, "answer: the key is not 40 characters of Z85");
    if (parse_u64(words[2], 1, WIRE_SLOTS_MAX, &slots) != 0)
        return problem_set(problem, -EINVAL, "answer: slots are not a number from 1 to %d",
                           WIRE_SLOTS_MAX);
    if (copy_word(answer.version, sizeof(answer.version), words[3]) != 0 ||
        copy_word(answer.host, sizeof(answer.host), words[4]) != 0)
        return problem_set(problem, -EINVAL, "answer: version or host is no printable word");
    answer.slots = (uint32_t)slots;
    *out = answer;
    return 0;
}
