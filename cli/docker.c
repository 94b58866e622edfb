#include "docker.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void free_line(char **argv)
{
    for (char **word = argv; word != NULL && *word != NULL; word++)
        free(*word);
    free(argv);
}

/* argv of the child: its own words, which posix_spawn() wants without const. NULL: no memory. */
static char **command_line(const char *const *words)
{
    size_t count = 0;

    while (words[count] != NULL)
        count++;
    char **argv = calloc(count + 2, sizeof(*argv));
    bool whole = argv != NULL && (argv[0] = strdup("docker")) != NULL;
    for (size_t i = 0; i < count && whole; i++)
        whole = (argv[i + 1] = strdup(words[i])) != NULL;
    if (whole)
        return argv;
    free_line(argv);
    return NULL;
}

static int spawn(char *const *argv, int out, pid_t *child)
{
    posix_spawn_file_actions_t actions;
    int error = posix_spawn_file_actions_init(&actions);

    if (error != 0)
        return -error;
    error = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (error == 0)
        error = posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    if (error == 0)
        error = posix_spawnp(child, "docker", &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    return -error;
}

static int read_all(int fd, char **out)
{
    char *text = NULL;
    size_t length = 0;
    FILE *file = open_memstream(&text, &length);
    char part[4096];
    ssize_t got;

    if (file == NULL)
        return -ENOMEM;
    while ((got = read(fd, part, sizeof(part))) > 0 || (got < 0 && errno == EINTR)) {
        if (got > 0)
            fwrite(part, 1, (size_t)got, file);
    }
    const bool failed = got < 0 || ferror(file) != 0;
    if (fclose(file) != 0 || failed) {
        free(text);
        return got < 0 ? -EIO : -ENOMEM;
    }
    *out = text;
    return 0;
}

static int await(pid_t child)
{
    int status = 0;

    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR)
            return -errno;
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EIO;
}

int docker_ask(const char *const *words, char **out)
{
    char *text CLEANUP(free_p) = NULL;
    int ends[2];
    pid_t child = 0;
    char **argv = command_line(words);

    if (argv == NULL)
        return -ENOMEM;
    if (pipe2(ends, O_CLOEXEC) != 0) {
        const int error = -errno;

        free_line(argv);
        return error;
    }
    int rc = spawn(argv, ends[1], &child);
    close(ends[1]);
    free_line(argv);
    if (rc == 0) {
        const int read_rc = read_all(ends[0], &text);

        rc = await(child);
        rc = read_rc != 0 ? read_rc : rc;
    }
    close(ends[0]);
    if (rc == 0)
        *out = steal(&text);
    return rc;
}

/* Ask for these ids, one in each line of `ids`, which is cut into words. */
static int inspect(const char *kind, char *ids, json_t **out)
{
    const char **words = calloc(DOCKER_WORDS_MAX + 1, sizeof(*words));
    char *text CLEANUP(free_p) = NULL;
    char *rest = NULL;
    size_t count = 2;
    int rc = 0;

    if (words == NULL)
        return -ENOMEM;
    words[0] = kind;
    words[1] = "inspect";
    for (char *id = strtok_r(ids, "\n", &rest); id != NULL && rc == 0;
         id = strtok_r(NULL, "\n", &rest)) {
        if (count < DOCKER_WORDS_MAX)
            words[count++] = id;
        else
            rc = -E2BIG;
    }
    if (rc == 0 && count > 2)
        rc = docker_ask(words, &text);
    free(words);
    if (rc != 0)
        return rc;
    *out = text != NULL ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : json_array();
    if (json_is_array(*out))
        return 0;
    json_decref(*out);
    *out = NULL;
    return -EPROTO;
}

int docker_inspect_stack(const char *kind, const char *stack, json_t **out)
{
    char filter[256];
    char *ids CLEANUP(free_p) = NULL;
    const char *const words[] = {kind, "ls", "--quiet", "--filter", filter, NULL};

    if (snprintf(filter, sizeof(filter), "label=com.docker.stack.namespace=%s", stack) >=
        (int)sizeof(filter))
        return -E2BIG;
    const int rc = docker_ask(words, &ids);
    return rc != 0 ? rc : inspect(kind, ids, out);
}
