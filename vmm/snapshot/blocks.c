/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/snapshot/blocks.h"

#include <string.h>

#include "vmm/snapshot/parallel.h"

struct walk {
	const struct snapshot_file *file;
	int (*each)(void *arg, uint64_t index, struct error *err);
	void *arg;
};

void blocks_of_file(const struct snapshot_file *file, struct block_set *out_blocks)
{
	uint64_t count = snapshot_file_chunk_count(file);

	memset(out_blocks, 0, sizeof(*out_blocks));
	for (uint64_t index = 0; index < count;) {
		if (snapshot_file_chunk(file, index) == SNAPSHOT_CHUNK_ZERO) {
			index++;
			continue;
		}
		guest_block_set(out_blocks->bits, index / BLOCK_CHUNKS);
		index = (index / BLOCK_CHUNKS + 1) * BLOCK_CHUNKS;
	}
}

static int walk_block(void *arg, uint64_t block, struct error *err)
{
	const struct walk *walk = arg;
	uint64_t count = snapshot_file_chunk_count(walk->file);
	uint64_t end = (block + 1) * BLOCK_CHUNKS < count ? (block + 1) * BLOCK_CHUNKS : count;
	int ret = 0;

	for (uint64_t index = block * BLOCK_CHUNKS; index < end && ret == 0; index++)
		if (snapshot_file_chunk(walk->file, index) != SNAPSHOT_CHUNK_ZERO)
			ret = walk->each(walk->arg, index, err);
	return ret;
}

int blocks_each_chunk(const struct snapshot_file *file,
                      int (*each)(void *arg, uint64_t index, struct error *err), void *arg,
                      struct error *err)
{
	struct walk walk = { .file = file, .each = each, .arg = arg };
	const struct parallel parallel = {
		.name = "load",
		.count = guest_blocks(snapshot_file_ram_size(file)),
		.threads = parallel_threads(0),
		.work = walk_block,
		.arg = &walk,
	};

	return parallel_run(&parallel, err);
}
