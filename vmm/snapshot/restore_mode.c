/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * restore_mode.c - the ways' names, for options and reports, without what the ways need.
 */
#include <errno.h>
#include <string.h>

#include "vmm/snapshot/restore.h"

static const char *const names[] = {
	[RESTORE_AUTO] = "auto",
	[RESTORE_TEMPLATE] = "template",
	[RESTORE_LAZY] = "lazy",
	[RESTORE_EAGER] = "eager",
};

const char *restore_mode_name(enum restore_mode mode)
{
	return names[mode];
}

int restore_mode_parse(const char *name, enum restore_mode *out_mode)
{
	for (size_t mode = RESTORE_TEMPLATE; mode < sizeof(names) / sizeof(names[0]); mode++)
		if (strcmp(name, names[mode]) == 0) {
			*out_mode = (enum restore_mode)mode;
			return 0;
		}
	return -EINVAL;
}
