/* What the broker has to be told of the inputs of tasks that it has already: what it asked for, and what
 * the caller has changed. */
#include "after.h"
#include "client.h"

#include <string.h>
#include <utlist.h>

/* The frame of INPUT records that is being filled, with room for one of `bytes`. NULL: no memory. */
static struct blob *input_frame(struct client *client, size_t bytes)
{
    struct blob *last = client->input_count > 0 ? client->inputs[client->input_count - 1] : NULL;

    if (last != NULL && last->size + bytes <= WIRE_HEADER_BYTES + WIRE_BATCH_BYTES)
        return last;
    struct blob **inputs =
        realloc(client->inputs, (client->input_count + 1) * sizeof(struct blob *));
    if (inputs == NULL)
        return NULL;
    client->inputs = inputs;
    inputs[client->input_count] = wire_frame_new(WIRE_INPUT, client->link, bytes);
    return inputs[client->input_count] != NULL ? inputs[client->input_count++] : NULL;
}

/* Tell the broker what this input of a task is now. */
static void put_input(struct client *client, const struct after *after)
{
    const struct wire_place place = {.no = after->taker->no, .index = after->index};
    const struct wire_input input = after_input(after);
    const size_t bytes = WIRE_PLACE_BYTES + WIRE_INPUT_BYTES + input.bytes.size;
    struct blob *frame = input_frame(client, bytes);

    if (frame == NULL || wire_put_place(frame, &place) != 0 || wire_put_input(frame, &input) != 0) {
        client->starved = true;
        return;
    }
    wire_frame_add_count(frame, 1);
}

/* A job has got its number: those of its takers that were sent before it have to be told. */
void client_tell_takers(struct client *client, const struct job *job)
{
    const struct after *after = NULL;

    DL_FOREACH (job->ties->takers, after) {
        if (after->taker->no != 0)
            put_input(client, after);
    }
}

struct blob *client_next_input(struct client *client)
{
    struct blob *frame = client->inputs[0];

    client->input_count--;
    memmove(client->inputs, client->inputs + 1, client->input_count * sizeof(struct blob *));
    return frame;
}

void client_drop_inputs(struct client *client)
{
    for (size_t i = 0; i < client->input_count; i++)
        blob_unref(client->inputs[i]);
    free(client->inputs);
    client->inputs = NULL;
    client->input_count = 0;
    client->starved = false;
}

void client_forgive(struct client *client, struct job *job)
{
    struct after *after = NULL;

    if (job->ties == NULL)
        return;
    DL_FOREACH (job->ties->takers, after) {
        after->forgiven = true;
        if (after->taker->no != 0)
            put_input(client, after);
    }
    after_tell(job, &client->blocked);
}

int client_take_needs(struct client *client,
                      const struct wire_header *header,
                      struct wire_cursor *body)
{
    struct wire_place place;

    for (uint32_t i = 0; i < header->count; i++) {
        if (wire_get_place(body, &place) != 0)
            return -EPROTO;
        uint64_t no = place.no;
        const struct ledger_entry *entry = ledger_next(&client->ledger, &no);

        if (entry == NULL || no != place.no)
            continue; /* it has ended */
        if (place.index >= after_count(entry->job))
            return -EPROTO;
        /* One that is to be sent yet is told of when it is. */
        if (after_is_sendable(entry->job))
            put_input(client, &entry->job->ties->after[place.index]);
    }
    return wire_read_ok(body);
}

struct job *client_take_blocked(struct client *client)
{
    struct job *job = client->blocked;

    if (job == NULL)
        return NULL;
    client->blocked = job->ties->next_blocked;
    job->ties->told_blocked = false;
    return job;
}
