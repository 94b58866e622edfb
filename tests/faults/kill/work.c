/* The functions of the campaign, and what is right. */
#include "work.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CHILDREN    3
#define LARGE_BYTES ((3U << 20) / 2)
#define BYTES_MAX   2000

/* ---- what there is to compute; history.py has the same ---- */

/* splitmix64: https://prng.di.unimi.it/splitmix64.c */
static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15U;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
    return x ^ (x >> 31);
}

uint64_t value_of(const struct order *order, uint32_t child)
{
    return mix(order->seed ^
               mix((uint64_t)order->client << 48 ^ (uint64_t)child << 40 ^ order->no));
}

enum kind kind_of(const struct order *order)
{
    const uint64_t dice = order->no % 20000;

    if (order->child != 0)
        return PLAIN;
    if (dice == 7777)
        return CARRIES_MUCH;
    if (dice % 500 == 250)
        return NESTS;
    if (dice % 1000 == 100)
        return SLEEPS;
    if (dice % 100 == 50)
        return SPINS;
    return dice % 10 == 5 ? CARRIES : PLAIN;
}

size_t bytes_of(const struct order *order)
{
    if (kind_of(order) == CARRIES_MUCH)
        return LARGE_BYTES;
    return value_of(order, 0) % BYTES_MAX;
}

void fill(uint8_t *bytes, size_t size, uint64_t x)
{
    for (size_t i = 0; i < size; i++) {
        if (i % 4096 == 0)
            x = mix(x);
        bytes[i] = (uint8_t)(x >> i % 57);
    }
}

bool is_filled(const uint8_t *bytes, size_t size, uint64_t x)
{
    for (size_t i = 0; i < size; i++) {
        if (i % 4096 == 0)
            x = mix(x);
        if (bytes[i] != (uint8_t)(x >> i % 57))
            return false;
    }
    return true;
}

/* ---- evidence ---- */

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

int evidence_fd = -1;

bool testify(struct evidence evidence)
{
    evidence.time_ns = now_ns();
    evidence.pid = (uint32_t)getpid();
    return write(evidence_fd, &evidence, sizeof(evidence)) == (ssize_t)sizeof(evidence);
}

/* ---- functions ---- */

static struct answer begin(const struct order *order)
{
    const struct answer answer = {
        .value = value_of(order, order->child),
        .mark = mix(now_ns() ^ (uint64_t)getpid() << 40),
    };

    if (!testify((struct evidence){.kind = EVIDENCE_RUN,
                                   .child = (uint8_t)order->child,
                                   .client = order->client,
                                   .no = order->no,
                                   .value = answer.value,
                                   .mark = answer.mark}))
        scoop_fail(99, "cannot write to $EVIDENCE: %s", strerror(errno));
    return answer;
}

static void spend_time(const struct order *order)
{
    const uint64_t begin_ns = now_ns();
    const uint64_t dice = value_of(order, 0) % 4 + 1;
    const struct timespec nap = {.tv_nsec = (long)dice * 5000000L};

    switch (kind_of(order)) {
    case SPINS:
        while (now_ns() - begin_ns < dice * 500000U)
            continue;
        return;
    case SLEEPS: nanosleep(&nap, NULL); return;
    case PLAIN:
    case CARRIES:
    case CARRIES_MUCH:
    case NESTS: return;
    }
}

SCOOP_DEFINE(struct answer, compute, struct order order)
{
    const struct answer answer = begin(&order);

    spend_time(&order);
    return answer;
}

/* The sum of its own value and those of its children. */
SCOOP_DEFINE(struct answer, nest, struct order order)
{
    struct answer answer = begin(&order);
    scoop_future *futures[CHILDREN];

    for (uint32_t i = 0; i < CHILDREN; i++)
        futures[i] = scoop_submit(compute, {order.seed, order.no, order.client, i + 1});
    for (uint32_t i = 0; i < CHILDREN; i++) {
        struct answer child = {0};

        if (futures[i] == NULL || scoop_result(futures[i], &child) != SCOOP_OK)
            scoop_fail(98, "child %u: %s", i + 1, scoop_last_error());
        scoop_future_free(futures[i]);
        answer.value += child.value;
    }
    return answer;
}

/* Bytes of one value in, of the next one out. */
SCOOP_BYTES_FUNCTION(carry)
{
    struct cargo cargo;

    if (size < sizeof(cargo)) {
        scoop_fail(97, "an argument of %zu bytes", size);
        return;
    }
    memcpy(&cargo, data, sizeof(cargo));
    cargo.answer = begin(&cargo.order);
    const size_t bytes = bytes_of(&cargo.order);
    if (size != sizeof(cargo) + bytes ||
        !is_filled((const uint8_t *)data + sizeof(cargo), bytes, cargo.answer.value)) {
        scoop_fail(96, "the argument has other bytes");
        return;
    }
    uint8_t *const room = scoop_extend(out, sizeof(cargo) + bytes);
    if (room == NULL)
        return;
    memcpy(room, &cargo, sizeof(cargo));
    fill(room + sizeof(cargo), bytes, cargo.answer.value + 1);
}
