/* Large arguments and results of the executor's tasks: memory files that pass to and from the agent. */
#include "executor_state.h"

#include "base/fdpass.h"

#include <poll.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

bool files_map(uint64_t id, struct mapping *out, char *text, size_t size)
{
    struct stat file;
    int fd = -1;

    if (fdpass_take(executor.files, (uint32_t)id, &fd) != 0 || fstat(fd, &file) != 0)
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
