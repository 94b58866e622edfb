#include "rundir.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OPEN_TO_OTHERS (S_IRWXG | S_IRWXO)
#define PLAIN          "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._+-"

int rundir_path(const char *folder,
                const char *name,
                char path[RUNDIR_PATH_MAX],
                struct problem *problem)
{
    const int length = snprintf(path, RUNDIR_PATH_MAX, "%s/%s", folder, name);

    if (length >= RUNDIR_PATH_MAX)
        return problem_set(problem, -ENAMETOOLONG, "run folder %.100s...: the path is too long",
                           folder);
    return 0;
}

/* It was there before us: is it a folder that only this user can have made? */
static int check_folder(const char *path, struct problem *problem)
{
    struct stat folder;

    if (lstat(path, &folder) != 0)
        return problem_set(problem, -errno, "run folder %s: %s", path, strerror(errno));
    if (!S_ISDIR(folder.st_mode) || folder.st_uid != geteuid())
        return problem_set(problem, -EPERM, "run folder %s is not a folder of uid %u", path,
                           (unsigned)geteuid());
    if ((folder.st_mode & OPEN_TO_OTHERS) != 0)
        return problem_set(problem, -EPERM, "run folder %s has mode %04o, 0700 is wanted", path,
                           (unsigned)(folder.st_mode & 07777));
    return 0;
}

int rundir_make(const char *parent,
                const char *name,
                char path[RUNDIR_PATH_MAX],
                struct problem *problem)
{
    const int rc = rundir_path(parent, name, path, problem);

    if (rc != 0)
        return rc;
    if (strspn(path, PLAIN) != strlen(path))
        return problem_set(problem, -EINVAL,
                           "run folder %s: a path of letters, digits and /._+- is wanted", path);
    if (mkdir(parent, S_IRWXU) != 0 && errno != EEXIST)
        return problem_set(problem, -errno, "run folder %s cannot be made: %s", parent,
                           strerror(errno));
    if (mkdir(path, S_IRWXU) != 0 && errno != EEXIST)
        return problem_set(problem, -errno, "run folder %s cannot be made: %s", path,
                           strerror(errno));
    return check_folder(path, problem);
}

static int write_all(int fd, const char *text)
{
    size_t left = strlen(text);

    while (left > 0) {
        const ssize_t n = write(fd, text, left);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        text += n;
        left -= (size_t)n;
    }
    return 0;
}

int rundir_write(
    const char *folder, const char *name, const char *text, mode_t mode, struct problem *problem)
{
    char path[RUNDIR_PATH_MAX];
    int rc = rundir_path(folder, name, path, problem);

    if (rc != 0)
        return rc;
    unlink(path);
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (fd < 0)
        return problem_set(problem, -errno, "%s cannot be made: %s", path, strerror(errno));
    rc = write_all(fd, text);
    if (rc == 0 && fchmod(fd, mode) != 0)
        rc = -errno;
    close(fd);
    if (rc != 0)
        return problem_set(problem, rc, "%s cannot be written: %s", path, strerror(-rc));
    return 0;
}
