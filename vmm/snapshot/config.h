/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * config.h - the shape of a guest's machine, as a snapshot has it: what its copy must be given again.
 *
 * Paths, names and limits of a session aren't part of it. No state; any thread. What is read is not
 * trusted: it is judged as a command line is.
 */
#ifndef CLOCHE_VMM_SNAPSHOT_CONFIG_H
#define CLOCHE_VMM_SNAPSHOT_CONFIG_H

#include <jansson.h>

#include "vmm/snapshot/sections.h"
#include "vmm/vm.h"

/* The session and the root image that a snapshot was taken of. */
struct saved_origin {
	char name[64];
	bool has_agent;   /* struct vm's */
	char image[4096]; /* "" for none */
	uint64_t image_size;
	uint64_t image_identity; /* image_identity() */
	char disks[VM_DISKS_MAX][4096];
};

/*
 * A number for what is in [data, data+size), a mapped image: its size, beginning, end, and blocks spread
 * over it. It tells builds of an image from each other; it is no proof against forgery. Reads 1 MiB.
 */
uint64_t image_identity(const void *data, uint64_t size);

/* Encodes SECTION_CONFIG of @vm, whose image_identity is filled in if it has a root image. */
void config_save(const struct vm *vm, struct sections_writer *sections);

/*
 * Decodes it from a state that has passed sections_check(): the members of *@config that describe the
 * machine are set, all others stay. Its disks' paths point into *@origin, which must outlive it.
 * 0; -EINVAL: no possible machine; sections_find()'s.
 */
int config_restore(const uint8_t *state, size_t size, struct vm_config *config,
                   struct saved_origin *origin, struct error *err);

/* The same for people, an object owned by the caller; NULL when it can't be decoded. */
json_t *config_describe(const uint8_t *state, size_t size);

#endif
