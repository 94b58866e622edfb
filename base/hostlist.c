#include "hostlist.h"

#include "parse.h"
#include "wire.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define NAME_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-@"
#define DIGITS          "0123456789"
#define BLANKS          " \t\r"

/* Brackets of one name. */
#define BRACKETS_MAX 4

/* Digits of a number in brackets. */
#define RANGE_DIGITS_MAX 9

/* What is being read: the list, and the piece of text that messages name. */
struct reading {
    struct hostlist *list;
    struct problem *problem;
    const char *piece;
    uint64_t slots; /* of the names in the piece; 0: not said */
    unsigned names; /* that the piece has given so far */
};

static int refuse(const struct reading *r)
{
    return problem_set(r->problem, -EINVAL,
                       "\"%.100s\" is not a host: HOST, HOST:NUMBER or PREFIX[FIRST-LAST,...], the "
                       "number from 1 to %d",
                       r->piece, HOSTLIST_SLOTS);
}

static int refuse_many(const struct reading *r)
{
    return problem_set(r->problem, -E2BIG, "\"%.100s\": more than %d hosts", r->piece,
                       HOSTLIST_MAX);
}

/* ---- hosts ---- */

static struct hostlist_host *find(const struct hostlist *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->hosts[i].name, name) == 0)
            return &list->hosts[i];
    }
    return NULL;
}

/* Have room for one more. A list that is not of a power of two has it. */
static int grow(struct hostlist *list)
{
    if ((list->count & (list->count - 1)) != 0)
        return 0;
    const size_t room = list->count == 0 ? 1 : list->count * 2;
    struct hostlist_host *hosts = realloc(list->hosts, room * sizeof(*hosts));

    if (hosts == NULL)
        return -ENOMEM;
    list->hosts = hosts;
    return 0;
}

static int append(struct reading *r, const char *name)
{
    struct hostlist *list = r->list;

    if (list->count == HOSTLIST_MAX)
        return refuse_many(r);
    if (grow(list) != 0)
        return problem_set(r->problem, -ENOMEM, "no memory for the list of hosts");
    struct hostlist_host *host = &list->hosts[list->count++];
    memcpy(host->name, name, strlen(name) + 1);
    host->slots = (uint32_t)r->slots;
    return 0;
}

/* A whole name. */
static int add_name(struct reading *r, const char *name)
{
    /* What begins with a dash would be an option of ssh. */
    if (name[0] == '\0' || name[0] == '-' || name[strspn(name, NAME_CHARACTERS)] != '\0')
        return refuse(r);
    /* Brackets full of one number give one host, as often as all of them multiplied. */
    if (++r->names > HOSTLIST_MAX)
        return refuse_many(r);
    struct hostlist_host *known = find(r->list, name);
    if (known == NULL)
        return append(r, name);
    if (r->slots != 0 && known->slots + r->slots > HOSTLIST_SLOTS)
        return problem_set(r->problem, -EINVAL, "\"%.100s\": more than %d tasks on %s", r->piece,
                           HOSTLIST_SLOTS, name);
    known->slots = known->slots != 0 && r->slots != 0 ? known->slots + (uint32_t)r->slots : 0;
    return 0;
}

/* ---- ranges ---- */

/* "07" or "00-04" in text..end. Numbers keep the width of the first. */
struct range {
    uint64_t first;
    uint64_t last;
    int width;
};

static bool read_number(const char *text, size_t length, uint64_t *out)
{
    char digits[RANGE_DIGITS_MAX + 1];

    if (length == 0 || length > RANGE_DIGITS_MAX)
        return false;
    memcpy(digits, text, length);
    digits[length] = '\0';
    return parse_u64(digits, 0, UINT64_MAX, out) == 0;
}

static bool read_range(const char *text, size_t length, struct range *out)
{
    const char *dash = memchr(text, '-', length);
    const size_t first = dash != NULL ? (size_t)(dash - text) : length;

    out->width = (int)first;
    if (!read_number(text, first, &out->first))
        return false;
    out->last = out->first;
    return dash == NULL || (read_number(dash + 1, length - first - 1, &out->last) &&
                            out->last >= out->first && out->last - out->first < HOSTLIST_MAX);
}

