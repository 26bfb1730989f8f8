/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * template.c - see template.h. No state, single thread.
 */
#include "supervisor/template.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/proto.h"
#include "supervisor/client.h"
#include "supervisor/fingerprint.h"
#include "supervisor/hostfile.h"
#include "supervisor/output.h"

#define TEMPLATE_VERSION 1
#define JSON_SIZE_MAX ((size_t)1 << 20)
#define JSON_SUFFIX ".json"

/* What a template depends on, in the order in which changes are told. */
static const struct dependency {
	const char *key, *words;
} dependencies[] = {
	{ "vmm", "cloche-vmm has changed" },
	{ "kernel", "the guest's kernel has changed" },
	{ "initramfs", "the initramfs has changed" },
	{ "image", "the root image has changed" },
};

#define DEPENDENCIES (sizeof(dependencies) / sizeof(dependencies[0]))

static const char *dependency_path(const struct launch_plan *plan, size_t which)
{
	const char *const paths[DEPENDENCIES] = { plan->vmm, plan->images.kernel,
		                                  plan->images.initramfs, plan->images.image };

	return paths[which];
}

/* --- the folder --- */

void template_folder_close(struct template_folder *folder)
{
	close_fd(&folder->fd);
	free(folder->path);
	folder->path = NULL;
}

/* Where caches go: owned by the caller, NULL when nobody knows or without memory. */
static char *cache_base(void)
{
	const char *cache = getenv("XDG_CACHE_HOME");
	const char *home = getenv("HOME");
	char *path = NULL;

	/* The XDG specification has relative ones ignored. */
	if (cache && *cache == '/')
		return strdup(cache);
	if (!home || *home != '/' || asprintf(&path, "%s/.cache", home) < 0)
		return NULL;
	return path;
}

