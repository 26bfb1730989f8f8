/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_vmm_snapshot_inspect.c - what --inspect and --verify print. Run from the top of the tree.
 */
#include "tests/unit/vmm_snapshot_bed.h"

#include "vmm/snapshot/config.h"
#include "vmm/snapshot/examine.h"

#define GOLDEN "tests/unit/golden/snapshot-v1-child.snap"

/* The object that is printed on one line, or NULL. */
static json_t *examine(const char *path, bool verify, int *out_ret, struct error *err)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	*err = (struct error){ 0 };
	*out_ret = examine_snapshot(path, verify, out, err);
	fclose(out);
	json_t *object = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	if (object)
		assert_ptr_equal(strchr(text, '\n'), text + size - 1);
	else
		assert_int_equal(size, 0);
	free(text);
	return object;
}

static void assert_json(json_t *object, const char *expected)
{
	json_t *other = json_loads(expected, 0, NULL);

	assert_non_null(other);
	if (!json_equal(object, other))
		fail_msg("%s", json_dumps(object, JSON_INDENT(1)));
	json_decref(other);
}

static void test_golden(void **state)
{
	int ret;
	struct error err;

	(void)state;
	json_t *object = examine(GOLDEN, false, &ret, &err);
	assert_int_equal(ret, 0);
	assert_json(
		object,
		"{\"id\":\"676f6c64656e206368696c6420203100\",\"file\":\"" GOLDEN "\","
		"\"file_bytes\":4749,\"format\":1,"
		"\"ancestors\":[{\"id\":\"676f6c64656e20706172656e74203100\","
		"\"file\":\"tests/unit/golden/snapshot-v1.snap\",\"file_bytes\":4954}],"
		"\"ram_bytes\":200704,\"state_bytes\":175,\"data_bytes\":4370,"
		"\"index_bytes\":76,\"stored_ram_bytes\":69632,"
		"\"chunks\":{\"bytes\":65536,\"zero\":1,\"raw\":1,\"lz4\":1,\"parent\":1},"
		"\"sections\":["
		"{\"type\":\"info\",\"instance\":0,\"version\":1,\"required\":true,\"bytes\":10},"
		"{\"type\":\"vcpu\",\"instance\":1,\"version\":2,\"required\":true,\"bytes\":8},"
		"{\"type\":4096,\"instance\":0,\"version\":1,\"required\":false,\"bytes\":0},"
		"{\"type\":\"parent\",\"instance\":0,\"version\":1,\"required\":true,"
		"\"bytes\":29}]}");
	json_decref(object);
}

static void test_config(void **state)
{
	const struct vm_config config = { .name = "demo",
		                          .image = "/images/root.erofs",
		                          .memory = 256 << 20,
		                          .cpus = 2,
		                          .width = 640,
		                          .height = 480,
		                          .cid = 7 };
	static struct vm vm;
	struct error err;
	int ret;

	(void)state;
	vm.config = &config;
	vm.image_size = 4096;
	vm.image_identity = 0xabcdef;
	config_save(&vm, &bed.state);
	bed_fill("tz", 4096);
	bed_write("a", NULL);
	json_t *object = examine(bed_path("a"), false, &ret, &err);
	assert_int_equal(ret, 0);
	json_t *shown = json_object_get(object, "config");
	assert_string_equal(json_string_value(json_object_get(shown, "name")), "demo");
	assert_int_equal(json_integer_value(json_object_get(shown, "memory_mib")), 256);
	assert_int_equal(json_integer_value(json_object_get(shown, "cpus")), 2);
	json_t *image = json_object_get(shown, "image");
	assert_string_equal(json_string_value(json_object_get(image, "file")), config.image);
	json_decref(object);
}

static void test_verify(void **state)
{
	struct error err;
	size_t size;
	int ret;

	(void)state;
	bed_fill("trz", CHUNK);
	bed_write("a", NULL);
	json_t *object = examine(bed_path("a"), true, &ret, &err);
	assert_int_equal(ret, 0);
	assert_true(json_is_integer(json_object_get(object, "verify_ms")));
	json_decref(object);

	/* Damage in the data is what --inspect doesn't see. */
	uint8_t *data = read_whole(bed_path("a"), &size);
	data[SNAPSHOT_HEADER_SIZE + bed.state.out.size] ^= 1;
	write_whole(bed_path("a"), data, size);
	free(data);
	object = examine(bed_path("a"), false, &ret, &err);
	assert_int_equal(ret, 0);
	json_decref(object);
	assert_null(examine(bed_path("a"), true, &ret, &err));
	assert_int_equal(ret, -EBADMSG);
	assert_clear(&err, ret, bed_path("a"));
}

static void test_odd_files(void **state)
{
	struct error err;
	int ret;

	(void)state;
	assert_null(examine(bed_path("missing"), false, &ret, &err));
	assert_int_equal(ret, -ENOENT);
	assert_clear(&err, ret, bed_path("missing"));
	assert_null(examine("/dev/null", true, &ret, &err));
	assert_int_equal(ret, -EINVAL);

	/* A name that isn't UTF-8 can't be in JSON. */
	bed_fill("t", 4096);
	bed_write("\xff\xfe", NULL);
	json_t *object = examine(bed_path("\xff\xfe"), false, &ret, &err);
	assert_int_equal(ret, 0);
	assert_true(json_is_null(json_object_get(object, "file")));
	json_decref(object);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),
		cmocka_unit_test_setup_teardown(test_config, bed_open, bed_close),
		cmocka_unit_test_setup_teardown(test_verify, bed_open, bed_close),
		cmocka_unit_test_setup_teardown(test_odd_files, bed_open, bed_close),
	};

	return cmocka_run_group_tests_name("vmm_snapshot_inspect", tests, NULL, NULL);
}
