/* Command lines of every type of setting. What is accepted is within its range. */
#include "fuzz.h"

#include "base/settings.h"

#include <fcntl.h>
#include <unistd.h>

#define WORDS_MAX 16

struct values {
    const char *text;
    uint64_t number;
    uint64_t seconds;
    uint64_t size;
    bool flag;
    const char *address;
    const char *url;
    const char *endpoint;
};

#define ROW(name, kind, field) .flag = name, .type = kind, .offset = offsetof(struct values, field)

static const struct setting rows[] = {
    {ROW("text", SETTING_TEXT, text), .min = 2, .max = 5, .help = "text", .letter = 't'},
    {ROW("number", SETTING_NUMBER, number), .min = 3, .max = 70, .fallback = "5", .help = "n"},
    {ROW("seconds", SETTING_SECONDS, seconds), .min = 1, .max = 9000, .fallback = "1", .help = "s"},
    {ROW("size", SETTING_SIZE, size), .min = 1024, .max = 1U << 30, .fallback = "1M", .help = "z"},
    {ROW("flag", SETTING_FLAG, flag), .help = "flag", .letter = 'f'},
    {ROW("address", SETTING_ADDRESS, address), .help = "address"},
    {ROW("url", SETTING_URL, url), .help = "url"},
    {ROW("endpoint", SETTING_ENDPOINT, endpoint), .help = "endpoint"},
};

static const struct settings settings = {
    .program = "fuzz",
    .about = "about",
    .operands = "[WORD...]",
    .example = "fuzz",
    .rows = rows,
    .row_count = sizeof(rows) / sizeof(rows[0]),
};

static void check(const struct values *values, int first, int count)
{
    FUZZ_CHECK(first >= 1 && first <= count);
    FUZZ_CHECK(values->text == NULL || (strlen(values->text) >= 2 && strlen(values->text) <= 5));
    FUZZ_CHECK(values->number >= 3 && values->number <= 70);
    FUZZ_CHECK(values->seconds >= 1 && values->seconds <= 9000);
    FUZZ_CHECK(values->size >= 1024 && values->size <= 1U << 30);
}

/* What it says of wrong ones is not looked at, and would be slow to write. */
static void be_quiet(void)
{
    static bool is_quiet;

    if (is_quiet)
        return;
    is_quiet = true;
    FUZZ_CHECK(freopen("/dev/null", "w", stdout) != NULL);
    FUZZ_CHECK(setvbuf(stderr, NULL, _IOFBF, BUFSIZ) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wire_cursor c = wire_cursor_of(data, size);
    struct values values = {.text = NULL};
    char *text = fuzz_text(&c);
    char *saved = NULL;
    char program[] = "fuzz";
    char *words[WORDS_MAX + 2] = {program};
    int count = 1;
    int first = 0;

    be_quiet();
    for (char *word = strtok_r(text, "\n", &saved); word != NULL && count <= WORDS_MAX;
         word = strtok_r(NULL, "\n", &saved))
        words[count++] = word;
    if (settings_read(&settings, count, words, &values, &first) == SETTINGS_RUN)
        check(&values, first, count);
    free(text);
    return 0;
}
