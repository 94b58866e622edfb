"""The bugs that tests/simulation/mutants plants: a name, what it is, the file, and the text that becomes
another one. The text is in the file once."""
import typing


class Mutant(typing.NamedTuple):
    name: str
    what: str
    file: str
    old: str
    new: str


LINK = "base/link.c"
DIALLER = "base/dialler.c"
CORE = "broker/core.c"
PEER = "broker/peer.c"
SESSION = "broker/session.c"
AGENT = "broker/agent.c"
TASK = "broker/task.c"
SETTLE = "broker/settle.c"
TERMS = "broker/terms.c"
INPUTS = "broker/inputs.c"
SCHEDULE = "broker/schedule.c"
READY = "broker/ready.c"
DURABLE = "broker/durable.c"
ASK = "broker/ask.c"
LEDGER = "broker/ledger.c"
CLASS = "broker/class.c"
COPIES = "broker/copies.c"
TIES = "broker/ties.c"
CLIENT = "libscoop/client.c"
RESULTS = "libscoop/client_results.c"

MUTANTS = [
    # links
    Mutant("duplicate-taken", "a frame that was here already is handled again", LINK,
           "*verdict = LINK_DUPLICATE;\n    } else {", "*verdict = LINK_DELIVER;\n    } else {"),
    Mutant("gap-overlooked", "frames behind a gap are handled", LINK,
           "header->seq == link->received + 1", "header->seq > link->received"),
    Mutant("kept-dropped", "frames that were not acknowledged are forgotten", LINK,
           "drop_kept(link, header->ack);", "drop_kept(link, link->sent);"),
    Mutant("lag-overlooked", "the loss of the last frame is not noticed", LINK,
           "return ping->last_seq > link->received;", "return ping->last_seq > link->received + 1;"),
    Mutant("other-epoch-obeyed", "links have the same number in every epoch", "base/link.h",
           "return hello != epoch ? hello ^ epoch : hello;", "(void)epoch;\n    return hello;"),
    Mutant("older-link-obeyed", "frames of a link that was given up are obeyed", DIALLER,
           "if (in->header.link != d->link.id && in->header.link != d->hello)", "if (in->header.link == 0)"),
    Mutant("resend-one-less", "the oldest frame is not sent again", DIALLER,
           "for (uint64_t seq = d->link.acked + 1; seq", "for (uint64_t seq = d->link.acked + 2; seq"),
    Mutant("route-not-moved", "a peer is answered where it was before it reconnected", CORE,
           "        peer->route = event->route;\n", ""),
    Mutant("any-key", "frames of a link are taken from everybody's connection", CORE,
           "peer->role == event->role && strcmp(peer->key.text, event->key.text) == 0)\n        take_peer",
           "peer->role == event->role)\n        take_peer"),
    Mutant("late-hello", "a late HELLO opens a link that had ended", CORE,
           "agent->peer.link.id == link)", "agent->peer.link.id == link + 1)"),
    Mutant("silent-for-ever", "a silent agent is not given up", CORE,
           "return silent_ms >= CORE_LEASE_MS;", "return silent_ms >= CORE_LEASE_MS * 2;"),
    Mutant("unheard", "what is heard of a peer does not renew its lease", CORE,
           "    peer->heard_ms = core->now_ms;\n    if (peer->unreachable_ms", "    if (peer->unreachable_ms"),
    Mutant("revoked-key-stays", "the links of a revoked key do not end", CORE,
           "strcmp(peer->key.text, event->key.text) == 0)\n            peer_refuse",
           "strcmp(peer->key.text, event->key.text) > 0)\n            peer_refuse"),
    Mutant("two-links", "an agent's older link does not end when it says HELLO again", PEER,
           "peer->incarnation == hello->incarnation)", "peer->incarnation == 0)"),
    Mutant("revoked-key-returns", "a revoked key is admitted again", PEER,
           "return known != NULL;", "return known == NULL && core == NULL;"),
    # sessions
    Mutant("cancel-in-queue", "a cancelled task stays in its queue", SESSION,
           "    if (task->state == TASK_READY)\n        session_unqueue(core, task);\n    if (task->state == TASK_ASKING",
           "    if (task->state == TASK_ASKING"),
    Mutant("bytes-leak", "a session's credit of bytes is not given back", SESSION,
           "    s->bytes -= kept_bytes(task);\n", ""),
    Mutant("result-not-flushed", "a result waits until something else happens", SESSION,
           "    wire_frame_add_count(s->results, 1);\n    peer_touch(core, s->peer);\n",
           "    wire_frame_add_count(s->results, 1);\n"),
    # agents
    Mutant("no-fencing", "an outcome is taken whatever attempt it is of", AGENT,
           "task == NULL || task->agent != agent || task->attempt != outcome.attempt)",
           "task == NULL || task->agent == NULL)"),
    Mutant("attempt-not-checked", "an outcome of an earlier attempt is taken", AGENT,
           "task->agent != agent || task->attempt != outcome.attempt)", "task->agent != agent)"),
    Mutant("parked-leak", "the slot of a waiting task that ends is given twice", AGENT,
           "    task->agent->parked -= task->parked;\n", ""),
    Mutant("forgotten-requeue", "a task of a lost agent is not queued again", AGENT,
           "        settle(core, task, event, NULL);\n        return;\n", "        return;\n"),
    Mutant("function-not-told", "an agent is not told what a function is", AGENT,
           "    if (was_told(agent, number))", "    if (was_told(agent, number) || number % 2 == 1)"),
    Mutant("shelf-forgotten", "an agent that has given tasks back gets no new ones", AGENT,
           "            take_outcome(core, agent, task, &outcome);\n    }\n    agent_shelve(core, agent, true);",
           "            take_outcome(core, agent, task, &outcome);\n    }"),
    Mutant("final-retried", "a failure that no retry mends is tried again", AGENT,
           "(outcome->flags & WIRE_ATTEMPT_FINAL) != 0 ||\n", "\n"),
    Mutant("revoke-not-told", "an agent is not told that a task is not wanted", AGENT,
           "if (action != TASK_SEND_REVOKE)", "if (action != TASK_SEND_REVOKE || event == TASK_CANCEL)"),
    Mutant("overcommit", "an agent gets a task more than it has slots", AGENT,
           "return agent_active(agent) < agent->slots ?", "return agent_active(agent) <= agent->slots ?"),
    Mutant("slots-counted-on", "the slots of a lost agent are still counted", AGENT,
           "    core->counters.slots -= agent->slots;\n", ""),
    # tasks
    Mutant("attempt-not-counted", "two attempts have the same number", TASK,
           "    if (event == TASK_LEASE)\n        task->attempt++;\n",
           "    if (event == TASK_LEASE && task->attempt == 0)\n        task->attempt++;\n"),
    Mutant("fourth-crash", "a task that crashed three times is tried again", TASK,
           "++task->crashes >= TASK_CRASHES_MAX", "++task->crashes > TASK_CRASHES_MAX"),
    Mutant("second-crash", "a task that crashed twice is given up", TASK,
           "++task->crashes >= TASK_CRASHES_MAX", "++task->crashes >= TASK_CRASHES_MAX - 1"),
    Mutant("eleventh-loss", "a task that was lost ten times is tried again", TASK,
           "++task->losses >= TASK_LOSSES_MAX", "++task->losses > TASK_LOSSES_MAX"),
    Mutant("id-used-again", "two tasks have the same id", TASK,
           ".generation = task->generation + 1,", ".generation = task->generation + (task->generation == 0),"),
    Mutant("generation-not-checked", "an outcome is taken for the next task in the same place", TASK,
           "task->state != TASK_FREE && task_id(task) == id ? task : NULL",
           "task->state != TASK_FREE ? task : NULL"),
    Mutant("cancelled-runs-again", "a cancelled task whose agent is lost runs again", TASK,
           "[TASK_LOSS] = {TASK_FREE, TASK_DELIVER},\n                [TASK_LOSS_LAST] = {TASK_FREE, TASK_DELIVER},\n                [TASK_ABANDON]",
           "[TASK_LOSS] = {TASK_READY, TASK_WAIT},\n                [TASK_LOSS_LAST] = {TASK_FREE, TASK_DELIVER},\n                [TASK_ABANDON]"),
    Mutant("resting-not-cancelled", "a task that rests cannot be cancelled", TASK,
           "[TASK_DUE] = {TASK_READY, TASK_QUEUE_BACK},\n                [TASK_CANCEL] = {TASK_FREE, TASK_DELIVER},",
           "[TASK_DUE] = {TASK_READY, TASK_QUEUE_BACK},"),
    # what follows
    Mutant("never-ran-requeued", "a task that was taken from a silent agent is said never to have run", SETTLE,
           "return task->attempt == 0 && !task->inherited ?", "return !task->inherited ?"),
    Mutant("never-ran-elsewhere", "likewise one whose second agent had not begun it", SETTLE,
           "failure.code == WIRE_NEVER_RAN && task->attempt == 1 &&",
           "failure.code == WIRE_NEVER_RAN && task->attempt != 0 &&"),
    Mutant("never-ran-lost", "likewise one whose agent was lost before it answered", SETTLE,
           "        wire_get_failure(outcome->bytes, &failure) != 0)\n        return WIRE_DISCARDED;",
           "        wire_get_failure(outcome->bytes, &failure) != 0)\n        return WIRE_NEVER_RAN;"),
    Mutant("never-ran-inherited", "likewise a durable one that an earlier broker had", DURABLE,
           "    d->task->inherited = d->inherited;\n", ""),
    Mutant("rest-too-short", "a task is tried again before its rest is over", SETTLE,
           "task->terms->due_ms <= core->now_ms)", "task->terms->due_ms <= core->now_ms + 40)"),
    Mutant("timer-left", "the timer of a task that has ended stays", SETTLE,
           "    inputs_drop(task);\n    timers_stop(&core->timers, task);", "    inputs_drop(task);"),
    Mutant("inputs-left", "inputs hang on a task that has ended", SETTLE,
           "    inputs_drop(task);\n    timers_stop", "    timers_stop"),
    Mutant("one-retry-less", "a task is given up before its last retry", TERMS,
           "terms->retries_left == 0)", "terms->retries_left <= 1)"),
    Mutant("retries-without-end", "retries are not used up", TERMS,
           "- terms->retries_left--;", "- terms->retries_left;"),
    Mutant("no-backoff", "the pause between two tries does not grow", TERMS,
           "        pause *= 2;", "        pause += 1;"),
    Mutant("heap-order", "timers lie in the wrong order", TERMS,
           "            child++;\n", "            child += 0;\n"),
    Mutant("one-taker", "a result is handed to one of those that wait for it", INPUTS,
           "    while (task->terms->takers != NULL) {\n        struct input *input = task->terms->takers;\n\n        /* Without",
           "    if (task->terms->takers != NULL) {\n        struct input *input = task->terms->takers;\n\n        /* Without"),
    Mutant("failure-as-input", "a failure is handed on as a result", INPUTS,
           "outcome->outcome == WIRE_OK ? copy_of(outcome->bytes) : NULL",
           "outcome->outcome < WIRE_CRASHED ? copy_of(outcome->bytes) : NULL"),
    Mutant("opened-early", "a task begins before its last input is there", INPUTS,
           "else if (all->failed == 0 && all->open == 0)", "else if (all->failed == 0 && all->open <= 1)"),
    Mutant("need-not-asked", "the client is not asked for a result that it has", INPUTS,
           "        return ask_client(core, input);", "        return 0;"),
    Mutant("unblock-forgotten", "a task whose failed input was given stays blocked", INPUTS,
           "    all->failed -= input->state == INPUT_FAILED;\n", ""),
    # turns
    Mutant("unfair", "sessions do not take turns", SCHEDULE,
           "            lane_served(lane);\n", ""),
    Mutant("priority-ignored", "tasks go in order of coming, whatever their priority", READY,
           "(*place)->priority > priority)", "(*place)->priority < priority)"),
    # durable tasks
    Mutant("ack-before-durable", "a durable task is accepted before it is in the journal", LEDGER,
           "all->unconfirmed->position <= position)", "all->unconfirmed->position <= position + 1)"),
    Mutant("told-before-durable", "an outcome is told before it is in the journal", ASK,
           "    else if (d->state == DURABLE_DONE)\n        durable_tell(core, d, task);",
           "    else if (d->state == DURABLE_DONE || d->state == DURABLE_ENDING)\n        durable_tell(core, d, task);"),
    Mutant("loss-overlooked", "what Redis has forgotten is not written again", LEDGER,
           "void ledger_lost(struct core *core)\n{\n    core->durables.rewrite = true;",
           "void ledger_lost(struct core *core)\n{\n    core->durables.rewrite = false;"),
    Mutant("trimmed-too-far", "a record that is still needed is trimmed", LEDGER,
           "    core_trim(core, all->trim_to);", "    core_trim(core, all->trim_to + 1);"),
    Mutant("not-started", "an accepted durable task is not queued", DURABLE,
           "    if (d->constant == NULL)\n        durable_start(core, d);", ""),
    Mutant("forget-not-replayed", "what was forgotten is there again after a start", LEDGER,
           "record->type == RECORD_FORGET && d != NULL)", "record->type == RECORD_FORGET && d == NULL)"),
    Mutant("waiter-forgotten", "of those that wait for an outcome one is told", DURABLE,
           "    while ((task = pop(&d->waiters)) != NULL)\n        durable_tell(core, d, task);",
           "    if ((task = pop(&d->waiters)) != NULL && d->waiters.count > 0)\n        durable_tell(core, d, task);"),
    # the client
    Mutant("not-sent-again", "unfinished tasks are not sent to the next broker", CLIENT,
           "if (ledger_open(&client->ledger) > 0 && spans_of_ledger(client) != 0)",
           "if (ledger_open(&client->ledger) > 1000 && spans_of_ledger(client) != 0)"),
    Mutant("functions-not-sent-again", "the next broker is not told what functions are", CLIENT,
           "    memset(client->defined, 0, sizeof(client->defined));\n", ""),
    Mutant("never-ran-resent", "a task that an earlier broker had is said never to have run", RESULTS,
           "return job->resent && result->outcome", "return job->resent && !job->sent && result->outcome"),
    # needs
    Mutant("stock-not-given", "what a task needed is not given back", CLASS,
           "    move(core, class, agent, true);\n", "    (void)core;\n    (void)agent;\n"),
    Mutant("stock-not-taken", "what a task needs is not taken", CLASS,
           "    move(core, class, agent, false);\n", "    (void)core;\n    (void)agent;\n"),
    Mutant("stock-overdrawn", "a task goes where there is too little for it", CLASS,
           "if (have == NULL || have->quantity - taken < want->quantity)", "if (have == NULL)"),
    # copies
    Mutant("straggler-timer-left", "a straggler that is not wanted any more is looked at again", AGENT,
           "    timers_stop(&core->timers, task); /* it is no straggler any more */\n", ""),
    Mutant("last-try-copied", "a task at its last try gets a copy", COPIES,
           "task->crashes < TASK_CRASHES_MAX - 1 && ", ""),
    Mutant("loser-not-stopped", "the copy of a task that has ended is not revoked", COPIES,
           "    agent_revoke(core, copy, TASK_ABANDON);\n    return task;", "    return task;"),
    # durable tasks that wait for others
    Mutant("after-not-durable", "a task begins before what it waits for is in the journal", TIES,
           "    if (source->state != DURABLE_DONE)\n",
           "    if (source->state != DURABLE_DONE && source->state != DURABLE_ENDING)\n"),
    Mutant("after-failure", "a failure is handed to what waits for a success", TIES,
           "outcome, NULL) == 0 && outcome->outcome == WIRE_OK)", "outcome, NULL) == 0)"),
    Mutant("after-not-told", "what waits does not hear of the end", TIES,
           "        fill(tie, tie->taker->task);\n        inputs_changed(core, tie->taker->task);\n",
           "        (void)core;\n"),
    Mutant("after-gone", "what others wait for is forgotten at once", ASK,
           "if (d != NULL && d->takers != NULL) {", "if (d != NULL && d->takers != NULL && d->unwanted) {"),
    Mutant("after-kept-too-short", "what others wait for is forgotten when its time is over", DURABLE,
           "if (all->done->takers != NULL) {", "if (all->done->takers != NULL && all->done->unwanted) {"),
    Mutant("after-not-written", "the journal is not told what a task waits for", LEDGER,
           "    if (d->ties == NULL)\n        return;\n    put_head", "    if (d->ties == NULL || core->now_ms > 0)\n        return;\n    put_head"),
    Mutant("after-stuck", "what was retried holds up others still", TIES,
           "    all->stuck += stuck ? 1U : -1U;", "    all->stuck += stuck ? 1U : 0U;"),
    Mutant("unaccepted-too-many", "what has been accepted is forgotten when the journal is away", ASK,
           "        if (d->state != DURABLE_ACCEPTING)\n            continue;\n        ask_refuse_all",
           "        if (d->state == DURABLE_DONE || d->task != NULL)\n            continue;\n        ask_refuse_all"),
]
