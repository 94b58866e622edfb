#include "function.h"

#include <stdio.h>
#include <string.h>

static struct scoop_function *registry;

void function_register(struct scoop_function *function)
{
    if (function_find(function->name, strlen(function->name)) != NULL) {
        fprintf(stderr, "scoop: two functions are named \"%s\" in this program\n", function->name);
        exit(2);
    }
    function->next = registry;
    registry = function;
}

const struct scoop_function *function_find(const char *name, size_t length)
{
    for (const struct scoop_function *f = registry; f != NULL; f = f->next) {
        if (strlen(f->name) == length && memcmp(f->name, name, length) == 0)
            return f;
    }
    return NULL;
}
