/* What broker and worker tell each other over ssh. What was read is written, and read again is the same. */
#include "fuzz.h"

#include "base/bootstrap.h"

static void try_config(char *text)
{
    struct bootstrap_config config = {.slots = 0};
    struct bootstrap_config again = {.slots = 0};
    struct problem problem;
    char written[BOOTSTRAP_CONFIG_MAX];

    (void)bootstrap_config_complete(text);
    if (bootstrap_read_config(text, &config, &problem) != 0)
        return;
    FUZZ_CHECK(bootstrap_write_config(&config, written) > 0);
    FUZZ_CHECK(bootstrap_read_config(written, &again, &problem) == 0);
    FUZZ_CHECK(strcmp(config.broker, again.broker) == 0 && config.gone_ms == again.gone_ms);
    FUZZ_CHECK(strcmp(config.programs, again.programs) == 0 && config.slots == again.slots);
    FUZZ_ANY(bootstrap_resolve_origin(&config, "198.18.0.1 1 198.18.0.2 22", &problem));
}

static void try_answer(char *text)
{
    struct bootstrap_answer answer = {.slots = 0};
    struct bootstrap_answer again = {.slots = 0};
    struct problem problem;
    char written[BOOTSTRAP_ANSWER_MAX];

    if (bootstrap_read_answer(text, &answer, &problem) != 0)
        return;
    FUZZ_CHECK(bootstrap_write_answer(&answer, written) > 0);
    written[strcspn(written, "\n")] = '\0';
    FUZZ_CHECK(bootstrap_read_answer(written, &again, &problem) == 0);
    FUZZ_CHECK(strcmp(answer.host, again.host) == 0 && answer.slots == again.slots);
}

static void try_origin(char *text)
{
    struct bootstrap_config config = {.broker = "tcp://?:5556"};
    struct problem problem;

    FUZZ_ANY(bootstrap_resolve_origin(&config, text, &problem));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const readers[])(char *text) = {try_config, try_answer, try_origin};
    struct wire_cursor c = wire_cursor_of(data, size);
    const uint8_t which = wire_get_u8(&c);
    char *text = fuzz_text(&c);

    readers[which % 3](text);
    free(text);
    return 0;
}
