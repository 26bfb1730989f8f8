/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_vmm_virtio_state.c - every virtio device, saved and restored: what its driver finds afterwards, and
 * states that lie, one field at a time and cut at every byte.
 *
 * Wraps ioctl (vmm_fake_kvm.h).
 */
#include "tests/unit/vmm_driver.h"

#include <linux/virtio_blk.h>
#include <linux/virtio_net.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "vmm/virtio/balloon.h"
#include "vmm/virtio/net.h"
#include "vmm/virtio/state.h"
#include "vmm/virtio/vsock.h"

#define CID 42
#define RING 16
#define BUFFERS 0x100000u
#define BUFFER_SIZE 64u
#define EVENTS 0x110000u
#define DISK_SIZE (64u << 10)
#define HANG_S 60
#define EVENT_IDX (1u << 29)

static int disk = -1;

/* --- the devices ----------------------------------------------------------------------------- */

struct kind {
	const char *name;
	uint32_t device_id;
	int (*create)(const struct virtio_place *place, struct virtio_device **out_dev,
	              struct error *err);
	uint32_t features; /* a driver of it takes */
	unsigned queues;
	size_t config_size;
	/* A chain that is answered at once, whatever is in it: readable and writable bytes. */
	unsigned queue;
	uint32_t readable, writable;
};

static int create_pmem(const struct virtio_place *place, struct virtio_device **out_dev,
                       struct error *err)
{
	return virtio_pmem_create(place, GPA(8ull << 30), 2u << 20, out_dev, err);
}

static int create_vsock(const struct virtio_place *place, struct virtio_device **out_dev,
                        struct error *err)
{
	return virtio_vsock_create(place, CID, NULL, out_dev, err);
}

static int create_balloon(const struct virtio_place *place, struct virtio_device **out_dev,
                          struct error *err)
{
	return virtio_balloon_create(place, &(const struct balloon_handlers){ 0 }, true, out_dev,
	                             err);
}

static int create_blk(const struct virtio_place *place, struct virtio_device **out_dev,
                      struct error *err)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", disk);
	return virtio_blk_create(place, path, true, 0, out_dev, err);
}

static int create_net(const struct virtio_place *place, struct virtio_device **out_dev,
                      struct error *err)
{
	const struct net_config config = { .kind = NET_UNPLUGGED, .mac = { 2, 1, 2, 3, 4, 5 } };

	return virtio_net_create(place, &config, out_dev, err);
}

static const struct kind kinds[] = {
	{ "pmem", DEVICE_PMEM, create_pmem, EVENT_IDX, 1, 16, 0, 4, 4 },
	{ "vsock", DEVICE_VSOCK, create_vsock, EVENT_IDX, 3, 8, 1, 44, 0 },
	{ "rng", DEVICE_RNG, virtio_rng_create, EVENT_IDX, 1, 0, 0, 0, 16 },
	{ "balloon", DEVICE_BALLOON, create_balloon, EVENT_IDX | 1u << 1, 5, 8, 1, 4, 0 },
	{ "blk", DEVICE_BLK, create_blk, EVENT_IDX | 1u << VIRTIO_BLK_F_FLUSH, 1, 60, 0, 16, 1 },
	{ "net", DEVICE_NET, create_net, EVENT_IDX | 1u << VIRTIO_NET_F_MRG_RXBUF, 2, 12, 1, 40,
	  0 },
};

/* --- the bed --------------------------------------------------------------------------------- */

static int setup(void **state)
{
	disk = memfd_create("disk", MFD_CLOEXEC);
	return disk < 0 || ftruncate(disk, DISK_SIZE) ? -1 : driver_setup(state);
}

static int teardown(void **state)
{
	close_fd(&disk);
	return driver_teardown(state);
}

/* A device of that kind takes the place of the one that is there. */
static void create(struct driver *d, const struct kind *kind)
{
	const struct virtio_place place = driver_place(d);

	virtio_destroy(d->dev);
	d->dev = NULL;
	fake_kvm_reset();
	if (kind->create(&place, &d->dev, &d->err))
		fail_msg("%s: %s", kind->name, d->err.msg);
}

static void start(struct driver *d, const struct kind *kind)
{
	create(d, kind);
	driver_start(d, kind->features, (1u << kind->queues) - 1, RING);
	fake_kvm_rounds(d->loop, 2);
}

