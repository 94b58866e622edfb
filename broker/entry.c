#include "entry.h"

void entry_push(struct entry_list *list, struct entry *entry)
{
    entry->next = NULL;
    if (list->head == NULL)
        list->tail = &list->head;
    *list->tail = entry;
    list->tail = &entry->next;
    list->count++;
    list->bytes += entry->batch->size;
}

struct entry *entry_pop(struct entry_list *list)
{
    struct entry *entry = list->head;

    if (entry == NULL)
        return NULL;
    list->head = entry->next;
    list->count--;
    list->bytes -= entry->batch->size;
    return entry;
}

void entry_free(struct entry *entry)
{
    if (entry != NULL)
        blob_unref(entry->batch);
    free(entry);
}

void entry_clear(struct entry_list *list)
{
    while (list->head != NULL)
        entry_free(entry_pop(list));
}

struct entry *entry_new(struct blob *batch, uint64_t number)
{
    struct entry *entry = malloc(sizeof(*entry));

    if (entry == NULL) {
        blob_unref(batch);
        return NULL;
    }
    *entry = (struct entry){.batch = batch, .number = number};
    return entry;
}
