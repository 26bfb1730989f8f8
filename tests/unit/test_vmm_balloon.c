/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_vmm_balloon.c - the balloon against drivers that give, and drivers that lie.
 *
 * Wraps ioctl (vmm_fake_kvm.h) and madvise, which is counted and can be made to fail.
 */
#include "tests/unit/vmm_driver.h"

#include <sys/mman.h>

#include "vmm/virtio/balloon.h"

#define PAGE GUEST_PAGE_SIZE
#define LIST 0x100000u  /* where lists of pages and statistics are put */
#define GIVEN 0x400000u /* pages to be given: 4 MiB on */
#define GIVEN_PAGES 1024u
#define RING 64
#define IMAGE_AT (5ull << 30)
#define IMAGE_SIZE (2u << 20)

#define F_STATS (1u << 1)
#define F_OOM (1u << 2)
#define F_REPORTS (1u << 5)
#define F_ALL (F_STATS | F_OOM | F_REPORTS)

#define Q_INFLATE 0
#define Q_DEFLATE 1
#define Q_STATS 2
#define Q_REPORTS 3

static struct {
	unsigned calls;
	uint64_t bytes;
	int refuse; /* errno for all, or 0 */
} dropped;

static unsigned came; /* calls of the handler */

int __real_madvise(void *at, size_t size, int advice);
int __wrap_madvise(void *at, size_t size, int advice);

int __wrap_madvise(void *at, size_t size, int advice)
{
	if (advice != MADV_DONTNEED)
		return __real_madvise(at, size, advice);
	dropped.calls++;
	dropped.bytes += size;
	if (dropped.refuse) {
		errno = dropped.refuse;
		return -1;
	}
	return __real_madvise(at, size, advice);
}

static void on_stats_came(void *arg)
{
	struct driver *d = arg;
	struct balloon_state state;

	came++;
	/* The device's calls may be used from here. */
	virtio_balloon_read(d->dev, &state);
}

static int setup(void **state)
{
	static uint8_t image[1];

	memset(&dropped, 0, sizeof(dropped));
	came = 0;
	if (driver_setup(state))
		return -1;
	struct driver *d = *state;
	const struct virtio_place place = driver_place(d);
	const struct balloon_handlers handlers = { d, on_stats_came };

	if (guest_memory_add(&d->memory, GPA(IMAGE_AT), IMAGE_SIZE, image, false))
		return -1;
	memset(d->memory.ram + GIVEN, 0x5a, DRIVER_RAM - GIVEN);
	return virtio_balloon_create(&place, &handlers, true, &d->dev, &d->err);
}

static struct balloon_state look(struct driver *d)
{
	struct balloon_state state;

	virtio_balloon_read(d->dev, &state);
	return state;
}

static bool is_zero(struct driver *d, uint64_t gpa, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (d->memory.ram[gpa + i])
			return false;
	return true;
}

static bool failed(struct driver *d)
{
	return driver_get(d, REG_STATUS) & STATUS_NEEDS_RESET;
}

static uint16_t used(struct driver *d, unsigned queue)
{
	return *d->rings[queue].used_idx;
}

/* Offers one buffer; the test notifies. */
static void offer(struct driver *d, unsigned queue, uint64_t at, uint32_t size, unsigned flags)
{
	uint16_t head = *d->rings[queue].avail_idx % RING;

	ring_describe(&d->rings[queue], head, at, size, flags, 0);
	ring_offer(&d->rings[queue], head);
}

static void give(struct driver *d, const uint32_t *pages, size_t count)
{
	memcpy(d->memory.ram + LIST, pages, count * 4);
	offer(d, Q_INFLATE, LIST, (uint32_t)count * 4, 0);
	driver_notify(d, Q_INFLATE);
}

/* --- configuration --------------------------------------------------------------------------- */

static void test_constants(void **state)
{
	struct driver *d = *state;

	assert_int_equal(driver_get(d, REG_DEVICE_ID), 5);
	driver_set(d, REG_DEVICE_FEATURES_SEL, 0);
	assert_int_equal(driver_get(d, REG_DEVICE_FEATURES) & 0xffffff, F_ALL);
	/* Linux wants room for a report of 32 ranges. */
	driver_set(d, REG_QUEUE_SEL, Q_REPORTS);
	assert_true(driver_get(d, REG_QUEUE_NUM_MAX) >= 32);
}