/* The state as a copy is made of it; owned by the caller. */
static struct wire_writer save(struct driver *d)
{
	struct wire_writer out = WIRE_WRITER_INIT, again = WIRE_WRITER_INIT;

	virtio_device_quiesce(d->dev);
	virtio_device_save(d->dev, &out);
	virtio_device_save(d->dev, &again);
	virtio_device_unquiesce(d->dev);
	assert_false(out.failed);
	assert_int_equal(again.size, out.size);
	assert_memory_equal(again.data, out.data, out.size);
	wire_writer_finish(&again);
	return out;
}

static int restore(struct driver *d, const uint8_t *data, size_t size)
{
	struct wire_reader in = wire_reader_over(data, size);

	d->err = (struct error){ 0 };
	int ret = virtio_device_restore(d->dev, &in, &d->err);
	assert_int_equal(ret, d->err.code);
	return ret;
}

static uint16_t used(struct driver *d, unsigned queue)
{
	return __atomic_load_n(d->rings[queue].used_idx, __ATOMIC_ACQUIRE);
}

/* Of a disk that is by its own thread. */
static void await_used(struct driver *d, unsigned queue, uint16_t idx)
{
	for (unsigned waited = 0; used(d, queue) != idx; waited++) {
		assert_true(waited < HANG_S * 10000u);
		fake_kvm_rounds(d->loop, 1);
		usleep(100);
	}
}

static void offer(struct driver *d, const struct kind *kind)
{
	struct ring *ring = &d->rings[kind->queue];
	uint16_t head = (uint16_t)(*ring->avail_idx * 2 % RING), tail = (uint16_t)(head + 1);
	uint64_t at = BUFFERS + head * BUFFER_SIZE;

	memset(d->memory.ram + at, 0, 2 * BUFFER_SIZE);
	if (kind->readable)
		ring_describe(ring, head, at, kind->readable, kind->writable ? RING_F_NEXT : 0,
		              tail);
	ring_describe(ring, kind->readable ? tail : head, at + BUFFER_SIZE, kind->writable,
	              RING_F_WRITE, 0);
	if (!kind->writable)
		ring_describe(ring, head, at, kind->readable, 0, 0);
	ring_offer(ring, head);
}

/* A driver of vsock gives a buffer for events, and another when it has seen one: nothing moves before. */
static void give_event_buffers(struct driver *d, const struct kind *kind)
{
	struct ring *ring = &d->rings[2];

	if (kind->device_id != DEVICE_VSOCK)
		return;
	for (unsigned i = 0; i < 2; i++) {
		uint16_t head = *ring->avail_idx % RING;

		ring_describe(ring, head, EVENTS, 4, RING_F_WRITE, 0);
		ring_offer(ring, head);
		driver_notify(d, 2);
	}
}

/* --- going on -------------------------------------------------------------------------------- */

static const unsigned registers[] = { REG_DEVICE_ID,       REG_DEVICE_FEATURES,
	                              REG_QUEUE_NUM_MAX,   REG_QUEUE_READY,
	                              REG_STATUS,          REG_CONFIG_GENERATION,
	                              REG_INTERRUPT_STATUS };

/* Everything that a driver can read. */
static void look(struct driver *d, const struct kind *kind, uint32_t *out, size_t count)
{
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(registers); i++)
		out[n++] = driver_get(d, registers[i]);
	for (unsigned at = 0; at < kind->config_size; at += 4)
		out[n++] = driver_get(d, REG_CONFIG + at);
	assert_true(n <= count);
}

