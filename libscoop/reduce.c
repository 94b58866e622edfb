/* scoop_map_reduce() and scoop_map_scan(), as the root sees them. */
#include "base/clock.h"
#include "error.h"
#include "map.h"
#include "program.h"
#include "tree.h"

#include <string.h>

/* Elements are split down to 1/1024 of all of them: some tasks for each of hundreds of slots, and
 * few enough that their cost does not show. */
#define LEAVES 1024

struct call {
    scoop_session *session;
    const struct scoop_options *options;
    int64_t deadline;
    struct tree_call tree;
};

static enum scoop_status check(const struct tree_call *tree, size_t in_bytes, size_t out_bytes)
{
    const struct scoop_function *const function = tree->map;
    const struct scoop_function *const combine = tree->combine;
    const enum scoop_status status = map_check(function, in_bytes, out_bytes, tree->count);

    if (status != SCOOP_OK)
        return status;
    if (combine == NULL)
        return error_set(SCOOP_NO_FUNCTION, "%s: there is no such reducer", function->name);
    if (combine->argument_bytes != 2 * out_bytes || combine->result_bytes != out_bytes)
        return error_set(SCOOP_MISUSE, "%s: it combines values of %u bytes; %s returns %zu",
                         combine->name, combine->result_bytes, function->name, out_bytes);
    if (out_bytes > SCOOP_PAYLOAD_MAX / 4 || in_bytes > SCOOP_PAYLOAD_MAX / 4)
        return error_set(SCOOP_TOO_LARGE, "%s by %s: elements above %zu bytes are not combined",
                         function->name, combine->name, SCOOP_PAYLOAD_MAX / 4);
    return SCOOP_OK;
}

static enum scoop_status out_of_memory(const struct call *c)
{
    return error_set(SCOOP_NO_MEMORY, "%s: out of memory", c->tree.combine->name);
}

/* The last error is of a function that the user does not know: say which one was called. */
static enum scoop_status explain(const struct call *c, enum scoop_status status)
{
    char *text = status != SCOOP_OK ? strdup(scoop_last_error()) : NULL;

    if (text != NULL)
        error_set(status, "%s by %s: %s", c->tree.map != NULL ? c->tree.map->name : "values",
                  c->tree.combine->name, text);
    free(text);
    return status;
}

/* The call's options with what is left of its deadline. */
static struct scoop_options options_now(const struct call *c)
{
    struct scoop_options options = c->options != NULL ? *c->options : (struct scoop_options){0};
    const int64_t left_ms = c->deadline - clock_now_ms();

    if (c->deadline != INT64_MAX)
        options.deadline_ms = left_ms > 0 ? (int)left_ms : 1;
    return options;
}

static size_t pieces_of(size_t n, size_t size)
{
    return n / size + (n % size != 0);
}

/* The number of elements of piece i, when all but the last one have `size`. */
static size_t length_of(const struct call *c, size_t i, size_t size)
{
    const size_t left = c->tree.count - i * size;

    return left < size ? left : size;
}

/* Pack the calls of all pieces; piece i has first[i - 1] in front of it, when `first` is given. */
static int pack(const struct call *c, size_t size, const uint8_t *first, struct scoop_bytes *in)
{
    const size_t element = tree_element_bytes(&c->tree);

    for (size_t i = first != NULL ? 1 : 0; i < pieces_of(c->tree.count, size); i++) {
        struct tree_call part = c->tree;

        part.elements += i * size * element;
        part.count = length_of(c, i, size);
        if (tree_pack(&part, first != NULL ? first + (i - 1) * element : NULL, &in[i]) != 0)
            return -ENOMEM;
    }
    return 0;
}

/* Copy the values that came to where they belong: one of each piece, or one of each element. */
static enum scoop_status unpack(const struct call *c,
                                size_t size,
                                size_t from,
                                bool one,
                                const struct scoop_bytes *in,
                                uint8_t *out)
{
    const size_t value = tree_value_bytes(&c->tree);

    for (size_t i = from; i < pieces_of(c->tree.count, size); i++) {
        const size_t count = one ? 1 : length_of(c, i, size);

        if (in[i].size != count * value)
            return error_set(SCOOP_REFUSED, "%zu bytes came instead of %zu", in[i].size,
                             count * value);
        memcpy(out + i * (one ? 1 : size) * value, in[i].data, in[i].size);
    }
    return SCOOP_OK;
}

/* Call a tree function for each piece of `size` elements, but for the first one when `first` is
 * given. `out` is written only if all went well. */
static enum scoop_status call_pieces(const struct call *c,
                                     const struct scoop_function *function,
                                     size_t size,
                                     const uint8_t *first,
                                     uint8_t *out)
{
    const size_t pieces = pieces_of(c->tree.count, size);
    const size_t from = first != NULL ? 1 : 0;
    const struct scoop_options options = options_now(c);
    struct scoop_bytes *in = calloc(pieces, sizeof(*in));
    struct scoop_bytes *results = calloc(pieces, sizeof(*results));
    enum scoop_status status = SCOOP_OK;

    if (in == NULL || results == NULL || pack(c, size, first, in) != 0)
        status = out_of_memory(c);
    if (status == SCOOP_OK)
        status = scoop_map_bytes(c->session, &options, function, in + from, results + from,
                                 pieces - from);
    if (status == SCOOP_OK)
        status = unpack(c, size, from, function == &tree_reduce, results, out);
    if (in != NULL)
        scoop_bytes_free(in, pieces);
    if (results != NULL)
        scoop_bytes_free(results, pieces);
    free(in);
    free(results);
    return status;
}

