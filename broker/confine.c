#include "confine.h"

#include "base/fence.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define IPC "ipc://"

/* The folder that `path` lies in, in text[size]. NULL: it names none. */
static const char *folder_of(const char *path, char *text, size_t size)
{
    const char *const slash = strrchr(path, '/');

    if (slash == NULL)
        return path[0] != '\0' ? "." : NULL;
    snprintf(text, size, "%.*s", slash != path ? (int)(slash - path) : 1, path);
    return text;
}

static const char *folder_of_socket(const char *endpoint, char *text, size_t size)
{
    if (strncmp(endpoint, IPC, strlen(IPC)) != 0)
        return NULL;
    return folder_of(endpoint + strlen(IPC), text, size);
}

void confine_broker(const struct options *options)
{
    const bool logs_in = options->workers[0] != '\0' || options->hosts[0] != '\0';
    char texts[4][4096];
    struct fence fence = {
        .rights = logs_in ? FENCE_SOCKETS | FENCE_START : FENCE_SOCKETS,
        .files = {options->curve_key, options->client_keys, options->ssh_key, options->ssh_host_key,
                  options->journal_password},
        .folders = {folder_of_socket(options->client_listen, texts[0], sizeof(texts[0])),
                    folder_of_socket(options->worker_listen, texts[1], sizeof(texts[1])),
                    folder_of(options->journal_mark, texts[2], sizeof(texts[2]))},
        .all_files = options->hosts[0] != '\0',
    };

    /* It is made when it is not there. */
    if (logs_in)
        fence.folders[3] = access(options->run_dir, F_OK) == 0
                               ? options->run_dir
                               : folder_of(options->run_dir, texts[3], sizeof(texts[3]));
    fence_raise(&fence);
}
