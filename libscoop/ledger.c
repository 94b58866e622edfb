/* Invariants: chunk c holds the numbers c * CHUNK ... c * CHUNK + CHUNK - 1; chunks below
 * first_chunk are gone; a chunk that can still get numbers is never freed; `open` is the sum over
 * the chunks. */
#include "ledger.h"

#include <string.h>

#define CHUNK 1024

struct ledger_chunk {
    uint32_t open;
    struct ledger_entry entries[CHUNK];
};

void ledger_init(struct ledger *ledger)
{
    *ledger = (struct ledger){.next_no = 1};
}

static struct ledger_chunk **chunk_place(const struct ledger *ledger, uint64_t chunk)
{
    return &ledger->chunks[chunk & (ledger->capacity - 1)];
}

void ledger_fini(struct ledger *ledger)
{
    for (size_t i = 0; i < ledger->capacity; i++)
        free(ledger->chunks[i]);
    free(ledger->chunks);
    free(ledger->spare);
    ledger_init(ledger);
}

static int grow(struct ledger *ledger, uint64_t next_chunk)
{
    const size_t capacity = ledger->capacity != 0 ? ledger->capacity * 2 : 16;
    struct ledger_chunk **chunks = calloc(capacity, sizeof(struct ledger_chunk *));

    if (chunks == NULL)
        return -ENOMEM;
    for (uint64_t chunk = ledger->first_chunk; chunk < next_chunk; chunk++)
        chunks[chunk & (capacity - 1)] = *chunk_place(ledger, chunk);
    free(ledger->chunks);
    ledger->chunks = chunks;
    ledger->capacity = capacity;
    return 0;
}

static int add_chunk(struct ledger *ledger, uint64_t chunk)
{
    if (chunk - ledger->first_chunk >= ledger->capacity && grow(ledger, chunk) != 0)
        return -ENOMEM;
    if (ledger->spare == NULL)
        ledger->spare = malloc(sizeof(*ledger->spare));
    if (ledger->spare == NULL)
        return -ENOMEM;
    ledger->spare->open = 0;
    *chunk_place(ledger, chunk) = steal(&ledger->spare);
    return 0;
}

int ledger_add(struct ledger *ledger, const struct ledger_entry *entry)
{
    const uint64_t chunk = ledger->next_no / CHUNK;
    const size_t place = ledger->next_no % CHUNK;

    if ((place == 0 || ledger->next_no == 1) && add_chunk(ledger, chunk) != 0)
        return -ENOMEM;
    struct ledger_chunk *c = *chunk_place(ledger, chunk);
    c->entries[place] = *entry;
    c->open++;
    ledger->next_no++;
    ledger->open++;
    ledger->open_bytes += entry->bytes;
    return 0;
}

/* An ended chunk that cannot get numbers any more goes. */
static void drop_chunk(struct ledger *ledger, uint64_t chunk)
{
    struct ledger_chunk **place = chunk_place(ledger, chunk);

    free(ledger->spare);
    ledger->spare = steal(place);
    while (ledger->first_chunk < ledger->next_no / CHUNK &&
           *chunk_place(ledger, ledger->first_chunk) == NULL)
        ledger->first_chunk++;
}

/* NULL: no such chunk, or it is gone. */
static struct ledger_chunk *chunk_of(const struct ledger *ledger, uint64_t no)
{
    const uint64_t chunk = no / CHUNK;

    if (no == 0 || no >= ledger->next_no || chunk < ledger->first_chunk)
        return NULL;
    return *chunk_place(ledger, chunk);
}

int ledger_take(struct ledger *ledger, uint64_t no, struct ledger_entry *out)
{
    struct ledger_chunk *chunk = chunk_of(ledger, no);

    if (chunk == NULL || chunk->entries[no % CHUNK].job == NULL)
        return -ENOENT;
    *out = chunk->entries[no % CHUNK];
    chunk->entries[no % CHUNK].job = NULL;
    ledger->open--;
    ledger->open_bytes -= out->bytes;
    if (--chunk->open == 0 && (no / CHUNK + 1) * CHUNK <= ledger->next_no)
        drop_chunk(ledger, no / CHUNK);
    return 0;
}

const struct ledger_entry *ledger_next(const struct ledger *ledger, uint64_t *no)
{
    uint64_t at = *no != 0 ? *no : 1;

    if (at < ledger->first_chunk * CHUNK)
        at = ledger->first_chunk * CHUNK;
    while (at < ledger->next_no) {
        const struct ledger_chunk *chunk = chunk_of(ledger, at);

        if (chunk != NULL && chunk->entries[at % CHUNK].job != NULL) {
            *no = at;
            return &chunk->entries[at % CHUNK];
        }
        at = chunk != NULL ? at + 1 : (at / CHUNK + 1) * CHUNK;
    }
    return NULL;
}
