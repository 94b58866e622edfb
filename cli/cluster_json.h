/* What the broker knows, as JSON: the same names in every listing. */
#ifndef CLI_CLUSTER_JSON_H
#define CLI_CLUSTER_JSON_H

#include <jansson.h>
#include <scoop.h>

/* The counters, with the broker's address (without scheme). Owned by the caller; NULL: no memory.
 */
json_t *cluster_json(const struct scoop_cluster *cluster, const char *broker);

/* An array of the workers. */
json_t *workers_json(const struct scoop_cluster *cluster);

/* An array of the tasks that run longest. */
json_t *running_json(const struct scoop_cluster *cluster);

/* Print it and free it. */
void print_json(json_t *json);

#endif
