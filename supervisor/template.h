/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * template.h - baked templates: $XDG_CACHE_HOME/cloche/templates/NAME.snap, .touch and .json.
 *
 *	NAME.snap    the snapshot
 *	NAME.touch   the order in which guests touch its memory; may be missing
 *	NAME.json    what it is, and what it depends on (fingerprint.h); written last
 *
 * The snapshot that the json means is known by its size, time and inode: where a bake was killed
 * between the three, the template is out of date. Single thread.
 */
#ifndef CLOCHE_SUPERVISOR_TEMPLATE_H
#define CLOCHE_SUPERVISOR_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>

#include "supervisor/launch.h"

#define TEMPLATE_DEFAULT "default"
#define TEMPLATE_ID_SIZE 33 /* of a snapshot, 32 hexadecimal digits */

/* The folder of all templates, open. */
struct template_folder {
	int fd;     /* owned */
	char *path; /* owned, absolute */
};

#define TEMPLATE_FOLDER_INIT                                                                       \
	{                                                                                          \
		.fd = -1                                                                           \
	}

/* Opens it, making it if @create. Without @create and without a folder out_folder->fd is -1. */
int template_folder_open(bool create, struct template_folder *out_folder, struct failure *failure);
void template_folder_close(struct template_folder *folder);
#define cleanup_template_folder __attribute__((cleanup(template_folder_close)))

/* A template as its json has it. */
struct template
{
	char name[SESSION_NAME_MAX + 1];
	char id[TEMPLATE_ID_SIZE];
	char *snapshot, *touch; /* owned: paths; touch is NULL where there is none */
	uint64_t memory_mib, cpus;
	struct geometry size;
	uint64_t resident_bytes; /* what its resident form takes */
	json_t *object;          /* owned: all of the json */
	bool complete;           /* the json is sound and means the snapshot that is there */
};

void template_finish(struct template *template);
#define cleanup_template __attribute__((cleanup(template_finish)))

/* 0, or -1 with STATUS_USAGE when @name can't be a template's. */
int template_check_name(const char *name, struct failure *failure);

/* Reads the template @name. 0; 1: there is none. Never looks at more than its json and two inodes. */
int template_load(const struct template_folder *folder, const char *name,
                  struct template *out_template, struct failure *failure);

/* Takes a json apart; for template_load() and its tests. False: it isn't sound. */
bool template_parse(json_t *object, struct template *out_template);

/*
 * Why a session of this shape can't come from the template, into @out_text; false when it can.
 * What is 0 may be anything.
 */
bool template_shape_differs(const struct template *template, uint64_t memory_mib, uint64_t cpus,
                            struct geometry size, char *out_text, size_t text_size);

/* What was found when a template was compared with what it depends on. */
struct template_check {
	const char *changed; /* static: "the root image" and so on; NULL: nothing has */
	bool restamped; /* template->object was refreshed: template_write() saves looks later on */
	bool new_host;  /* the host's kernel is another: whether guests run is to be asked */
};

/* Compares @template, a complete one, with this host and with the images and VMM of @plan. */
struct template_check template_compare(struct template *template, const struct launch_plan *plan);

/* Writes @object as NAME.json, whole or not at all. */
int template_write(const struct template_folder *folder, const char *name, const json_t *object,
                   struct failure *failure);

/*
 * What a new template depends on: {"files":{…},"cpu","host"} of @plan, owned by the caller. NULL: the
 * failure names the file. Reads all of them.
 */
json_t *template_dependencies(const struct launch_plan *plan, struct failure *failure);

/* True if some template's json names the snapshot @id. */
bool template_uses(const struct template_folder *folder, const char *id);

#endif
