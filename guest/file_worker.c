/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * file_worker.c - read, write, list, remove. A process of its own, unprivileged before it begins.
 */
#include "guest/file_worker.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest/paths.h"
#include "guest/text.h"
#include "lib/cleanup.h"
#include "lib/proto.h"
#include "lib/wire.h"

/* Of a listing: leaves room in the line for the envelope. */
#define LIST_BYTES_MAX (WIRE_LINE_MAX - 1024)
#define ENTRY_BYTES_MAX 160 /* of an entry without its name */
#define LIST_ENTRIES_MAX 4096

struct answer {
	json_t *members; /* owned */
	uint8_t *blob;   /* owned */
	size_t blob_size;
};

static int members_make(struct answer *answer, json_t *members, struct error *err)
{
	answer->members = members;
	return members ? 0 : error_set(err, -ENOMEM, "no memory");
}

/* O_NONBLOCK keeps a FIFO or a device from holding us; then nothing but a file is taken. */
static int regular_open(const struct file_task *task, int flags, unsigned int mode,
                        struct stat *out_stat, struct error *err)
{
	cleanup_fd int fd =
		paths_open(task->folder, task->rest, flags | O_NONBLOCK | O_NOCTTY, mode, err);

	if (fd < 0)
		return fd;
	if (fstat(fd, out_stat) < 0)
		return error_set(err, -errno, "%.128s: %s", task->rest, strerror(errno));
	if (!S_ISREG(out_stat->st_mode))
		return error_set(err, -EISDIR, "%.128s is no regular file", task->rest);
	return steal_fd(&fd);
}