static void test_without_reports(void **state)
{
	struct driver *d = *state;
	const struct virtio_place place = driver_place(d);
	const struct balloon_handlers handlers = { 0 };

	virtio_destroy(d->dev);
	fake_kvm_reset();
	assert_int_equal(virtio_balloon_create(&place, &handlers, false, &d->dev, &d->err), 0);
	driver_set(d, REG_DEVICE_FEATURES_SEL, 0);
	assert_int_equal(driver_get(d, REG_DEVICE_FEATURES) & 0xffffff, F_STATS | F_OOM);
}

static void test_target(void **state)
{
	struct driver *d = *state;

	assert_false(look(d).driver);
	assert_int_equal(virtio_balloon_set_target(d->dev, DRIVER_RAM + PAGE), -ERANGE);
	assert_int_equal(virtio_balloon_set_target(d->dev, 3 * PAGE), 0);
	assert_int_equal(look(d).target, 3 * PAGE);
	/* Before there is a driver nobody is interrupted; it reads the target when it starts. */
	assert_int_equal(driver_get(d, REG_INTERRUPT_STATUS), 0);
	driver_start(d, F_ALL, 0xf, RING);
	assert_true(look(d).driver);
	assert_int_equal(driver_get(d, REG_CONFIG), 3);
	uint32_t generation = driver_get(d, REG_CONFIG_GENERATION);
	assert_int_equal(virtio_balloon_set_target(d->dev, DRIVER_RAM), 0);
	assert_int_equal(driver_get(d, REG_CONFIG), DRIVER_RAM / PAGE);
	assert_int_equal(driver_get(d, REG_INTERRUPT_STATUS), 2);
	assert_int_not_equal(driver_get(d, REG_CONFIG_GENERATION), generation);
}

static void test_driver_writes_actual_alone(void **state)
{
	struct driver *d = *state;

	driver_start(d, F_ALL, 0xf, RING);
	virtio_balloon_set_target(d->dev, 3 * PAGE);
	virtio_mmio_write(d->dev, REG_CONFIG, 4, 77);
	assert_int_equal(driver_get(d, REG_CONFIG), 3);
	virtio_mmio_write(d->dev, REG_CONFIG + 4, 4, 2);
	assert_int_equal(driver_get(d, REG_CONFIG + 4), 2);
	assert_int_equal(look(d).actual, 2 * PAGE);
	virtio_mmio_write(d->dev, REG_CONFIG + 5, 1, 1);
	assert_int_equal(look(d).actual, 0x102 * PAGE);
	virtio_mmio_write(d->dev, REG_CONFIG, 8, 5ull << 32 | 77);
	assert_int_equal(virtio_mmio_read(d->dev, REG_CONFIG, 8), 5ull << 32 | 3);
	virtio_mmio_write(d->dev, REG_CONFIG + 6, 4, UINT32_MAX); /* beyond the end */
	virtio_mmio_write(d->dev, REG_CONFIG + 8, 4, UINT32_MAX);
	assert_int_equal(look(d).actual, 5 * PAGE);
	/* What it claims is at most what it has. */
	virtio_mmio_write(d->dev, REG_CONFIG + 4, 4, UINT32_MAX);
	assert_int_equal(look(d).actual, DRIVER_RAM);
	/* A new driver starts with an empty balloon, and with the target. */
	driver_set(d, REG_STATUS, 0);
	assert_int_equal(virtio_mmio_read(d->dev, REG_CONFIG, 8), 3);
}

/* --- inflating and deflating ----------------------------------------------------------------- */

