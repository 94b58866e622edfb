#include "verb.h"

#include <string.h>

const struct verb *const verbs[] = {
    &verb_run,     &verb_map,    &verb_each,    &verb_submit,     &verb_wait,  &verb_result,
    &verb_cancel,  &verb_retry,  &verb_forgive, &verb_tasks,      &verb_const, &verb_info,
    &verb_workers, &verb_status, &verb_keys,    &verb_completion, NULL,
};

const struct verb *verb_find(const char *name)
{
    const struct verb *const *verb = verbs;

    while (*verb != NULL && strcmp((*verb)->name, name) != 0)
        verb++;
    return *verb;
}
