/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fingerprint.h - what a template depends on, noted when it is baked and compared before each use:
 * the guest's images and the VMM, the CPU, the host's kernel. Single thread.
 *
 * A file is first only looked at: size, times and inode. When those have changed its bytes are read,
 * so that a copy of the same file is the same file.
 */
#ifndef CLOCHE_SUPERVISOR_FINGERPRINT_H
#define CLOCHE_SUPERVISOR_FINGERPRINT_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "supervisor/failure.h"

/*
 * {"path","size","mtime_ns","ctime_ns","ino","hash"}: the hash is XXH3-64 of all bytes, 16 hexadecimal
 * digits. Blocks on the storage. Owned by the caller; NULL: the failure names the file.
 */
json_t *fingerprint_of_file(const char *path, struct failure *failure);

enum fingerprint_verdict {
	FINGERPRINT_SAME,
	FINGERPRINT_RESTAMPED, /* the same bytes, but it isn't seen without reading them */
	FINGERPRINT_DIFFERENT, /* or it can't be read */
};

/*
 * Compares the file at @path with what was @noted. For FINGERPRINT_RESTAMPED *out_fresh is a new note,
 * owned by the caller.
 */
enum fingerprint_verdict fingerprint_compare(const json_t *noted, const char *path,
                                             json_t **out_fresh);

/* True if @st, by looking alone, is the file that was noted; "ctime_ns" counts if it was noted. */
bool fingerprint_looks_same(const json_t *noted, const struct stat *st);

/* A note without path, ctime and hash, for a file of our own that is renamed. Owned by the caller. */
json_t *fingerprint_of_look(const struct stat *st);

#define FINGERPRINT_TEXT_SIZE 256

/*
 * The CPU: vendor, model and stepping, and a hash of its features. The VMM looks closer, at what a
 * guest has seen of it.
 */
void fingerprint_of_cpu(char out_text[FINGERPRINT_TEXT_SIZE]);

/* The host's kernel, release and build. */
void fingerprint_of_host(char out_text[FINGERPRINT_TEXT_SIZE]);

#endif