static void test_pages_are_given_in_runs(void **state)
{
	static const uint32_t first = GIVEN / PAGE;
	const uint32_t pages[] = { first + 4, first + 3, first, first + 9, first + 5, first + 4 };
	struct driver *d = *state;

	driver_start(d, F_ALL, 0xf, RING);
	give(d, pages, ARRAY_SIZE(pages));
	assert_int_equal(used(d, Q_INFLATE), 1);
	assert_int_equal(fake_kvm_edges(&d->dev->irq), 1);
	assert_int_equal(dropped.calls, 3);
	assert_int_equal(dropped.bytes, 5 * PAGE);
	assert_int_equal(look(d).inflated, 5 * PAGE);
	for (uint32_t i = 0; i < 12; i++) {
		bool gone = i == 0 || (i >= 3 && i <= 5) || i == 9;

		assert_int_equal(is_zero(d, GIVEN + i * PAGE, PAGE), gone);
		assert_int_equal(d->memory.ram[GIVEN + i * PAGE], gone ? 0 : 0x5a);
	}
	assert_false(failed(d));
}

static void test_list_in_pieces(void **state)
{
	static const uint32_t pages[] = { GIVEN / PAGE, GIVEN / PAGE + 1, GIVEN / PAGE + 2 };
	struct driver *d = *state;

	driver_start(d, F_ALL, 0xf, RING);
	memcpy(d->memory.ram + LIST, pages, sizeof(pages));
	/* Two numbers and a half, and the half behind it: the last is there but for a byte. */
	ring_describe(&d->rings[0], 0, LIST, 6, RING_F_NEXT, 1);
	ring_describe(&d->rings[0], 1, LIST + 6, 5, 0, 0);
	ring_offer(&d->rings[0], 0);
	driver_notify(d, Q_INFLATE);
	assert_int_equal(used(d, Q_INFLATE), 1);
	assert_int_equal(look(d).inflated, 2 * PAGE);
	/* Nothing to read, and less than a number. */
	offer(d, Q_INFLATE, LIST, 64, RING_F_WRITE);
	offer(d, Q_INFLATE, LIST, 3, 0);
	driver_notify(d, Q_INFLATE);
	assert_int_equal(used(d, Q_INFLATE), 3);
	assert_int_equal(look(d).inflated, 2 * PAGE);
	assert_false(failed(d));
}

/* A list of every other page, as long as fits, four times in a chain: 4 MiB of numbers. */
static void test_long_list_takes_turns(void **state)
{
	const uint32_t bytes = 1u << 20;
	struct driver *d = *state;
	unsigned rounds = 0;

	driver_start(d, F_ALL, 0xf, RING);
	for (uint32_t i = 0; i < bytes / 4; i++) {
		uint32_t page = GIVEN / PAGE + i * 2 % GIVEN_PAGES;

		memcpy(d->memory.ram + LIST + i * 4, &page, 4);
	}
	for (uint16_t i = 0; i < 4; i++)
		ring_describe(&d->rings[0], i, LIST, bytes, i < 3 ? RING_F_NEXT : 0,
		              (uint16_t)(i + 1));
	ring_offer(&d->rings[0], 0);
	fake_kvm_notify(DRIVER_BASE + REG_QUEUE_NOTIFY, Q_INFLATE);
	while (used(d, Q_INFLATE) == 0 && rounds < 10000) {
		unsigned before = dropped.calls;

		fake_kvm_rounds(d->loop, 1);
		rounds++;
		assert_true(dropped.calls - before <= GIVEN_PAGES);
		/* Others are served meanwhile. */
		offer(d, Q_DEFLATE, LIST, 4, 0);
		driver_notify(d, Q_DEFLATE);
	}
	assert_in_range(rounds, 200, 2000);
	assert_int_equal(used(d, Q_INFLATE), 1);
	assert_int_equal(used(d, Q_DEFLATE), rounds);
	assert_false(failed(d));
}

static void test_reset_in_the_midst_of_a_list(void **state)
{
	struct driver *d = *state;

	driver_start(d, F_ALL, 0xf, RING);
	for (uint32_t i = 0; i < 4096; i++) {
		uint32_t page = GIVEN / PAGE;

		memcpy(d->memory.ram + LIST + i * 4, &page, 4);
	}
	offer(d, Q_INFLATE, LIST, 4096 * 4, 0);
	driver_notify(d, Q_INFLATE);
	assert_int_equal(used(d, Q_INFLATE), 0);
	driver_start(d, F_ALL, 0xf, RING);
	fake_kvm_rounds(d->loop, 3);
	assert_int_equal(used(d, Q_INFLATE), 0);
	give(d, (const uint32_t[]){ GIVEN / PAGE + 7 }, 1);
	assert_int_equal(used(d, Q_INFLATE), 1);
	assert_true(is_zero(d, GIVEN + 7 * PAGE, PAGE));
}

