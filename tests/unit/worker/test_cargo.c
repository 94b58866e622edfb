#include "worker/cargo.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MANY ((uint64_t)1 << 40)

static int memory_file(off_t size)
{
    const int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    cr_assert_geq(fd, 0);
    cr_assert_eq(ftruncate(fd, size), 0);
    return fd;
}

static void seal(int fd)
{
    cr_assert_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE), 0);
}

Test(cargo, keeps_what_was_put_and_counts_what_it_holds)
{
    uint64_t held = 5;
    struct blob *blob = cargo_new(10, &held);
    uint8_t read[4];

    cr_assert_not_null(blob);
    cr_assert_eq(held, 15);
    cr_assert_eq(cargo_put(cargo_of(blob), 3, (const uint8_t *)"abcd", 4), 0);
    cr_assert_eq(cargo_seal(cargo_of(blob)), 0);
    cr_assert_eq(cargo_put(cargo_of(blob), 3, (const uint8_t *)"x", 1), -EPERM);
    cr_assert_eq(cargo_get(cargo_of(blob), 3, read, 4), 0);
    cr_assert_arr_eq(read, "abcd", 4);
    cr_assert_eq(cargo_get(cargo_of(blob), 8, read, 4), -EPROTO, "beyond its end");
    blob_unref(blob);
    cr_assert_eq(held, 5);
}

Test(cargo, is_a_sealed_memory_file_of_a_possible_size)
{
    uint64_t size = 0;
    int pipe[2];

    int fd = memory_file(10);
    seal(fd);
    cr_assert(cargo_accept(fd, 10, &size));
    cr_assert_eq(size, 10);
    close(fd);

    fd = memory_file(11);
    seal(fd);
    cr_assert_not(cargo_accept(fd, 10, &size), "too large");
    fd = memory_file(0);
    seal(fd);
    cr_assert_not(cargo_accept(fd, 10, &size), "empty");
    cr_assert_not(cargo_accept(memory_file(10), 10, &size), "not sealed");
    cr_assert_eq(pipe2(pipe, O_CLOEXEC), 0);
    cr_assert_not(cargo_accept(pipe[0], 10, &size), "a pipe");
    cr_assert_eq(fcntl(pipe[0], F_GETFD), -1, "it is closed");
    close(pipe[1]);
    cr_assert_not(cargo_accept(open("/dev/zero", O_RDONLY | O_CLOEXEC), 10, &size), "a device");
}

/* A folder of fixtures. */
static void write_file(const char *root, const char *name, const char *text)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/%s", root, name);
    for (char *slash = strchr(path + strlen(root) + 1, '/'); slash != NULL;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
    FILE *file = fopen(path, "we");
    cr_assert_not_null(file);
    fputs(text, file);
    fclose(file);
}

static void remove_folder(const char *root)
{
    char command[300];

    snprintf(command, sizeof(command), "rm -r %s", root);
    cr_assert_eq(system(command), 0);
}

Test(cargo, room_is_what_the_host_has_free)
{
    char root[] = "/tmp/test-cargo-XXXXXX";

    cr_assert_not_null(mkdtemp(root));
    write_file(root, "proc/meminfo", "MemTotal: 99 kB\nMemAvailable:    1000 kB\n");
    cr_assert_eq(cargo_room(root), 1000 * 1024);
    remove_folder(root);
    cr_assert_eq(cargo_room("/nonexistent"), UINT64_MAX, "not known");
}

Test(cargo, room_is_what_the_tightest_control_group_leaves)
{
    char root[] = "/tmp/test-cargo-XXXXXX";

    cr_assert_not_null(mkdtemp(root));
    write_file(root, "proc/meminfo", "MemAvailable:    1000 kB\n");
    write_file(root, "proc/self/cgroup", "0::/a/b\n");
    write_file(root, "sys/fs/cgroup/a/b/memory.max", "max\n");
    write_file(root, "sys/fs/cgroup/a/b/memory.current", "5\n");
    write_file(root, "sys/fs/cgroup/a/memory.max", "500000\n");
    write_file(root, "sys/fs/cgroup/a/memory.current", "450000\n");
    write_file(root, "sys/fs/cgroup/a/memory.stat", "file 7\ninactive_file 20000\n");
    cr_assert_eq(cargo_room(root), 70000, "what is only cached goes first");
    write_file(root, "sys/fs/cgroup/a/memory.current", "600000\n");
    cr_assert_eq(cargo_room(root), 0);
    remove_folder(root);
}
