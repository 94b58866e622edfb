#include "hosts.h"

#include "base/blob.h"
#include "base/hostlist.h"

#include <stdio.h>
#include <string.h>

#define FILE_MAX ((size_t)1 << 20)

bool hosts_are_named(const struct hosts_options *options)
{
    return options->hosts != NULL || options->hostfile != NULL;
}

/* A whole file as text, owned by the caller. */
static int load(const char *path, char **out, struct problem *problem)
{
    FILE *file = fopen(path, "re");
    char *text CLEANUP(free_p) = malloc(FILE_MAX + 1);

    if (file == NULL)
        return problem_set(problem, -errno, "%s", strerror(errno));
    const size_t size = text != NULL ? fread(text, 1, FILE_MAX + 1, file) : 0;
    const bool bad = ferror(file) != 0;
    fclose(file);
    if (text == NULL || bad)
        return problem_set(problem, -EIO, "it cannot be read");
    if (size > FILE_MAX || memchr(text, '\0', size) != NULL)
        return problem_set(problem, -EINVAL, "it is no list of hosts");
    text[size] = '\0';
    *out = steal(&text);
    return 0;
}

/* A list of hosts: the value itself, or the file that it names. */
struct source {
    const char *name;  /* of the flag or variable */
    const char *value; /* NULL: not set */
    bool is_file;
    int (*add)(struct hostlist *list, const char *text, struct problem *problem);
};

static int add_slurm(struct hostlist *list, const char *text, struct problem *problem)
{
    return hostlist_add_slurm(list, text, getenv("SLURM_TASKS_PER_NODE"), problem);
}

static int add_source(const struct source *source, struct hostlist *list, const char *program)
{
    char *text CLEANUP(free_p) = NULL;
    struct problem problem = {.text = ""};
    int error = source->is_file ? load(source->value, &text, &problem) : 0;

    if (error == 0)
        error = source->add(list, source->is_file ? text : source->value, &problem);
    if (error != 0)
        fprintf(stderr, "%s: %s: %s%s%s\n", program, source->name,
                source->is_file ? source->value : "", source->is_file ? ": " : "", problem.text);
    return error;
}

static char *write_list(const struct hostlist *list)
{
    struct blob *text CLEANUP(blob_unref_p) = blob_new(1024);

    if (text == NULL || hostlist_write(list, text) != 0)
        return NULL;
    return strndup((const char *)text->data, text->size);
}

int hosts_find(const struct hosts_options *options, const char *program, char **out)
{
    const struct source named[] = {
        {"--hosts", options->hosts, false, hostlist_add},
        {"--hostfile", options->hostfile, true, hostlist_add_file},
    };
    const struct source job[] = {
        {"SLURM_JOB_NODELIST", getenv("SLURM_JOB_NODELIST"), false, add_slurm},
        {"PBS_NODEFILE", getenv("PBS_NODEFILE"), true, hostlist_add_nodes},
    };
    const bool are_named = hosts_are_named(options);
    const struct source *sources = are_named ? named : job;
    struct hostlist list CLEANUP(hostlist_fini) = {.hosts = NULL};

    *out = NULL;
    for (size_t i = 0; i < COUNT_OF(named); i++) {
        if (sources[i].value == NULL || (!are_named && list.count > 0))
            continue;
        if (add_source(&sources[i], &list, program) != 0)
            return -EINVAL;
    }
    if (list.count == 0)
        return 0;
    *out = write_list(&list);
    if (*out == NULL)
        fprintf(stderr, "%s: no memory for the list of hosts\n", program);
    return *out != NULL ? 0 : -ENOMEM;
}