static void test_bad_pages(void **state)
{
	static const struct {
		const char *name;
		uint32_t pages[2];
	} rows[] = {
		{ "the first beyond RAM", { GIVEN / PAGE, DRIVER_RAM / PAGE } },
		{ "a run over the end", { DRIVER_RAM / PAGE - 1, DRIVER_RAM / PAGE } },
		{ "the hole of devices", { GIVEN / PAGE, (3ull << 30) / PAGE } },
		{ "a device", { GIVEN / PAGE, DRIVER_BASE / PAGE } },
		{ "the root image", { GIVEN / PAGE, IMAGE_AT / PAGE } },
		{ "the last there is", { GIVEN / PAGE, UINT32_MAX } },
	};
	struct driver *d = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		driver_start(d, F_ALL, 0xf, RING);
		d->memory.ram[DRIVER_RAM - PAGE] = 0x5a;
		give(d, rows[i].pages, 2);
		assert_row(rows[i].name, failed(d));
		assert_row(rows[i].name, used(d, Q_INFLATE) == 0);
		assert_row(rows[i].name, d->memory.ram[DRIVER_RAM - PAGE] == 0x5a);
		/* Dead until it is reset, and then as good as new. */
		give(d, (const uint32_t[]){ GIVEN / PAGE + 1 }, 1);
		assert_row(rows[i].name, used(d, Q_INFLATE) == 0);
		assert_row(rows[i].name, !look(d).driver);
		driver_start(d, F_ALL, 0xf, RING);
		give(d, (const uint32_t[]){ GIVEN / PAGE + 1 }, 1);
		assert_row(rows[i].name, used(d, Q_INFLATE) == 1 && !failed(d));
	}
}

static void test_deflating_reads_nothing(void **state)
{
	struct driver *d = *state;

	driver_start(d, F_ALL, 0xf, RING);
	memset(d->memory.ram + LIST, 0xff, 64);
	offer(d, Q_DEFLATE, LIST, 64, 0);
	offer(d, Q_DEFLATE, 0, DRIVER_RING_AT, 0);
	driver_notify(d, Q_DEFLATE);
	assert_int_equal(used(d, Q_DEFLATE), 2);
	assert_int_equal(dropped.calls, 0);
	assert_false(failed(d));
}

/* A host that can't drop memory is no reason to stop the guest's driver. */
static void test_host_says_no(void **state)
{
	struct driver *d = *state;

	driver_start(d, F_ALL, 0xf, RING);
	dropped.refuse = ENOMEM;
	give(d, (const uint32_t[]){ GIVEN / PAGE }, 1);
	assert_int_equal(used(d, Q_INFLATE), 1);
	assert_int_equal(look(d).inflated, 0);
	assert_int_equal(d->memory.ram[GIVEN], 0x5a);
	assert_false(failed(d));
}

/* Memory that is still being loaded stays; a bad page is one all the same. */
static void test_while_memory_is_loaded(void **state)
{
	struct driver *d = *state;

	driver_start(d, F_ALL, 0xf, RING);
	atomic_store(&d->memory.loading, true);
	give(d, (const uint32_t[]){ GIVEN / PAGE }, 1);
	assert_int_equal(used(d, Q_INFLATE), 1);
	assert_int_equal(look(d).inflated, 0);
	assert_int_equal(d->memory.ram[GIVEN], 0x5a);
	offer(d, Q_REPORTS, GIVEN, 4 * PAGE, RING_F_WRITE);
	driver_notify(d, Q_REPORTS);
	assert_int_equal(used(d, Q_REPORTS), 1);
	assert_int_equal(look(d).reported, 0);
	assert_int_equal(d->memory.ram[GIVEN], 0x5a);
	assert_int_equal(dropped.calls, 0);
	assert_false(failed(d));
	give(d, (const uint32_t[]){ DRIVER_RAM / PAGE }, 1);
	assert_true(failed(d));

	atomic_store(&d->memory.loading, false);
	driver_start(d, F_ALL, 0xf, RING);
	give(d, (const uint32_t[]){ GIVEN / PAGE }, 1);
	assert_int_equal(look(d).inflated, PAGE);
	assert_int_equal(d->memory.ram[GIVEN], 0);
}

