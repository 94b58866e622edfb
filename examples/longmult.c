/* Long multiplication as on paper, of numbers of any length: `longmult [--graph|--durable] [A B]`.
 *
 * take_b_apart finds the different digits of B; for each but 0 and 1 a part_multiply computes A times
 * it; add_together waits for these. Without A and B the same product in both orders: 12 tasks.
 * --graph prints the tasks for Graphviz instead. --durable makes them durable tasks, which are named after
 * their numbers: when this program is ended, they go on, and when it is started again it waits for the same. */
#include <scoop.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The digits of b that need a task. Returns how many. */
static size_t digits_of(const char *b, char digits[8])
{
    size_t count = 0;

    for (const char *digit = "23456789"; *digit != '\0'; digit++)
        if (strchr(b, *digit) != NULL)
            digits[count++] = *digit;
    return count;
}

/* Its argument is "A B", ended by a zero byte. */
SCOOP_BYTES_FUNCTION(take_b_apart)
{
    const char *a = data, *blank = memchr(a, ' ', size), *b = blank != NULL ? blank + 1 : "";
    char digits[8];

    if (blank == a || *b == '\0' || strspn(a, "0123456789 ") + 1 != size || strchr(b, ' ') != NULL)
        scoop_fail_forever(1, "\"%.80s\" is not two decimal numbers", a);
    else
        scoop_write(out, digits, digits_of(b, digits));
}

/* Its argument is "A D", D one digit. */
SCOOP_BYTES_FUNCTION(part_multiply)
{
    const char *text = data;
    char *product = scoop_extend(out, size - 2);
    int carry = 0;

    for (size_t i = size - 2; product != NULL && i-- > 0; carry /= 10) {
        carry += i > 0 ? (text[i - 1] - '0') * (text[size - 2] - '0') : 0;
        product[i] = (char)('0' + carry % 10);
    }
}

/* Its argument is that of take_b_apart; its inputs are A times each of those digits. */
SCOOP_BYTES_FUNCTION(add_together)
{
    const char *a = data, *b = strchr(a, ' ') + 1;
    const size_t length = (size_t)(b - a) - 1;
    char digits[8], *product = scoop_extend(out, size - 2);
    const size_t count = digits_of(b, digits);

    if (product != NULL)
        memset(product, '0', size - 2);
    for (size_t j = 0; product != NULL && b[j] != '\0'; j++) {
        struct scoop_bytes row = {a, b[j] == '1' ? length : 0};

        for (size_t k = 0; k < count; k++)
            if (digits[k] == b[j])
                scoop_input_bytes(k, &row);
        for (size_t i = 0, carry = 0; i < row.size || carry > 0; i++, carry /= 10) {
            char *at = product + length + j - i; /* the row ends at its digit of B */
            carry += (size_t)(*at - '0');
            carry += i < row.size ? (size_t)(((const char *)row.data)[row.size - 1 - i] - '0') : 0;
            *at = (char)('0' + carry % 10);
        }
    }
}

static void print_graph(const char *a, const char *b)
{
    char digits[8];
    const size_t count = digits_of(b, digits);

    for (size_t i = 0; i < count; i++)
        printf("\"take_b_apart %s\" -> \"part_multiply %s %c\" -> \"add_together %s %s\"\n", b, a,
               digits[i], a, b);
    if (count == 0)
        printf("\"take_b_apart %s\" -> \"add_together %s %s\"\n", b, a, b);
}

/* "FIRST SECOND", owned by the caller. */
static char *join(const char *first, const char *second)
{
    const size_t size = strlen(first) + strlen(second) + 2;
    char *text = malloc(size);

    if (text == NULL)
        exit(1);
    snprintf(text, size, "%s %s", first, second);
    return text;
}

/* Start a task with the argument "A B"; the program ends when that cannot be. */
static scoop_future *start(const struct scoop_options *options,
                           const struct scoop_function *function,
                           const char *a,
                           const char *b)
{
    char *text = join(a, b);
    scoop_future *future = scoop_submit_with(NULL, options, function, text, strlen(text) + 1);

    free(text);
    if (future == NULL)
        exit(scoop_report());
    return future;
}

