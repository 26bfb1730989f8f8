/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_vmm_platform.c - generation id, panic register, power register.
 */
#include "tests/unit/unit.h"

#include "vmm/arch/arch.h"
#include "vmm/platform.h"

struct seen {
	unsigned panics, power_offs;
};

static void on_panic(void *arg)
{
	((struct seen *)arg)->panics++;
}

static void on_power_off(void *arg)
{
	((struct seen *)arg)->power_offs++;
}

static void start(struct platform *platform, struct seen *seen)
{
	const struct platform_handlers handlers = { seen, on_panic, on_power_off };
	struct error err = { 0 };

	*seen = (struct seen){ 0 };
	assert_int_equal(platform_init(platform, &handlers, &err), 0);
}

static void test_generation(void **state)
{
	struct platform first, second;
	struct seen seen;
	uint8_t bytes[VMGENID_SIZE];

	(void)state;
	start(&first, &seen);
	start(&second, &seen);
	assert_memory_not_equal(first.generation, second.generation, VMGENID_SIZE);
	for (unsigned size = 1; size <= 8; size *= 2)
		for (unsigned at = 0; at < VMGENID_SIZE; at += size) {
			uint64_t value = vmgenid_read(&first, at, size);

			memcpy(bytes + at, &value, size);
			if (size < 8)
				assert_int_equal(value >> 8 * size, 0);
			if (at + size == VMGENID_SIZE)
				assert_memory_equal(bytes, first.generation, VMGENID_SIZE);
		}
	memcpy(bytes, first.generation, VMGENID_SIZE);
	for (unsigned size = 1; size <= 8; size *= 2)
		vmgenid_write(&first, 0, size, UINT64_MAX);
	assert_memory_equal(bytes, first.generation, VMGENID_SIZE);
	platform_finish(&first);
	platform_finish(&second);
}

static void test_panic(void **state)
{
	static const struct {
		const char *name;
		uint64_t offset, value;
		bool panics;
	} rows[] = {
		{ "panicked", 0, 1, true },      { "panicked and more", 0, 0xff, true },
		{ "crash loaded", 0, 2, false }, { "nothing", 0, 0, false },
		{ "second byte", 1, 1, false },
	};
	struct platform platform;
	struct seen seen;

	(void)state;
	start(&platform, &seen);
	assert_int_equal(pvpanic_read(&platform, 0, 1), 1);
	assert_int_equal(pvpanic_read(&platform, 1, 1), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		unsigned before = seen.panics;

		pvpanic_write(&platform, rows[i].offset, 1, rows[i].value);
		assert_row(rows[i].name, seen.panics == before + rows[i].panics);
	}
	assert_int_equal(seen.power_offs, 0);
	platform_finish(&platform);
}

static void test_power(void **state)
{
	static const struct {
		const char *name;
		uint64_t offset;
		unsigned size;
		uint64_t value;
		bool ends;
	} rows[] = {
		{ "off", 0, 4, ARCH_POWER_OFF, true },
		{ "another value", 0, 4, ARCH_POWER_OFF + 1, false },
		{ "zero", 0, 4, 0, false },
		{ "a byte", 0, 1, ARCH_POWER_OFF, false },
		{ "two bytes", 0, 2, ARCH_POWER_OFF, false },
		{ "at the side", 2, 2, ARCH_POWER_OFF, false },
		{ "more bits", 0, 4, 0x10000 | ARCH_POWER_OFF, false },
	};
	struct platform platform;
	struct seen seen;

	(void)state;
	start(&platform, &seen);
	assert_int_equal(power_read(&platform, 0, 4), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		unsigned before = seen.power_offs;

		power_write(&platform, rows[i].offset, rows[i].size, rows[i].value);
		assert_row(rows[i].name, seen.power_offs == before + rows[i].ends);
	}
	assert_int_equal(seen.panics, 0);
	platform_finish(&platform);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_generation),
		cmocka_unit_test(test_panic),
		cmocka_unit_test(test_power),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