static size_t leaf_of(size_t n)
{
    return pieces_of(n, LEAVES);
}

/* ---- reduce ---- */

/* One task, which splits itself; several when the elements are too many for one, and then their
 * values are elements again. */
static enum scoop_status reduce(const struct call *c, void *out)
{
    const size_t size = tree_elements_max(&c->tree);
    const size_t pieces = pieces_of(c->tree.count, size);
    const size_t value = tree_value_bytes(&c->tree);
    uint8_t *values = malloc(pieces * value);

    if (values == NULL)
        return out_of_memory(c);
    enum scoop_status status = call_pieces(c, &tree_reduce, size, NULL, values);
    if (status == SCOOP_OK && pieces == 1) {
        memcpy(out, values, value);
    } else if (status == SCOOP_OK) {
        struct call next = *c;

        next.tree.map = NULL;
        next.tree.elements = values;
        next.tree.count = pieces;
        next.tree.leaf = leaf_of(pieces);
        status = reduce(&next, out);
    }
    free(values);
    return status;
}

/* Check a call and open it. */
static enum scoop_status
begin(struct call *c, scoop_session *given, size_t in_bytes, size_t out_bytes)
{
    const enum scoop_status status = check(&c->tree, in_bytes, out_bytes);

    if (status != SCOOP_OK)
        return status;
    c->deadline = program_deadline_of(c->options);
    if (c->options != NULL) {
        c->tree.children = (struct scoop_options){
            .limit_ms = c->options->limit_ms,
            .retries = c->options->retries,
            .backoff_ms = c->options->backoff_ms,
            .priority = c->options->priority,
        };
    }
    c->tree.leaf = leaf_of(c->tree.count);
    return program_session(given, &c->session);
}

enum scoop_status scoop_map_reduce_with(scoop_session *session,
                                        const struct scoop_options *options,
                                        const struct scoop_function *function,
                                        const struct scoop_function *combine,
                                        const void *in,
                                        size_t in_bytes,
                                        size_t n,
                                        void *out,
                                        size_t out_bytes)
{
    struct call c = {
        .options = options,
        .tree = {.map = function, .combine = combine, .elements = in, .count = n},
    };
    const enum scoop_status status = begin(&c, session, in_bytes, out_bytes);

    if (status != SCOOP_OK || n == 0)
        return status;
    return explain(&c, reduce(&c, out));
}

/* ---- scan ---- */

/* Make every running sum of n totals, in rounds: after round k each is the sum of the 2^k before
 * and with it. */
static enum scoop_status scan_totals(const struct call *c, uint8_t *totals, size_t n)
{
    const size_t value = tree_value_bytes(&c->tree);
    uint8_t *pairs = malloc(2 * n * value);
    uint8_t *sums = malloc(n * value);
    enum scoop_status status = pairs != NULL && sums != NULL ? SCOOP_OK : out_of_memory(c);

    for (size_t step = 1; status == SCOOP_OK && step < n; step *= 2) {
        const struct scoop_options options = options_now(c);
        uint8_t *at = pairs;

        for (size_t i = step; i < n; i++) {
            at = mempcpy(at, totals + (i - step) * value, value);
            at = mempcpy(at, totals + i * value, value);
        }
        status = scoop_map_with(c->session, &options, c->tree.combine, pairs, 2 * value, sums,
                                value, n - step);
        if (status == SCOOP_OK)
            memcpy(totals + step * value, sums, (n - step) * value);
    }
    free(pairs);
    free(sums);
    return status;
}

/* Running sums within each piece; then those of the pieces' totals; then each piece is shifted by
 * the total of all before it. */
static enum scoop_status scan(const struct call *c, size_t size, uint8_t *sums)
{
    const size_t pieces = pieces_of(c->tree.count, size);
    const size_t value = tree_value_bytes(&c->tree);
    enum scoop_status status = call_pieces(c, &tree_scan, size, NULL, sums);

    if (status != SCOOP_OK || pieces == 1)
        return status;
    uint8_t *totals = malloc(pieces * value);
    if (totals == NULL)
        return out_of_memory(c);
    for (size_t i = 0; i < pieces; i++)
        memcpy(totals + i * value, sums + (i * size + length_of(c, i, size) - 1) * value, value);
    status = scan_totals(c, totals, pieces);
    if (status == SCOOP_OK) {
        struct call next = *c;

        next.tree.map = NULL;
        next.tree.elements = sums;
        status = call_pieces(&next, &tree_shift, size, totals, sums);
    }
    free(totals);
    return status;
}

enum scoop_status scoop_map_scan_with(scoop_session *session,
                                      const struct scoop_options *options,
                                      const struct scoop_function *function,
                                      const struct scoop_function *combine,
                                      const void *in,
                                      size_t in_bytes,
                                      void *out,
                                      size_t out_bytes,
                                      size_t n)
{
    struct call c = {
        .options = options,
        .tree = {.map = function, .combine = combine, .elements = in, .count = n},
    };
    enum scoop_status status = begin(&c, session, in_bytes, out_bytes);

    if (status != SCOOP_OK || n == 0)
        return status;
    /* In memory of its own: the places of a call that fails are untouched. */
    uint8_t *sums = malloc(n * out_bytes);
    if (sums == NULL)
        return out_of_memory(&c);
    const size_t most = tree_elements_max(&c.tree);
    status = scan(&c, c.tree.leaf < most ? c.tree.leaf : most, sums);
    if (status == SCOOP_OK)
        memcpy(out, sums, n * out_bytes);
    free(sums);
    return explain(&c, status);
}
