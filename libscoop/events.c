/* For programs with an event loop of their own, and before the first task. */
#include "await.h"
#include "base/clock.h"
#include "error.h"
#include "program.h"
#include "serial.h"

#include <string.h>

/* Between two questions to the broker; it doubles. */
#define ASK_FIRST_MS 10
#define ASK_LAST_MS  200

int scoop_fd(scoop_session *given)
{
    scoop_session *session = NULL;

    if (program_root_session("scoop_fd", given, &session) != SCOOP_OK)
        return -1;
    const int fd = session != NULL ? session_descriptor(session) : serial_descriptor();
    if (fd < 0)
        error_set(SCOOP_NO_MEMORY, "scoop_fd: no descriptor: %s", strerror(errno));
    return fd;
}

enum scoop_status scoop_process(scoop_session *given)
{
    scoop_session *session = NULL;
    const enum scoop_status status = program_session(given, &session);

    if (status != SCOOP_OK)
        return status;
    if (session != NULL)
        session_process(session);
    else
        serial_process();
    await_callbacks(session);
    return SCOOP_OK;
}

/* What is left until `deadline`, but `most_ms` at most. */
static int time_left(int64_t deadline, int most_ms)
{
    const int64_t left_ms = deadline - clock_now_ms();

    return left_ms <= 0 ? 0 : left_ms < most_ms ? (int)left_ms : most_ms;
}

/* *slots is untouched on error. */
static enum scoop_status count_slots(scoop_session *session, int64_t deadline, unsigned *slots)
{
    struct scoop_cluster *cluster = NULL;
    const enum scoop_status status =
        scoop_cluster(session, time_left(deadline, INT32_MAX), &cluster);

    if (status == SCOOP_OK)
        *slots = cluster->slots;
    scoop_cluster_free(cluster);
    return status;
}

enum scoop_status scoop_wait_for_workers(scoop_session *given, unsigned slots, int deadline_ms)
{
    const int64_t deadline = program_deadline(deadline_ms);
    scoop_session *session = NULL;
    enum scoop_status status = program_root_session("scoop_wait_for_workers", given, &session);
    unsigned there = 0;

    if (status != SCOOP_OK || session == NULL)
        return status;
    bool answered = false;
    for (int pause_ms = ASK_FIRST_MS;;) {
        status = count_slots(session, deadline, &there);
        answered = answered || status == SCOOP_OK;
        if (status == SCOOP_OK && there >= slots)
            return SCOOP_OK;
        if (status != SCOOP_OK && (status != SCOOP_TIMEOUT || !answered))
            return status;
        if (clock_now_ms() >= deadline)
            return error_set(SCOOP_TIMEOUT, "%u of %u slots are there after %d ms", there, slots,
                             deadline_ms);
        clock_sleep_ms(time_left(deadline, pause_ms));
        pause_ms = pause_ms * 2 < ASK_LAST_MS ? pause_ms * 2 : ASK_LAST_MS;
    }
}
