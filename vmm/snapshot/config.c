/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/snapshot/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "lib/cleanup.h"
#include "lib/proto.h"
#include "lib/token_bucket.h"

#define CONFIG_VERSION 1
#define FLAG_GUEST_ROOT 1u
#define FLAG_NO_PAGE_REPORTING 2u
#define FLAG_RING3 4u
#define FLAG_AGENT 8u
#define FLAGS_KNOWN (FLAG_GUEST_ROOT | FLAG_NO_PAGE_REPORTING | FLAG_RING3 | FLAG_AGENT)
#define CID_MIN 3u

#define SAMPLE_SIZE ((uint64_t)4096)
#define SAMPLES 256

uint64_t image_identity(const void *data, uint64_t size)
{
	const uint8_t *bytes = data;
	uint64_t hash = XXH3_64bits(&size, sizeof(size));

	if (size <= SAMPLES * SAMPLE_SIZE)
		return XXH3_64bits_withSeed(bytes, size, hash);
	/* The first and the last are the beginning and the end. */
	for (uint64_t i = 0; i < SAMPLES; i++)
		hash = XXH3_64bits_withSeed(bytes + (size - SAMPLE_SIZE) * i / (SAMPLES - 1),
		                            SAMPLE_SIZE, hash);
	return hash;
}

/* A copy may be made from another folder. What can't be resolved is said as it was given. */
static void put_path(struct wire_writer *out, const char *path)
{
	cleanup_free char *absolute = realpath(path, NULL);

	wire_put_string(out, absolute ? absolute : path);
}

void config_save(const struct vm *vm, struct sections_writer *sections)
{
	const struct vm_config *config = vm->config;
	struct wire_writer *out = sections_begin(sections, SECTION_CONFIG, 0, CONFIG_VERSION, true);

	wire_put_string(out, config->name);
	wire_put_u64(out, config->memory);
	wire_put_u32(out, config->cpus);
	wire_put_u32(out, config->width);
	wire_put_u32(out, config->height);
	wire_put_u32(out, config->cid);
	wire_put_u32(out, (config->guest_root ? FLAG_GUEST_ROOT : 0) |
	                          (config->no_page_reporting ? FLAG_NO_PAGE_REPORTING : 0) |
	                          (config->ring3 ? FLAG_RING3 : 0) |
	                          (vm->has_agent ? FLAG_AGENT : 0));
	if (config->image)
		put_path(out, config->image);
	else
		wire_put_string(out, "");
	wire_put_u64(out, vm->image_size);
	wire_put_u64(out, vm->image_identity);
	wire_put_u32(out, config->disk_count);
	for (unsigned i = 0; i < config->disk_count; i++)
		put_path(out, config->disks[i].path);
	wire_put_u8(out, config->net.kind != NET_NONE);
	wire_put_bytes(out, config->net.mac, NET_MAC_SIZE);
	wire_put_u64(out, config->net.rate_bytes);
	wire_put_u64(out, config->net.rate_packets);
	sections_end(sections);
}

static bool is_possible(const struct vm_config *c)
{
	return c->memory >= GUEST_MEMORY_MIN && c->memory <= GUEST_MEMORY_MAX &&
	       c->memory % GUEST_PAGE_SIZE == 0 && c->cpus >= 1 && c->cpus <= ARCH_CPUS_MAX &&
	       c->width >= PROTO_DISPLAY_SIDE_MIN && c->width <= PROTO_DISPLAY_SIDE_MAX &&
	       c->height >= PROTO_DISPLAY_SIDE_MIN && c->height <= PROTO_DISPLAY_SIDE_MAX &&
	       c->cid >= CID_MIN && c->cid != UINT32_MAX;
}

/* Disks of a copy are read-only: others can't be copied with a guest. */
static void read_disks(struct wire_reader *in, struct vm_config *config,
                       struct saved_origin *origin)
{
	config->disk_count = wire_get_u32(in);
	if (config->disk_count > VM_DISKS_MAX)
		in->failed = true;
	for (unsigned i = 0; i < config->disk_count && !in->failed; i++) {
		wire_get_string(in, origin->disks[i], sizeof(origin->disks[i]));
		config->disks[i] = (struct vm_disk){ .path = origin->disks[i], .read_only = true };
	}
}