static int expand(struct reading *r, char *name, size_t used, const char *rest, unsigned depth);

/* Each number of the brackets' content text..end, followed by what `rest` expands to. */
static int expand_brackets(
    struct reading *r, char *name, size_t used, const char *text, const char *end, unsigned depth)
{
    int error = 0;

    do {
        const char *comma = memchr(text, ',', (size_t)(end - text));
        const char *stop = comma != NULL ? comma : end;
        struct range range;

        if (!read_range(text, (size_t)(stop - text), &range))
            return refuse(r);
        for (uint64_t n = range.first; error == 0 && n <= range.last; n++) {
            const int length = snprintf(name + used, HOSTLIST_NAME_MAX - used, "%0*llu",
                                        range.width, (unsigned long long)n);

            if (length < 0 || (size_t)length >= HOSTLIST_NAME_MAX - used)
                return refuse(r);
            error = expand(r, name, used + (size_t)length, end + 1, depth + 1);
        }
        text = stop + 1;
    } while (error == 0 && text <= end);
    return error;
}

/* name[0...used) is done; `rest` is a name with brackets. */
static int expand(struct reading *r, char *name, size_t used, const char *rest, unsigned depth)
{
    const size_t plain = strcspn(rest, "[");

    if (plain >= HOSTLIST_NAME_MAX - used)
        return refuse(r);
    memcpy(name + used, rest, plain);
    used += plain;
    name[used] = '\0';
    if (rest[plain] == '\0')
        return add_name(r, name);
    const char *end = strchr(rest + plain, ']');
    if (end == NULL || depth == BRACKETS_MAX)
        return refuse(r);
    return expand_brackets(r, name, used, rest + plain + 1, end, depth);
}

static int add_piece(struct reading *r)
{
    char name[HOSTLIST_NAME_MAX];

    r->names = 0;
    return expand(r, name, 0, r->piece, 0);
}

/* ---- the forms ---- */

/* The next piece up to a comma outside of brackets, cut out of *text. NULL: there is none. */
static char *next_piece(char **text)
{
    char *piece = *text;
    bool inside = false;

    if (piece == NULL)
        return NULL;
    for (char *at = piece; *at != '\0'; at++) {
        inside = (inside || *at == '[') && *at != ']';
        if (*at == ',' && !inside) {
            *at = '\0';
            *text = at + 1;
            return piece;
        }
    }
    *text = NULL;
    return piece;
}

static int read_slots(struct reading *r, const char *text)
{
    return parse_u64(text, 1, HOSTLIST_SLOTS, &r->slots) == 0 ? 0 : refuse(r);
}

/* HOST[:NUMBER] */
static int add_counted(struct reading *r, char *piece)
{
    char *colon = strrchr(piece, ':');
    int error = 0;

    r->slots = 0;
    if (colon != NULL) {
        error = read_slots(r, colon + 1);
        *colon = '\0';
    }
    return error == 0 ? add_piece(r) : error;
}

/* A copy to cut up. NULL: said in the problem. */
static char *copy_text(const char *text, struct problem *problem)
{
    char *copy = strdup(text);

    if (copy == NULL)
        problem_set(problem, -ENOMEM, "no memory for the list of hosts");
    return copy;
}

int hostlist_add(struct hostlist *list, const char *text, struct problem *problem)
{
    struct reading r = {.list = list, .problem = problem};
    char *copy CLEANUP(free_p) = copy_text(text, problem);
    char *rest = copy;
    int error = copy != NULL ? 0 : -ENOMEM;

    while (error == 0 && (r.piece = next_piece(&rest)) != NULL)
        error = add_counted(&r, (char *)(uintptr_t)r.piece);
    return error;
}

static char *next_line(char **text)
{
    char *line = strsep(text, "\n");

    if (line != NULL)
        line[strcspn(line, "#")] = '\0';
    return line;
}

