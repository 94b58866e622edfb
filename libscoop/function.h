/* The functions that this process can name, and the calling of one of them with a task's bytes.
 * Used by the client side (serial mode, FUNCTION records) and by the executor.
 *
 * The registry fills before main() and through scoop_builtin(); its functions live for ever and
 * keep their number. A second function of one name, or too many, end the program with one line on
 * stderr (exit 2): which of the two a task meant could not be known. Lookups take a lock;
 * function_call() takes none and may run in any thread. */
#ifndef LIBSCOOP_FUNCTION_H
#define LIBSCOOP_FUNCTION_H

#include "base/err.h"
#include "base/identity.h"
#include "base/wire.h"
#include "libscoop/include/scoop.h"

/* The registered function of this name (`length` bytes); builtins are not found. NULL: there is
 * none. Borrowed. */
const struct scoop_function *function_find(const char *name, size_t length);

/* The function with this number, builtins included. NULL: none. Borrowed. */
const struct scoop_function *function_by_number(uint32_t number);

/* Numbers given out so far: all of function_by_number(0 ... count - 1) exist. */
uint32_t function_count(void);

/* What workers have to know of a function of this program; views into both. */
struct wire_function function_describe(const struct scoop_function *function,
                                       const struct identity *program);

/* Where a call leaves its result, or why it failed. One call at a time; one thread. */
struct scoop_output {
    uint8_t *data; /* the result; room of `capacity` bytes, kept from call to call */
    size_t size;
    size_t capacity;
    size_t limit;               /* of `size`; as it is set before each call */
    bool movable;               /* a large result is written to a memory file: likewise */
    int file;                   /* that; `data` is its mapping, and goes with it; -1: none */
    bool failed;                /* scoop_fail() was called; code and text are valid */
    bool forever;               /* and trying again is of no use */
    uint32_t input_count;       /* results of other tasks that came with the argument */
    const uint8_t *input_sizes; /* as in a bundle */
    const uint8_t *inputs;
    uint32_t input_index; /* one that was looked at, and where it begins */
    size_t input_offset;
    struct job *told;  /* serially: who is told how far it is; NULL: nobody, or the agent */
    uint16_t attempt;  /* likewise: which one runs */
    uint32_t partials; /* likewise: pieces given ahead by it */
    uint32_t code;
    char text[WIRE_TEXT_MAX + 1];
};

void output_init(struct scoop_output *out);
void output_fini(struct scoop_output *out);

/* The result in its memory file, whose size nobody can change any more; owned by the caller. There is one.
 * -1: see errno. */
int output_take_file(struct scoop_output *out);

/* Drop the memory file, if there is one. */
void output_drop_file(struct scoop_output *out);

/* Call `function` with these bytes (any alignment) in this thread. Returns WIRE_OK with the result
 * in `out`, WIRE_FAILED with code and text in `out`, or WIRE_REFUSED_TASK with the text: `size` is
 * not the size that the function takes, or there is no memory for its result. */
enum wire_outcome function_call(const struct scoop_function *function,
                                const void *argument,
                                size_t size,
                                struct scoop_output *out);

/* Has the function that runs in this thread called scoop_fail()? */
bool function_has_failed(void);

/* Make `out` what scoop_fail() of this thread reaches, when another call goes on; returns what it
 * was. */
struct scoop_output *function_swap_output(struct scoop_output *out);

/* That of the function that runs in this thread. NULL: none does. */
struct scoop_output *function_output(void);

/* The same with a bundle of argument and inputs: WIRE_TASK_BUNDLE. */
enum wire_outcome function_call_bundle(const struct scoop_function *function,
                                       const void *bundle,
                                       size_t size,
                                       struct scoop_output *out);

/* Is a function of this process running in this thread? */
bool function_is_running(void);

#endif
