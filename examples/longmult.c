/* Long multiplication as on paper, of numbers of any length: `longmult [--graph] [A B]`.
 *
 * take_b_apart finds the different digits of B; for each but 0 and 1 a part_multiply computes A times
 * it; add_together waits for these. Without A and B the same product in both orders: 12 tasks.
 * --graph prints the tasks for Graphviz instead. */
#include <scoop.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The digits of b that need a task. Returns how many. */
static size_t digits_of(const char *b, char digits[8])
{
    size_t count = 0;

    for (char digit = '2'; digit <= '9'; digit++)
        if (strchr(b, digit) != NULL)
            digits[count++] = digit;
    return count;
}

/* Its argument is "A B", ended by a zero byte. */
SCOOP_BYTES_FUNCTION(take_b_apart)
{
    const char *a = data, *b = strchr(a, ' ') + 1;
    char digits[8];

    if (b == a + 1 || *b == '\0' || strspn(a, "0123456789 ") + 1 != size || strchr(b, ' ') != NULL)
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

/* Start a task with the argument "A B"; the program ends when that cannot be. */
static scoop_future *start(const struct scoop_options *options,
                           const struct scoop_function *function,
                           const char *a,
                           const char *b)
{
    const size_t size = strlen(a) + strlen(b) + 2;
    char *text = malloc(size);

    if (text == NULL)
        exit(1);
    snprintf(text, size, "%s %s", a, b);
    scoop_future *future = scoop_submit_with(NULL, options, function, text, size);
    free(text);
    if (future == NULL)
        exit(scoop_report());
    return future;
}

static void multiply(const char *a, const char *b)
{
    struct scoop_bytes digits, product;
    scoop_future *parts[8];
    size_t zeros = 0;

    scoop_future *apart = start(NULL, SCOOP_HANDLE(take_b_apart), a, b);
    if (scoop_result_bytes(apart, &digits) != SCOOP_OK)
        exit(scoop_report());
    for (size_t i = 0; i < digits.size; i++)
        parts[i] = start(NULL, SCOOP_HANDLE(part_multiply), a,
                         (char[]){((const char *)digits.data)[i], '\0'});
    const struct scoop_options after = {.after = parts, .after_count = digits.size};
    scoop_future *sum = start(&after, SCOOP_HANDLE(add_together), a, b);
    if (scoop_result_bytes(sum, &product) != SCOOP_OK)
        exit(scoop_report());
    while (zeros + 1 < product.size && ((const char *)product.data)[zeros] == '0')
        zeros++;
    printf("%.*s\n", (int)(product.size - zeros), (const char *)product.data + zeros);
    for (size_t i = 0; i < digits.size; i++)
        scoop_future_free(parts[i]);
    scoop_future_free(apart);
    scoop_future_free(sum);
}

int main(int argc, char **argv)
{
    const bool graph = argc > 1 && strcmp(argv[1], "--graph") == 0;
    void (*const show)(const char *a, const char *b) = graph ? print_graph : multiply;
    char first[] = "9650156169", second[] = "327358788", *both[] = {first, second};
    char **words = argc - graph == 3 ? argv + 1 + graph : both;

    scoop_init(&argc, &argv);
    if (argc - graph != 1 && argc - graph != 3)
        return fprintf(stderr, "usage: longmult [--graph] [A B]\n") > 0 ? 2 : 1;
    if (graph)
        puts("digraph longmult {");
    show(words[0], words[1]);
    if (argc - graph == 1)
        show(words[1], words[0]);
    if (graph)
        puts("}");
    return 0;
}
