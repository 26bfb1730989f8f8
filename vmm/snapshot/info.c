/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/snapshot/info.h"

#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/cleanup.h"

#ifndef CLOCHE_VERSION
#define CLOCHE_VERSION "0.1"
#endif

#define INFO_VERSION 1
#define BOOT_ID_SIZE 37 /* a UUID and NUL; random(4) */
#define VERSION_SIZE 32

struct info {
	char version[VERSION_SIZE];
	uint64_t taken_s; /* CLOCK_REALTIME */
	char boot_id[BOOT_ID_SIZE];
};

/* "" when it can't be had. */
static void read_boot_id(char out_id[BOOT_ID_SIZE])
{
	cleanup_fd int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, out_id, BOOT_ID_SIZE - 1) : 0;

	out_id[n == BOOT_ID_SIZE - 1 ? n : 0] = '\0';
}

void info_save(struct sections_writer *sections)
{
	struct wire_writer *out = sections_begin(sections, SECTION_INFO, 0, INFO_VERSION, false);
	char boot_id[BOOT_ID_SIZE];

	read_boot_id(boot_id);
	wire_put_string(out, CLOCHE_VERSION);
	wire_put_u64(out, (uint64_t)time(NULL));
	wire_put_string(out, boot_id);
	sections_end(sections);
}

static bool load(const uint8_t *state, size_t size, struct info *out_info)
{
	struct wire_reader in;
	uint16_t version;

	if (sections_find(state, size, SECTION_INFO, 0, INFO_VERSION, &in, &version, NULL))
		return false;
	wire_get_string(&in, out_info->version, sizeof(out_info->version));
	out_info->taken_s = wire_get_u64(&in);
	wire_get_string(&in, out_info->boot_id, sizeof(out_info->boot_id));
	return wire_reader_ended(&in);
}

bool info_is_of_this_boot(const uint8_t *state, size_t size)
{
	char boot_id[BOOT_ID_SIZE];
	struct info info;

	read_boot_id(boot_id);
	return load(state, size, &info) && boot_id[0] && strcmp(info.boot_id, boot_id) == 0;
}

json_t *info_describe(const uint8_t *state, size_t size)
{
	struct info info;

	if (!load(state, size, &info) || info.taken_s > INT64_MAX)
		return NULL;
	return json_pack("{s:s,s:I,s:s}", "version", info.version, "taken_at",
	                 (json_int_t)info.taken_s, "boot_id", info.boot_id);
}
