#include "config.h"

#include "base/parse.h"

#include <stdio.h>
#include <string.h>

#define CLIENT_KEY_FILE "/run/secrets/client_curve_key"
#define BROKER_KEY_FILE "/run/secrets/broker_curve_key.pub"

#define CONNECT_MS   10000
#define RECONNECT_MS 120000
#define WAIT_MAX_MS  86400000

/* A value given by the caller, else by the environment; "" counts as not given. */
static const char *text_setting(const char *given, const char *variable, const char *fallback)
{
    const char *value = given != NULL ? given : getenv(variable);

    return value != NULL && value[0] != '\0' ? value : fallback;
}

static int
wait_setting(int given, const char *variable, int fallback, int *out, struct problem *problem)
{
    const char *text = getenv(variable);
    uint64_t value = 0;

    *out = given > 0 ? given : fallback;
    if (given > 0 || text == NULL || text[0] == '\0')
        return 0;
    if (parse_u64(text, 1, WAIT_MAX_MS, &value) != 0)
        return problem_set(problem, -EINVAL, "%s: \"%.100s\" is not a whole number from 1 to %d ms",
                           variable, text, WAIT_MAX_MS);
    *out = (int)value;
    return 0;
}

static int
read_keys(const struct scoop_settings *settings, struct config *out, struct problem *problem)
{
    const char *own =
        text_setting(settings->client_key_file, "SCOOP_CLIENT_KEY_FILE", CLIENT_KEY_FILE);
    const char *brokers =
        text_setting(settings->broker_key_file, "SCOOP_BROKER_KEY_FILE", BROKER_KEY_FILE);
    int error = curve_load_pair(own, &out->pair, problem);

    if (error == 0)
        error = curve_load_public(brokers, &out->broker_key, problem);
    out->curve = error == 0;
    return error;
}

static int
read_broker(const struct scoop_settings *settings, struct config *out, struct problem *problem)
{
    const char *url = text_setting(settings->broker, "SCOOP_BROKER", NULL);

    if (url == NULL)
        return problem_set(problem, -ENOENT, "no broker is set (SCOOP_BROKER)");
    if (strlen(url) >= sizeof(out->broker) || !parse_is_endpoint(url))
        return problem_set(problem, -EINVAL, "broker: \"%.300s\" is not " PARSE_ENDPOINT_FORM, url);
    snprintf(out->broker, sizeof(out->broker), "%s", url);
    return strncmp(url, "ipc:", 4) == 0 ? 0 : read_keys(settings, out, problem);
}

/* Only the default session speaks for its program: it alone prints and traces. */
static int read_notes(struct config *out, struct problem *problem)
{
    const char *output = text_setting(NULL, "SCOOP_OUTPUT", "labelled");
    const char *trace = text_setting(NULL, "SCOOP_TRACE", "");

    out->output = strcmp(output, "labelled") == 0;
    if (!out->output && strcmp(output, "none") != 0)
        return problem_set(problem, -EINVAL,
                           "SCOOP_OUTPUT: \"%.100s\" is not \"labelled\" or \"none\"", output);
    if (strlen(trace) >= sizeof(out->trace))
        return problem_set(problem, -ENAMETOOLONG, "SCOOP_TRACE: the file's name is too long");
    snprintf(out->trace, sizeof(out->trace), "%s", trace);
    return 0;
}

int config_read(const struct scoop_settings *settings, struct config *out, struct problem *problem)
{
    static const struct scoop_settings none = {.broker = NULL};
    const bool of_program = settings == NULL;
    int error = 0;

    if (settings == NULL)
        settings = &none;
    *out = (struct config){.broker = ""};
    error = identity_self(&out->program);
    if (error != 0)
        return problem_set(problem, error, "own executable: %s", strerror(-error));
    snprintf(out->name, sizeof(out->name), "%s",
             settings->name != NULL ? settings->name : out->program.name);
    error = wait_setting(settings->connect_ms, "SCOOP_CONNECT_MS", CONNECT_MS, &out->connect_ms,
                         problem);
    if (error == 0)
        error = wait_setting(settings->reconnect_ms, "SCOOP_RECONNECT_MS", RECONNECT_MS,
                             &out->reconnect_ms, problem);
    if (error == 0 && of_program)
        error = read_notes(out, problem);
    if (error == 0)
        error = read_broker(settings, out, problem);
    if (error != 0)
        config_wipe(out);
    return error;
}

void config_wipe(struct config *config)
{
    curve_wipe(&config->pair);
}
