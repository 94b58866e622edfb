/* Invariant: the tasks numbered done + 1 ... begun are under way, each in its place of the window. */
#include "submission.h"

#include "base/blob.h"
#include "base/command.h"
#include "durable.h"

#include <inttypes.h>
#include <stdio.h>

/* Tasks under way: many to an entry of the journal, and few enough to hold. */
#define WINDOW 4096

/* How long input is waited for before it is seen whether tasks were accepted meanwhile. */
#define SLICE_MS 20

/* Room for a key with a number behind it. */
#define KEY_SIZE 4200

struct waiting {
    scoop_future *future;
    uint64_t id;
};

struct window {
    const struct submission *submission;
    uint64_t begun;
    uint64_t done;
    bool failed;
    struct waiting places[WINDOW];
};

static int complain(const struct submission *submission, const char *what)
{
    fprintf(stderr, "%s: %s\n", submission->program, what);
    return -EIO;
}

/* `number` 0: it is the only one. */
static uint64_t choose_id(const struct submission *submission, uint64_t number)
{
    char key[KEY_SIZE];

    if (submission->key == NULL || number == 0)
        return submission->key != NULL ? scoop_durable_id(submission->key) : 0;
    snprintf(key, sizeof(key), "%s/%" PRIu64, submission->key, number);
    return scoop_durable_id(key);
}

static int begin(const struct submission *submission,
                 char *const *words,
                 size_t count,
                 uint64_t number,
                 struct waiting *out)
{
    struct blob *argument CLEANUP(blob_unref_p) = blob_new(256);

    if (argument == NULL || command_put_words(argument, words, count) != 0)
        return complain(submission, "the command is too long");
    out->id = choose_id(submission, number);
    out->future =
        scoop_submit_durable(submission->session, &submission->options,
                             scoop_builtin(submission->strict ? "command_strict" : "command",
                                           SCOOP_VARIABLE, SCOOP_VARIABLE),
                             argument->data, argument->size, &out->id);
    return out->future != NULL ? 0 : complain(submission, scoop_last_error());
}

/* Wait until it is accepted, print its id, and forget it. */
static int finish(const struct submission *submission, struct waiting *task)
{
    const int timeout_ms = submission->options.deadline_ms;
    const enum scoop_status waited = scoop_wait(task->future, timeout_ms);
    struct scoop_bytes nothing;
    char text[DURABLE_ID_TEXT];
    int error = 0;

    if (waited != SCOOP_OK) {
        fprintf(stderr, "%s: not accepted within %d ms; with --key it can be submitted again\n",
                submission->program, timeout_ms);
        error = -EIO;
    } else if (scoop_result_bytes(task->future, &nothing) != SCOOP_OK) {
        error = complain(submission, scoop_last_error());
    } else {
        durable_id_text(task->id, text);
        error = puts(text) >= 0 ? 0 : complain(submission, "cannot write the id");
    }
    scoop_future_free(task->future);
    return error;
}

static int flush(const struct submission *submission)
{
    return fflush(stdout) == 0 ? 0 : complain(submission, "cannot write the id");
}

int submission_one(const struct submission *submission, char *const *words, size_t count)
{
    struct waiting task;
    int error = begin(submission, words, count, 0, &task);

    if (error == 0)
        error = finish(submission, &task);
    return error == 0 ? flush(submission) : error;
}

/* Done with all that were accepted so far, and with as many more as it takes until `most` are under
 * way at most. */
static void drain(struct window *window, uint64_t most)
{
    bool printed = false;

    while (window->done < window->begun) {
        struct waiting *first = &window->places[window->done % WINDOW];

        if (window->begun - window->done <= most && !scoop_done(first->future))
            break;
        window->failed |= finish(window->submission, first) != 0;
        window->done++;
        printed = true;
    }
    if (printed)
        window->failed |= flush(window->submission) != 0;
}

static int
add(struct window *window, const struct template *template, const struct input_item *item)
{
    struct words words CLEANUP(words_fini) = {.at = NULL};
    const uint64_t number = window->begun + 1;

    drain(window, WINDOW - 1);
    if (window->failed)
        return -EIO;
    if (template_fill(template, item, number, &words) != 0)
        return complain(window->submission, "out of memory");
    const int error = begin(window->submission, words.at, words.count, number,
                            &window->places[window->begun % WINDOW]);
    if (error == 0)
        window->begun++;
    return error;
}

static int take_all(struct window *window, const struct template *template, struct input *input)
{
    struct input_item item;

    for (;;) {
        const bool idle = window->done == window->begun;
        const int error = input_next(input, idle ? -1 : SLICE_MS, &item);

        if (error == -EAGAIN)
            drain(window, WINDOW);
        else if (error != 0)
            return error == -ENODATA ? 0 : complain(window->submission, input_strerror(error));
        else if (add(window, template, &item) != 0)
            return -EIO;
        if (window->failed)
            return -EIO;
    }
}

int submission_each(const struct submission *submission,
                    const struct template *template,
                    struct input *input)
{
    struct window *window CLEANUP(free_p) = calloc(1, sizeof(*window));

    if (window == NULL)
        return complain(submission, "out of memory");
    window->submission = submission;
    const int error = take_all(window, template, input);
    drain(window, 0);
    return error == 0 && window->failed ? -EIO : error;
}
