#include "webui.h"

#include "assets.h"

#include "base/clock.h"
#include "base/parse.h"

#include <stdio.h>
#include <string.h>

static void add_safety_headers(struct httpd_response *response)
{
    /* The page is complete in itself: nothing may come from or go to anywhere else. */
    httpd_reply_header(response, "Content-Security-Policy",
                       "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
                       "connect-src 'self'; base-uri 'none'; form-action 'none'; "
                       "frame-ancestors 'none'");
    httpd_reply_header(response, "X-Content-Type-Options", "nosniff");
    httpd_reply_header(response, "Referrer-Policy", "no-referrer");
}

static enum httpd_verdict get_asset(struct httpd_request *request, struct httpd_response *response)
{
    const struct asset *asset = request->context;

    httpd_reply_static(response, asset->type, asset->bytes, asset->size);
    response->etag = asset->etag;
    add_safety_headers(response);
    /* May be kept, but is asked for each time: an update shows at once. */
    httpd_reply_header(response, "Cache-Control", "no-cache");
    return HTTPD_ANSWER;
}

size_t webui_json(const struct counts_view *view, int64_t now_wall_ms, char *text, size_t size)
{
    const int length = snprintf(
        text, size, "{\"coins\":%lld,\"hashes\":\"%lld\",\"now\":%lld.%03d,\"rate\":%.3f%s}",
        (long long)view->coins, (long long)view->hashes, (long long)(now_wall_ms / 1000),
        (int)(now_wall_ms % 1000), view->rate, view->stale ? ",\"stale\":true" : "");

    return (size_t)length;
}

static enum httpd_verdict get_json(struct httpd_request *request, struct httpd_response *response)
{
    struct webui *webui = request->context;
    struct counts_view view;

    counts_read(webui->counts, &view);
    httpd_reply_inline(
        response, "application/json; charset=utf-8",
        webui_json(&view, clock_wall_ms(), response->bytes, sizeof(response->bytes)));
    httpd_reply_header(response, "Cache-Control", "no-store");
    return HTTPD_ANSWER;
}

/* What /status.json needs while it looks at the cluster. */
struct status_request {
    struct counts_view counts;
    char *text;
};

static void write_status(void *context, const struct cluster_view *view)
{
    struct status_request *status = context;

    status->text = webui_status(&status->counts, view, clock_wall_ms(), clock_now_ms());
}

static enum httpd_verdict get_status(struct httpd_request *request, struct httpd_response *response)
{
    struct webui *webui = request->context;
    struct status_request status = {.text = NULL};

    counts_read(webui->counts, &status.counts);
    cluster_look(webui->cluster, write_status, &status);
    if (status.text == NULL)
        httpd_reply_error(response, 503, "no_memory", "out of memory");
    else
        httpd_reply_owned(response, "application/json; charset=utf-8", status.text,
                          strlen(status.text));
    httpd_reply_header(response, "Cache-Control", "no-store");
    return HTTPD_ANSWER;
}

/* One line of plain text, in both outcomes. */
static void reply_verdict(struct httpd_response *response, const struct cluster_verdict *verdict)
{
    if (verdict->computed) {
        httpd_reply_text(response, "%s", verdict->equal ? WEBUI_EQUAL : WEBUI_DIFFERENT);
    } else {
        httpd_reply_text(response, "not computed: %.200s\n", verdict->reason);
        response->status = 503;
    }
    httpd_reply_header(response, "Cache-Control", "no-store");
}

static void answer_ticket(void *context, const struct cluster_verdict *verdict)
{
    struct httpd_response response = {.status = 200};

    reply_verdict(&response, verdict);
    httpd_answer(context, &response);
}

static enum httpd_verdict get_scoop(struct httpd_request *request, struct httpd_response *response)
{
    struct webui *webui = request->context;
    const char *wanted = httpd_request_query(request, "n");
    uint64_t count = CLUSTER_NUMBERS_DEFAULT;

    if (wanted != NULL && parse_u64(wanted, 1, CLUSTER_NUMBERS_MAX, &count) != 0) {
        httpd_reply_error(response, 400, "bad_request",
                          "n: \"%.40s\" is not a whole number from 1 to %d", wanted,
                          CLUSTER_NUMBERS_MAX);
        return HTTPD_ANSWER;
    }
    struct httpd_ticket *ticket = httpd_later(request);
    if (ticket == NULL) {
        reply_verdict(response, &(struct cluster_verdict){.reason = "out of memory"});
        return HTTPD_ANSWER;
    }
    const int rc = cluster_compute(webui->cluster, (uint32_t)count, answer_ticket, ticket);
    if (rc != 0)
        answer_ticket(ticket, &(struct cluster_verdict){.reason = "too many computations wait"});
    return HTTPD_LATER;
}

/* A route needs a context that it may write to; an asset is only read. */
static struct httpd_route asset_route(const char *path, const struct asset *asset)
{
    return (struct httpd_route){
        .method = "GET", .path = path, .handle = get_asset, .context = (void *)(uintptr_t)asset};
}

size_t webui_routes(struct webui *webui, struct httpd_route routes[WEBUI_ROUTES_MAX])
{
    size_t n = 0;

    routes[n++] = (struct httpd_route){
        .method = "GET", .path = "/json", .handle = get_json, .context = webui};
    routes[n++] = (struct httpd_route){
        .method = "GET", .path = "/status.json", .handle = get_status, .context = webui};
    routes[n++] = (struct httpd_route){
        .method = "GET", .path = "/scoop", .handle = get_scoop, .context = webui};
    for (size_t i = 0; i < asset_count && n + 2 <= WEBUI_ROUTES_MAX; i++) {
        routes[n++] = asset_route(assets[i].path, &assets[i]);
        if (strcmp(assets[i].path, "/index.html") == 0)
            routes[n++] = asset_route("/", &assets[i]);
    }
    return n;
}
