/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_vmm_config.c - the shape of a machine in a snapshot: saved, given to a copy's configuration, and
 * shapes that no machine has.
 */
#include "tests/unit/unit.h"

#include "lib/proto.h"
#include "lib/token_bucket.h"
#include "vmm/snapshot/config.h"

#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

static struct saved_origin origin;
static struct sections_writer state = SECTIONS_WRITER_INIT;

static int setup(void **unused)
{
	(void)unused;
	memset(&origin, 0xee, sizeof(origin));
	state = (struct sections_writer)SECTIONS_WRITER_INIT;
	return 0;
}

static int teardown(void **unused)
{
	(void)unused;
	sections_writer_finish(&state);
	return 0;
}

static void save(const struct vm_config *config, struct vm *vm)
{
	vm->config = config;
	config_save(vm, &state);
	assert_false(state.out.failed);
	assert_int_equal(sections_check(state.out.data, state.out.size, NULL), 0);
}

static int restore(struct vm_config *config, struct error *err)
{
	*err = (struct error){ 0 };
	return config_restore(state.out.data, state.out.size, config, &origin, err);
}

/* --- round trips ----------------------------------------------------------------------------- */

static void test_whole_machine(void **unused)
{
	const struct vm_config config = {
		.name = "demo",
		.image = "/images/root.erofs",
		.memory = 3 * GIB + 4096,
		.cpus = 8,
		.width = 4096,
		.height = 64,
		.cid = 0xfffffffe,
		.guest_root = true,
		.no_page_reporting = true,
		.ring3 = true,
		.disks = { { "/a", true }, { "/b,ro", true } },
		.disk_count = 2,
		.net = { .kind = NET_TAP,
		         .mac = { 2, 3, 4, 5, 6, 7 },
		         .rate_bytes = 1000,
		         .rate_packets = TOKEN_BUCKET_RATE_MAX },
	};
	static struct vm vm;
	/* What the command line of the copy says: some of it stays. */
	struct vm_config copy = { .name = "copy",
		                  .control = "/c",
		                  .ttl_s = 5,
		                  .restore = "/s",
		                  .memory = 1,
		                  .cpus = 77,
		                  .disk_count = 9,
		                  .net = { .mac = { 2, 0, 0, 0, 0, 9 }, .has_mac = true } };
	struct error err;

	(void)unused;
	vm = (struct vm){ .image_size = 2 * MIB,
		          .image_identity = 0x123456789abcdef0,
		          .has_agent = true };
	save(&config, &vm);
	assert_int_equal(restore(&copy, &err), 0);
	assert_int_equal(copy.memory, config.memory);
	assert_int_equal(copy.cpus, 8);
	assert_int_equal(copy.width, 4096);
	assert_int_equal(copy.height, 64);
	assert_int_equal(copy.cid, 0xfffffffe);
	assert_true(copy.guest_root && copy.no_page_reporting && copy.ring3);
	assert_int_equal(copy.disk_count, 2);
	assert_string_equal(copy.disks[0].path, "/a");
	assert_string_equal(copy.disks[1].path, "/b,ro");
	assert_true(copy.disks[0].read_only && copy.disks[1].read_only);
	assert_int_equal(copy.net.kind, NET_UNPLUGGED);
	assert_int_equal(copy.net.rate_bytes, 1000);
	assert_int_equal(copy.net.rate_packets, TOKEN_BUCKET_RATE_MAX);
	assert_int_equal(copy.net.mac[5], 9);

	assert_string_equal(origin.name, "demo");
	assert_string_equal(origin.image, "/images/root.erofs");
	assert_int_equal(origin.image_size, 2 * MIB);
	assert_int_equal(origin.image_identity, 0x123456789abcdef0);
	assert_true(origin.has_agent);

	assert_string_equal(copy.name, "copy");
	assert_string_equal(copy.control, "/c");
	assert_string_equal(copy.restore, "/s");
	assert_int_equal(copy.ttl_s, 5);
	assert_null(copy.image); /* the caller's to choose */
}

