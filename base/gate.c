#include "gate.h"

static void queue_push(struct gate_queue *queue, struct gate_pass *pass)
{
    pass->next = NULL;
    *queue->tail = pass;
    queue->tail = &pass->next;
}

static void queue_push_front(struct gate_queue *queue, struct gate_pass *pass)
{
    if (queue->head == NULL)
        queue->tail = &pass->next;
    pass->next = queue->head;
    queue->head = pass;
}

static struct gate_pass *queue_pop(struct gate_queue *queue)
{
    struct gate_pass *pass = queue->head;

    if (pass == NULL)
        return NULL;
    queue->head = pass->next;
    if (queue->head == NULL)
        queue->tail = &queue->head;
    return pass;
}

static bool has_slot(const struct gate *gate)
{
    return gate->limit == 0 || gate->in_use < gate->limit;
}

void gate_init(struct gate *gate, uint64_t limit, int64_t delay_ms)
{
    *gate = (struct gate){.limit = limit, .delay_us = delay_ms * 1000};
    gate->waiting.tail = &gate->waiting.head;
    gate->delayed.tail = &gate->delayed.head;
}

bool gate_is_open(const struct gate *gate)
{
    return gate->limit == 0 && gate->delay_us == 0;
}

static void start_delay(struct gate *gate, struct gate_pass *pass, int64_t now_us)
{
    gate->in_use++;
    if (pass->undelayed) {
        pass->due_us = now_us;
        queue_push_front(&gate->delayed, pass);
        return;
    }
    pass->due_us = now_us + gate->delay_us;
    queue_push(&gate->delayed, pass);
}

bool gate_enter(struct gate *gate, struct gate_pass *pass, int64_t now_us)
{
    if (!has_slot(gate)) {
        queue_push(&gate->waiting, pass);
        return false;
    }
    if (gate->delay_us == 0 || pass->undelayed) {
        gate->in_use++;
        return true;
    }
    start_delay(gate, pass, now_us);
    return false;
}

struct gate_pass *gate_next(struct gate *gate, int64_t now_us, int64_t *wait_us)
{
    const struct gate_pass *first = gate->delayed.head;

    if (first != NULL && first->due_us <= now_us)
        return queue_pop(&gate->delayed);
    *wait_us = first != NULL ? first->due_us - now_us : -1;
    return NULL;
}

void gate_leave(struct gate *gate, int64_t now_us)
{
    gate->in_use--;
    if (gate->waiting.head != NULL && has_slot(gate))
        start_delay(gate, queue_pop(&gate->waiting), now_us);
}

struct gate_pass *gate_turn_away(struct gate *gate)
{
    return queue_pop(&gate->waiting);
}
