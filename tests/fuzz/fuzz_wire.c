/* The wire codec: any bytes as a frame, and as each kind of record. What can be read is written back, and
 * is the same bytes again: there is one encoding of everything. */
#include "fuzz.h"

/* One record: read it; if that works, write it and compare. */
#define RECORD(name)                                                                               \
    static void try_##name(struct wire_cursor *c)                                                  \
    {                                                                                              \
        struct wire_##name record;                                                                 \
        const uint8_t *start = c->at;                                                              \
                                                                                                   \
        if (wire_get_##name(c, &record) != 0)                                                      \
            return;                                                                                \
        struct blob *again = blob_new(64);                                                         \
        FUZZ_CHECK(again != NULL && wire_put_##name(again, &record) == 0);                         \
        FUZZ_CHECK(again->size == (size_t)(c->at - start));                                        \
        FUZZ_CHECK(memcmp(again->data, start, again->size) == 0);                                  \
        blob_unref(again);                                                                         \
    }

RECORD(hello)
RECORD(welcome)
RECORD(refused)
RECORD(ping)
RECORD(function)
RECORD(input)
RECORD(place)
RECORD(result)
RECORD(task)
RECORD(attempt)
RECORD(parked)
RECORD(note)
RECORD(want)
RECORD(piece)
RECORD(counters)
RECORD(worker)
RECORD(running)

/* Records that fill their bytes to the end. */
#define WHOLE(name)                                                                                \
    static void try_##name(struct wire_cursor *c)                                                  \
    {                                                                                              \
        struct wire_##name record;                                                                 \
        const struct wire_bytes all = fuzz_take(c, SIZE_MAX);                                      \
                                                                                                   \
        if (wire_get_##name(all, &record) != 0)                                                    \
            return;                                                                                \
        struct blob *again = blob_new(64);                                                         \
        FUZZ_CHECK(again != NULL && wire_put_##name(again, &record) == 0);                         \
        FUZZ_CHECK(again->size == all.size);                                                       \
        FUZZ_CHECK(memcmp(again->data, all.data, again->size) == 0);                               \
        blob_unref(again);                                                                         \
    }

WHOLE(failure)
WHOLE(span)
WHOLE(progress)
WHOLE(partial)

/* Empty arguments take no bytes: credit bounds them, not the codec. */
#define ARGUMENTS_MAX 1000

/* A run has parts that its options do not hold, and arguments behind it. */
static void try_run(struct wire_cursor *c)
{
    struct wire_run run;
    struct wire_input input;

    if (wire_get_run(c, &run) != 0)
        return;
    for (uint32_t i = 0; i < run.input_count; i++)
        FUZZ_CHECK(wire_get_input(&run.inputs, &input) == 0);
    for (uint32_t i = 0; i < run.count && i < ARGUMENTS_MAX && !c->bad; i++)
        (void)wire_get_argument(c, &run);
}

static void try_frame(struct wire_cursor *c)
{
    const struct wire_bytes all = fuzz_take(c, SIZE_MAX);
    struct wire_header header;
    struct wire_cursor body;

    if (wire_frame_read(all.data, all.size, &header, &body) != 0)
        return;
    FUZZ_CHECK(header.type < WIRE_TYPE_END && header.link != 0);
    FUZZ_CHECK(fuzz_left(&body) == all.size - WIRE_HEADER_BYTES);
}

/* New ones go to the end: the files of the corpus begin with the place. */
static void (*const readers[])(struct wire_cursor *c) = {
    try_frame,   try_hello, try_welcome,  try_refused,  try_ping,    try_function,
    try_input,   try_place, try_result,   try_task,     try_attempt, try_parked,
    try_note,    try_want,  try_piece,    try_counters, try_worker,  try_running,
    try_failure, try_span,  try_progress, try_partial,  try_run,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wire_cursor c = wire_cursor_of(data, size);
    const uint8_t which = wire_get_u8(&c);

    if (which < sizeof(readers) / sizeof(readers[0]))
        readers[which](&c);
    return 0;
}
