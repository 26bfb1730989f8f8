/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * file_inspect.c - a snapshot file described for people and programs, as JSON.
 */
#include "vmm/snapshot/config.h"
#include "vmm/snapshot/file_private.h"
#include "vmm/snapshot/info.h"
#include "vmm/snapshot/sections.h"

static json_t *pack_id(const struct snapshot_id *id)
{
	char hex[SNAPSHOT_ID_HEX_SIZE];

	snapshot_id_to_hex(id, hex);
	return json_string(hex);
}

/* The file itself and its ancestors have the same members. */
static json_t *pack_ancestor(const struct snapshot_file *file)
{
	/* A path needn't be UTF-8, as JSON must. */
	json_t *path = json_string(file->path);

	return json_pack("{s:o,s:o,s:I}", "id", pack_id(&file->header.id), "file",
	                 path ? path : json_null(), "file_bytes",
	                 (json_int_t)snapshot_header_file_size(&file->header));
}

static json_t *pack_ancestors(const struct snapshot_file *file)
{
	json_t *list = json_array();

	for (file = file->parent; file; file = file->parent)
		json_array_append_new(list, pack_ancestor(file));
	return list;
}

static json_t *pack_sections(const struct snapshot_file *file)
{
	size_t size = (size_t)file->header.state_size, offset = 0;
	json_t *list = json_array();
	struct section s;

	while (sections_next(file->state, size, &offset, &s)) {
		const char *name = sections_name(s.type);

		json_array_append_new(
			list, json_pack("{s:o,s:I,s:i,s:b,s:I}", "type",
		                        name ? json_string(name) : json_integer(s.type), "instance",
		                        (json_int_t)s.instance, "version", (int)s.version,
		                        "required", s.required, "bytes", (json_int_t)s.size));
	}
	return list;
}

static json_t *pack_chunks(const struct snapshot_file *file, uint64_t *out_stored)
{
	uint64_t counts[KIND_PARENT + 1] = { 0 }, stored = 0;

	for (uint64_t i = 0; i < file->chunk_count; i++) {
		uint8_t kind = file->chunks[i].kind;

		counts[kind]++;
		if (kind == KIND_RAW || kind == KIND_LZ4)
			stored += snapshot_file_chunk_size(file, i);
	}
	*out_stored = stored;
	return json_pack("{s:I,s:I,s:I,s:I,s:I}", "bytes", (json_int_t)SNAPSHOT_CHUNK_SIZE, "zero",
	                 (json_int_t)counts[KIND_ZERO], "raw", (json_int_t)counts[KIND_RAW], "lz4",
	                 (json_int_t)counts[KIND_LZ4], "parent", (json_int_t)counts[KIND_PARENT]);
}

json_t *snapshot_file_inspect(const struct snapshot_file *file)
{
	const struct snapshot_header *h = &file->header;
	json_t *object = pack_ancestor(file);
	uint64_t stored;

	json_object_set_new(object, "format", json_integer(SNAPSHOT_FORMAT_VERSION));
	json_object_set_new(object, "ancestors", pack_ancestors(file));
	json_object_set_new(object, "ram_bytes", json_integer((json_int_t)h->ram_size));
	json_object_set_new(object, "chunks", pack_chunks(file, &stored));
	/* What is stored here, before and after. */
	json_object_set_new(object, "stored_ram_bytes", json_integer((json_int_t)stored));
	json_object_set_new(object, "data_bytes", json_integer((json_int_t)h->data_size));
	json_object_set_new(object, "state_bytes", json_integer((json_int_t)h->state_size));
	json_object_set_new(object, "index_bytes",
	                    json_integer((json_int_t)snapshot_header_index_size(h)));
	json_object_set_new(object, "sections", pack_sections(file));
	json_t *config = config_describe(file->state, (size_t)h->state_size);
	if (config)
		json_object_set_new(object, "config", config);
	json_t *info = info_describe(file->state, (size_t)h->state_size);
	if (info)
		json_object_set_new(object, "info", info);
	return object;
}
