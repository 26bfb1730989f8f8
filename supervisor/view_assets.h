/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * view_assets.h - all files that the viewer's page is made of, in memory: ours, which are part of
 * the program, and noVNC's modules, read once from Debian's package. What isn't here isn't served.
 * Single thread.
 */
#ifndef CLOCHE_SUPERVISOR_VIEW_ASSETS_H
#define CLOCHE_SUPERVISOR_VIEW_ASSETS_H

#include <stddef.h>

#include "supervisor/failure.h"

#define VIEW_NOVNC_FOLDER "/usr/share/novnc"
#define VIEW_ASSETS_MAX 128
#define VIEW_ASSET_SIZE_MAX ((size_t)512 << 10)

struct view_asset {
	char path[80];    /* below the token: "", "viewer.js", "novnc/core/rfb.js" */
	const char *type; /* static: Content-Type */
	const char *data; /* size bytes */
	size_t size;
	char *owned; /* data, when it was read; NULL: part of the program */
};

struct view_assets {
	struct view_asset items[VIEW_ASSETS_MAX];
	size_t count;
};

/*
 * Takes ours, and the modules below @folder/core and @folder/vendor/pako/lib: regular files NAME.js,
 * no links. -1: STATUS_FAILED; without noVNC, with the package to install.
 */
int view_assets_load(const char *folder, struct view_assets *out_assets, struct failure *failure);
void view_assets_finish(struct view_assets *assets);

/* The one at exactly @path, or NULL. Borrowed from @assets. */
const struct view_asset *view_assets_find(const struct view_assets *assets, const char *path);

#endif
