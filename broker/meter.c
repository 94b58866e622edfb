#include "meter.h"

#include <string.h>

enum kind {
    GAUGE_U64,
    GAUGE_U32,
    COUNTER, /* only grows */
};

#define FIELD(member) offsetof(struct core_counters, member)

static const struct row {
    const char *name;
    enum kind kind;
    size_t offset;
    const char *help;
} rows[] = {
    {"scoop_tasks_ready", GAUGE_U64, FIELD(ready), "Tasks waiting for a slot."},
    {"scoop_tasks_leased", GAUGE_U64, FIELD(leased), "Tasks held by agents."},
    {"scoop_tasks_resting", GAUGE_U64, FIELD(resting),
     "Failed tasks that wait for their next try."},
    {"scoop_tasks_held", GAUGE_U64, FIELD(held), "Tasks that wait for others to end."},
    {"scoop_tasks_blocked", GAUGE_U64, FIELD(blocked),
     "Tasks that wait for one that did not end well."},
    {"scoop_tasks_durable", GAUGE_U64, FIELD(durable), "Durable tasks kept, ended or not."},
    {"scoop_constants", GAUGE_U64, FIELD(constants), "Constants that are set."},
    {"scoop_constant_bytes", GAUGE_U64, FIELD(constant_bytes), "Bytes of these."},
    {"scoop_tasks_accepted_total", COUNTER, FIELD(accepted), "Tasks accepted from clients."},
    {"scoop_tasks_done_total", COUNTER, FIELD(done), "Tasks that ended well."},
    {"scoop_tasks_failed_total", COUNTER, FIELD(failed), "Tasks that ended otherwise."},
    {"scoop_requeued_crash_total", COUNTER, FIELD(requeued_crash), "Tries repeated after a crash."},
    {"scoop_requeued_loss_total", COUNTER, FIELD(requeued_loss),
     "Tries repeated as an agent was lost."},
    {"scoop_requeued_failure_total", COUNTER, FIELD(retried),
     "Tries repeated after a failure, as asked."},
    {"scoop_tasks_copied_total", COUNTER, FIELD(copied),
     "Tasks that ran for long and were started elsewhere as well, as asked."},
    {"scoop_outcomes_stale_total", COUNTER, FIELD(stale), "Outcomes dropped for an old token."},
    {"scoop_frames_malformed_total", COUNTER, FIELD(malformed), "Frames that were not as agreed."},
    {"scoop_peers_refused_total", COUNTER, FIELD(refused), "Links refused or ended by the broker."},
    {"scoop_events_illegal_total", COUNTER, FIELD(illegal),
     "Events a task's state does not allow."},
    {"scoop_agents_lost_total", COUNTER, FIELD(agents_lost), "Agents given up."},
    {"scoop_notes_dropped_total", COUNTER, FIELD(notes_dropped),
     "Lines of output that came faster than their client read."},
    {"scoop_pieces_total", COUNTER, FIELD(pieces), "Pieces of large arguments and results."},
    {"scoop_piece_bytes_total", COUNTER, FIELD(piece_bytes), "Bytes of these."},
    {"scoop_pieces_dropped_total", COUNTER, FIELD(pieces_dropped),
     "Pieces that nobody wanted any more."},
    {"scoop_sessions", GAUGE_U32, FIELD(sessions), "Client sessions."},
    {"scoop_agents", GAUGE_U32, FIELD(agents), "Agents with a lease."},
    {"scoop_slots", GAUGE_U32, FIELD(slots), "Slots of those agents."},
};

struct meter {
    struct metric *messages[WIRE_AGENT + 1]; /* by role */
    struct metric *metrics[COUNT_OF(rows)];
    uint64_t shown[COUNT_OF(rows)];
};

struct meter *meter_new(struct metrics *metrics)
{
    static const char help[] = "Messages that came through the socket of this role.";
    struct meter *meter = calloc(1, sizeof(*meter));

    if (meter != NULL) {
        meter->messages[WIRE_CLIENT] =
            metrics_counter(metrics, "scoop_messages_total", "role=\"client\"", help);
        meter->messages[WIRE_AGENT] =
            metrics_counter(metrics, "scoop_messages_total", "role=\"worker\"", help);
    }
    for (size_t i = 0; meter != NULL && i < COUNT_OF(rows); i++)
        meter->metrics[i] = rows[i].kind == COUNTER
                                ? metrics_counter(metrics, rows[i].name, "", rows[i].help)
                                : metrics_gauge(metrics, rows[i].name, "", rows[i].help);
    return meter;
}

void meter_free(struct meter *meter)
{
    free(meter);
}

void meter_message(struct meter *meter, enum wire_role role)
{
    metric_add(meter->messages[role], 1);
}

static uint64_t value_of(const struct row *row, const struct core_counters *counters)
{
    const char *field = (const char *)counters + row->offset;
    uint64_t wide = 0;
    uint32_t narrow = 0;

    if (row->kind != GAUGE_U32) {
        memcpy(&wide, field, sizeof(wide));
        return wide;
    }
    memcpy(&narrow, field, sizeof(narrow));
    return narrow;
}

void meter_show(struct meter *meter, const struct core_counters *counters)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const uint64_t value = value_of(&rows[i], counters);

        if (rows[i].kind == COUNTER)
            metric_add(meter->metrics[i], (int64_t)(value - meter->shown[i]));
        else
            metric_set(meter->metrics[i], (int64_t)value);
        meter->shown[i] = value;
    }
}
