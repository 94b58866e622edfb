/* What the tasks of the campaign compute, and its functions. What a task has to give follows from its order, so
 * that clients and history.py can tell whether a result is right.
 *
 * Tasks are of several kinds, by number: most do nothing else, some compute or sleep for a while, carry bytes (now
 * and then more than 1 MiB, which travel in pieces), or submit children. */
#ifndef TESTS_FAULTS_KILL_WORK_H
#define TESTS_FAULTS_KILL_WORK_H

#include "evidence.h"

#include <scoop.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum kind { PLAIN, SPINS, SLEEPS, CARRIES, CARRIES_MUCH, NESTS };

struct order {
    uint64_t seed;
    uint64_t no;
    uint32_t client;
    uint32_t child; /* 0: the client's own task */
};

struct answer {
    uint64_t value;
    uint64_t mark; /* of the execution */
};

/* What the bytes function is given and gives; bytes_of() bytes stand behind it. */
struct cargo {
    struct order order;
    struct answer answer;
};

SCOOP_DECLARE(struct answer, compute, struct order order);
/* The sum of its own value and those of its children. */
SCOOP_DECLARE(struct answer, nest, struct order order);
/* Bytes of one value in, of the next one out. */
SCOOP_DECLARE_BYTES(carry);

enum kind kind_of(const struct order *order);
/* Its own, without its children's. */
uint64_t value_of(const struct order *order, uint32_t child);
size_t bytes_of(const struct order *order);
void fill(uint8_t *bytes, size_t size, uint64_t x);
bool is_filled(const uint8_t *bytes, size_t size, uint64_t x);

/* Append a record, with time and process filled in, to evidence_fd. False: errno. */
extern int evidence_fd;
bool testify(struct evidence evidence);

#endif
