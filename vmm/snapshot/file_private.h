/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * file_private.h - what an open snapshot file is, for the sources behind file.h and their tests.
 */
#ifndef CLOCHE_VMM_SNAPSHOT_FILE_PRIVATE_H
#define CLOCHE_VMM_SNAPSHOT_FILE_PRIVATE_H

#include <sys/types.h>

#include "vmm/snapshot/file_format.h"

struct snapshot_place {
	uint64_t offset; /* in the file */
	uint64_t hash;   /* this and the others: struct snapshot_entry */
	uint32_t check;
	uint32_t size : 24, kind : 8; /* a large guest has a million of these */
};

struct snapshot_file {
	char *path; /* owned */
	int fd;     /* owned */
	dev_t device;
	ino_t inode;
	struct snapshot_header header;
	uint8_t *state; /* owned */
	uint64_t chunk_count;
	struct snapshot_place *chunks; /* owned; NULL until the index is read */
	char *parent_hint;             /* owned; NULL for a whole snapshot */
	struct snapshot_file *parent;  /* owned; set once it is open and fits */
};

/*
 * Reads and checks a file's header and state. Takes @fd, on failure too; @path is what messages call
 * it. Then, once, its index, with which all is read but its chunks and its ancestors.
 */
int snapshot_file_load_head(int fd, const char *path, struct snapshot_file **out_file,
                            struct error *err);
int snapshot_file_load_index(struct snapshot_file *file, struct error *err);

/* Makes @parent (taken when it succeeds) the parent of @file, if all that @file leaves to it is there. */
int snapshot_file_adopt(struct snapshot_file *file, struct snapshot_file *parent,
                        struct error *err);

/* All @size bytes at @offset. 0; -EPROTO: there are fewer; -errno. Messages go behind the path. */
int snapshot_read_exactly(int fd, void *data, size_t size, uint64_t offset, struct error *err);

/* Of @file and its ancestors. */
unsigned snapshot_file_chain_length(const struct snapshot_file *file);

#define SNAPSHOT_PARENT_VERSION 1u /* of SECTION_PARENT: a string, the absolute path */

#endif
