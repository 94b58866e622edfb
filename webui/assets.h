/* The files of webui/assets/, inside the binary. The table is written by embed.cmake at build time.
 */
#ifndef WEBUI_ASSETS_H
#define WEBUI_ASSETS_H

#include <stddef.h>

struct asset {
    const char *path; /* as in a URL: "/page.css" */
    const char *type; /* Content-Type */
    const char *etag; /* quoted; from the SHA-256 of the bytes */
    const unsigned char *bytes;
    size_t size;
};

extern const struct asset assets[];
extern const size_t asset_count;

#endif
