#include "curve.h"

#include "secret.h"

#include <string.h>
#include <zmq.h>

bool curve_is_key(const char *text)
{
    uint8_t bytes[CURVE_KEY_BYTES];
    const bool valid = strnlen(text, CURVE_TEXT_LENGTH + 1) == CURVE_TEXT_LENGTH &&
                       zmq_z85_decode(bytes, text) != NULL;

    explicit_bzero(bytes, sizeof(bytes));
    return valid;
}

int curve_parse(const char *text, struct curve_key *out)
{
    if (!curve_is_key(text))
        return -EINVAL;
    memcpy(out->text, text, sizeof(out->text));
    return 0;
}

void curve_encode(const uint8_t bytes[CURVE_KEY_BYTES], struct curve_key *out)
{
    zmq_z85_encode(out->text, bytes, CURVE_KEY_BYTES);
}

int curve_make(struct curve_pair *out)
{
    return zmq_curve_keypair(out->public_half.text, out->secret_half.text) == 0 ? 0 : -ENOTSUP;
}

static int refuse(const char *path, size_t line, size_t length, struct problem *problem)
{
    return problem_set(
        problem, -EINVAL,
        "secret file %s: line %zu is no CURVE key (%zu characters; a key has %d, in Z85)", path,
        line, length, CURVE_TEXT_LENGTH);
}

static int
load_key(const char *path, enum secret_kind kind, struct curve_key *out, struct problem *problem)
{
    struct secret secret CLEANUP(secret_wipe) = {0};
    const int rc = secret_load_line(path, kind, &secret, problem);

    if (rc != 0)
        return rc;
    if (curve_parse(secret.text, out) != 0)
        return refuse(path, 1, secret.length, problem);
    return 0;
}

int curve_load_pair(const char *path, struct curve_pair *out, struct problem *problem)
{
    struct curve_pair pair CLEANUP(curve_wipe) = {0};
    const int rc = load_key(path, SECRET_PRIVATE, &pair.secret_half, problem);

    if (rc != 0)
        return rc;
    if (zmq_curve_public(pair.public_half.text, pair.secret_half.text) != 0)
        return problem_set(problem, -ENOTSUP, "this libzmq was built without CURVE");
    *out = pair;
    return 0;
}

int curve_load_public(const char *path, struct curve_key *out, struct problem *problem)
{
    return load_key(path, SECRET_PUBLIC, out, problem);
}

static size_t count_lines(const char *text)
{
    size_t lines = 1;

    for (const char *p = text; *p != '\0'; p++)
        lines += *p == '\n';
    return lines;
}

/* Parse the lines of `text`, which is cut up. *count becomes the number of keys. */
static int parse_list(
    const char *path, char *text, struct curve_key *keys, size_t *count, struct problem *problem)
{
    size_t line = 0;
    size_t used = 0;

    for (char *at = text; at != NULL;) {
        const char *word = strsep(&at, "\n");
        line++;
        if (word[0] == '\0')
            continue;
        if (curve_parse(word, &keys[used]) != 0)
            return refuse(path, line, strlen(word), problem);
        used++;
    }
    *count = used;
    return 0;
}

int curve_load_list(const char *path,
                    struct curve_key **out,
                    size_t *count,
                    struct problem *problem)
{
    struct secret secret CLEANUP(secret_wipe) = {0};
    struct curve_key *keys CLEANUP(free_p) = NULL;
    int rc = secret_load(path, SECRET_PUBLIC, &secret, problem);

    if (rc != 0)
        return rc;
    const size_t lines = count_lines(secret.text);
    if (lines > CURVE_KEYS_MAX)
        return problem_set(problem, -EFBIG,
                           "secret file %s has %zu lines, at most %d keys are allowed", path, lines,
                           CURVE_KEYS_MAX);
    keys = calloc(lines, sizeof(*keys));
    if (keys == NULL)
        return problem_set(problem, -ENOMEM, "secret file %s: out of memory", path);
    rc = parse_list(path, secret.text, keys, count, problem);
    if (rc == 0)
        *out = steal(&keys);
    return rc;
}

void curve_wipe(struct curve_pair *pair)
{
    explicit_bzero(pair, sizeof(*pair));
}