static int file_read(const struct file_task *task, struct answer *answer, struct error *err)
{
	struct stat st;
	cleanup_fd int fd = regular_open(task, O_RDONLY, 0, &st, err);
	size_t done = 0;

	if (fd < 0)
		return fd;
	answer->blob = malloc(task->length + 1);
	if (!answer->blob)
		return error_set(err, -ENOMEM, "no memory");
	while (done < task->length) {
		ssize_t n = pread(fd, answer->blob + done, task->length - done,
		                  task->offset + (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_set(err, -errno, "%.128s: %s", task->rest, strerror(errno));
		if (n == 0)
			break;
		done += (size_t)n;
	}
	answer->blob_size = done;
	return members_make(answer,
	                    json_pack("{s:I, s:b, s:i}", "size", (json_int_t)st.st_size, "eof",
	                              task->offset + (off_t)done >= st.st_size ? 1 : 0, "mode",
	                              (int)(st.st_mode & 07777)),
	                    err);
}

static int file_write(const struct file_task *task, struct answer *answer, struct error *err)
{
	struct stat st;
	unsigned int mode = task->mode < 0 ? 0644 : (unsigned int)task->mode;
	cleanup_fd int fd = -1;

	umask(0);
	fd = regular_open(task, O_WRONLY | O_CREAT, mode, &st, err);
	if (fd < 0)
		return fd;
	if (task->truncate && ftruncate(fd, 0) < 0)
		return error_set(err, -errno, "%.128s: %s", task->rest, strerror(errno));
	for (size_t done = 0; done < task->size;) {
		ssize_t n = pwrite(fd, task->data + done, task->size - done,
		                   task->offset + (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_set(err, -errno, "%.128s: %s", task->rest, strerror(errno));
		done += (size_t)n;
	}
	if (task->mode >= 0 && fchmod(fd, mode) < 0)
		return error_set(err, -errno, "%.128s: %s", task->rest, strerror(errno));
	if (fstat(fd, &st) < 0)
		return error_set(err, -errno, "%.128s: %s", task->rest, strerror(errno));
	return members_make(answer, json_pack("{s:I}", "size", (json_int_t)st.st_size), err);
}

static const char *type_name(mode_t mode)
{
	if (S_ISREG(mode))
		return "file";
	if (S_ISDIR(mode))
		return "dir";
	return S_ISLNK(mode) ? "link" : "other";
}

static int entry_append(json_t *entries, int folder, const char *name, size_t *bytes)
{
	char readable[NAME_MAX * 3 + 1];
	struct stat st;
	json_t *entry;

	if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0; /* gone meanwhile */
	text_make_utf8(name, readable, sizeof(readable));
	entry = json_pack("{s:s, s:s, s:I, s:i, s:I}", "name", readable, "type",
	                  type_name(st.st_mode), "size", (json_int_t)st.st_size, "mode",
	                  (int)(st.st_mode & 07777), "mtime", (json_int_t)st.st_mtime);
	*bytes += ENTRY_BYTES_MAX + text_json_size(readable);
	return *bytes <= LIST_BYTES_MAX && json_array_append_new(entries, entry) == 0 ? 0 : -ENOSPC;
}

static int name_compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The folder's names, sorted; *out_more says that there are others. */
static size_t names_read(DIR *dir, char **names, size_t max, bool *out_more)
{
	struct dirent *entry;
	size_t count = 0;

	while ((entry = readdir(dir))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		if (count == max) {
			*out_more = true;
			break;
		}
		names[count] = strdup(entry->d_name);
		if (names[count])
			count++;
	}
	qsort(names, count, sizeof(*names), name_compare);
	return count;
}

static int file_list(const struct file_task *task, struct answer *answer, struct error *err)
{
	int fd = paths_open(task->folder, task->rest, O_RDONLY | O_DIRECTORY, 0, err);
	char **names = calloc(LIST_ENTRIES_MAX, sizeof(*names));
	json_t *entries = json_array();
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	bool truncated = false;
	size_t bytes = 0, count;

	if (fd < 0)
		return fd;
	if (!dir || !names || !entries)
		return error_set(err, -ENOMEM, "no memory");
	count = names_read(dir, names, LIST_ENTRIES_MAX, &truncated);
	for (size_t i = 0; i < count; i++) {
		if (entry_append(entries, fd, names[i], &bytes) < 0) {
			truncated = true;
			break;
		}
	}
	return members_make(
		answer, json_pack("{s:o, s:b}", "entries", entries, "truncated", truncated ? 1 : 0),
		err);
}

static int file_remove(const struct file_task *task, struct answer *answer, struct error *err)
{
	char name[NAME_MAX + 1];
	cleanup_fd int parent =
		paths_open_parent(task->folder, task->rest, name, sizeof(name), err);

	if (parent < 0)
		return parent;
	if (unlinkat(parent, name, 0) < 0 &&
	    (errno != EISDIR || unlinkat(parent, name, AT_REMOVEDIR) < 0))
		return error_set(err, -errno, "%.128s: %s", task->rest, strerror(errno));
	return members_make(answer, json_object(), err);
}

static const char *error_code(int code)
{
	if (code == -EACCES || code == -EPERM)
		return PROTO_ERR_DENIED;
	if (code == -ENOENT)
		return PROTO_ERR_NOT_FOUND;
	return code == -EINVAL ? PROTO_ERR_BAD_REQUEST : PROTO_ERR_FAILED;
}

static void answer_write(int fd, json_t *reply, const uint8_t *blob, size_t blob_size)
{
	uint8_t *data;
	size_t size;

	if (wire_encode(reply, blob, blob_size, &data, &size) < 0)
		_exit(1);
	for (size_t done = 0; done < size;) {
		ssize_t n = write(fd, data + done, size - done);

		if (n < 0 && errno != EINTR)
			_exit(1);
		if (n > 0)
			done += (size_t)n;
	}
}

/* Memory that is still held goes with the process. */
void file_worker(const struct file_task *task, int fd)
{
	static int (*const work[FILE_OPS])(const struct file_task *, struct answer *,
	                                   struct error *) = {
		[FILE_READ] = file_read,
		[FILE_WRITE] = file_write,
		[FILE_LIST] = file_list,
		[FILE_REMOVE] = file_remove,
	};
	struct answer answer = { 0 };
	struct error err = { 0 };
	int ret = work[task->op](task, &answer, &err);
	json_t *reply;

	if (ret < 0) {
		char readable[sizeof(err.msg) * 3];

		text_make_utf8(err.msg, readable, sizeof(readable));
		reply = wire_reply_error(1, error_code(ret), "%s", readable);
		answer_write(fd, reply, NULL, 0);
	} else {
		reply = wire_reply_ok(1);
		json_object_update(reply, answer.members);
		answer_write(fd, reply, answer.blob, answer.blob_size);
	}
	_exit(0);
}