/* --- reports --------------------------------------------------------------------------------- */

static void test_reports(void **state)
{
	/* As Linux counts queues, and as the standard does. */
	static const struct {
		const char *name;
		uint32_t features;
		unsigned mask, queue;
		bool taken;
	} rows[] = {
		{ "Linux", F_ALL, 0xf, 3, true },
		{ "Linux without statistics", F_REPORTS, 0x7, 2, true },
		{ "the standard", F_ALL, 0x17, 4, true },
		{ "the standard without statistics", F_REPORTS, 0x13, 4, true },
		{ "not negotiated", F_STATS, 0xf, 3, false },
		{ "nothing negotiated", 0, 0x1f, 4, false },
		{ "a queue of nobody's", F_REPORTS, 0x1f, 3, false },
	};
	struct driver *d = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct ring *ring = &d->rings[rows[i].queue];
		uint64_t before = look(d).reported;

		memset(d->memory.ram + GIVEN, 0x5a, 8 * PAGE);
		driver_start(d, rows[i].features, rows[i].mask, RING);
		ring_describe(ring, 0, GIVEN, 2 * PAGE, RING_F_WRITE | RING_F_NEXT, 1);
		ring_describe(ring, 1, GIVEN + 5 * PAGE, PAGE, RING_F_WRITE, 0);
		ring_offer(ring, 0);
		driver_notify(d, rows[i].queue);
		assert_row(rows[i].name, *ring->used_idx == rows[i].taken);
		assert_row(rows[i].name, is_zero(d, GIVEN, 2 * PAGE) == rows[i].taken);
		assert_row(rows[i].name, is_zero(d, GIVEN + 5 * PAGE, PAGE) == rows[i].taken);
		assert_row(rows[i].name, d->memory.ram[GIVEN + 2 * PAGE] == 0x5a);
		assert_row(rows[i].name,
		           look(d).reported - before == (rows[i].taken ? 3 * PAGE : 0));
		assert_row(rows[i].name, !failed(d));
	}
}

static void test_bad_reports(void **state)
{
	static const struct {
		const char *name;
		uint64_t at;
		uint32_t size;
	} rows[] = {
		{ "begins within a page", GIVEN + 512, PAGE },
		{ "ends within a page", GIVEN, PAGE + 512 },
		{ "a byte", GIVEN, 1 },
		{ "over the end", DRIVER_RAM - PAGE, 2 * PAGE },
		{ "the root image", IMAGE_AT, PAGE },
		{ "a device", DRIVER_BASE, PAGE },
	};
	struct driver *d = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		driver_start(d, F_ALL, 0xf, RING);
		offer(d, Q_REPORTS, rows[i].at, rows[i].size, RING_F_WRITE);
		driver_notify(d, Q_REPORTS);
		assert_row(rows[i].name, failed(d));
		assert_row(rows[i].name, used(d, Q_REPORTS) == 0);
		assert_row(rows[i].name, dropped.calls == 0);
	}
}

