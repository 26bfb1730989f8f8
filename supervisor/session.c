/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * session.c - the folders of sessions; see session.h. No state, single thread.
 *
 * mkdirat(2) is the only claim on a name. Whoever removes a session empties the folder through the
 * descriptor that it holds, then removes the name only if it still names that folder.
 */
#include "supervisor/session.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/proto.h"
#include "supervisor/parse.h"
#include "supervisor/process.h"

#define FACTS_FILE "session.json"
#define FACTS_TEMPORARY "session.json.new"

void session_finish(struct session *session)
{
	close_fd(&session->root_fd);
	close_fd(&session->folder_fd);
	json_decref(session->facts);
	free(session->path);
	*session = (struct session)SESSION_INIT;
}

/* Where "cloche" goes: *out_base is borrowed from the environment. */
static int find_base(const char **out_base, struct failure *failure)
{
	const char *base = getenv("XDG_RUNTIME_DIR");

	if (base && *base && *base != '/')
		return failure_set(failure, STATUS_FAILED, CODE_HOST,
		                   "XDG_RUNTIME_DIR is no absolute path: %.128s", base);
	if (!base || !*base) {
		if (geteuid() != 0)
			return failure_set(failure, STATUS_FAILED, CODE_HOST,
			                   "XDG_RUNTIME_DIR is not set; set it to a folder of your "
			                   "own, such as /run/user/%u",
			                   (unsigned)geteuid());
		base = "/run";
	}
	*out_base = base;
	return 0;
}

int session_check_folder(int fd, const char *path, struct failure *failure)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return failure_set(failure, STATUS_FAILED, CODE_HOST, "cannot look at %.200s: %s",
		                   path, strerror(errno));
	if (st.st_uid != geteuid())
		return failure_set(failure, STATUS_FAILED, CODE_HOST,
		                   "%.200s belongs to user %u, not to you; remove it or set "
		                   "XDG_RUNTIME_DIR to a folder of your own",
		                   path, (unsigned)st.st_uid);
	if (st.st_mode & 077)
		return failure_set(failure, STATUS_FAILED, CODE_HOST,
		                   "others may enter %.200s; close it: chmod 700 %.200s", path,
		                   path);
	return 0;
}

