/* A client that sets and reads constants. */
#ifndef TESTS_BROKER_SETTER_H
#define TESTS_BROKER_SETTER_H

#include "world.h"

/* The functions of the broker that it defines, by their number. */
enum { SET = 1, GET, UNSET };

#define KEPT 1

void define_setting(struct world *w, struct end *client);
struct end *given_setter(struct world *w);

/* The client's task `no`: a value of one byte, or `size` times this byte; `known`: a serial. A turn follows. */
void set(
    struct world *w, struct end *end, uint64_t no, uint8_t flags, const char *name, uint8_t byte);
void set_sized(struct world *w,
               struct end *end,
               uint64_t no,
               uint8_t flags,
               const char *name,
               uint8_t byte,
               size_t size);
void get(struct world *w, struct end *end, uint64_t no, uint64_t known, const char *name);
void unset(struct world *w, struct end *end, uint64_t no, const char *name);
void leave(struct world *w, struct end *end);

/* What was answered last: an outcome, and the text of a refusal ("": none). */
void assert_answer(const struct end *end, enum wire_outcome outcome, const char *text);
/* The last answer is this constant of one byte. */
void assert_value(const struct end *end, uint8_t byte);

#endif
