#include "landlock.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/landlock.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* As the newest kernel has it; older ones take it as long as what they do not know is zero. */
struct attributes {
    uint64_t handled_access_fs;
    uint64_t handled_access_net;
    uint64_t scoped;
};

#define SCOPE_SIGNAL ((uint64_t)1 << 1)

/* All that version 2 knows. */
#define ALL_ACCESS ((LANDLOCK_ACCESS_FS_REFER << 1) - 1)
/* What makes sense for a file that is no folder. */
#define FILE_ACCESS                                                                                \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE)
#define READ_ACCESS                                                                                \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)

/* Folders above a hidden path. */
#define DEPTH_MAX 32

int landlock_abi(void)
{
    const long version =
        syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

    return version > 0 ? (int)version : 0;
}

static int create(const struct attributes *attributes, int *ruleset)
{
    const long fd = syscall(SYS_landlock_create_ruleset, attributes, sizeof(*attributes), 0);

    if (fd < 0)
        return errno == ENOSYS || errno == EOPNOTSUPP ? -ENOTSUP : -errno;
    *ruleset = (int)fd;
    return 0;
}

/* What is not there, or cannot be named by us, needs no rule. */
static int allow(int ruleset, const char *path, uint64_t access)
{
    struct stat file;
    const int fd = open(path, O_PATH | O_CLOEXEC);

    if (fd < 0)
        return 0;
    if (fstat(fd, &file) == 0 && !S_ISDIR(file.st_mode))
        access &= FILE_ACCESS;
    const struct landlock_path_beneath_attr beneath = {.allowed_access = access, .parent_fd = fd};
    const long result = access == 0 ? 0
                                    : syscall(SYS_landlock_add_rule, ruleset,
                                              LANDLOCK_RULE_PATH_BENEATH, &beneath, 0);
    const int error = errno;

    close(fd);
    return result == 0 ? 0 : -error;
}

/* ---- signals ---- */

int landlock_scope(int *ruleset)
{
    const int abi = landlock_abi();
    /* A ruleset must be about something: without scopes it is about making block devices, which we
     * do not. */
    const struct attributes attributes = {
        .handled_access_fs = abi < LANDLOCK_ABI_SCOPE ? LANDLOCK_ACCESS_FS_MAKE_BLOCK : 0,
        .scoped = abi < LANDLOCK_ABI_SCOPE ? 0 : SCOPE_SIGNAL,
    };

    /* Version 1 would forbid to move files to other folders. */
    if (abi < LANDLOCK_ABI_FILES)
        return -ENOTSUP;
    return create(&attributes, ruleset);
}

/* ---- what is hidden ---- */

struct hiding {
    int ruleset;
    const char *const *paths;
    size_t count;
};

enum relation { APART, ABOVE, SAME };

static enum relation relation_of(const struct hiding *hiding, const char *path)
{
    const size_t length = strlen(path);
    enum relation relation = APART;

    for (size_t i = 0; i < hiding->count; i++) {
        if (strcmp(hiding->paths[i], path) == 0)
            return SAME;
        if (strncmp(hiding->paths[i], path, length) == 0 && hiding->paths[i][length] == '/')
            relation = ABOVE;
    }
    return relation;
}

static int allow_beside(const struct hiding *hiding, const char *folder, int depth);

static int allow_entry(const struct hiding *hiding, const char *path, int depth)
{
    struct stat file;

    /* What a link leads to lies elsewhere. */
    if (lstat(path, &file) != 0 || S_ISLNK(file.st_mode))
        return 0;
    switch (relation_of(hiding, path)) {
    case SAME: return 0;
    case ABOVE: return depth < DEPTH_MAX ? allow_beside(hiding, path, depth + 1) : -ELOOP;
    case APART: break;
    }
    return allow(hiding->ruleset, path, LANDLOCK_ACCESS_FS_READ_FILE);
}

/* All in this folder that is not hidden; the folder is above something that is. NOLINT(misc-no-recursion) */
static int allow_beside(const struct hiding *hiding, const char *folder, int depth)
{
    DIR *const entries = opendir(folder);
    const struct dirent *entry = NULL;
    char path[PATH_MAX];
    int result = entries != NULL ? 0 : -errno;

    while (entries != NULL && result == 0 && (entry = readdir(entries)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        const int length = snprintf(path, sizeof(path), "%s/%s",
                                    strcmp(folder, "/") == 0 ? "" : folder, entry->d_name);
        result = length < (int)sizeof(path) ? allow_entry(hiding, path, depth) : -ENAMETOOLONG;
    }
    if (entries != NULL)
        closedir(entries);
    return result;
}

/* The real paths of those that are there. The caller frees each. */
static size_t find_hidden(const char *const *hidden, size_t count, char **found)
{
    size_t used = 0;

    for (size_t i = 0; i < count; i++) {
        found[used] = hidden[i][0] == '/' ? realpath(hidden[i], NULL) : NULL;
        used += found[used] != NULL;
    }
    return used;
}

static int hide(const char *const *paths, size_t count, int *ruleset)
{
    const struct attributes attributes = {.handled_access_fs = LANDLOCK_ACCESS_FS_READ_FILE |
                                                               LANDLOCK_ACCESS_FS_REFER};
    struct hiding hiding = {.ruleset = -1, .paths = paths, .count = count};
    int result = create(&attributes, &hiding.ruleset);

    if (result != 0)
        return result;
    /* Files may still be moved to other folders. */
    result = allow(hiding.ruleset, "/", LANDLOCK_ACCESS_FS_REFER);
    if (result == 0)
        result = allow_beside(&hiding, "/", 0);
    if (result == 0)
        *ruleset = hiding.ruleset;
    else
        close(hiding.ruleset);
    return result;
}

int landlock_hide(const char *const *hidden, size_t count, int *ruleset)
{
    if (landlock_abi() < LANDLOCK_ABI_FILES)
        return -ENOTSUP;
    char **const found = calloc(count + 1, sizeof(*found));
    if (found == NULL)
        return -ENOMEM;
    const size_t used = find_hidden(hidden, count, found);
    int result = 0;

    *ruleset = -1;
    if (used != 0)
        result = hide((const char *const *)found, used, ruleset);
    for (size_t i = 0; i < used; i++)
        free(found[i]);
    free(found);
    return result;
}

/* ---- what can be reached ---- */

static int allow_all(int ruleset, const char *const *paths, uint64_t access)
{
    int result = 0;

    for (size_t i = 0; result == 0 && paths[i] != NULL; i++)
        result = allow(ruleset, paths[i], access);
    return result;
}

int landlock_reach(const char *const *read, const char *const *write, int *ruleset)
{
    const struct attributes attributes = {.handled_access_fs = ALL_ACCESS};

    if (landlock_abi() < LANDLOCK_ABI_FILES)
        return -ENOTSUP;
    int result = create(&attributes, ruleset);
    if (result != 0)
        return result;
    result = allow_all(*ruleset, read, READ_ACCESS);
    if (result == 0)
        result = allow_all(*ruleset, write, ALL_ACCESS);
    if (result != 0)
        close(*ruleset);
    return result;
}

int landlock_enter(int ruleset)
{
    return syscall(SYS_landlock_restrict_self, ruleset, 0) == 0 ? 0 : -errno;
}