int session_open_root(bool create, int *out_fd, char **out_path, struct failure *failure)
{
	cleanup_fd int base_fd = -1;
	cleanup_fd int fd = -1;
	cleanup_free char *path = NULL;
	const char *base = NULL;

	if (find_base(&base, failure) < 0)
		return -1;
	if (asprintf(&path, "%s/cloche", base) < 0)
		return failure_set_nomem(failure);
	base_fd = open(base, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (base_fd < 0)
		return failure_set(failure, STATUS_FAILED, CODE_HOST,
		                   "cannot open %.200s: %s; set XDG_RUNTIME_DIR to a folder of "
		                   "your own",
		                   base, strerror(errno));
	if (create && mkdirat(base_fd, "cloche", 0700) < 0 && errno != EEXIST)
		return failure_set(failure, STATUS_FAILED, CODE_HOST, "cannot make %.200s: %s",
		                   path, strerror(errno));
	fd = openat(base_fd, "cloche", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && (errno != ENOENT || create))
		return failure_set(failure, STATUS_FAILED, CODE_HOST,
		                   "cannot open %.200s as a folder: %s", path, strerror(errno));
	if (fd >= 0 && session_check_folder(fd, path, failure) < 0)
		return -1;
	*out_fd = steal_fd(&fd);
	*out_path = steal_pointer(&path);
	return 0;
}

int session_check_name(const char *name, struct failure *failure)
{
	if (parse_name_ok(name))
		return 0;
	return failure_set(failure, STATUS_USAGE, CODE_USAGE,
	                   "'%.64s' is no session name; take a letter or digit, then up to %d "
	                   "letters, digits, '.', '-', '_'",
	                   name, SESSION_NAME_MAX - 1);
}

static int no_session(const char *name, struct failure *failure)
{
	return failure_set(failure, STATUS_NO_SESSION, CODE_NO_SESSION,
	                   "there is no session '%s'; `cloche ls` lists them", name);
}

/* Opens the folder of a session whose root, name and path are set already. */
static int open_folder(struct session *session, struct failure *failure)
{
	session->folder_fd = openat(session->root_fd, session->name,
	                            O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (session->folder_fd < 0 && errno == ENOENT)
		return no_session(session->name, failure);
	if (session->folder_fd < 0)
		return failure_set(failure, STATUS_FAILED, CODE_HOST,
		                   "cannot open %.200s as a folder: %s", session->path,
		                   strerror(errno));
	return session_check_folder(session->folder_fd, session->path, failure);
}

/* Sets root, name and path of an empty session. */
static int set_place(struct session *session, const char *name, bool create,
                     struct failure *failure)
{
	cleanup_free char *root = NULL;

	if (session_check_name(name, failure) < 0 ||
	    session_open_root(create, &session->root_fd, &root, failure) < 0)
		return -1;
	snprintf(session->name, sizeof(session->name), "%s", name);
	if (asprintf(&session->path, "%s/%s", root, name) < 0) {
		session->path = NULL;
		return failure_set_nomem(failure);
	}
	return 0;
}

int session_open(const char *name, struct session *out_session, struct failure *failure)
{
	cleanup_session struct session session = SESSION_INIT;

	if (set_place(&session, name, false, failure) < 0)
		return -1;
	if (session.root_fd < 0)
		return no_session(name, failure);
	if (open_folder(&session, failure) < 0)
		return -1;
	session.facts = session_read_json(&session, FACTS_FILE);
	*out_session = session;
	session = (struct session)SESSION_INIT;
	return 0;
}

static int name_is_taken(const char *name, struct failure *failure)
{
	cleanup_session struct session session = SESSION_INIT;
	cleanup_fd int pidfd = -1;
	char why[256];

	if (session_open(name, &session, failure) < 0)
		return -1;
	if (session_is_starting(&session) || session_open_vmm(&session, &pidfd) == 0)
		return failure_set(failure, STATUS_FAILED, CODE_EXISTS,
		                   "there is a session '%s' already; take another name or "
		                   "`cloche kill %s`",
		                   name, name);
	session_explain_end(&session, why, sizeof(why), NULL);
	return failure_set(failure, STATUS_FAILED, CODE_EXISTS,
	                   "a session '%s' is there, dead (%s); clear it away: cloche kill %s",
	                   name, why, name);
}

int session_create(const char *name, struct session *out_session, struct failure *failure)
{
	cleanup_session struct session session = SESSION_INIT;

	if (set_place(&session, name, true, failure) < 0)
		return -1;
	if (mkdirat(session.root_fd, name, 0700) < 0) {
		if (errno == EEXIST)
			return name_is_taken(name, failure);
		return failure_set(failure, STATUS_FAILED, CODE_HOST, "cannot make %.200s: %s",
		                   session.path, strerror(errno));
	}
	if (open_folder(&session, failure) < 0)
		return -1;
	/* Blocks for no longer than an `ls` takes to look whether somebody holds it. */
	while (flock(session.folder_fd, LOCK_EX) < 0) {
		if (errno != EINTR)
			return failure_set(failure, STATUS_FAILED, CODE_HOST,
			                   "cannot lock %.200s: %s", session.path, strerror(errno));
	}
	*out_session = session;
	session = (struct session)SESSION_INIT;
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void session_free_names(char **names, size_t count)
{
	for (size_t i = 0; names && i < count; i++)
		free(names[i]);
	free(names);
}

/* Opens a directory stream on @fd's folder without using up @fd's own position. */
static DIR *open_stream(int fd)
{
	int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = own >= 0 ? fdopendir(own) : NULL;

	if (!dir)
		close_fd(&own);
	return dir;
}

int session_list(char ***out_names, size_t *out_count, struct failure *failure)
{
	cleanup_fd int root_fd = -1;
	cleanup_free char *path = NULL;
	char **names = calloc(SESSION_COUNT_MAX, sizeof(*names));
	const struct dirent *entry;
	size_t count = 0;
	DIR *dir = NULL;

	if (!names)
		return failure_set_nomem(failure);
	if (session_open_root(false, &root_fd, &path, failure) < 0) {
		free(names);
		return -1;
	}
	if (root_fd >= 0)
		dir = open_stream(root_fd);
	while (dir && count < SESSION_COUNT_MAX && (entry = readdir(dir))) {
		if (!parse_name_ok(entry->d_name))
			continue;
		names[count] = strdup(entry->d_name);
		if (names[count])
			count++;
	}
	if (dir)
		closedir(dir);
	qsort(names, count, sizeof(*names), compare_names);
	*out_names = names;
	*out_count = count;
	return 0;
}

int session_write_facts(struct session *session, json_t *facts, struct failure *failure)
{
	cleanup_free char *text = json_dumps(facts, JSON_INDENT(2));
	cleanup_fd int fd = -1;
	ssize_t size;

	json_decref(session->facts);
	session->facts = facts;
	if (!text)
		return failure_set_nomem(failure);
	size = (ssize_t)strlen(text);
	fd = openat(session->folder_fd, FACTS_TEMPORARY,
	            O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, text, (size_t)size) != size ||
	    renameat(session->folder_fd, FACTS_TEMPORARY, session->folder_fd, FACTS_FILE) < 0)
		return failure_set(failure, STATUS_FAILED, CODE_HOST,
		                   "cannot write %.200s/" FACTS_FILE ": %s", session->path,
		                   strerror(errno));
	return 0;
}

int session_open_vmm(const struct session *session, int *out_pidfd)
{
	json_int_t pid = json_integer_value(json_object_get(session->facts, "pid"));
	json_int_t ticks = json_integer_value(json_object_get(session->facts, "start_time"));

	if (!session->facts)
		return -ENOENT;
	return process_open((pid_t)pid, (uint64_t)ticks, out_pidfd);
}

bool session_is_starting(const struct session *session)
{
	if (flock(session->folder_fd, LOCK_SH | LOCK_NB) < 0)
		return errno == EWOULDBLOCK;
	flock(session->folder_fd, LOCK_UN);
	return false;
}

int session_open_file(const struct session *session, const char *file)
{
	int fd = openat(session->folder_fd, file,
	                O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	return fd >= 0 ? fd : -errno;
}

/* One entry of the folder: it is ours, so a file, a socket or a link, never a folder. */
static int remove_entries(int folder_fd)
{
	DIR *dir = open_stream(folder_fd);
	const struct dirent *entry;
	int rc = 0;

	if (!dir)
		return -errno;
	while (rc == 0 && (entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (unlinkat(folder_fd, entry->d_name, 0) < 0 && errno != ENOENT)
			rc = -errno;
	}
	closedir(dir);
	return rc;
}

int session_remove(struct session *session, struct failure *failure)
{
	struct stat ours;
	struct stat named;
	int rc = remove_entries(session->folder_fd);

	if (rc == 0 && fstat(session->folder_fd, &ours) == 0 &&
	    fstatat(session->root_fd, session->name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	    ours.st_ino == named.st_ino && ours.st_dev == named.st_dev &&
	    unlinkat(session->root_fd, session->name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		rc = -errno;
	if (rc < 0)
		return failure_set(failure, STATUS_FAILED, CODE_HOST, "cannot remove %.200s: %s",
		                   session->path, strerror(-rc));
	return 0;
}
