/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * view_assets.c - see view_assets.h. Single thread.
 *
 * Which modules noVNC has differs from one version to the next; which folders they are in doesn't.
 * All are in memory before the first request comes: no request opens a file.
 */
#include "supervisor/view_assets.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/full_io.h"
#include "supervisor/view_page.h"

#define TYPE_HTML "text/html; charset=utf-8"
#define TYPE_CSS "text/css; charset=utf-8"
#define TYPE_JS "text/javascript; charset=utf-8"
#define DEPTH_MAX 3
#define ENTRY_MODULE "novnc/core/rfb.js"
#define NAME_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-."

/* A folder being read: where it is, what its files are called in an URL. */
struct folder {
	struct view_assets *assets;
	struct failure *failure;
	const char *path;   /* for messages */
	const char *prefix; /* "novnc/core/" */
	int fd;             /* owned by the call that reads it */
	int depth;
};

static void close_folder(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

void view_assets_finish(struct view_assets *assets)
{
	for (size_t i = 0; i < assets->count; i++)
		free(assets->items[i].owned);
	assets->count = 0;
}

static bool has_suffix(const char *name, const char *suffix)
{
	size_t size = strlen(name), tail = strlen(suffix);

	return size > tail && strcmp(name + size - tail, suffix) == 0;
}

/* Reads all of a file. 0: *out_data is owned by the caller; -errno. */
static int read_all(int fd, char **out_data, size_t *out_size)
{
	cleanup_free char *data = NULL;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (st.st_size > (off_t)VIEW_ASSET_SIZE_MAX)
		return -EFBIG;
	data = malloc((size_t)st.st_size + 1);
	if (!data)
		return -ENOMEM;
	ssize_t n = read_full(fd, data, (size_t)st.st_size);
	if (n < 0)
		return (int)n;
	*out_data = steal_pointer(&data);
	*out_size = (size_t)n;
	return 0;
}

static int folder_failed(const struct folder *folder, const char *name, int error)
{
	return failure_set(folder->failure, STATUS_FAILED, CODE_HOST, "cannot read %.120s/%s%s: %s",
	                   folder->path, folder->prefix + strlen("novnc/"), name, strerror(error));
}

static int take_file(const struct folder *folder, const char *name)
{
	struct view_assets *assets = folder->assets;
	struct view_asset *asset = &assets->items[assets->count];
	cleanup_fd int fd =
		openat(folder->fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	int rc;

	if (fd < 0)
		return folder_failed(folder, name, errno);
	if (assets->count == VIEW_ASSETS_MAX)
		return folder_failed(folder, name, E2BIG);
	rc = snprintf(asset->path, sizeof(asset->path), "%s%s", folder->prefix, name);
	if (rc < 0 || (size_t)rc >= sizeof(asset->path))
		return folder_failed(folder, name, ENAMETOOLONG);
	rc = read_all(fd, &asset->owned, &asset->size);
	if (rc < 0)
		return folder_failed(folder, name, -rc);
	asset->data = asset->owned;
	asset->type = TYPE_JS;
	assets->count++;
	return 0;
}

static int take_folder(const struct folder *folder);

static int take_entry(const struct folder *folder, const struct dirent *entry)
{
	char prefix[80];
	struct folder inner = *folder;
	int rc;

	/* Links, hidden files and what has a strange name have no place there, and get none here. */
	if (entry->d_name[0] == '.' || entry->d_name[strspn(entry->d_name, NAME_CHARS)])
		return 0;
	if (entry->d_type == DT_REG)
		return has_suffix(entry->d_name, ".js") ? take_file(folder, entry->d_name) : 0;
	if (entry->d_type != DT_DIR || folder->depth == DEPTH_MAX)
		return 0;
	rc = snprintf(prefix, sizeof(prefix), "%s%s/", folder->prefix, entry->d_name);
	if (rc < 0 || (size_t)rc >= sizeof(prefix))
		return folder_failed(folder, entry->d_name, ENAMETOOLONG);
	inner.prefix = prefix;
	inner.depth++;
	inner.fd =
		openat(folder->fd, entry->d_name, O_RDONLY | O_CLOEXEC | O_DIRECTORY | O_NOFOLLOW);
	return take_folder(&inner);
}

/* Takes all modules of a folder, whose fd it closes. 0, or -1 with the failure set. */
static int take_folder(const struct folder *folder)
{
	cleanup_fd int fd = folder->fd;
	__attribute__((cleanup(close_folder))) DIR *dir = NULL;
	const struct dirent *entry;
	int rc = 0;

	if (fd < 0)
		return folder_failed(folder, "", errno);
	dir = fdopendir(fd);
	if (!dir)
		return folder_failed(folder, "", errno);
	(void)steal_fd(&fd);
	while (rc == 0 && (entry = readdir(dir)))
		rc = take_entry(folder, entry);
	return rc;
}

static int take_novnc(struct view_assets *assets, const char *path, struct failure *failure)
{
	static const struct {
		const char *folder, *prefix;
	} parts[] = { { "core", "novnc/core/" }, { "vendor/pako/lib", "novnc/vendor/pako/lib/" } };
	cleanup_fd int root = open(path, O_RDONLY | O_CLOEXEC | O_DIRECTORY);

	if (root < 0)
		return failure_set(failure, STATUS_FAILED, CODE_HOST,
		                   "noVNC is missing (%.120s: %s): as root, apt-get install "
		                   "--no-install-recommends novnc; or use --vnc",
		                   path, strerror(errno));
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		const struct folder folder = {
			.assets = assets,
			.failure = failure,
			.path = path,
			.prefix = parts[i].prefix,
			.fd = openat(root, parts[i].folder, O_RDONLY | O_CLOEXEC | O_DIRECTORY),
		};

		if (take_folder(&folder) < 0)
			return -1;
	}
	if (!view_assets_find(assets, ENTRY_MODULE))
		return failure_set(failure, STATUS_FAILED, CODE_HOST,
		                   "%.120s isn't noVNC: it has no core/rfb.js", path);
	return 0;
}

static void take_ours(struct view_assets *assets)
{
	const struct view_asset ours[] = {
		{ "", TYPE_HTML, view_page_html, view_page_html_size, NULL },
		{ "viewer.css", TYPE_CSS, view_page_css, view_page_css_size, NULL },
		{ "viewer.js", TYPE_JS, view_page_js, view_page_js_size, NULL },
	};

	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		assets->items[assets->count++] = ours[i];
}

int view_assets_load(const char *folder, struct view_assets *out_assets, struct failure *failure)
{
	out_assets->count = 0;
	take_ours(out_assets);
	if (take_novnc(out_assets, folder, failure) < 0) {
		view_assets_finish(out_assets);
		return -1;
	}
	return 0;
}

const struct view_asset *view_assets_find(const struct view_assets *assets, const char *path)
{
	for (size_t i = 0; i < assets->count; i++) {
		if (strcmp(assets->items[i].path, path) == 0)
			return &assets->items[i];
	}
	return NULL;
}