static void test_least_machine(void **unused)
{
	const struct vm_config config = { .name = "n",
		                          .memory = GUEST_MEMORY_MIN,
		                          .cpus = 1,
		                          .width = 64,
		                          .height = 64,
		                          .cid = 3 };
	static struct vm vm;
	struct vm_config copy = {
		.guest_root = true, .ring3 = true, .no_page_reporting = true, .disk_count = 3
	};
	struct error err;

	(void)unused;
	vm = (struct vm){ 0 };
	save(&config, &vm);
	assert_int_equal(restore(&copy, &err), 0);
	assert_int_equal(copy.memory, GUEST_MEMORY_MIN);
	assert_false(copy.guest_root || copy.ring3 || copy.no_page_reporting);
	assert_int_equal(copy.disk_count, 0);
	assert_int_equal(copy.net.kind, NET_NONE);
	assert_string_equal(origin.image, "");
	assert_int_equal(origin.image_size, 0);
	assert_false(origin.has_agent);
}

/* A card is what the guest has; what it is plugged into and how fast it may be, the copy's own. */
static void test_cards(void **unused)
{
	static const struct {
		const char *name;
		enum net_kind saved;
		struct net_config own;
		enum net_kind kind;
		uint64_t bytes, packets;
	} rows[] = {
		{ "none", NET_NONE, { 0 }, NET_NONE, 0, 0 },
		{ "a card without a cable", NET_STREAM, { 0 }, NET_UNPLUGGED, 11, 12 },
		{ "of a copy", NET_UNPLUGGED, { 0 }, NET_UNPLUGGED, 11, 12 },
		{ "another cable", NET_TAP, { .kind = NET_STREAM }, NET_STREAM, 11, 12 },
		{ "another limit",
		  NET_TAP,
		  { .kind = NET_TAP_FD, .rate_bytes = 5 },
		  NET_TAP_FD,
		  5,
		  0 },
		{ "another limit of packets", NET_TAP, { .rate_packets = 6 }, NET_UNPLUGGED, 0, 6 },
	};
	static struct vm vm;
	struct error err;

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct vm_config config = {
			.name = "n",
			.memory = GIB,
			.cpus = 1,
			.width = 64,
			.height = 64,
			.cid = 3,
			.net = { .kind = rows[i].saved,
			         .rate_bytes = rows[i].saved ? 11 : 0,
			         .rate_packets = rows[i].saved ? 12 : 0 },
		};
		struct vm_config copy = { .net = rows[i].own };

		sections_writer_finish(&state);
		vm = (struct vm){ 0 };
		save(&config, &vm);
		assert_int_equal(restore(&copy, &err), 0);
		assert_row(rows[i].name, copy.net.kind == rows[i].kind);
		assert_row(rows[i].name, copy.net.rate_bytes == rows[i].bytes);
		assert_row(rows[i].name, copy.net.rate_packets == rows[i].packets);
	}
}

static void test_cable_without_a_card(void **unused)
{
	const struct vm_config config = {
		.name = "n", .memory = GIB, .cpus = 1, .width = 64, .height = 64, .cid = 3
	};
	struct vm_config copy = { .name = "mine", .net = { .kind = NET_TAP } };
	static struct vm vm;
	struct error err;

	(void)unused;
	vm = (struct vm){ 0 };
	save(&config, &vm);
	assert_int_equal(restore(&copy, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "no network card"));
	assert_string_equal(copy.name, "mine");
	assert_int_equal(copy.memory, 0);
}

/* --- impossible machines --------------------------------------------------------------------- */

enum field {
	NONE,
	NAME,
	MEMORY,
	CPUS,
	WIDTH,
	HEIGHT,
	CID,
	FLAGS,
	IMAGE,
	IMAGE_SIZE,
	DISKS,
	BYTES,
	PACKETS
};

/* What is otherwise than in a possible machine. */
struct change {
	enum field field;
	uint64_t value;
	const char *text;
};

static uint64_t number(const struct change *change, enum field field, uint64_t possible)
{
	return change->field == field ? change->value : possible;
}

static const char *text(const struct change *change, enum field field, const char *possible)
{
	return change->field == field ? change->text : possible;
}

