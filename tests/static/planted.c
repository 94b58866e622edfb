/* A mistake for each tool of tests/static/analyse. Who finds nothing here is broken. Never built. */
#include <stdio.h>
#include <stdlib.h>

static int places[4];

/* gcc -fanalyzer: read after it was freed. */
int planted_use_after_free(void);
int planted_use_after_free(void)
{
    int *number = malloc(sizeof(*number));

    if (number == NULL)
        return 0;
    *number = 1;
    free(number);
    return *number;
}

/* clang-tidy: the loop never ends, as nothing changes what it asks. */
void planted_endless_loop(int left);
void planted_endless_loop(int left)
{
    int done = 0;

    while (done < left)
        printf("%d\n", left);
}

/* cppcheck: one behind the end. */
int planted_overrun(void);
int planted_overrun(void)
{
    int sum = 0;

    for (int i = 0; i <= 4; i++)
        sum += places[i];
    return sum;
}

/* clang's analyzer: what stands nowhere is read. */
int planted_null(const char *text);
int planted_null(const char *text)
{
    const int *number = NULL;

    if (text != NULL)
        number = &places[1];
    return *number;
}
