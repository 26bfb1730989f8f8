/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fingerprint.c - see fingerprint.h. No state, single thread.
 *
 * The CPU is asked by CPUID and not through /proc/cpuinfo, which takes a line for every processor of
 * the host and, on older kernels, a sleep to find out their clocks.
 */
#include "supervisor/fingerprint.h"

#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <xxhash.h>

#include "lib/cleanup.h"
#include "supervisor/client.h"

#define PIECE_SIZE ((size_t)1 << 20)

static json_int_t in_ns(struct timespec time)
{
	return (json_int_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static bool member_is(const json_t *noted, const char *key, json_int_t value)
{
	const json_t *member = json_object_get(noted, key);

	return json_is_integer(member) && json_integer_value(member) == value;
}

bool fingerprint_looks_same(const json_t *noted, const struct stat *st)
{
	return member_is(noted, "size", (json_int_t)st->st_size) &&
	       member_is(noted, "ino", (json_int_t)st->st_ino) &&
	       member_is(noted, "mtime_ns", in_ns(st->st_mtim)) &&
	       (!json_object_get(noted, "ctime_ns") ||
	        member_is(noted, "ctime_ns", in_ns(st->st_ctim)));
}

json_t *fingerprint_of_look(const struct stat *st)
{
	return json_pack("{s:I,s:I,s:I}", "size", (json_int_t)st->st_size, "mtime_ns",
	                 in_ns(st->st_mtim), "ino", (json_int_t)st->st_ino);
}

/* Hashes all of @fd. 0 or -errno. */
static int hash_fd(int fd, char out_hash[17])
{
	cleanup_free uint8_t *piece = malloc(PIECE_SIZE);
	XXH3_state_t *state = XXH3_createState();
	int rc = piece && state ? 0 : -ENOMEM;
	off_t at = 0;

	if (rc == 0)
		XXH3_64bits_reset(state);
	while (rc == 0) {
		ssize_t n = pread(fd, piece, PIECE_SIZE, at);

		if (n == 0)
			break;
		if (n > 0) {
			XXH3_64bits_update(state, piece, (size_t)n);
			at += n;
		} else if (errno != EINTR) {
			rc = -errno;
		}
	}
	if (rc == 0)
		snprintf(out_hash, 17, "%016llx", (unsigned long long)XXH3_64bits_digest(state));
	XXH3_freeState(state);
	return rc;
}

/* 0, or -errno and *out_noted is untouched. */
static int note_file(const char *path, json_t **out_noted)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	char hash[17];
	json_t *noted;
	int rc;

	/* Looked at first: what changes while it is read shows as changed the next time. */
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	rc = S_ISREG(st.st_mode) ? hash_fd(fd, hash) : -EINVAL;
	if (rc < 0)
		return rc;
	noted = fingerprint_of_look(&st);
	if (!noted || json_object_set_new(noted, "ctime_ns", json_integer(in_ns(st.st_ctim))) < 0 ||
	    json_object_set_new(noted, "path", json_string(path)) < 0 ||
	    json_object_set_new(noted, "hash", json_string(hash)) < 0) {
		json_decref(noted);
		return -EINVAL;
	}
	*out_noted = noted;
	return 0;
}

json_t *fingerprint_of_file(const char *path, struct failure *failure)
{
	json_t *noted = NULL;
	int rc = note_file(path, &noted);

	if (rc < 0)
		failure_set(failure, STATUS_FAILED, CODE_HOST, "cannot note %.300s: %s", path,
		            strerror(-rc));
	return noted;
}

enum fingerprint_verdict fingerprint_compare(const json_t *noted, const char *path,
                                             json_t **out_fresh)
{
	const char *hash = client_string(noted, "hash");
	json_t *fresh = NULL;
	struct stat st;

	if (strcmp(client_string(noted, "path"), path) == 0 && stat(path, &st) == 0 &&
	    fingerprint_looks_same(noted, &st))
		return FINGERPRINT_SAME;
	if (note_file(path, &fresh) < 0)
		return FINGERPRINT_DIFFERENT;
	if (!*hash || strcmp(hash, client_string(fresh, "hash")) != 0) {
		json_decref(fresh);
		return FINGERPRINT_DIFFERENT;
	}
	*out_fresh = fresh;
	return FINGERPRINT_RESTAMPED;
}

/* --- the host --- */

struct leaf {
	uint32_t a, b, c, d;
};

static struct leaf cpuid(uint32_t number, uint32_t index)
{
	struct leaf leaf;

	__cpuid_count(number, index, leaf.a, leaf.b, leaf.c, leaf.d);
	return leaf;
}

static void add_leaf(XXH64_hash_t *hash, struct leaf leaf)
{
	*hash = XXH64(&leaf, sizeof(leaf), *hash);
}

/*
 * Leaves whose bits say what programs may use, without those that differ from core to core. No more
 * than that: in a virtual machine each of them leaves it.
 */
static XXH64_hash_t hash_features(uint32_t highest, struct leaf basic)
{
	XXH64_hash_t hash = 0;

	basic.b &= 0x0000ff00; /* the rest is APIC id and count of processors */
	add_leaf(&hash, basic);
	add_leaf(&hash, cpuid(0x80000001, 0));
	for (uint32_t index = 0; index < 2 && highest >= 7; index++)
		add_leaf(&hash, cpuid(7, index));
	for (uint32_t index = 0; index < 2 && highest >= 0xd; index++)
		add_leaf(&hash, cpuid(0xd, index));
	return hash;
}

void fingerprint_of_cpu(char out_text[FINGERPRINT_TEXT_SIZE])
{
	struct leaf vendor = cpuid(0, 0);
	struct leaf basic = cpuid(1, 0);

	snprintf(out_text, FINGERPRINT_TEXT_SIZE, "%.4s%.4s%.4s %08x, features %016llx",
	         (const char *)&vendor.b, (const char *)&vendor.d, (const char *)&vendor.c, basic.a,
	         (unsigned long long)hash_features(vendor.a, basic));
	text_clean(out_text);
}

void fingerprint_of_host(char out_text[FINGERPRINT_TEXT_SIZE])
{
	struct utsname names;

	if (uname(&names) < 0)
		memset(&names, 0, sizeof(names));
	snprintf(out_text, FINGERPRINT_TEXT_SIZE, "%.100s %.140s", names.release, names.version);
	text_clean(out_text);
}
