#include "needs.h"

#include "parse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_CHARACTERS                                                                            \
    "abcdefghijklmnopqrstuvwxyz"                                                                   \
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ"                                                                   \
    "0123456789-_."

#define FORM "must be NAME or NAME=QUANTITY, separated by commas, as in gpu=1,ram=4G,ssd"

static int by_name(const void *a, const void *b)
{
    const struct needs_item *first = a;
    const struct needs_item *second = b;

    return strcmp(first->name, second->name);
}

/* One part, which ends at a comma or at the end of the text. Returns why it is none; NULL: it is. */
static const char *parse_item(const char *part, size_t size, struct needs_item *out)
{
    const size_t name = strspn(part, NAME_CHARACTERS);
    char quantity[32] = "";

    if (name == 0 || (name < size && part[name] != '='))
        return FORM;
    if (name > NEEDS_NAME_MAX)
        return "a name has at most 31 characters";
    *out = (struct needs_item){.quantity = 0};
    memcpy(out->name, part, name);
    if (name == size)
        return NULL;
    if (size - name - 1 >= sizeof(quantity))
        return FORM;
    memcpy(quantity, part + name + 1, size - name - 1);
    if (parse_size(quantity, 1, NEEDS_QUANTITY_MAX, &out->quantity) != 0)
        return "a quantity must be a whole number of at least 1, with K, M, G or T behind it if "
               "wanted";
    return NULL;
}

static const char *parse_items(const char *text, struct needs *out)
{
    const char *part = text;

    while (*part != '\0' || part != text) {
        const size_t size = strcspn(part, ",");

        if (out->count == NEEDS_ITEMS_MAX)
            return "at most 16 names are taken";
        const char *why = parse_item(part, size, &out->items[out->count]);
        if (why != NULL)
            return why;
        out->count++;
        if (part[size] == '\0')
            return NULL;
        part += size + 1;
    }
    return NULL;
}

static const char *check_names(const struct needs *needs)
{
    for (unsigned i = 1; i < needs->count; i++) {
        if (strcmp(needs->items[i - 1].name, needs->items[i].name) == 0)
            return "a name is there twice";
    }
    return NULL;
}

int needs_parse(const char *text, struct needs *out, struct problem *problem)
{
    const char *why = NULL;
    struct needs needs = {.count = 0};

    if (text != NULL && strlen(text) > NEEDS_TEXT_MAX)
        why = "at most 255 characters are taken";
    else if (text != NULL)
        why = parse_items(text, &needs);
    qsort(needs.items, needs.count, sizeof(needs.items[0]), by_name);
    if (why == NULL)
        why = check_names(&needs);
    if (why != NULL)
        return problem_set(problem, -EINVAL, "\"%.255s\": %s", text, why);
    *out = needs;
    return 0;
}

const char *needs_text(const struct needs *needs, char *text, size_t size)
{
    size_t used = 0;

    text[0] = '\0';
    for (unsigned i = 0; i < needs->count && used < size; i++) {
        const struct needs_item *item = &needs->items[i];
        char quantity[32] = "";

        if (item->quantity != 0)
            parse_size_text(item->quantity, quantity, sizeof(quantity));
        const int length = snprintf(text + used, size - used, "%s%s%s%s", i != 0 ? "," : "",
                                    item->name, item->quantity != 0 ? "=" : "", quantity);
        used += length > 0 ? (size_t)length : 0;
    }
    return text;
}

const struct needs_item *needs_find(const struct needs *needs, const char *name)
{
    for (unsigned i = 0; i < needs->count; i++) {
        if (strcmp(needs->items[i].name, name) == 0)
            return &needs->items[i];
    }
    return NULL;
}
