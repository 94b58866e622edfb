/* How tasks end: as the broker says, or because nobody will ever say. */
#include "client_state.h"

#include <stdlib.h>

/* The broker can only know what became of it since it was sent again. */
static bool claims_too_much(const struct job *job, const struct wire_result *result)
{
    struct wire_failure failure;

    return job->resent && result->outcome == WIRE_CANCELLED &&
           wire_get_failure(result->bytes, &failure) == 0 && failure.code == WIRE_NEVER_RAN;
}

/* The outcome of a task. True: it was the last of its job. */
static bool
end_task(struct client *client, const struct ledger_entry *entry, const struct wire_result *result)
{
    size_t size = 0;
    uint8_t *moved = pieces_take_arrival(&client->pieces, result, &size);

    if (result->outcome == WIRE_OK && (result->flags & WIRE_RESULT_MOVED) != 0)
        return job_end_moved(entry->job, entry->index, result, moved, size);
    free(moved);
    if (claims_too_much(entry->job, result))
        return job_cancel_task(entry->job, entry->index, WIRE_DISCARDED);
    return job_end_task(entry->job, entry->index, result);
}

int client_take_results(struct client *client,
                        const struct wire_header *header,
                        struct wire_cursor *body)
{
    for (uint32_t i = 0; i < header->count; i++) {
        struct ledger_entry entry;
        struct wire_result result;

        if (wire_get_result(body, &result) != 0)
            return -EPROTO;
        if (ledger_take(&client->ledger, result.no, &entry) != 0)
            client->stale++;
        else if (end_task(client, &entry, &result))
            client_end_job(client, entry.job);
    }
    return wire_read_ok(body);
}

static void give_up_task(struct client *client,
                         const struct ledger_entry *entry,
                         enum scoop_status status,
                         const char *text)
{
    if (job_fail_task(entry->job, entry->index, status, text))
        client_end_job(client, entry->job);
}

void client_give_up(struct client *client, enum scoop_status status, const char *text)
{
    struct ledger_entry entry;

    for (uint64_t no = 1; ledger_next(&client->ledger, &no) != NULL; no++) {
        if (ledger_take(&client->ledger, no, &entry) == 0)
            give_up_task(client, &entry, status, text);
    }
    while (client->pending_count > 0) {
        const struct span span = client_pop_span(client);

        for (uint32_t i = 0; i < span.count; i++) {
            entry = (struct ledger_entry){.job = span.job, .index = span.first + i};
            give_up_task(client, &entry, status, text);
        }
    }
}