/* True: the guest has a card. */
static bool read_net(struct wire_reader *in, struct net_config *net)
{
	bool present = wire_get_u8(in);

	/* A card of its own with nothing behind it, unless the command line says what. */
	if (present && net->kind == NET_NONE)
		net->kind = NET_UNPLUGGED;
	wire_get_bytes(in, (uint8_t[NET_MAC_SIZE]){ 0 }, NET_MAC_SIZE); /* the original's */
	uint64_t bytes = wire_get_u64(in), packets = wire_get_u64(in);
	if (net->rate_bytes == 0 && net->rate_packets == 0) {
		net->rate_bytes = bytes;
		net->rate_packets = packets;
	}
	return present;
}

int config_restore(const uint8_t *state, size_t size, struct vm_config *config,
                   struct saved_origin *origin, struct error *err)
{
	struct vm_config c = *config;
	struct wire_reader in;
	uint16_t version;

	int ret = sections_find(state, size, SECTION_CONFIG, 0, CONFIG_VERSION, &in, &version, err);
	if (ret)
		return ret;
	wire_get_string(&in, origin->name, sizeof(origin->name));
	c.memory = wire_get_u64(&in);
	c.cpus = wire_get_u32(&in);
	c.width = wire_get_u32(&in);
	c.height = wire_get_u32(&in);
	c.cid = wire_get_u32(&in);
	uint32_t flags = wire_get_u32(&in);
	c.guest_root = flags & FLAG_GUEST_ROOT;
	c.no_page_reporting = flags & FLAG_NO_PAGE_REPORTING;
	c.ring3 = flags & FLAG_RING3;
	origin->has_agent = flags & FLAG_AGENT;
	wire_get_string(&in, origin->image, sizeof(origin->image));
	origin->image_size = wire_get_u64(&in);
	origin->image_identity = wire_get_u64(&in);
	read_disks(&in, &c, origin);
	bool has_card = read_net(&in, &c.net);
	if (!wire_reader_ended(&in) || (flags & ~FLAGS_KNOWN) || !is_possible(&c) ||
	    (origin->image[0] == '\0') != (origin->image_size == 0) ||
	    c.net.rate_bytes > TOKEN_BUCKET_RATE_MAX || c.net.rate_packets > TOKEN_BUCKET_RATE_MAX)
		return error_set(err, -EINVAL, "its configuration is that of no possible machine");
	if (!has_card && c.net.kind != NET_NONE)
		return error_set(err, -EINVAL, "its machine has no network card for --net");
	*config = c;
	return 0;
}

json_t *config_describe(const uint8_t *state, size_t size)
{
	cleanup_free struct saved_origin *origin = calloc(1, sizeof(*origin));
	struct vm_config config = { 0 };

	if (!origin || config_restore(state, size, &config, origin, NULL))
		return NULL;
	json_t *disks = json_array();
	for (unsigned i = 0; i < config.disk_count; i++)
		json_array_append_new(disks, json_string(config.disks[i].path));
	json_t *object =
		json_pack("{s:s,s:I,s:i,s:i,s:i,s:I,s:b,s:b,s:b,s:b,s:o}", "name", origin->name,
	                  "memory_mib", (json_int_t)(config.memory >> 20), "cpus", (int)config.cpus,
	                  "width", (int)config.width, "height", (int)config.height, "cid",
	                  (json_int_t)config.cid, "guest_root", config.guest_root, "page_reporting",
	                  !config.no_page_reporting, "ring3", config.ring3, "net",
	                  config.net.kind != NET_NONE, "disks", disks);
	if (object && origin->image[0]) {
		char identity[17];

		snprintf(identity, sizeof(identity), "%016llx",
		         (unsigned long long)origin->image_identity);
		json_object_set_new(object, "image",
		                    json_pack("{s:s,s:I,s:s}", "file", origin->image, "size",
		                              (json_int_t)origin->image_size, "identity",
		                              identity));
	}
	return object;
}