/* Many small ranges, or few vast ones: either way a turn ends. */
static void test_reports_take_turns(void **state)
{
	struct driver *d = *state;

	driver_start(d, F_ALL, 0xf, RING);
	for (unsigned i = 0; i < RING; i++) {
		ring_describe(&d->rings[Q_REPORTS], (uint16_t)i, GIVEN, 4 << 20,
		              RING_F_WRITE | (i % 16 < 15 ? RING_F_NEXT : 0), (uint16_t)(i + 1));
		if (i % 16 == 0)
			ring_offer(&d->rings[Q_REPORTS], (uint16_t)i);
	}
	/* Chains of 64 MiB: two reach the turn's bytes. */
	driver_notify(d, Q_REPORTS);
	assert_int_equal(used(d, Q_REPORTS), 2);
	fake_kvm_rounds(d->loop, 1);
	assert_int_equal(used(d, Q_REPORTS), 4);
	/* Reports of nothing have an end, too. */
	driver_start(d, F_ALL, 0xf, RING);
	for (unsigned i = 0; i < RING; i++)
		offer(d, Q_REPORTS, LIST, 4, 0);
	driver_notify(d, Q_REPORTS);
	assert_int_equal(used(d, Q_REPORTS), RING);
	assert_false(failed(d));
}

/* --- statistics ------------------------------------------------------------------------------ */

struct entry {
	uint16_t tag;
	uint64_t value;
} __attribute__((packed));

static void tell(struct driver *d, const struct entry *entries, size_t count)
{
	memcpy(d->memory.ram + LIST, entries, count * sizeof(*entries));
	offer(d, Q_STATS, LIST, (uint32_t)(count * sizeof(*entries)), 0);
	driver_notify(d, Q_STATS);
}

static void test_stats(void **state)
{
	const struct entry first[] = { { 5, 1000 }, { 4, 600 }, { 99, 1 }, { 10, 2 } };
	const struct entry second[] = { { 4, 500 }, { 4, 400 } };
	struct driver *d = *state;

	assert_false(virtio_balloon_ask(d->dev));
	driver_start(d, F_ALL, 0xf, RING);
	tell(d, first, ARRAY_SIZE(first));
	assert_int_equal(came, 1);
	assert_int_equal(used(d, Q_STATS), 0); /* ours until we ask */
	struct balloon_state s = look(d);
	assert_int_equal(s.known, 1u << 4 | 1u << 5 | 1u << 10);
	assert_int_equal(s.stats[BALLOON_TOTAL], 1000);
	assert_int_equal(s.stats[BALLOON_FREE], 600);
	assert_int_equal(s.stats[BALLOON_OOM_KILLS], 2);
	assert_true(s.stats_ns > 0);

	fake_kvm_edges(&d->dev->irq);
	assert_true(virtio_balloon_ask(d->dev));
	assert_int_equal(used(d, Q_STATS), 1);
	assert_int_equal(fake_kvm_edges(&d->dev->irq), 1);
	assert_true(virtio_balloon_ask(d->dev)); /* due already */
	fake_kvm_rounds(d->loop, 2);
	assert_int_equal(used(d, Q_STATS), 1);
	assert_int_equal(came, 1);
	/* One answer to both. What comes twice in it counts as said last. */
	tell(d, second, ARRAY_SIZE(second));
	assert_int_equal(came, 2);
	s = look(d);
	assert_int_equal(s.known, 1u << 4);
	assert_int_equal(s.stats[BALLOON_FREE], 400);
}

static void test_stats_asked_before_they_are_there(void **state)
{
	const struct entry entries[] = { { 5, 1000 } };
	struct driver *d = *state;

	driver_start(d, F_ALL, 0xf, RING);
	/* The buffer that the driver primes the queue with comes late: it answers the question. */
	assert_true(virtio_balloon_ask(d->dev));
	tell(d, entries, 1);
	assert_int_equal(came, 1);
	assert_int_equal(used(d, Q_STATS), 0);
}

/* As Linux does it: the buffer is there, and told of, before DRIVER_OK. */
static void test_stats_that_come_early(void **state)
{
	const struct entry entries[] = { { 5, 1000 } };
	struct driver *d = *state;

	driver_start_but(d, F_ALL, 0xf, RING);
	tell(d, entries, 1);
	assert_int_equal(came, 0);
	driver_set(d, REG_STATUS, STATUS_RUNNING);
	fake_kvm_rounds(d->loop, 1);
	assert_int_equal(came, 1);
	assert_true(virtio_balloon_ask(d->dev));
	assert_int_equal(used(d, Q_STATS), 1);
}

