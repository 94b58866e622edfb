/* What client.c and client_results.c share. */
#ifndef LIBSCOOP_CLIENT_STATE_H
#define LIBSCOOP_CLIENT_STATE_H

#include "client.h"

/* Take the first span out of `pending`; there is one. */
struct span client_pop_span(struct client *client);

/* All tasks of the job have ended: it is to be handed back. */
void client_end_job(struct client *client, struct job *job);

#endif
