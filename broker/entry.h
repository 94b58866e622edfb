/* Entries of the journal in a queue: on their way to Redis, or from there. A list owns its entries,
 * an entry its batch. No lock of its own. */
#ifndef BROKER_ENTRY_H
#define BROKER_ENTRY_H

#include "base/blob.h"
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct entry {
    struct blob *batch;
    uint64_t number;
    struct entry *next;
};

/* All zero: empty. */
struct entry_list {
    struct entry *head;
    struct entry **tail; /* valid while head is not NULL */
    size_t count;
    size_t bytes; /* of the batches */
};

/* Takes the batch, also when it fails. NULL: out of memory. */
NODISCARD struct entry *entry_new(struct blob *batch, uint64_t number);
void entry_free(struct entry *entry);

/* Append; the list owns it then. */
void entry_push(struct entry_list *list, struct entry *entry);
/* The oldest, owned by the caller; NULL: empty. */
struct entry *entry_pop(struct entry_list *list);
void entry_clear(struct entry_list *list);

#endif
