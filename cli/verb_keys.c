/* scoop keys: the secrets of a stack, never what is in them; and new ones for it. */
#include "cluster_json.h"
#include "docker.h"
#include "verb.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct keys_options {
    const char *folder;
    bool json;
    bool cut;
};

static const struct setting rows[] = {
    {
        .flag = "json",
        .type = SETTING_FLAG,
        .offset = offsetof(struct keys_options, json),
        .help = "list: print a JSON array",
    },
    {
        .flag = "folder",
        .type = SETTING_TEXT,
        .offset = offsetof(struct keys_options, folder),
        .min = 1,
        .help = "rotate: where the stack file, rotate-keys and secrets/ are (here, if not given)",
    },
    {
        .flag = "cut",
        .type = SETTING_FLAG,
        .offset = offsetof(struct keys_options, cut),
        .help = "rotate: to the end; sessions that know only the old keys cannot come back",
    },
};

static const struct settings settings = {
    .program = "scoop keys",
    .about =
        "Lists the secrets of a stack (scoop, if no other is named) and the services that use "
        "them, by the docker\ncommand on a manager; or gives it new ssh and CURVE keys while it "
        "works. What is interrupted goes on\nwhen it is run again. Without --cut the clients' old "
        "key stays admitted, and the broker keeps its own.",
    .operands = "list|rotate [STACK]",
    .example = "scoop keys rotate --folder stack",
    .rows = rows,
    .row_count = COUNT_OF(rows),
};

static int complain(const char *what, int rc)
{
    fprintf(stderr, "%s: %s: %s\n", settings.program, what, strerror(-rc));
    return EXIT_FAILED;
}

/* ---- list ---- */

/* Text below an object, "" when there is none: docker's objects lack what is empty. */
static const char *text_at(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text != NULL ? text : "";
}

/* What follows the last "_v" of a name: "2" of "scoop_broker_curve_key_v2". */
static const char *version_of(const char *name)
{
    const char *found = "";

    for (const char *at = strstr(name, "_v"); at != NULL; at = strstr(at + 1, "_v"))
        found = at[2] >= '0' && at[2] <= '9' ? at + 2 : found;
    return found;
}

static bool uses(const json_t *service, const char *id)
{
    const json_t *container = json_object_get(
        json_object_get(json_object_get(service, "Spec"), "TaskTemplate"), "ContainerSpec");
    const json_t *secret = NULL;
    size_t i = 0;

    json_array_foreach(json_object_get(container, "Secrets"), i, secret)
    {
        if (strcmp(text_at(secret, "SecretID"), id) == 0)
            return true;
    }
    return false;
}

static json_t *users_of(const json_t *services, const char *id)
{
    json_t *names = json_array();
    const json_t *service = NULL;
    size_t i = 0;

    json_array_foreach(services, i, service)
    {
        if (uses(service, id))
            json_array_append_new(names,
                                  json_string(text_at(json_object_get(service, "Spec"), "Name")));
    }
    return names;
}

/* Only what is named here is taken over: whatever else an engine may say of a secret is not shown. */
static json_t *rows_of(const json_t *secrets, const json_t *services)
{
    json_t *list = json_array();
    const json_t *secret = NULL;
    size_t i = 0;

    json_array_foreach(secrets, i, secret)
    {
        const char *name = text_at(json_object_get(secret, "Spec"), "Name");

        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:s, s:o}", "name", name, "version",
                                        version_of(name), "created", text_at(secret, "CreatedAt"),
                                        "services", users_of(services, text_at(secret, "ID"))));
    }
    return list;
}

static void print_row(const json_t *row, int width)
{
    const json_t *services = json_object_get(row, "services");
    const json_t *service = NULL;
    size_t i = 0;

    printf("%-*s  %-8s %-20.19s", width, text_at(row, "name"), text_at(row, "version"),
           text_at(row, "created"));
    json_array_foreach(services, i, service)
    {
        printf("%s %s", i > 0 ? "," : "", json_string_value(service));
    }
    printf("%s\n", json_array_size(services) == 0 ? " -" : "");
}

static void print_table(const json_t *list)
{
    int width = 4;
    const json_t *row = NULL;
    size_t i = 0;

    json_array_foreach(list, i, row)
    {
        const int length = (int)strlen(text_at(row, "name"));

        width = length > width ? length : width;
    }
    printf("%-*s  %-8s %-20s %s\n", width, "NAME", "VERSION", "CREATED", "USED BY");
    json_array_foreach(list, i, row)
    {
        print_row(row, width);
    }
}

static int list(const struct keys_options *options, const char *stack)
{
    json_t *secrets = NULL;
    json_t *services = NULL;
    int rc = docker_inspect_stack("secret", stack, &secrets);

    if (rc == 0)
        rc = docker_inspect_stack("service", stack, &services);
    json_t *found = rc == 0 ? rows_of(secrets, services) : NULL;
    json_decref(secrets);
    json_decref(services);
    if (found == NULL)
        return complain("docker", rc != 0 ? rc : -ENOMEM);
    if (options->json) {
        print_json(found);
        return EXIT_DONE;
    }
    print_table(found);
    json_decref(found);
    return EXIT_DONE;
}

/* ---- rotate ---- */

/* Become stack/rotate-keys, which does it. Returns only when that cannot be. */
static int rotate(const struct keys_options *options, const char *stack)
{
    const char *folder = options->folder != NULL ? options->folder : ".";
    char program[4096];

    if (snprintf(program, sizeof(program), "%s/rotate-keys", folder) >= (int)sizeof(program))
        return complain("--folder", -ENAMETOOLONG);
    if (options->cut)
        execl(program, program, "--cut", stack, (char *)NULL);
    else
        execl(program, program, stack, (char *)NULL);
    return complain(program, -errno);
}

/* ---- the verb ---- */

static int usage(const char *word)
{
    fprintf(stderr, "%s: \"%.100s\" is not what follows: list [STACK] or rotate [STACK]\n",
            settings.program, word);
    return EXIT_USAGE;
}

static int run_verb(int argc, char **argv)
{
    struct keys_options options = {.folder = NULL};
    int first = 0;
    enum settings_outcome outcome = settings_read(&settings, argc, argv, &options, &first);
    const char *action = outcome == SETTINGS_RUN && first < argc ? argv[first] : "list";

    /* Options may also follow the word. */
    if (outcome == SETTINGS_RUN && first < argc) {
        argc -= first;
        argv += first;
        outcome = settings_read(&settings, argc, argv, &options, &first);
    }
    if (outcome != SETTINGS_RUN)
        return outcome == SETTINGS_DONE ? EXIT_DONE : EXIT_USAGE;
    const char *stack = first < argc ? argv[first] : "scoop";
    if (first + 1 < argc)
        return usage(argv[first + 1]);
    if (strcmp(action, "list") == 0)
        return list(&options, stack);
    return strcmp(action, "rotate") == 0 ? rotate(&options, stack) : usage(action);
}

const struct verb verb_keys = {
    .name = "keys",
    .about = "list the secrets of a stack, or give it new ones",
    .settings = &settings,
    .run = run_verb,
};
