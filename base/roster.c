/* Invariants: chunk c holds the numbers c * CHUNK ... c * CHUNK + CHUNK - 1; chunks below
 * first_chunk are gone; a chunk that can still get numbers is never freed; `open` is the sum over
 * the chunks. */
#include "roster.h"

#include <stdalign.h>
#include <string.h>

#define CHUNK 1024

struct roster_chunk {
    uint32_t open;
    alignas(max_align_t) uint8_t entries[]; /* CHUNK of entry_bytes each */
};

void roster_init(struct roster *roster, size_t entry_bytes)
{
    *roster = (struct roster){.entry_bytes = entry_bytes, .next_no = 1};
}

static struct roster_chunk **chunk_place(const struct roster *roster, uint64_t chunk)
{
    return &roster->chunks[chunk & (roster->capacity - 1)];
}

void roster_fini(struct roster *roster)
{
    for (size_t i = 0; i < roster->capacity; i++)
        free(roster->chunks[i]);
    free(roster->chunks);
    free(roster->spare);
    roster_init(roster, roster->entry_bytes);
}

static int grow(struct roster *roster, uint64_t next_chunk)
{
    const size_t capacity = roster->capacity != 0 ? roster->capacity * 2 : 16;
    struct roster_chunk **chunks = calloc(capacity, sizeof(struct roster_chunk *));

    if (chunks == NULL)
        return -ENOMEM;
    for (uint64_t chunk = roster->first_chunk; chunk < next_chunk; chunk++)
        chunks[chunk & (capacity - 1)] = *chunk_place(roster, chunk);
    free(roster->chunks);
    roster->chunks = chunks;
    roster->capacity = capacity;
    return 0;
}

static int add_chunk(struct roster *roster, uint64_t chunk)
{
    if (chunk - roster->first_chunk >= roster->capacity && grow(roster, chunk) != 0)
        return -ENOMEM;
    if (roster->spare == NULL)
        roster->spare = malloc(sizeof(*roster->spare) + CHUNK * roster->entry_bytes);
    if (roster->spare == NULL)
        return -ENOMEM;
    roster->spare->open = 0;
    *chunk_place(roster, chunk) = steal(&roster->spare);
    return 0;
}

static void *entry_at(const struct roster *roster, struct roster_chunk *chunk, uint64_t no)
{
    return chunk->entries + no % CHUNK * roster->entry_bytes;
}

/* An entry's first member. */
static bool is_open(const void *entry)
{
    void *pointer = NULL;

    memcpy(&pointer, entry, sizeof(pointer));
    return pointer != NULL;
}

int roster_add(struct roster *roster, const void *entry)
{
    const uint64_t no = roster->next_no;

    if ((no % CHUNK == 0 || no == 1) && add_chunk(roster, no / CHUNK) != 0)
        return -ENOMEM;
    struct roster_chunk *chunk = *chunk_place(roster, no / CHUNK);
    memcpy(entry_at(roster, chunk, no), entry, roster->entry_bytes);
    chunk->open++;
    roster->next_no++;
    roster->open++;
    return 0;
}

/* A chunk whose entries are all out and that cannot get numbers any more goes. */
static void drop_chunk(struct roster *roster, uint64_t chunk)
{
    struct roster_chunk **place = chunk_place(roster, chunk);

    free(roster->spare);
    roster->spare = steal(place);
    while (roster->first_chunk < roster->next_no / CHUNK &&
           *chunk_place(roster, roster->first_chunk) == NULL)
        roster->first_chunk++;
}

/* NULL: no such chunk, or it is gone. */
static struct roster_chunk *chunk_of(const struct roster *roster, uint64_t no)
{
    const uint64_t chunk = no / CHUNK;

    if (no == 0 || no >= roster->next_no || chunk < roster->first_chunk)
        return NULL;
    return *chunk_place(roster, chunk);
}

void *roster_find(const struct roster *roster, uint64_t no)
{
    struct roster_chunk *chunk = chunk_of(roster, no);

    if (chunk == NULL || !is_open(entry_at(roster, chunk, no)))
        return NULL;
    return entry_at(roster, chunk, no);
}

void roster_remove(struct roster *roster, uint64_t no)
{
    struct roster_chunk *chunk = *chunk_place(roster, no / CHUNK);

    memset(entry_at(roster, chunk, no), 0, sizeof(void *));
    roster->open--;
    if (--chunk->open == 0 && (no / CHUNK + 1) * CHUNK <= roster->next_no)
        drop_chunk(roster, no / CHUNK);
}

void *roster_next(const struct roster *roster, uint64_t *no)
{
    uint64_t at = *no != 0 ? *no : 1;

    if (at < roster->first_chunk * CHUNK)
        at = roster->first_chunk * CHUNK;
    while (at < roster->next_no) {
        struct roster_chunk *chunk = chunk_of(roster, at);

        if (chunk != NULL && is_open(entry_at(roster, chunk, at))) {
            *no = at;
            return entry_at(roster, chunk, at);
        }
        at = chunk != NULL ? at + 1 : (at / CHUNK + 1) * CHUNK;
    }
    return NULL;
}
