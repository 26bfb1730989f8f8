/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/snapshot/examine.h"

#include <errno.h>

#include "lib/clock.h"
#include "vmm/snapshot/file.h"

static int print(const struct snapshot_file *file, bool verify, FILE *out, struct error *err)
{
	uint64_t start = clock_now_ns();
	int ret = verify ? snapshot_file_verify(file, 0, NULL, NULL, err) : 0;

	if (ret)
		return ret;
	uint64_t verify_ns = clock_now_ns() - start;
	json_t *object = snapshot_file_inspect(file);
	if (!object)
		return error_set(err, -ENOMEM, "no memory to describe %s",
		                 snapshot_file_path(file));
	if (verify)
		json_object_set_new(object, "verify_ms",
		                    json_integer((json_int_t)(verify_ns / NS_PER_MS)));
	json_dumpf(object, out, JSON_COMPACT);
	fputc('\n', out);
	json_decref(object);
	return 0;
}

int examine_snapshot(const char *path, bool verify, FILE *out, struct error *err)
{
	struct snapshot_file *file;

	int ret = snapshot_file_open(path, &file, err);
	if (ret)
		return ret;
	ret = print(file, verify, out, err);
	snapshot_file_close(file);
	return ret;
}
