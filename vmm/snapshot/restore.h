/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * restore.h - guest RAM from a snapshot file, in one of three ways.
 *
 *	template  maps the snapshot's resident template (template.h), made first if need be:
 *	          sessions share what they don't write to
 *	lazy      loads what is touched (pager.h), and by and by the rest
 *	eager     loads all of it, on all CPUs, before it returns
 *
 * Main thread, before anything uses RAM.
 */
#ifndef CLOCHE_VMM_SNAPSHOT_RESTORE_H
#define CLOCHE_VMM_SNAPSHOT_RESTORE_H

#include "vmm/memory.h"
#include "vmm/snapshot/file.h"
#include "vmm/snapshot/pager.h"

enum restore_mode {
	RESTORE_AUTO, /* a template that is resident, else lazy, else eager */
	RESTORE_TEMPLATE,
	RESTORE_LAZY,
	RESTORE_EAGER,
};

struct restore_config {
	enum restore_mode mode;
	const char *templates; /* the folder of resident templates; may be NULL but for TEMPLATE */
	const char *touch;     /* LAZY: struct pager_config has these two */
	const char *record;
};

/* "template" and so on; "auto". */
const char *restore_mode_name(enum restore_mode mode);

/* The mode with that name, which isn't "auto": who wants that says nothing. 0 or -EINVAL. */
int restore_mode_parse(const char *name, enum restore_mode *out_mode);

/*
 * Sets @memory up as guest_memory_init() does, with the RAM in it of @file, of which at least the head
 * is open. *out_mode is the way it came.
 * When that is lazy, *out_pager is the caller's: to be started before anybody touches RAM; @memory
 * and @file must then stay where they are until pager_finish(). Else it is NULL, and @file isn't
 * needed any more.
 *
 * 0, or -errno with @err, and nothing is mapped: what guest_memory_init() says; a chunk that can't
 * be read; what template_build() or pager_create() say. Blocks.
 */
int restore_memory(struct guest_memory *memory, struct snapshot_file *file,
                   const struct restore_config *config, struct gpa hole_start, struct gpa hole_end,
                   enum restore_mode *out_mode, struct pager **out_pager, struct error *err);

#endif