/* The payload of version 1, field by field. */
static void put_machine(struct wire_writer *out, const struct change *c)
{
	wire_put_string(out, text(c, NAME, "n"));
	wire_put_u64(out, number(c, MEMORY, GIB));
	wire_put_u32(out, (uint32_t)number(c, CPUS, 2));
	wire_put_u32(out, (uint32_t)number(c, WIDTH, 640));
	wire_put_u32(out, (uint32_t)number(c, HEIGHT, 480));
	wire_put_u32(out, (uint32_t)number(c, CID, 3));
	wire_put_u32(out, (uint32_t)number(c, FLAGS, 0));
	wire_put_string(out, text(c, IMAGE, "/i"));
	wire_put_u64(out, number(c, IMAGE_SIZE, 2 * MIB));
	wire_put_u64(out, 99);
	wire_put_u32(out, (uint32_t)number(c, DISKS, 1));
	for (uint64_t i = 0; i < number(c, DISKS, 1) && i < 9; i++)
		wire_put_string(out, "/d");
	wire_put_u8(out, 1);
	wire_put_bytes(out, "\2\0\0\0\0\1", NET_MAC_SIZE);
	wire_put_u64(out, number(c, BYTES, 0));
	wire_put_u64(out, number(c, PACKETS, 0));
}

static int restore_payload(const void *payload, size_t size, uint16_t version, struct error *err)
{
	struct vm_config copy, untouched;

	sections_writer_finish(&state);
	wire_put_bytes(sections_begin(&state, SECTION_CONFIG, 0, version, true), payload, size);
	sections_end(&state);
	memset(&copy, 0, sizeof(copy));
	memcpy(&untouched, &copy, sizeof(copy));
	int ret = restore(&copy, err);
	assert_int_equal(ret, err->code);
	if (ret)
		assert_memory_equal(&copy, &untouched, sizeof(copy));
	return ret;
}

static char long_path[4097], long_name[65];

static void test_impossible_machines(void **unused)
{
	static const struct {
		const char *what;
		struct change change;
		int ret;
	} rows[] = {
		{ "as it should be", { NONE, 0, NULL }, 0 },
		{ "all flags", { FLAGS, 15, NULL }, 0 },
		{ "no disks", { DISKS, 0, NULL }, 0 },
		{ "four disks", { DISKS, 4, NULL }, 0 },
		{ "a long path", { IMAGE, 0, long_path + 1 }, 0 },
		{ "a long name", { NAME, 0, long_name + 1 }, 0 },
		{ "no memory", { MEMORY, 0, NULL }, -EINVAL },
		{ "little memory", { MEMORY, GUEST_MEMORY_MIN - 4096, NULL }, -EINVAL },
		{ "too much memory", { MEMORY, GUEST_MEMORY_MAX + 4096, NULL }, -EINVAL },
		{ "half a page", { MEMORY, GIB + 2048, NULL }, -EINVAL },
		{ "no CPU", { CPUS, 0, NULL }, -EINVAL },
		{ "nine CPUs", { CPUS, ARCH_CPUS_MAX + 1, NULL }, -EINVAL },
		{ "a narrow screen", { WIDTH, 63, NULL }, -EINVAL },
		{ "a wide screen", { WIDTH, 4097, NULL }, -EINVAL },
		{ "a low screen", { HEIGHT, 0, NULL }, -EINVAL },
		{ "a high screen", { HEIGHT, UINT32_MAX, NULL }, -EINVAL },
		{ "the host's CID", { CID, 2, NULL }, -EINVAL },
		{ "anybody's CID", { CID, UINT32_MAX, NULL }, -EINVAL },
		{ "an unknown flag", { FLAGS, 16, NULL }, -EINVAL },
		{ "the highest flag", { FLAGS, 1u << 31, NULL }, -EINVAL },
		{ "an empty image", { IMAGE_SIZE, 0, NULL }, -EINVAL },
		{ "an image without a file", { IMAGE, 0, "" }, -EINVAL },
		{ "a path that is too long", { IMAGE, 0, long_path }, -EINVAL },
		{ "a name that is too long", { NAME, 0, long_name }, -EINVAL },
		{ "five disks", { DISKS, 5, NULL }, -EINVAL },
		{ "disks without end", { DISKS, UINT32_MAX, NULL }, -EINVAL },
		{ "bytes beyond measure", { BYTES, TOKEN_BUCKET_RATE_MAX + 1, NULL }, -EINVAL },
		{ "packets beyond measure", { PACKETS, UINT64_MAX, NULL }, -EINVAL },
	};
	struct error err;

	(void)unused;
	memset(long_path, 'p', sizeof(long_path) - 1);
	memset(long_name, 'n', sizeof(long_name) - 1);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct wire_writer out = WIRE_WRITER_INIT;

		put_machine(&out, &rows[i].change);
		assert_row(rows[i].what,
		           restore_payload(out.data, out.size, 1, &err) == rows[i].ret);
		if (rows[i].ret)
			assert_row(rows[i].what, strstr(err.msg, "no possible machine"));
		wire_writer_finish(&out);
	}
}