/* Each line of `text` as "HOST[:NUMBER]" or "HOST NUMBER"; `slots` stands for a missing number. */
static int
add_lines(struct hostlist *list, const char *text, uint64_t slots, struct problem *problem)
{
    struct reading r = {.list = list, .problem = problem};
    char *copy CLEANUP(free_p) = copy_text(text, problem);
    char *rest = copy;
    int error = copy != NULL ? 0 : -ENOMEM;

    for (char *line = NULL; error == 0 && (line = next_line(&rest)) != NULL;) {
        char *save = NULL;
        char *name = strtok_r(line, BLANKS, &save);
        const char *number = strtok_r(NULL, BLANKS, &save);

        if (name == NULL)
            continue;
        r.piece = name;
        if (number == NULL && slots == 0) {
            error = add_counted(&r, name);
            continue;
        }
        r.slots = slots;
        if (strtok_r(NULL, BLANKS, &save) != NULL)
            error = refuse(&r);
        else if (number != NULL)
            error = read_slots(&r, number);
        if (error == 0)
            error = add_piece(&r);
    }
    if (error == 0 && list->count == 0)
        return problem_set(problem, -EINVAL, "there is no host in it");
    return error;
}

int hostlist_add_file(struct hostlist *list, const char *text, struct problem *problem)
{
    return add_lines(list, text, 0, problem);
}

int hostlist_add_nodes(struct hostlist *list, const char *text, struct problem *problem)
{
    return add_lines(list, text, 1, problem);
}

/* Numbers of tasks as SLURM writes them: "2(x3),1" is 2, 2, 2, 1. The hosts take them in order. */
static int take_tasks(struct hostlist *list, size_t first, char *text, struct problem *problem)
{
    size_t at = first;

    for (char *piece = NULL; (piece = strsep(&text, ",")) != NULL;) {
        uint64_t slots = 0;
        uint64_t times = 1;
        char *repeat = strstr(piece, "(x");
        char *end = repeat != NULL ? strchr(repeat, ')') : NULL;

        if (repeat != NULL)
            *repeat = '\0';
        if (end != NULL)
            *end = '\0';
        if (parse_u64(piece, 1, HOSTLIST_SLOTS, &slots) != 0 ||
            (repeat != NULL &&
             (end == NULL || parse_u64(repeat + 2, 1, HOSTLIST_MAX, &times) != 0)))
            return problem_set(problem, -EINVAL,
                               "\"%.100s\" is not a number of tasks: NUMBER or NUMBER(xTIMES)",
                               piece);
        for (; times > 0 && at < list->count; times--)
            list->hosts[at++].slots = (uint32_t)slots;
    }
    if (at < list->count)
        return problem_set(problem, -EINVAL, "there are %zu nodes, and tasks for %zu of them",
                           list->count - first, at - first);
    return 0;
}

int hostlist_add_slurm(struct hostlist *list,
                       const char *nodes,
                       const char *tasks,
                       struct problem *problem)
{
    const size_t first = list->count;
    char *copy CLEANUP(free_p) = tasks != NULL ? copy_text(tasks, problem) : NULL;
    const int error = hostlist_add(list, nodes, problem);

    if (error != 0 || tasks == NULL)
        return error;
    return copy != NULL ? take_tasks(list, first, copy, problem) : -ENOMEM;
}

int hostlist_write(const struct hostlist *list, struct blob *out)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct hostlist_host *host = &list->hosts[i];
        char text[HOSTLIST_NAME_MAX + 16];
        int length = snprintf(text, sizeof(text), "%s%s", i > 0 ? "," : "", host->name);

        if (host->slots != 0)
            length += snprintf(text + length, sizeof(text) - (size_t)length, ":%u", host->slots);
        if (blob_reserve(out, (size_t)length) != 0)
            return -ENOMEM;
        wire_put_bytes(out, text, (size_t)length);
    }
    return 0;
}

void hostlist_fini(struct hostlist *list)
{
    free(list->hosts);
    *list = (struct hostlist){.hosts = NULL};
}
