/* The settings of scoop-broker. */
#ifndef BROKER_OPTIONS_H
#define BROKER_OPTIONS_H

#include "base/settings.h"

#include <stdbool.h>
#include <stdint.h>

/* Filled in by settings_read(); texts live as long as the process. */
struct options {
    const char *client_listen; /* endpoints: tcp:// with keys, ipc:// without */
    const char *worker_listen;
    const char *curve_key;   /* files: the broker's secret half, */
    const char *client_keys; /* and the allow list of clients */
    const char *workers;     /* names to start agents behind; empty: agents come by themselves */
    const char *hosts;       /* of the user's own, instead; empty: none */
    const char *ssh;         /* client for those, */
    const char *remote;      /* what it runs there, */
    bool tunnel;             /* they reach us through their logins */
    const char *programs;    /* and the folders of programs there */
    const char *advertise;   /* the worker endpoint as agents reach it */
    const char *ssh_key;
    const char *ssh_host_key;
    uint64_t ssh_port;
    const char *ssh_user;
    const char *run_dir;
    const char *resources;
    uint64_t gone_ms;
    const char *journal;          /* URL of Redis; "": no durable tasks */
    const char *journal_password; /* file; "": none */
    const char *journal_name;
    const char *journal_mark; /* file; "": none */
    bool journal_init;
    bool journal_salvage;
    uint64_t keep_results_s;
    bool allow_upload;  /* of programs, by clients */
    bool guard;         /* guard.h */
    const char *listen; /* of /health and /metrics; NULL: see monitor_begin() */
    bool health;
};

extern const struct settings options_settings;

#endif
