/* The handlers of the page: its files, /json, /status.json and /scoop. Plain functions, no sockets.
 *
 *   GET /, /index.html, /page.css, ...  the files of webui/assets/, with ETag
 *   GET /json         {"coins":N,"hashes":"N","now":secs.ms,"rate":R}, and "stale":true while Redis
 *                     is away: the keys and types of the original, then ours
 *   GET /status.json  everything that the page shows
 *   GET /scoop[?n=N]  one of the two sentences, computed now; 503 and one line when it cannot be */
#ifndef WEBUI_WEBUI_H
#define WEBUI_WEBUI_H

#include "cluster.h"
#include "counts.h"

#include "base/httpd.h"

#define WEBUI_ROUTES_MAX 16

#define WEBUI_EQUAL     "dataSerial and dataParallel are equal"
#define WEBUI_DIFFERENT "dataSerial and dataParallel are different"

struct webui {
    struct counts *counts;
    struct cluster *cluster;
};

/* Fill in the route table. Returns how many. `webui` is borrowed for as long as they are used. */
size_t webui_routes(struct webui *webui, struct httpd_route routes[WEBUI_ROUTES_MAX]);

/* The text of /json. Returns its length. */
size_t webui_json(const struct counts_view *view, int64_t now_wall_ms, char *text, size_t size);

/* The text of /status.json, owned by the caller (free). NULL: out of memory. */
NODISCARD char *webui_status(const struct counts_view *counts,
                             const struct cluster_view *cluster,
                             int64_t now_wall_ms,
                             int64_t now_ms);

#endif
