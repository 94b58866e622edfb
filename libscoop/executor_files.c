/* Large arguments and results of the executor's tasks: memory files that pass to and from the agent. */
#include "executor_state.h"

#include "base/fdpass.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Files of values that came while another one was waited for. */
struct early {
    uint64_t number;
    int fd;
    struct early *next;
};

static struct early *early;

static bool take_early(uint64_t number, int *fd)
{
    for (struct early **place = &early; *place != NULL; place = &(*place)->next) {
        struct early *const found = *place;

        if (found->number != number)
            continue;
        *fd = found->fd;
        *place = found->next;
        free(found);
        return true;
    }
    return false;
}

static void keep_early(uint64_t number, int fd)
{
    struct early *const kept = malloc(sizeof(*kept));

    if (kept == NULL)
        executor_give_up("out of memory for a value");
    *kept = (struct early){.number = number, .fd = fd, .next = early};
    early = kept;
}

int files_take(uint64_t number)
{
    uint64_t came = 0;
    int fd = -1;

    if (take_early(number, &fd))
        return fd;
    while (fdpass_receive(executor.files, &came, &fd) == 0) {
        if (came == number)
            return fd;
        if ((came & CHANNEL_VALUE) != 0)
            keep_early(came, fd);
        else
            close(fd); /* it was for a task that is not wanted any more */
    }
    _exit(CHANNEL_DAMAGE_DESCRIPTORS);
}

bool files_map(uint64_t id, struct mapping *out, char *text, size_t size)
{
    const int fd = files_take((uint32_t)id);
    struct stat file;

    if (fstat(fd, &file) != 0)
        _exit(CHANNEL_DAMAGE_DESCRIPTORS);
    out->size = (size_t)file.st_size;
    out->at = mmap(NULL, out->size, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (out->at != MAP_FAILED)
        return true;
    snprintf(text, size, "no memory to map an argument of %zu bytes", out->size);
    return false;
}

void files_unmap(struct mapping *mapping)
{
    munmap(mapping->at, mapping->size);
}

/* A bound of the kernel on what is under way: the agent takes it, so wait for that. */
#define FULL_MS 10

static bool is_full(int result)
{
    return result == -EAGAIN || result == -ETOOMANYREFS || result == -ENOBUFS;
}

void files_put_moved(struct channel_outcome *head)
{
    struct executor *const e = &executor;
    const int file = output_take_file(&e->current->output);
    struct pollfd room = {.fd = e->files, .events = POLLOUT};
    int result = 0;

    if (file < 0)
        executor_give_up("the result cannot be handed over");
    while (is_full(result = fdpass_send(e->files, head->id, file)))
        (void)poll(&room, 1, FULL_MS);
    close(file);
    if (result != 0)
        _exit(CHANNEL_DAMAGE_DESCRIPTORS);
    head->outcome = CHANNEL_MOVED;
    executor_put(head, NULL, NULL, 0);
}
