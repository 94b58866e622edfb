/* The journal's entries, as Redis hands them back. */
#include "fuzz.h"

#include "broker/record.h"

/* A batch with right checksums, and each of its records by its type. */
static void try_batch(struct wire_bytes bytes)
{
    struct blob *batch = blob_new(bytes.size + 1);

    FUZZ_CHECK(batch != NULL);
    wire_put_bytes(batch, bytes.data, bytes.size);
    record_seal(batch);
    struct wire_cursor c = wire_cursor_of(batch->data, batch->size);
    for (int error = 0; c.at < c.end && !c.bad && error != -EPROTO;) {
        struct record record;
        struct record_task task;
        uint8_t version = 0;

        error = record_get(&c, &record, &version);
        FUZZ_CHECK(error != -EBADMSG || c.bad);
        if (error == 0 && record.type == RECORD_TASK)
            FUZZ_ANY(record_get_task(record.body, &task));
    }
    blob_unref(batch);
}

static void try_done(struct wire_bytes bytes)
{
    struct blob *body = blob_new(bytes.size + 1);
    struct wire_attempt outcome;
    struct wire_bytes task;

    FUZZ_CHECK(body != NULL);
    wire_put_bytes(body, bytes.data, bytes.size);
    FUZZ_ANY(record_get_done(body, &outcome, &task));
    blob_unref(body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wire_cursor c = wire_cursor_of(data, size);
    const uint8_t which = wire_get_u8(&c);
    const struct wire_bytes bytes = fuzz_take(&c, SIZE_MAX);

    if (which == 0)
        try_batch(bytes);
    else
        try_done(bytes);
    return 0;
}
