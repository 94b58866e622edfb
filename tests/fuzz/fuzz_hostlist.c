/* Lists of hosts in each of their forms. What was read is written in the first form, and read from that
 * is the same. */
#include "fuzz.h"

#include "base/hostlist.h"

static int read_form(uint8_t form, struct hostlist *list, char *text, struct problem *problem)
{
    char *tasks = strchr(text, '\n');

    switch (form % 4) {
    case 0: return hostlist_add(list, text, problem);
    case 1: return hostlist_add_file(list, text, problem);
    case 2: return hostlist_add_nodes(list, text, problem);
    default:
        if (tasks != NULL)
            *tasks++ = '\0';
        return hostlist_add_slurm(list, text, tasks, problem);
    }
}

static void compare(const struct hostlist *list)
{
    struct hostlist again = {.hosts = NULL};
    struct blob *text = blob_new(64);
    struct problem problem;

    FUZZ_CHECK(text != NULL && hostlist_write(list, text) == 0);
    FUZZ_CHECK(blob_reserve(text, 1) == 0);
    wire_put_u8(text, 0);
    FUZZ_CHECK(hostlist_add(&again, (const char *)text->data, &problem) == 0);
    FUZZ_CHECK(again.count == list->count);
    for (size_t i = 0; i < list->count; i++) {
        FUZZ_CHECK(strcmp(again.hosts[i].name, list->hosts[i].name) == 0);
        FUZZ_CHECK(again.hosts[i].slots == list->hosts[i].slots);
    }
    hostlist_fini(&again);
    blob_unref(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wire_cursor c = wire_cursor_of(data, size);
    struct hostlist list = {.hosts = NULL};
    struct problem problem;
    const uint8_t form = wire_get_u8(&c);
    char *text = fuzz_text(&c);

    if (read_form(form, &list, text, &problem) == 0)
        compare(&list);
    hostlist_fini(&list);
    free(text);
    return 0;
}