static void print_product(scoop_future *sum)
{
    struct scoop_bytes product;
    size_t zeros = 0;

    if (scoop_result_bytes(sum, &product) != SCOOP_OK)
        exit(scoop_report());
    while (zeros + 1 < product.size && ((const char *)product.data)[zeros] == '0')
        zeros++;
    printf("%.*s\n", (int)(product.size - zeros), (const char *)product.data + zeros);
    scoop_future_free(sum);
}

static void multiply(const char *a, const char *b)
{
    struct scoop_bytes digits;
    scoop_future *parts[8];

    scoop_future *apart = start(NULL, SCOOP_HANDLE(take_b_apart), a, b);
    if (scoop_result_bytes(apart, &digits) != SCOOP_OK)
        exit(scoop_report());
    for (size_t i = 0; i < digits.size; i++)
        parts[i] = start(NULL, SCOOP_HANDLE(part_multiply), a,
                         (char[]){((const char *)digits.data)[i], '\0'});
    const struct scoop_options after = {.after = parts, .after_count = digits.size};
    print_product(start(&after, SCOOP_HANDLE(add_together), a, b));
    for (size_t i = 0; i < digits.size; i++)
        scoop_future_free(parts[i]);
    scoop_future_free(apart);
}

/* The same as a durable task, which is safe when this returns: its id. */
static uint64_t keep(const struct scoop_function *function,
                     const char *a,
                     const char *b,
                     const uint64_t *after,
                     size_t count)
{
    const struct scoop_options options = {.after_ids = after, .after_id_count = count};
    char *text = join(a, b), *name = join(function->name, text);
    uint64_t id = scoop_durable_id(name);
    struct scoop_bytes nothing;

    scoop_future *kept =
        scoop_submit_durable(NULL, &options, function, text, strlen(text) + 1, &id);
    free(text);
    free(name);
    if (kept == NULL || scoop_result_bytes(kept, &nothing) != SCOOP_OK)
        exit(scoop_report());
    scoop_future_free(kept);
    return id;
}

static void multiply_durably(const char *a, const char *b)
{
    const uint64_t apart = keep(SCOOP_HANDLE(take_b_apart), a, b, NULL, 0);
    uint64_t parts[8] = {apart}; /* an empty fan: add_together waits for this one */
    struct scoop_bytes found;
    char digits[8];
    const size_t count = digits_of(b, digits);

    for (size_t i = 0; i < count; i++)
        parts[i] = keep(SCOOP_HANDLE(part_multiply), a, (char[]){digits[i], '\0'}, &apart, 1);
    const uint64_t sum = keep(SCOOP_HANDLE(add_together), a, b, parts, count > 0 ? count : 1);
    fprintf(stderr, "%s x %s is durable task %016llx\n", a, b, (unsigned long long)sum);
    scoop_future *first = scoop_attach(NULL, apart), *last = scoop_attach(NULL, sum);
    if (first == NULL || last == NULL || scoop_result_bytes(first, &found) != SCOOP_OK)
        exit(scoop_report());
    scoop_future_free(first);
    print_product(last);
}

int main(int argc, char **argv)
{
    const bool graph = argc > 1 && strcmp(argv[1], "--graph") == 0;
    const bool durable = argc > 1 && strcmp(argv[1], "--durable") == 0;
    void (*const show)(const char *a, const char *b) = graph     ? print_graph
                                                       : durable ? multiply_durably
                                                                 : multiply;
    const int words_at = graph || durable ? 2 : 1;
    char first[] = "9650156169", second[] = "327358788", *both[] = {first, second};
    char **words = argc - words_at == 2 ? argv + words_at : both;

    scoop_init(&argc, &argv);
    if (argc != words_at && argc - words_at != 2)
        return fprintf(stderr, "usage: longmult [--graph|--durable] [A B]\n") > 0 ? 2 : 1;
    if (graph)
        puts("digraph longmult {");
    show(words[0], words[1]);
    if (argc == words_at)
        show(words[1], words[0]);
    if (graph)
        puts("}");
    return 0;
}