static void test_cut_at_every_byte(void **unused)
{
	const struct change two_disks = { DISKS, 2, NULL };
	struct wire_writer out = WIRE_WRITER_INIT;
	struct error err;

	(void)unused;
	put_machine(&out, &two_disks);
	size_t whole = out.size;
	wire_put_u8(&out, 0);
	for (size_t size = 0; size <= out.size; size++)
		assert_int_equal(restore_payload(out.data, size, 1, &err),
		                 size == whole ? 0 : -EINVAL);
	/* A NUL within a string. */
	out.data[4] = 0;
	assert_int_equal(restore_payload(out.data, whole, 1, &err), -EINVAL);
	wire_writer_finish(&out);
}

static void test_versions(void **unused)
{
	struct wire_writer out = WIRE_WRITER_INIT;
	struct vm_config copy = { 0 };
	struct error err;

	(void)unused;
	put_machine(&out, &(const struct change){ NONE, 0, NULL });
	assert_int_equal(restore_payload(out.data, out.size, 2, &err), -ENOTSUP);
	assert_non_null(strstr(err.msg, "config"));
	wire_writer_finish(&out);
	sections_writer_finish(&state);
	assert_int_equal(restore(&copy, &err), -ENOENT);
	assert_null(config_describe(state.out.data, state.out.size));
}

/* --- images ---------------------------------------------------------------------------------- */

/* It tells builds from each other; how much of a large one it reads is bounded. */
static void test_image_identity(void **unused)
{
	static const struct {
		const char *name;
		uint64_t size, at;
		bool seen;
	} rows[] = {
		{ "small, first byte", 4096, 0, true },
		{ "small, last byte", 4096, 4095, true },
		{ "a byte", 1, 0, true },
		{ "as much as is read", MIB, 517 * 1000, true },
		{ "large, first byte", 64 * MIB, 0, true },
		{ "large, last byte", 64 * MIB, 64 * MIB - 1, true },
		{ "large, first block's end", 64 * MIB, 4095, true },
		{ "large, between two blocks", 64 * MIB, 4096, false },
	};

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint8_t *image = calloc(1, rows[i].size);

		assert_non_null(image);
		uint64_t before = image_identity(image, rows[i].size);
		assert_row(rows[i].name, image_identity(image, rows[i].size) == before);
		image[rows[i].at] = 1;
		assert_row(rows[i].name,
		           (image_identity(image, rows[i].size) != before) == rows[i].seen);
		image[rows[i].at] = 0;
		if (rows[i].size > 1)
			assert_row(rows[i].name, image_identity(image, rows[i].size - 1) != before);
		free(image);
	}
}

int main(void)
{
#define CONFIG_TEST(name_) cmocka_unit_test_setup_teardown(name_, setup, teardown)
	const struct CMUnitTest tests[] = {
		CONFIG_TEST(test_whole_machine),
		CONFIG_TEST(test_least_machine),
		CONFIG_TEST(test_cards),
		CONFIG_TEST(test_cable_without_a_card),
		CONFIG_TEST(test_impossible_machines),
		CONFIG_TEST(test_cut_at_every_byte),
		CONFIG_TEST(test_versions),
		CONFIG_TEST(test_image_identity),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
