/* What the hosts that run our tasks want of us, besides arguments. */
#include "session_state.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Read a part of the running executable, whatever has become of its file. */
static size_t read_self(uint64_t offset, uint8_t *data, size_t size, uint64_t *total)
{
    const int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    struct stat file;
    size_t got = 0;

    if (fd < 0)
        return 0;
    if (fstat(fd, &file) == 0)
        *total = (uint64_t)file.st_size;
    while (got < size) {
        const ssize_t n = pread(fd, data + got, size - got, (off_t)(offset + got));

        if (n == 0 || (n < 0 && errno != EINTR))
            break;
        got += n > 0 ? (size_t)n : 0;
    }
    close(fd);
    return got;
}

static size_t lend_program(const scoop_session *s,
                           const struct wire_cargo *cargo,
                           uint8_t *data,
                           size_t size,
                           uint64_t *total,
                           const char **why)
{
    *why = "the client is another program";
    if (memcmp(cargo->key, s->client.program.sha256, sizeof(cargo->key)) != 0)
        return 0;
    *why = "the client cannot read its own file";
    return read_self(cargo->offset, data, size, total);
}

size_t session_lend(void *session,
                    const struct wire_cargo *cargo,
                    uint8_t *data,
                    size_t size,
                    uint64_t *total,
                    const char **why)
{
    if (cargo->what == WIRE_WHAT_PROGRAM)
        return lend_program(session, cargo, data, size, total, why);
    return scattered_lend(session, cargo, data, size, total, why);
}
