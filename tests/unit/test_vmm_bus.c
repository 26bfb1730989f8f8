/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_vmm_bus.c - who answers at an address, who doesn't, and under which lock.
 */
#include "tests/unit/unit.h"

#include "vmm/bus.h"

struct device {
	pthread_mutex_t lock;
	unsigned reads, writes;
	uint64_t offset, value;
	unsigned size;
	bool was_locked;
};

static void note(struct device *device, uint64_t offset, unsigned size)
{
	device->offset = offset;
	device->size = size;
	device->was_locked = pthread_mutex_trylock(&device->lock) == EBUSY;
}

static uint64_t device_read(void *arg, uint64_t offset, unsigned size)
{
	struct device *device = arg;

	note(device, offset, size);
	device->reads++;
	return 0x8877665544332211ull;
}

static void device_write(void *arg, uint64_t offset, unsigned size, uint64_t value)
{
	struct device *device = arg;

	note(device, offset, size);
	device->writes++;
	device->value = value;
}

static struct bus_region region_of(struct device *device, uint64_t base, uint64_t size)
{
	return (struct bus_region){ .name = "device",
		                    .base = GPA(base),
		                    .size = size,
		                    .lock = &device->lock,
		                    .device = device,
		                    .read = device_read,
		                    .write = device_write };
}

static void test_overlaps(void **state)
{
	static const struct {
		const char *name;
		uint64_t base, size;
		int code;
	} rows[] = {
		{ "the same", 0x1000, 0x100, -EEXIST }, { "inside", 0x1080, 1, -EEXIST },
		{ "around", 0xf00, 0x1000, -EEXIST },   { "over the start", 0xfff, 2, -EEXIST },
		{ "over the end", 0x10ff, 2, -EEXIST }, { "right before", 0xf00, 0x100, 0 },
		{ "right behind", 0x1100, 0x100, 0 },
	};
	struct device device = { .lock = PTHREAD_MUTEX_INITIALIZER };
	struct bus bus = { 0 };

	(void)state;
	struct bus_region first = region_of(&device, 0x1000, 0x100);
	assert_int_equal(bus_add(&bus, &first), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct bus_region region = region_of(&device, rows[i].base, rows[i].size);

		assert_row(rows[i].name, bus_add(&bus, &region) == rows[i].code);
	}
	assert_int_equal(bus.count, 3);
}

static void test_bus_is_bounded(void **state)
{
	struct device device = { .lock = PTHREAD_MUTEX_INITIALIZER };
	struct bus bus = { 0 };

	(void)state;
	for (unsigned i = 0; i < BUS_REGIONS_MAX; i++) {
		struct bus_region region = region_of(&device, i * 0x1000, 0x1000);

		assert_int_equal(bus_add(&bus, &region), 0);
	}
	struct bus_region more = region_of(&device, 0x1000000, 1);
	assert_int_equal(bus_add(&bus, &more), -ENOSPC);
}

static void test_accesses(void **state)
{
	static const struct {
		const char *name;
		uint64_t gpa;
		unsigned size;
		bool answered;
		uint64_t offset, value;
	} rows[] = {
		{ "a byte", 0x1000, 1, true, 0, 0x11 },
		{ "a word", 0x1002, 2, true, 2, 0x2211 },
		{ "a double word", 0x1004, 4, true, 4, 0x44332211 },
		{ "a quad word", 0x1000, 8, true, 0, 0x8877665544332211ull },
		{ "the last byte", 0x1009, 1, true, 9, 0x11 },
		{ "the last two", 0x1008, 2, true, 8, 0x2211 },
		{ "out of the region", 0x1009, 2, false, 0, 0xffff },
		{ "wider than what is left", 0x1004, 8, false, 0, UINT64_MAX },
		{ "before the region", 0xfff, 1, false, 0, 0xff },
		{ "into the region", 0xfff, 4, false, 0, 0xffffffff },
		{ "behind the region", 0x100a, 4, false, 0, 0xffffffff },
		{ "the last address", UINT64_MAX, 8, false, 0, UINT64_MAX },
		{ "nothing there", 0, 8, false, 0, UINT64_MAX },
	};
	struct device device = { .lock = PTHREAD_MUTEX_INITIALIZER };
	struct bus bus = { 0 };

	(void)state;
	struct bus_region region = region_of(&device, 0x1000, 10);
	assert_int_equal(bus_add(&bus, &region), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		unsigned reads = device.reads, writes = device.writes;
		uint64_t value = 0;

		assert_row(rows[i].name, bus_read(&bus, GPA(rows[i].gpa), rows[i].size, &value) ==
		                                 rows[i].answered);
		assert_row(rows[i].name, value == rows[i].value);
		assert_row(rows[i].name, device.reads == reads + rows[i].answered);
		assert_row(rows[i].name, bus_write(&bus, GPA(rows[i].gpa), rows[i].size,
		                                   0x8877665544332211ull) == rows[i].answered);
		assert_row(rows[i].name, device.writes == writes + rows[i].answered);
		if (!rows[i].answered)
			continue;
		assert_row(rows[i].name,
		           device.offset == rows[i].offset && device.size == rows[i].size);
		assert_row(rows[i].name, device.value == rows[i].value);
		assert_row(rows[i].name, device.was_locked);
		assert_row(rows[i].name, pthread_mutex_trylock(&device.lock) == 0);
		pthread_mutex_unlock(&device.lock);
	}
}

/* A region that ends with the address space. */
static void test_last_region(void **state)
{
	struct device device = { .lock = PTHREAD_MUTEX_INITIALIZER };
	struct bus bus = { 0 };
	uint64_t value;

	(void)state;
	struct bus_region region = region_of(&device, UINT64_MAX - 15, 16);
	assert_int_equal(bus_add(&bus, &region), 0);
	assert_true(bus_read(&bus, GPA(UINT64_MAX - 7), 8, &value));
	assert_int_equal(device.offset, 8);
	assert_false(bus_read(&bus, GPA(UINT64_MAX - 3), 8, &value));
	assert_false(bus_read(&bus, GPA(0), 8, &value));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_overlaps),
		cmocka_unit_test(test_bus_is_bounded),
		cmocka_unit_test(test_accesses),
		cmocka_unit_test(test_last_region),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