static void test_nobody_to_ask(void **state)
{
	const struct entry entries[] = { { 5, 1000 } };
	struct driver *d = *state;

	driver_start(d, F_REPORTS, 0x7, RING);
	assert_false(virtio_balloon_ask(d->dev));
	driver_start(d, F_ALL, 0x3, RING); /* negotiated, but its queue isn't ready */
	assert_false(virtio_balloon_ask(d->dev));
	driver_start(d, F_ALL, 0xf, RING);
	tell(d, entries, 1);
	offer(d, Q_INFLATE, DRIVER_RAM, 4, 0);
	driver_notify(d, Q_INFLATE);
	assert_true(failed(d));
	assert_false(virtio_balloon_ask(d->dev));
	driver_set(d, REG_STATUS, 0);
	assert_int_equal(look(d).known, 0);
	assert_false(virtio_balloon_ask(d->dev));
}

/* A driver that doesn't wait to be asked is heard once; the rest keeps in its ring. */
static void test_stats_flood(void **state)
{
	const struct entry entries[] = { { 4, 1 } };
	struct driver *d = *state;

	driver_start(d, F_ALL, 0xf, RING);
	for (unsigned i = 0; i < RING; i++)
		tell(d, entries, 1);
	assert_int_equal(came, 1);
	assert_int_equal(used(d, Q_STATS), 0);
	for (unsigned i = 1; i <= 3; i++) {
		assert_true(virtio_balloon_ask(d->dev));
		fake_kvm_rounds(d->loop, 2);
		assert_int_equal(used(d, Q_STATS), i);
		assert_int_equal(came, 1 + i);
	}
	/* A vast buffer is read as far as there could be anything to know. */
	driver_start(d, F_ALL, 0xf, RING);
	memset(d->memory.ram + LIST, 0, 1 << 20);
	offer(d, Q_STATS, LIST, 1 << 20, 0);
	driver_notify(d, Q_STATS);
	assert_int_equal(look(d).known, 1);
	/* So is one of nothing. */
	driver_start(d, F_ALL, 0xf, RING);
	offer(d, Q_STATS, LIST, 9, 0);
	driver_notify(d, Q_STATS);
	assert_int_equal(look(d).known, 0);
	assert_false(failed(d));
}

static void test_destroyed_before_it_told(void **state)
{
	const struct entry entries[] = { { 4, 1 } };
	struct driver *d = *state;

	driver_start(d, F_ALL, 0xf, RING);
	memcpy(d->memory.ram + LIST, entries, sizeof(entries));
	offer(d, Q_STATS, LIST, sizeof(entries), 0);
	/* The round in which it comes, without the timers behind it. */
	d->dev->ops->notified(d->dev, Q_STATS);
	virtio_destroy(d->dev);
	d->dev = NULL;
	fake_kvm_rounds(d->loop, 2);
	assert_int_equal(came, 0);
}

int main(void)
{
#define BALLOON_TEST(name_) cmocka_unit_test_setup_teardown(name_, setup, driver_teardown)
	const struct CMUnitTest tests[] = {
		BALLOON_TEST(test_constants),
		BALLOON_TEST(test_without_reports),
		BALLOON_TEST(test_target),
		BALLOON_TEST(test_driver_writes_actual_alone),
		BALLOON_TEST(test_pages_are_given_in_runs),
		BALLOON_TEST(test_list_in_pieces),
		BALLOON_TEST(test_long_list_takes_turns),
		BALLOON_TEST(test_reset_in_the_midst_of_a_list),
		BALLOON_TEST(test_bad_pages),
		BALLOON_TEST(test_deflating_reads_nothing),
		BALLOON_TEST(test_host_says_no),
		BALLOON_TEST(test_while_memory_is_loaded),
		BALLOON_TEST(test_reports),
		BALLOON_TEST(test_bad_reports),
		BALLOON_TEST(test_reports_take_turns),
		BALLOON_TEST(test_stats),
		BALLOON_TEST(test_stats_asked_before_they_are_there),
		BALLOON_TEST(test_stats_that_come_early),
		BALLOON_TEST(test_nobody_to_ask),
		BALLOON_TEST(test_stats_flood),
		BALLOON_TEST(test_destroyed_before_it_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