/* In the midst of its work, with an interrupt on its way and requests that nobody has looked at. */
static void test_driver_goes_on(void **state)
{
	struct driver *d = *state;
	uint32_t before[32] = { 0 }, after[32] = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		const struct kind *kind = &kinds[i];
		unsigned queue = kind->queue;

		start(d, kind);
		offer(d, kind);
		driver_notify(d, queue);
		await_used(d, queue, 1);
		driver_set(d, REG_INTERRUPT_ACK, 3);
		d->dev->config_generation = 5;
		driver_set(d, REG_QUEUE_SEL, kind->queues - 1);
		driver_set(d, REG_DEVICE_FEATURES_SEL, 1);
		offer(d, kind);
		struct wire_writer saved = save(d);
		look(d, kind, before, ARRAY_SIZE(before));
		/* The original goes on by itself. */
		await_used(d, queue, 2);
		*d->rings[queue].used_idx = 1;

		create(d, kind);
		if (restore(d, saved.data, saved.size))
			fail_msg("%s: %s", kind->name, d->err.msg);
		look(d, kind, after, ARRAY_SIZE(after));
		for (size_t j = 0; j < ARRAY_SIZE(before); j++)
			assert_row(kind->name, after[j] == before[j]);
		assert_row(kind->name, fake_kvm_edges(&d->dev->irq) == 0);
		struct wire_writer again = save(d);
		assert_row(kind->name, again.size == saved.size &&
		                               memcmp(again.data, saved.data, saved.size) == 0);
		wire_writer_finish(&again);

		virtio_device_wake(d->dev);
		give_event_buffers(d, kind);
		await_used(d, queue, 2);
		offer(d, kind);
		driver_notify(d, queue);
		await_used(d, queue, 3);
		assert_row(kind->name, driver_get(d, REG_STATUS) == STATUS_RUNNING);
		/* And a reset makes another guest of it. */
		driver_start(d, kind->features, 1u << queue, RING);
		offer(d, kind);
		driver_notify(d, queue);
		await_used(d, queue, 1);
		wire_writer_finish(&saved);
	}
}

static void test_pending_interrupt(void **state)
{
	struct driver *d = *state;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		for (uint32_t pending = 0; pending < 4; pending++) {
			start(d, &kinds[i]);
			driver_set(d, REG_INTERRUPT_ACK, 3);
			atomic_store(&d->dev->interrupt_status, pending);
			struct wire_writer saved = save(d);
			create(d, &kinds[i]);
			assert_int_equal(restore(d, saved.data, saved.size), 0);
			wire_writer_finish(&saved);
			assert_row(kinds[i].name, fake_kvm_edges(&d->dev->irq) == 0);
			virtio_device_wake(d->dev);
			assert_row(kinds[i].name, fake_kvm_edges(&d->dev->irq) == (pending != 0));
			assert_row(kinds[i].name, driver_get(d, REG_INTERRUPT_STATUS) == pending);
			driver_set(d, REG_INTERRUPT_ACK, pending);
			assert_row(kinds[i].name, driver_get(d, REG_INTERRUPT_STATUS) == 0);
			assert_row(kinds[i].name, !atomic_load(&d->dev->irq.asserted));
		}
}

/* Drivers that don't run: each as the first one, and then one step further. */
enum progress { NOBODY, SEEN, NEGOTIATED, GIVEN_UP, BROKEN, PROGRESSES };

static void bring(struct driver *d, const struct kind *kind, enum progress progress)
{
	create(d, kind);
	if (progress == SEEN)
		driver_set(d, REG_STATUS, STATUS_ACKNOWLEDGE | STATUS_DRIVER);
	if (progress >= NEGOTIATED)
		driver_start_but(d, kind->features, 1, RING);
	if (progress == GIVEN_UP)
		driver_set(d, REG_STATUS, driver_get(d, REG_STATUS) | STATUS_FAILED);
	if (progress == BROKEN) {
		driver_set(d, REG_STATUS, STATUS_RUNNING);
		virtio_device_fail(d->dev, &(const struct error){ -EPROTO, "unit" });
	}
}

static void test_drivers_that_do_not_run(void **state)
{
	static const uint32_t expected[] = {
		[NOBODY] = 0,
		[SEEN] = STATUS_ACKNOWLEDGE | STATUS_DRIVER,
		[NEGOTIATED] = STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK,
		[GIVEN_UP] =
			STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK | STATUS_FAILED,
		[BROKEN] = STATUS_RUNNING | STATUS_NEEDS_RESET,
	};
	struct driver *d = *state;

	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++)
		for (enum progress progress = NOBODY; progress < PROGRESSES; progress++) {
			bring(d, &kinds[k], progress);
			assert_int_equal(driver_get(d, REG_STATUS), expected[progress]);
			struct wire_writer saved = save(d);
			create(d, &kinds[k]);
			if (restore(d, saved.data, saved.size))
				fail_msg("%s, %d: %s", kinds[k].name, progress, d->err.msg);
			virtio_device_wake(d->dev);
			fake_kvm_rounds(d->loop, 2);
			assert_int_equal(driver_get(d, REG_STATUS), expected[progress]);
			wire_writer_finish(&saved);
			if (progress == NEGOTIATED) {
				driver_set(d, REG_STATUS, STATUS_RUNNING);
				assert_int_equal(driver_get(d, REG_STATUS), STATUS_RUNNING);
			}
		}
}

