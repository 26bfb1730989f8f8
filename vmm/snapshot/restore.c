/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/snapshot/restore.h"

#include <errno.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "vmm/snapshot/blocks.h"
#include "vmm/snapshot/template.h"

struct restore {
	struct guest_memory *memory;
	struct snapshot_file *file;
	const struct restore_config *config;
};

/* @may_build: or else only a template that is there will do. */
static int map_template(const struct restore *restore, bool may_build, struct error *err)
{
	const char *folder = restore->config->templates;
	struct error found = { 0 };
	struct block_set blocks;
	cleanup_fd int fd = -1;

	int ret = template_open(folder, restore->file, &fd, &blocks, &found);
	if (ret && may_build) {
		ret = snapshot_file_open_rest(restore->file, err);
		if (ret == 0)
			ret = template_build(folder, restore->file, err);
		if (ret == 0)
			ret = template_open(folder, restore->file, &fd, &blocks, err);
		if (ret)
			return ret;
	} else if (ret) {
		if (ret != -ENOENT)
			log_warn("%s", found.msg);
		return -ENOENT;
	}
	ret = guest_memory_map_file(restore->memory, fd, blocks.bits, err);
	/* -ENOENT says that there is none, and that RAM is as it was. */
	ASSERT(ret != -ENOENT);
	return ret;
}

static int load_chunk(void *arg, uint64_t index, struct error *err)
{
	const struct restore *restore = arg;

	return snapshot_file_read_chunk(restore->file, index,
	                                restore->memory->ram + index * SNAPSHOT_CHUNK_SIZE, err);
}

static int load_all(struct restore *restore, struct error *err)
{
	return blocks_each_chunk(restore->file, load_chunk, restore, err);
}

static int load_lazily(const struct restore *restore, struct pager **out_pager, struct error *err)
{
	const struct pager_config config = { .touch = restore->config->touch,
		                             .record = restore->config->record };

	return pager_create(restore->memory, restore->file, &config, out_pager, err);
}

static int bring_any(struct restore *restore, enum restore_mode *out_mode, struct pager **out_pager,
                     struct error *err)
{
	struct error found = { 0 };
	int ret = -ENOENT;

	*out_mode = RESTORE_TEMPLATE;
	if (restore->config->templates)
		ret = map_template(restore, false, err);
	if (ret != -ENOENT)
		return ret;
	ret = snapshot_file_open_rest(restore->file, err);
	if (ret)
		return ret;
	*out_mode = RESTORE_LAZY;
	ret = load_lazily(restore, out_pager, &found);
	if (ret == 0)
		return 0;
	if (ret != -ENOTSUP)
		return error_set(err, ret, "%s", found.msg);
	log_debug("all memory is loaded before the guest runs: %s", found.msg);
	*out_mode = RESTORE_EAGER;
	return load_all(restore, err);
}

static int bring(struct restore *restore, enum restore_mode *out_mode, struct pager **out_pager,
                 struct error *err)
{
	*out_mode = restore->config->mode;
	if (*out_mode == RESTORE_AUTO)
		return bring_any(restore, out_mode, out_pager, err);
	if (*out_mode == RESTORE_TEMPLATE && !restore->config->templates)
		return error_set(err, -EINVAL, "a template needs a folder to be in: --templates");
	if (*out_mode == RESTORE_TEMPLATE)
		return map_template(restore, true, err);
	int ret = snapshot_file_open_rest(restore->file, err);
	if (ret)
		return ret;
	return *out_mode == RESTORE_LAZY ? load_lazily(restore, out_pager, err)
	                                 : load_all(restore, err);
}

int restore_memory(struct guest_memory *memory, struct snapshot_file *file,
                   const struct restore_config *config, struct gpa hole_start, struct gpa hole_end,
                   enum restore_mode *out_mode, struct pager **out_pager, struct error *err)
{
	struct restore restore = { .memory = memory, .file = file, .config = config };
	struct pager *pager = NULL;
	enum restore_mode mode;

	int ret =
		guest_memory_init(memory, snapshot_file_ram_size(file), hole_start, hole_end, err);
	if (ret)
		return error_prefix(err, ret, "%s", snapshot_file_path(file));
	ret = bring(&restore, &mode, &pager, err);
	if (ret) {
		guest_memory_finish(memory);
		return ret;
	}
	*out_mode = mode;
	*out_pager = pager;
	return 0;
}
