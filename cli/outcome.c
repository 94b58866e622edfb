#include "outcome.h"

#include "base/clock.h"

#include <signal.h>
#include <string.h>

/* As a shell has it for a command that could not be run. */
#define NOT_RUN 126

/* The task did not end well: no output came back. */
static void read_failure(const struct scoop_error *error, struct outcome *out)
{
    out->failed = true;
    out->result.host = (struct wire_bytes){(const uint8_t *)error->host, strlen(error->host)};
    out->result.run_us = error->run_us;
    out->result.start_us = (uint64_t)clock_wall_ms() * 1000 - error->run_us;
    if (error->status == SCOOP_OVERTIME)
        out->result.signal = SIGKILL;
    else
        out->result.code =
            error->status == SCOOP_FAILED && error->code < 256 ? error->code : NOT_RUN;
}

/* Not about this task: the others would end the same way. */
static bool is_about_the_cluster(enum scoop_status status)
{
    return status == SCOOP_NO_BROKER || status == SCOOP_DENIED || status == SCOOP_SHUT_DOWN ||
           status == SCOOP_NO_MEMORY;
}

int outcome_read(scoop_future *future, struct outcome *out)
{
    struct scoop_bytes bytes;
    struct scoop_error error = {.host = ""};

    *out = (struct outcome){.text = ""};
    if (scoop_wait(future, SCOOP_FOREVER) != SCOOP_OK || !scoop_error(future, &error))
        return -EIO;
    const enum scoop_status status = scoop_result_bytes(future, &bytes);
    if (status != SCOOP_OK) {
        out->text = scoop_last_error();
        read_failure(&error, out);
        return is_about_the_cluster(status) ? -EIO : 0;
    }
    if (command_get_result(bytes.data, bytes.size, &out->result) != 0) {
        out->text = "a worker's answer is not readable: is its version another one?";
        return -EPROTO;
    }
    out->ran = true;
    out->failed = out->result.code != 0 || out->result.signal != 0;
    return 0;
}