/* What a device offers stays what it offered its driver, though this host could do more. */
static void test_offers_no_more_than_before(void **state)
{
	struct driver *d = *state;

	create(d, &kinds[5]);
	d->dev->features &= ~(1ull << VIRTIO_NET_F_MTU);
	struct wire_writer saved = save(d);
	create(d, &kinds[5]);
	assert_true(d->dev->features & 1ull << VIRTIO_NET_F_MTU);
	assert_int_equal(restore(d, saved.data, saved.size), 0);
	assert_false(d->dev->features & 1ull << VIRTIO_NET_F_MTU);
	wire_writer_finish(&saved);
}

/* --- lies ------------------------------------------------------------------------------------ */

/* Where version 1 has the fields. */
#define AT_DEVICE_ID 0
#define AT_STATUS 4
#define AT_DRIVER_FEATURES 28
#define AT_QUEUE_COUNT 45
#define AT_QUEUES 46
#define QUEUE_BYTES 36
#define IN_QUEUE_SIZE 0
#define IN_QUEUE_DESCRIPTORS 2
#define IN_QUEUE_DRIVER 10
#define IN_QUEUE_DEVICE 18

static void put(uint8_t *at, size_t size, uint64_t value)
{
	for (size_t i = 0; i < size; i++)
		at[i] = (uint8_t)(value >> (8 * i));
}

/* Restores what @saved has but for @size bytes at @offset. */
static int restore_patched(struct driver *d, const struct kind *kind,
                           const struct wire_writer *saved, size_t offset, size_t size,
                           uint64_t value)
{
	cleanup_free uint8_t *lie = malloc(saved->size);

	assert_non_null(lie);
	assert_true(offset + size <= saved->size);
	memcpy(lie, saved->data, saved->size);
	put(lie + offset, size, value);
	create(d, kind);
	return restore(d, lie, saved->size);
}

static void test_fields_that_lie(void **state)
{
	static const struct {
		const char *name;
		size_t offset, size;
		uint64_t value;
		const char *words;
	} rows[] = {
		{ "another device", AT_DEVICE_ID, 4, 99, "another device" },
		{ "no device", AT_DEVICE_ID, 4, 0, "another device" },
		{ "more queues", AT_QUEUE_COUNT, 1, 6, "another device" },
		{ "no queues", AT_QUEUE_COUNT, 1, 0, "another device" },
		{ "features of nobody", AT_DRIVER_FEATURES, 8, 1ull << 63, "0x8000000000000000" },
		{ "running without having negotiated", AT_STATUS, 4,
		  STATUS_RUNNING & ~STATUS_FEATURES_OK, "no driver" },
		{ "queues without having negotiated", AT_STATUS, 4, 3, "no driver" },
		{ "queue of none", AT_QUEUES + IN_QUEUE_SIZE, 2, 0, "Q1" },
		{ "queue of 3", AT_QUEUES + IN_QUEUE_SIZE, 2, 3, "Q1" },
		{ "queue larger than this device's", AT_QUEUES + IN_QUEUE_SIZE, 2, 512,
		  "is no queue" },
		{ "descriptors misaligned", AT_QUEUES + IN_QUEUE_DESCRIPTORS, 8, 0x10001, "Q2" },
		{ "descriptors outside", AT_QUEUES + IN_QUEUE_DESCRIPTORS, 8, DRIVER_RAM, "Q2" },
		{ "descriptors wrap", AT_QUEUES + IN_QUEUE_DESCRIPTORS, 8, UINT64_MAX - 15, "Q2" },
		{ "avail outside", AT_QUEUES + IN_QUEUE_DRIVER, 8, DRIVER_RAM - 2, "Q2" },
		{ "used outside", AT_QUEUES + IN_QUEUE_DEVICE, 8, 3ull << 30, "Q2" },
		{ "used over descriptors", AT_QUEUES + IN_QUEUE_DEVICE, 8, DRIVER_RING_AT,
		  "Q2: rings overlap" },
	};
	struct driver *d = *state;

	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		start(d, &kinds[k]);
		struct wire_writer saved = save(d);
		for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
			int ret = restore_patched(d, &kinds[k], &saved, rows[i].offset,
			                          rows[i].size, rows[i].value);

			if (ret != -EINVAL || !strstr(d->err.msg, rows[i].words) ||
			    !strstr(d->err.msg, kinds[k].name))
				fail_msg("%s, %s: %d, %s", kinds[k].name, rows[i].name, ret,
				         d->err.msg);
		}
		wire_writer_finish(&saved);
	}
}

