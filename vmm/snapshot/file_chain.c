/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * file_chain.c - opens a snapshot file with its ancestors.
 *
 * A path comes out of a file, which may be anybody's: it is looked at before it is opened, only a
 * regular file is, and only one with the id that the child names counts. All that a child leaves to its
 * parent must be there with the same hash. Ids that come twice in a chain are a loop.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/log.h"
#include "vmm/snapshot/file_private.h"

static int open_regular(const char *path, int *out_fd, struct error *err)
{
	struct stat st;

	/* Looked at first: opening a device can have effects. */
	if (lstat(path, &st))
		return error_set(err, -errno, "cannot open %s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return error_set(err, -EINVAL, "%s is no regular file%s", path,
		                 S_ISLNK(st.st_mode) ? " but a symbolic link" : "");
	*out_fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (*out_fd < 0)
		return error_set(err, -errno, "cannot open %s: %s", path, strerror(errno));
	return 0;
}

int snapshot_file_open_head(const char *path, struct snapshot_file **out_file, struct error *err)
{
	int fd = -1;
	int ret = open_regular(path, &fd, err);

	return ret ? ret : snapshot_file_load_head(fd, path, out_file, err);
}

static int open_alone(const char *path, struct snapshot_file **out_file, struct error *err)
{
	struct snapshot_file *file;

	int ret = snapshot_file_open_head(path, &file, err);
	if (ret)
		return ret;
	ret = snapshot_file_load_index(file, err);
	if (ret) {
		snapshot_file_close(file);
		return ret;
	}
	*out_file = file;
	return 0;
}

/* -ENOENT: there is none at @path, or another one. */
static int open_with_id(const char *path, const struct snapshot_id *id,
                        struct snapshot_file **out_file, struct error *err)
{
	struct snapshot_file *file;
	char hex[SNAPSHOT_ID_HEX_SIZE];

	int ret = open_alone(path, &file, err);
	if (ret)
		return ret;
	if (!snapshot_id_equal(&file->header.id, id)) {
		snapshot_id_to_hex(&file->header.id, hex);
		ret = error_set(err, -ENOENT, "%s is another snapshot, %s", path, hex);
		snapshot_file_close(file);
		return ret;
	}
	*out_file = file;
	return 0;
}

/* Where its child says, else beside its child by the same name. */
static int open_parent(const struct snapshot_file *file, struct snapshot_file **out_parent,
                       struct error *err)
{
	const char *slash = strrchr(file->path, '/');
	char hex[SNAPSHOT_ID_HEX_SIZE];
	char beside[PATH_MAX];
	struct error second = { 0 };

	int ret = open_with_id(file->parent_hint, &file->header.parent, out_parent, err);
	if (ret != -ENOENT && ret != -EACCES && ret != -ENOTDIR)
		return ret ? error_prefix(err, ret, "%s: its parent", file->path) : 0;
	int size = snprintf(beside, sizeof(beside), "%.*s%s",
	                    slash ? (int)(slash + 1 - file->path) : 0, file->path,
	                    strrchr(file->parent_hint, '/') + 1);
	int ret_beside = size < (int)sizeof(beside)
	                         ? open_with_id(beside, &file->header.parent, out_parent, &second)
	                         : -ENOENT;
	if (ret_beside == 0)
		return 0;
	snapshot_id_to_hex(&file->header.parent, hex);
	if (ret_beside != -ENOENT)
		return error_set(err, ret_beside, "%s: its parent: %s", file->path, second.msg);
	return error_set(err, ret, "%s: its parent, snapshot %s, is neither at %s nor beside it",
	                 file->path, hex, file->parent_hint);
}

int snapshot_file_adopt(struct snapshot_file *file, struct snapshot_file *parent, struct error *err)
{
	ASSERT(!file->parent && snapshot_id_equal(&file->header.parent, &parent->header.id));
	if (file->header.ram_size != parent->header.ram_size)
		return error_set(err, -EPROTO, "%s: its parent has RAM of another size",
		                 file->path);
	for (uint64_t i = 0; i < file->chunk_count; i++) {
		const struct snapshot_place *own = &file->chunks[i], *its = &parent->chunks[i];

		if (own->kind == KIND_PARENT && (its->kind == KIND_ZERO || its->hash != own->hash))
			return error_set(err, -EPROTO, "%s: its parent has another chunk %llu",
			                 file->path, (unsigned long long)i);
	}
	file->parent = parent;
	return 0;
}

/* Whether @id is that of @file or of one of its ancestors. */
static bool is_in_chain(const struct snapshot_file *file, const struct snapshot_id *id)
{
	for (; file; file = file->parent)
		if (snapshot_id_equal(&file->header.id, id))
			return true;
	return false;
}

static int open_chain(struct snapshot_file *first, struct error *err)
{
	struct snapshot_file *last = first;

	for (unsigned length = 1; last->parent_hint; length++) {
		struct snapshot_file *parent;

		if (is_in_chain(first, &last->header.parent))
			return error_set(err, -ELOOP, "%s is its own ancestor", first->path);
		if (length == SNAPSHOT_CHAIN_MAX)
			return error_set(err, -ELOOP, "%s has more than %u ancestors", first->path,
			                 SNAPSHOT_CHAIN_MAX - 1);
		int ret = open_parent(last, &parent, err);
		if (ret)
			return ret;
		ret = snapshot_file_adopt(last, parent, err);
		if (ret) {
			snapshot_file_close(parent);
			return ret;
		}
		last = parent;
	}
	return 0;
}

int snapshot_file_open_rest(struct snapshot_file *file, struct error *err)
{
	int ret = file->chunks ? 0 : snapshot_file_load_index(file, err);

	return ret || file->parent ? ret : open_chain(file, err);
}

int snapshot_file_open(const char *path, struct snapshot_file **out_file, struct error *err)
{
	struct snapshot_file *file;

	int ret = snapshot_file_open_head(path, &file, err);
	if (ret)
		return ret;
	ret = snapshot_file_open_rest(file, err);
	if (ret) {
		snapshot_file_close(file);
		return ret;
	}
	*out_file = file;
	return 0;
}

unsigned snapshot_file_chain_length(const struct snapshot_file *file)
{
	unsigned length = 0;

	for (; file; file = file->parent)
		length++;
	return length;
}