/* Makes @path and what is missing above it. 0 or -errno. */
static int make_folders(char *path)
{
	for (char *at = strchr(path + 1, '/'); at; at = strchr(at + 1, '/')) {
		int rc;

		*at = '\0';
		rc = mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
		*at = '/';
		if (rc < 0)
			return rc;
	}
	return mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

int template_folder_open(bool create, struct template_folder *out_folder, struct failure *failure)
{
	cleanup_free char *base = cache_base();
	cleanup_template_folder struct template_folder folder = TEMPLATE_FOLDER_INIT;
	int rc = 0;

	/* Who has no home has no templates; only a bake has to say so. */
	if (!base && !create)
		return 0;
	if (!base)
		return failure_set(failure, STATUS_FAILED, CODE_HOST,
		                   "there is no place for templates: neither XDG_CACHE_HOME nor "
		                   "HOME is an absolute path");
	if (asprintf(&folder.path, "%s/cloche/templates", base) < 0) {
		folder.path = NULL;
		return failure_set_nomem(failure);
	}
	if (create)
		rc = make_folders(folder.path);
	if (rc == 0)
		folder.fd = open(folder.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (rc == 0 && folder.fd < 0)
		rc = -errno;
	if (rc == -ENOENT && !create)
		return 0;
	if (rc < 0)
		return failure_set(failure, STATUS_FAILED, CODE_HOST,
		                   "cannot use the folder of templates, %.300s: %s", folder.path,
		                   strerror(-rc));
	if (session_check_folder(folder.fd, folder.path, failure) < 0)
		return -1;
	*out_folder = folder;
	folder = (struct template_folder)TEMPLATE_FOLDER_INIT;
	return 0;
}

/* --- one template --- */

void template_finish(struct template *template)
{
	free(template->snapshot);
	free(template->touch);
	json_decref(template->object);
	*template = (struct template){ 0 };
}

int template_check_name(const char *name, struct failure *failure)
{
	if (parse_name_ok(name))
		return 0;
	return failure_set(failure, STATUS_USAGE, CODE_USAGE,
	                   "'%.64s' is no template name; take a letter or digit, then up to %d "
	                   "letters, digits, '.', '-', '_'",
	                   name, SESSION_NAME_MAX - 1);
}

/* Reads a JSON object from the folder. NULL: it can't be read, or is none. *out_errno says. */
static json_t *read_json(int folder_fd, const char *file, int *out_errno)
{
	cleanup_fd int fd =
		openat(folder_fd, file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	cleanup_free char *text = NULL;
	struct stat st;
	json_t *object;
	ssize_t n;

	*out_errno = errno;
	if (fd < 0)
		return NULL;
	*out_errno = EPROTO;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (size_t)st.st_size > JSON_SIZE_MAX)
		return NULL;
	text = malloc((size_t)st.st_size + 1);
	n = text ? read(fd, text, (size_t)st.st_size + 1) : -1;
	object = n > 0 ? json_loadb(text, (size_t)n, JSON_REJECT_DUPLICATES, NULL) : NULL;
	if (object && !json_is_object(object)) {
		json_decref(object);
		return NULL;
	}
	return object;
}

bool template_parse(json_t *object, struct template *out_template)
{
	static const char digits[] = "0123456789abcdef";
	const char *id = client_string(object, "id");
	const char *size = client_string(object, "size");
	struct template template = *out_template;
	struct failure ignored = { 0 };

	if (client_integer(object, "version", 0, INT32_MAX, 0) != TEMPLATE_VERSION ||
	    strlen(id) != TEMPLATE_ID_SIZE - 1 || strspn(id, digits) != TEMPLATE_ID_SIZE - 1 ||
	    parse_geometry("size", size, &template.size, &ignored) < 0)
		return false;
	memcpy(template.id, id, TEMPLATE_ID_SIZE);
	template.memory_mib = (uint64_t)client_integer(object, "memory_mib", 1, 1 << 20, 0);
	template.cpus = (uint64_t)client_integer(object, "cpus", 1, 1024, 0);
	template.resident_bytes =
		(uint64_t)client_integer(object, "resident_bytes", 0, INT64_MAX, INT64_MAX);
	if (template.memory_mib == 0 || template.cpus == 0 ||
	    !json_is_object(json_object_get(object, "files")) ||
	    !json_is_object(json_object_get(object, "snapshot")))
		return false;
	*out_template = template;
	return true;
}

/* The files beside the json; what is missing shows in ->complete and ->touch. */
static int find_files(const struct template_folder *folder, struct template *template)
{
	cleanup_free char *touch = NULL;
	struct stat st;

	if (asprintf(&template->snapshot, "%s/%s.snap", folder->path, template->name) < 0) {
		template->snapshot = NULL;
		return -ENOMEM;
	}
	if (asprintf(&touch, "%s/%s.touch", folder->path, template->name) < 0) {
		touch = NULL;
		return -ENOMEM;
	}
	if (lstat(template->snapshot, &st) < 0 || !S_ISREG(st.st_mode) ||
	    !fingerprint_looks_same(json_object_get(template->object, "snapshot"), &st))
		template->complete = false;
	if (lstat(touch, &st) == 0 && S_ISREG(st.st_mode))
		template->touch = steal_pointer(&touch);
	return 0;
}

int template_load(const struct template_folder *folder, const char *name,
                  struct template *out_template, struct failure *failure)
{
	cleanup_template struct template template = { 0 };
	char file[sizeof(template.name) + sizeof(JSON_SUFFIX)];
	int rc = ENOENT;

	if (template_check_name(name, failure) < 0)
		return -1;
	snprintf(template.name, sizeof(template.name), "%s", name);
	snprintf(file, sizeof(file), "%s" JSON_SUFFIX, template.name);
	if (folder->fd >= 0)
		template.object = read_json(folder->fd, file, &rc);
	if (!template.object && rc == ENOENT)
		return 1;
	template.complete = template.object &&template_parse(template.object, &template);
	if (find_files(folder, &template) < 0)
		return failure_set_nomem(failure);
	*out_template = template;
	template = (struct template){ 0 };
	return 0;
}

bool template_shape_differs(const struct template *template, uint64_t memory_mib, uint64_t cpus,
                            struct geometry size, char *out_text, size_t text_size)
{
	if (memory_mib && memory_mib != template->memory_mib) {
		snprintf(out_text, text_size, "its guests have %llu MiB of memory",
		         (unsigned long long)template->memory_mib);
		return true;
	}
	if (cpus && cpus != template->cpus) {
		snprintf(out_text, text_size, "its guests have %llu CPU%s",
		         (unsigned long long)template->cpus, template->cpus == 1 ? "" : "s");
		return true;
	}
	if (size.width &&
	    (size.width != template->size.width || size.height != template->size.height)) {
		snprintf(out_text, text_size, "its guests have a screen of %ux%u",
		         template->size.width, template->size.height);
		return true;
	}
	return false;
}

struct template_check template_compare(struct template *template, const struct launch_plan *plan)
{
	struct template_check check = { 0 };
	json_t *files = json_object_get(template->object, "files");
	char text[FINGERPRINT_TEXT_SIZE];

	fingerprint_of_cpu(text);
	if (strcmp(client_string(template->object, "cpu"), text) != 0)
		check.changed = "the CPU is another";
	for (size_t i = 0; i < DEPENDENCIES && !check.changed; i++) {
		const struct dependency *dependency = &dependencies[i];
		json_t *fresh = NULL;

		switch (fingerprint_compare(json_object_get(files, dependency->key),
		                            dependency_path(plan, i), &fresh)) {
		case FINGERPRINT_SAME:
			break;
		case FINGERPRINT_RESTAMPED:
			json_object_set_new(files, dependency->key, fresh);
			check.restamped = true;
			break;
		case FINGERPRINT_DIFFERENT:
			check.changed = dependency->words;
			break;
		}
	}
	fingerprint_of_host(text);
	if (strcmp(client_string(template->object, "host"), text) != 0) {
		json_object_set_new(template->object, "host", json_string(text));
		check.new_host = true;
	}
	return check;
}

json_t *template_dependencies(const struct launch_plan *plan, struct failure *failure)
{
	json_t *files = json_object();
	char cpu[FINGERPRINT_TEXT_SIZE];
	char host[FINGERPRINT_TEXT_SIZE];

	for (size_t i = 0; i < DEPENDENCIES; i++) {
		json_t *noted = fingerprint_of_file(dependency_path(plan, i), failure);

		if (!noted) {
			json_decref(files);
			return NULL;
		}
		json_object_set_new(files, dependencies[i].key, noted);
	}
	fingerprint_of_cpu(cpu);
	fingerprint_of_host(host);
	return json_pack("{s:o,s:s,s:s}", "files", files, "cpu", cpu, "host", host);
}

int template_write(const struct template_folder *folder, const char *name, const json_t *object,
                   struct failure *failure)
{
	cleanup_hostfile struct hostfile file = HOSTFILE_INIT;
	cleanup_free char *text = json_dumps(object, JSON_INDENT(2));
	cleanup_free char *path = NULL;

	if (!text || asprintf(&path, "%s/%s" JSON_SUFFIX, folder->path, name) < 0) {
		path = NULL;
		return failure_set_nomem(failure);
	}
	if (hostfile_begin(path, &file, failure) < 0 ||
	    output_write(file.fd, text, strlen(text), path, failure) < 0 ||
	    hostfile_commit(&file, 0600, failure) < 0)
		return -1;
	return 0;
}

bool template_uses(const struct template_folder *folder, const char *id)
{
	int own = openat(folder->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = own >= 0 ? fdopendir(own) : NULL;
	const struct dirent *entry;
	bool used = false;

	if (!dir)
		close_fd(&own);
	while (dir && !used && (entry = readdir(dir))) {
		size_t size = strlen(entry->d_name);
		json_t *object;
		int rc;

		if (size <= strlen(JSON_SUFFIX) || entry->d_name[0] == '.' ||
		    strcmp(entry->d_name + size - strlen(JSON_SUFFIX), JSON_SUFFIX) != 0)
			continue;
		object = read_json(folder->fd, entry->d_name, &rc);
		used = strcmp(client_string(object, "id"), id) == 0;
		json_decref(object);
	}
	if (dir)
		closedir(dir);
	/* Who can't look doesn't know that it isn't used. */
	return used || !dir;
}