/* What the devices themselves add. */
static void test_devices_that_lie(void **state)
{
	static const struct {
		const char *name;
		unsigned kind;
		size_t offset, size; /* from the end of the queues */
		uint64_t value;
		const char *words;
	} rows[] = {
		{ "another CID", 1, 0, 8, CID + 1, "CID 43" },
		{ "a CID beyond", 1, 0, 8, 1ull << 40, "CID 1099511627776" },
		{ "refusals that aren't there", 1, 8, 4, 1, "length" },
		{ "refusals without end", 1, 8, 4, UINT32_MAX, "length" },
		{ "a balloon larger than RAM", 3, 1, 4, DRIVER_RAM / GUEST_PAGE_SIZE + 1,
		  "balloon" },
		{ "a longer disk", 4, 0, 8, 2 * DISK_SIZE, "size" },
		{ "a disk that may be written", 4, 8, 1, 0, "may be written" },
	};
	struct driver *d = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct kind *kind = &kinds[rows[i].kind];
		size_t own = AT_QUEUES + kind->queues * QUEUE_BYTES;

		start(d, kind);
		struct wire_writer saved = save(d);
		assert_row(rows[i].name, restore_patched(d, kind, &saved, own + rows[i].offset,
		                                         rows[i].size, rows[i].value) == -EINVAL);
		if (!strstr(d->err.msg, rows[i].words))
			fail_msg("%s: %s", rows[i].name, d->err.msg);
		wire_writer_finish(&saved);
	}
}

static void test_too_short_and_too_long(void **state)
{
	struct driver *d = *state;

	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		start(d, &kinds[k]);
		struct wire_writer saved = save(d);
		for (size_t size = 0; size <= saved.size + 1; size++) {
			/* Behind its own end the allocation has none: sanitizers see a byte too many. */
			cleanup_free uint8_t *cut = calloc(1, size ? size : 1);

			assert_non_null(cut);
			memcpy(cut, saved.data, size < saved.size ? size : saved.size);
			create(d, &kinds[k]);
			if (restore(d, cut, size) != (size == saved.size ? 0 : -EINVAL))
				fail_msg("%s, %zu bytes", kinds[k].name, size);
		}
		wire_writer_finish(&saved);
	}
}

/* Every byte in turn is another: refused, or a device that can be woken, reset and used. */
static void test_every_byte(void **state)
{
	struct driver *d = *state;

	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		start(d, &kinds[k]);
		struct wire_writer saved = save(d);
		for (size_t at = 0; at < saved.size; at++) {
			if (restore_patched(d, &kinds[k], &saved, at, 1,
			                    saved.data[at] ^ (1u << at % 8)) == 0) {
				virtio_device_wake(d->dev);
				fake_kvm_rounds(d->loop, 2);
				virtio_device_quiesce(d->dev);
				virtio_device_unquiesce(d->dev);
				driver_start(d, kinds[k].features, 1u << kinds[k].queue, RING);
				offer(d, &kinds[k]);
				driver_notify(d, kinds[k].queue);
				await_used(d, kinds[k].queue, 1);
			}
			/* A disk's thread may still look at its ring. */
			virtio_destroy(d->dev);
			d->dev = NULL;
			memset(d->memory.ram + DRIVER_RING_AT, 0, 5 * DRIVER_RING_AT);
		}
		wire_writer_finish(&saved);
	}
}

int main(void)
{
#define STATE_TEST(name_) cmocka_unit_test_setup_teardown(name_, setup, teardown)
	const struct CMUnitTest tests[] = {
		STATE_TEST(test_driver_goes_on),
		STATE_TEST(test_pending_interrupt),
		STATE_TEST(test_drivers_that_do_not_run),
		STATE_TEST(test_offers_no_more_than_before),
		STATE_TEST(test_fields_that_lie),
		STATE_TEST(test_devices_that_lie),
		STATE_TEST(test_too_short_and_too_long),
		STATE_TEST(test_every_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
