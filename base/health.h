/* --health: ask a running instance of this program whether it is well, as a container's health
 * check. */
#ifndef BASE_HEALTH_H
#define BASE_HEALTH_H

/* How long the whole question may take. */
enum { HEALTH_DEADLINE_MS = 2000 };

/* GET /health at the program's own listening address (0.0.0.0 and [::] are asked by loopback).
 * Returns the exit code: 0 when the answer was 200, else 1. One line says which, the good one on
 * stdout, the bad one on stderr with its reason. */
int health_ask(const char *program, const char *listen);

#endif
