/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_vmm_blk.c - the disk: its file, its answers, its thread, and storage that fails.
 *
 * The real device with its real thread over a real file; the driver is this test's. Wraps ioctl
 * (vmm_fake_kvm.h), the calls that use the file, which can fail, fall short or be held up, and the
 * clock, which goes on by a step whenever somebody looks. Above 700 lines: whatever a disk is tested
 * for needs that one bed.
 */
#include "tests/unit/vmm_fake_kvm.h"

#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "tests/native/guest/virtio_regs.h"
#include "tests/unit/vmm_ring.h"
#include "vmm/virtio/blk_file.h"
#include "vmm/virtio/virtio.h"

#define RAM ((uint64_t)4 << 20)
#define BASE 0xd0000000u
#define RING_AT 0x10000u
#define HEADERS 0x80000u  /* 32 bytes a request */
#define STATUSES 0x90000u /* a byte a request */
#define DATA 0x100000u
#define QUEUE 16
#define DISK_SIZE (1u << 20)
#define UNANSWERED 0xaa
#define F(bit) (1u << (bit))
#define HANG_S 60

/* What happens to the calls on the file; set while the disk's thread rests. */
static struct {
	int error;          /* all fail with this; 0: none */
	size_t most;        /* bytes that a read or write takes at most; 0: any number */
	int fallocate_mode; /* the last asked for */
	int write_flags;    /* those of the last write */
	unsigned flushes;
	bool refuse_zero_range;
	bool held; /* reads wait for .go, after posting .arrived */
	sem_t arrived, go;
	bool read_done; /* a held read has returned */
} host;

static atomic_ullong clock_ns, clock_step;

int __wrap_clock_gettime(clockid_t id, struct timespec *out);

int __wrap_clock_gettime(clockid_t id, struct timespec *out)
{
	unsigned long long now = atomic_fetch_add(&clock_ns, atomic_load(&clock_step));

	(void)id;
	*out = (struct timespec){ (time_t)(now / 1000000000), (long)(now % 1000000000) };
	return 0;
}

ssize_t __real_preadv(int fd, const struct iovec *iov, int count, off_t offset);
ssize_t __wrap_preadv(int fd, const struct iovec *iov, int count, off_t offset);
ssize_t __real_pwritev2(int fd, const struct iovec *iov, int count, off_t offset, int flags);
ssize_t __wrap_pwritev2(int fd, const struct iovec *iov, int count, off_t offset, int flags);
int __real_fallocate(int fd, int mode, off_t offset, off_t size);
int __wrap_fallocate(int fd, int mode, off_t offset, off_t size);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);

ssize_t __wrap_preadv(int fd, const struct iovec *iov, int count, off_t offset)
{
	struct iovec part = iov[0];
	ssize_t n;

	if (host.held) {
		sem_post(&host.arrived);
		sem_wait(&host.go);
	}
	if (host.error) {
		errno = host.error;
		return -1;
	}
	if (host.most && part.iov_len > host.most)
		part.iov_len = host.most;
	n = host.most ? __real_preadv(fd, &part, 1, offset) : __real_preadv(fd, iov, count, offset);
	host.read_done = true;
	return n;
}

ssize_t __wrap_pwritev2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
	struct iovec part = iov[0];

	host.write_flags = flags;
	if (host.error) {
		errno = host.error;
		return -1;
	}
	if (host.most && part.iov_len > host.most)
		part.iov_len = host.most;
	return host.most ? __real_pwritev2(fd, &part, 1, offset, flags)
	                 : __real_pwritev2(fd, iov, count, offset, flags);
}

int __wrap_fallocate(int fd, int mode, off_t offset, off_t size)
{
	host.fallocate_mode = mode;
	if (host.error || (host.refuse_zero_range && (mode & FALLOC_FL_ZERO_RANGE))) {
		errno = host.error ? host.error : EOPNOTSUPP;
		return -1;
	}
	return __real_fallocate(fd, mode, offset, size);
}

int __wrap_fdatasync(int fd)
{
	host.flushes++;
	if (host.error) {
		errno = host.error;
		return -1;
	}
	return __real_fdatasync(fd);
}

/* --- the bed --- */

struct bed {
	char folder[64], path[96];
	struct guest_memory memory;
	struct loop *loop; /* the I/O thread's, which no disk may use */
	struct virtio_device *dev;
	struct ring ring;
	uint16_t next; /* descriptor that is free */
	struct error err;
};

static uint8_t pattern(size_t at)
{
	return (uint8_t)(at / 512 * 7 + at);
}

static void make_file(struct bed *bed, size_t size)
{
	FILE *file = fopen(bed->path, "w");

	assert_non_null(file);
	for (size_t i = 0; i < size; i++)
		putc(pattern(i), file);
	assert_int_equal(fclose(file), 0);
}

static int setup(void **state)
{
	struct bed *bed = calloc(1, sizeof(*bed));

	fake_kvm_reset();
	memset(&host, 0, sizeof(host));
	atomic_store(&clock_ns, 1000000000);
	atomic_store(&clock_step, 1000);
	if (!bed || sem_init(&host.arrived, 0, 0) || sem_init(&host.go, 0, 0) ||
	    loop_create(&bed->loop) ||
	    guest_memory_init(&bed->memory, RAM, GPA(3ull << 30), GPA(4ull << 30), &bed->err))
		return -1;
	snprintf(bed->folder, sizeof(bed->folder), "/tmp/cloche-blk-XXXXXX");
	if (!mkdtemp(bed->folder))
		return -1;
	snprintf(bed->path, sizeof(bed->path), "%s/disk", bed->folder);
	make_file(bed, DISK_SIZE);
	*state = bed;
	return 0;
}

static int teardown(void **state)
{
	struct bed *bed = *state;

	virtio_destroy(bed->dev);
	loop_destroy(bed->loop);
	guest_memory_finish(&bed->memory);
	unlink(bed->path);
	rmdir(bed->folder);
	free(bed);
	return 0;
}

static void create(struct bed *bed, bool read_only)
{
	const struct virtio_place place = { .memory = &bed->memory,
		                            .loop = bed->loop,
		                            .vm_fd = FAKE_VM_FD,
		                            .base = GPA(BASE),
		                            .pin = 5 };

	if (virtio_blk_create(&place, bed->path, read_only, 2, &bed->dev, &bed->err))
		fail_msg("%s", bed->err.msg);
}

static uint32_t get(struct bed *bed, unsigned reg)
{
	return (uint32_t)virtio_mmio_read(bed->dev, reg, 4);
}

static void set(struct bed *bed, unsigned reg, uint32_t value)
{
	virtio_mmio_write(bed->dev, reg, 4, value);
}

#define CONFIG(field) (REG_CONFIG + (unsigned)offsetof(struct virtio_blk_config, field))

/* As a driver starts it; @features besides VERSION_1. */
static void start(struct bed *bed, uint32_t features)
{
	const struct virtqueue_setup *setup = &bed->ring.setup;

	set(bed, REG_STATUS, STATUS_ACKNOWLEDGE | STATUS_DRIVER);
	set(bed, REG_DRIVER_FEATURES_SEL, 0);
	set(bed, REG_DRIVER_FEATURES, features);
	set(bed, REG_DRIVER_FEATURES_SEL, 1);
	set(bed, REG_DRIVER_FEATURES, 1);
	set(bed, REG_STATUS, STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK);
	ring_init(&bed->ring, &bed->memory, RING_AT, QUEUE);
	bed->next = 0;
	set(bed, REG_QUEUE_SEL, 0);
	set(bed, REG_QUEUE_NUM, QUEUE);
	set(bed, REG_QUEUE_DESC, (uint32_t)setup->descriptors.value);
	set(bed, REG_QUEUE_DRIVER, (uint32_t)setup->driver.value);
	set(bed, REG_QUEUE_DEVICE, (uint32_t)setup->device.value);
	set(bed, REG_QUEUE_READY, 1);
	set(bed, REG_STATUS, STATUS_RUNNING);
	assert_int_equal(get(bed, REG_STATUS), STATUS_RUNNING);
}

static uint8_t *at(struct bed *bed, uint64_t address, uint64_t size)
{
	uint8_t *host_memory = guest_memory_at(&bed->memory, GPA(address), size, GUEST_WRITE);

	assert_non_null(host_memory);
	return host_memory;
}

static uint8_t *data(struct bed *bed)
{
	return at(bed, DATA, DISK_SIZE);
}

/* Puts a request into the ring: header, @size bytes of DATA in one direction, status. */
static uint16_t offer(struct bed *bed, uint32_t type, uint64_t sector, uint32_t size,
                      bool to_driver)
{
	const struct virtio_blk_outhdr header = { .type = type, .sector = sector };
	uint16_t head = bed->next, body = (uint16_t)(head + 1);
	uint16_t tail = (uint16_t)(body + (size > 0));

	memcpy(at(bed, HEADERS + head * 32u, sizeof(header)), &header, sizeof(header));
	*at(bed, STATUSES + head, 1) = UNANSWERED;
	ring_describe(&bed->ring, head, HEADERS + head * 32u, sizeof(header), DESC_NEXT, body);
	if (size)
		ring_describe(&bed->ring, body, DATA, size,
		              DESC_NEXT | (to_driver ? DESC_WRITE : 0), tail);
	ring_describe(&bed->ring, tail, STATUSES + head, 1, DESC_WRITE, 0);
	ring_offer(&bed->ring, head);
	bed->next = (uint16_t)((tail + 1) % (QUEUE - 3));
	return head;
}

static void notify(void)
{
	fake_kvm_notify(BASE + REG_QUEUE_NOTIFY, 0);
}

/* Until @done(); what never comes is a failure. */
#define await(condition)                                                                           \
	do {                                                                                       \
		unsigned waited_ = 0;                                                              \
		while (!(condition)) {                                                             \
			assert_true(waited_++ < HANG_S * 10000u);                                  \
			usleep(100);                                                               \
		}                                                                                  \
	} while (0)

static uint16_t used(struct bed *bed)
{
	return __atomic_load_n(bed->ring.used_idx, __ATOMIC_ACQUIRE);
}

/* Offers, notifies, waits. The status; *out_length if wanted. */
static uint8_t ask(struct bed *bed, uint32_t type, uint64_t sector, uint32_t size, bool to_driver,
                   uint32_t *out_length)
{
	uint16_t head = offer(bed, type, sector, size, to_driver);

	notify();
	await(used(bed) == *bed->ring.avail_idx);
	struct ring_used element = ring_used_before(&bed->ring, used(bed));
	assert_int_equal(element.id, head);
	if (out_length)
		*out_length = element.len;
	return *at(bed, STATUSES + head, 1);
}

static uint8_t read_disk(struct bed *bed, uint64_t sector, uint32_t size)
{
	memset(data(bed), 0, DISK_SIZE);
	return ask(bed, VIRTIO_BLK_T_IN, sector, size, true, NULL);
}

static uint8_t write_disk(struct bed *bed, uint64_t sector, uint32_t size, uint8_t byte)
{
	memset(data(bed), byte, size);
	return ask(bed, VIRTIO_BLK_T_OUT, sector, size, false, NULL);
}

static void expect_file(struct bed *bed, size_t offset, size_t size, int byte)
{
	FILE *file = fopen(bed->path, "r");

	assert_non_null(file);
	assert_int_equal(fseek(file, (long)offset, SEEK_SET), 0);
	for (size_t i = 0; i < size; i++)
		if (getc(file) != (byte < 0 ? pattern(offset + i) : byte))
			fail_msg("byte %zu of the file is wrong", offset + i);
	fclose(file);
}

/* --- what a driver finds --- */

static void test_features_and_config(void **state)
{
	struct bed *bed = *state;

	create(bed, false);
	assert_int_equal(get(bed, REG_DEVICE_ID), 2);
	assert_int_equal(get(bed, REG_QUEUE_NUM_MAX), 256);
	set(bed, REG_DEVICE_FEATURES_SEL, 0);
	assert_int_equal(get(bed, REG_DEVICE_FEATURES) & 0xffffff,
	                 F(VIRTIO_BLK_F_SEG_MAX) | F(VIRTIO_BLK_F_BLK_SIZE) |
	                         F(VIRTIO_BLK_F_FLUSH) | F(VIRTIO_BLK_F_CONFIG_WCE) |
	                         F(VIRTIO_BLK_F_DISCARD) | F(VIRTIO_BLK_F_WRITE_ZEROES));
	assert_int_equal(get(bed, CONFIG(capacity)), DISK_SIZE / 512);
	assert_int_equal(get(bed, CONFIG(capacity) + 4), 0);
	assert_int_equal(get(bed, CONFIG(seg_max)), 254);
	assert_int_equal(get(bed, CONFIG(blk_size)), 512);
	assert_int_equal(get(bed, CONFIG(max_discard_sectors)), 4194304);
	assert_int_equal(get(bed, CONFIG(max_discard_seg)), 16);
	assert_int_equal(get(bed, CONFIG(max_write_zeroes_seg)), 16);
	assert_int_equal(get(bed, CONFIG(max_secure_erase_sectors)), 0);
}

static void test_read_only(void **state)
{
	struct bed *bed = *state;

	assert_int_equal(chmod(bed->path, 0444), 0);
	create(bed, true);
	set(bed, REG_DEVICE_FEATURES_SEL, 0);
	assert_int_equal(get(bed, REG_DEVICE_FEATURES) & 0xffffff,
	                 F(VIRTIO_BLK_F_SEG_MAX) | F(VIRTIO_BLK_F_BLK_SIZE) |
	                         F(VIRTIO_BLK_F_FLUSH) | F(VIRTIO_BLK_F_RO));
	start(bed, F(VIRTIO_BLK_F_RO));
	assert_int_equal(read_disk(bed, 4, 1024), VIRTIO_BLK_S_OK);
	assert_int_equal(write_disk(bed, 0, 512, 0xff), VIRTIO_BLK_S_IOERR);
	assert_int_equal(ask(bed, VIRTIO_BLK_T_FLUSH, 0, 0, false, NULL), VIRTIO_BLK_S_OK);
	assert_int_equal(ask(bed, VIRTIO_BLK_T_DISCARD, 0, 16, false, NULL), VIRTIO_BLK_S_IOERR);
	expect_file(bed, 0, DISK_SIZE, -1);
}

static void test_read_and_write(void **state)
{
	struct bed *bed = *state;
	uint32_t length = 0;

	create(bed, false);
	start(bed, F(VIRTIO_BLK_F_FLUSH));
	assert_int_equal(read_disk(bed, 9, 4096), VIRTIO_BLK_S_OK);
	for (size_t i = 0; i < 4096; i++)
		assert_int_equal(data(bed)[i], pattern(9 * 512 + i));
	assert_int_equal(ask(bed, VIRTIO_BLK_T_IN, 9, 4096, true, &length), VIRTIO_BLK_S_OK);
	assert_int_equal(length, 4097);
	assert_int_equal(write_disk(bed, 100, 2048, 0x5a), VIRTIO_BLK_S_OK);
	assert_int_equal(ask(bed, VIRTIO_BLK_T_OUT, 100, 2048, false, &length), VIRTIO_BLK_S_OK);
	assert_int_equal(length, 1);
	expect_file(bed, 0, 100 * 512, -1);
	expect_file(bed, 100 * 512, 2048, 0x5a);
	expect_file(bed, 100 * 512 + 2048, DISK_SIZE - 100 * 512 - 2048, -1);
	/* Refused: nothing but the status is written. */
	assert_int_equal(read_disk(bed, DISK_SIZE / 512 - 1, 1024), VIRTIO_BLK_S_IOERR);
	assert_int_equal(data(bed)[0], 0);
	assert_int_equal(ask(bed, VIRTIO_BLK_T_IN, 1 << 20, 512, true, &length),
	                 VIRTIO_BLK_S_IOERR);
	assert_int_equal(length, 0);
	assert_int_equal(ask(bed, 99, 0, 0, false, NULL), VIRTIO_BLK_S_UNSUPP);
}

/* More than a turn, all there at once: every one is answered, in order. */
static void test_many_requests(void **state)
{
	struct bed *bed = *state;

	create(bed, false);
	start(bed, F(VIRTIO_BLK_F_FLUSH));
	for (unsigned round = 0; round < 100; round++) {
		for (unsigned i = 0; i < 4; i++)
			offer(bed, VIRTIO_BLK_T_IN, round, 512, true);
		notify();
		await(used(bed) == *bed->ring.avail_idx);
	}
	assert_int_equal(used(bed), 400);
	assert_int_equal(get(bed, REG_INTERRUPT_STATUS), 1);
}

static void expect_one_edge(struct bed *bed)
{
	uint64_t edges = 0;

	await((edges += fake_kvm_edges(&bed->dev->irq)) > 0);
	assert_int_equal(edges, 1);
}

/* One interrupt for a batch; and a driver that sends batches gets it when the batch is complete. */
static void test_interrupts(void **state)
{
	struct bed *bed = *state;

	create(bed, false);
	start(bed, F(VIRTIO_BLK_F_FLUSH));
	offer(bed, VIRTIO_BLK_T_IN, 0, 512, true);
	offer(bed, VIRTIO_BLK_T_IN, 1, 512, true);
	notify();
	expect_one_edge(bed);
	assert_int_equal(used(bed), 2);

	/* Time stands still: the first answer waits for the second, which needs no notification. */
	atomic_store(&clock_step, 0);
	offer(bed, VIRTIO_BLK_T_IN, 2, 512, true);
	notify();
	await(used(bed) == 3);
	assert_int_equal(fake_kvm_edges(&bed->dev->irq), 0);
	offer(bed, VIRTIO_BLK_T_IN, 3, 512, true);
	expect_one_edge(bed);
	assert_int_equal(used(bed), 4);

	/* It doesn't wait long. The answers of that batch came at one time, so nor does the next. */
	atomic_store(&clock_step, 1000);
	assert_int_equal(read_disk(bed, 4, 512), VIRTIO_BLK_S_OK);
	expect_one_edge(bed);

	/* One at a time: no answer is held, even if time stands still. */
	atomic_store(&clock_step, 0);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(read_disk(bed, i, 512), VIRTIO_BLK_S_OK);
		expect_one_edge(bed);
	}
}

/* What was answered is told before something that takes long is begun. */
static void test_no_answer_waits_for_a_flush(void **state)
{
	struct bed *bed = *state;

	create(bed, false);
	start(bed, F(VIRTIO_BLK_F_FLUSH));
	offer(bed, VIRTIO_BLK_T_IN, 0, 512, true);
	offer(bed, VIRTIO_BLK_T_FLUSH, 0, 0, false);
	notify();
	await(used(bed) == 2);
	uint64_t edges = 0;
	await((edges += fake_kvm_edges(&bed->dev->irq)) == 2);
}

/* Answers that have become old are told, however many requests wait. */
static void test_old_answers(void **state)
{
	struct bed *bed = *state;

	create(bed, false);
	start(bed, F(VIRTIO_BLK_F_FLUSH));
	atomic_store(&clock_step, 400000);
	for (unsigned i = 0; i < 4; i++)
		offer(bed, VIRTIO_BLK_T_IN, i, 512, true);
	notify();
	await(used(bed) == 4);
	uint64_t edges = 0;
	await((edges += fake_kvm_edges(&bed->dev->irq)) == 2); /* after the third and the fourth */
}

static void test_reset_while_answers_are_held(void **state)
{
	struct bed *bed = *state;

	create(bed, false);
	start(bed, F(VIRTIO_BLK_F_FLUSH));
	for (unsigned i = 0; i < 2; i++)
		offer(bed, VIRTIO_BLK_T_IN, i, 512, true);
	notify();
	expect_one_edge(bed);
	atomic_store(&clock_step, 0);
	offer(bed, VIRTIO_BLK_T_IN, 2, 512, true);
	notify();
	await(used(bed) == 3);
	set(bed, REG_STATUS, 0);
	assert_int_equal(get(bed, REG_STATUS), 0);
	start(bed, F(VIRTIO_BLK_F_FLUSH));
	assert_int_equal(read_disk(bed, 2, 512), VIRTIO_BLK_S_OK);
	expect_one_edge(bed);
}

static void test_identity(void **state)
{
	struct bed *bed = *state;
	uint32_t length = 0;

	create(bed, false);
	start(bed, 0);
	memset(data(bed), 0xff, 64);
	assert_int_equal(ask(bed, VIRTIO_BLK_T_GET_ID, 0, 20, true, &length), VIRTIO_BLK_S_OK);
	assert_int_equal(length, 21);
	assert_memory_equal(data(bed), "disk2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xff", 21);
	assert_int_equal(ask(bed, VIRTIO_BLK_T_GET_ID, 0, 4, true, &length), VIRTIO_BLK_S_OK);
	assert_int_equal(length, 5);
	assert_int_equal(ask(bed, VIRTIO_BLK_T_GET_ID, 0, 40, true, &length), VIRTIO_BLK_S_OK);
	assert_int_equal(length, 20);
}

static uint8_t ask_range(struct bed *bed, uint32_t type, uint64_t sector, uint32_t sectors,
                         uint32_t flags)
{
	const struct virtio_blk_discard_write_zeroes range = { sector, sectors, flags };

	memcpy(data(bed), &range, sizeof(range));
	return ask(bed, type, 0, sizeof(range), false, NULL);
}

static void test_discard_and_zeroes(void **state)
{
	struct bed *bed = *state;
	struct stat before, after;

	create(bed, false);
	start(bed, F(VIRTIO_BLK_F_FLUSH));
	assert_int_equal(stat(bed->path, &before), 0);
	assert_int_equal(ask_range(bed, VIRTIO_BLK_T_DISCARD, 64, 512, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(stat(bed->path, &after), 0);
	assert_int_equal(after.st_size, DISK_SIZE);
	assert_true(after.st_blocks < before.st_blocks);
	expect_file(bed, 64 * 512, 512 * 512, 0);

	assert_int_equal(ask_range(bed, VIRTIO_BLK_T_WRITE_ZEROES, 8, 3, 1), VIRTIO_BLK_S_OK);
	assert_int_equal(host.fallocate_mode, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE);
	expect_file(bed, 8 * 512, 3 * 512, 0);
	assert_int_equal(ask_range(bed, VIRTIO_BLK_T_WRITE_ZEROES, 16, 3, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(host.fallocate_mode, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE);
	expect_file(bed, 16 * 512, 3 * 512, 0);
	/* Where the file system can't, zeros are written: more than go at once. */
	host.refuse_zero_range = true;
	assert_int_equal(ask_range(bed, VIRTIO_BLK_T_WRITE_ZEROES, 700, 301, 0), VIRTIO_BLK_S_OK);
	expect_file(bed, 699 * 512, 512, -1);
	expect_file(bed, 700 * 512, 301 * 512, 0);
	expect_file(bed, 1001 * 512, 512, -1);
	/* A discard that can't be done has done no harm. */
	host.error = EOPNOTSUPP;
	assert_int_equal(ask_range(bed, VIRTIO_BLK_T_DISCARD, 30, 8, 0), VIRTIO_BLK_S_OK);
	host.error = 0;
	expect_file(bed, 30 * 512, 8 * 512, -1);
}

/* §5.2.6.2: what a completed write has reached, in each of the modes. */
static void test_cache_modes(void **state)
{
	static const struct {
		const char *name;
		uint32_t features;
		int written; /* to the configuration; -1: nothing */
		bool stable;
	} rows[] = {
		{ "neither", 0, -1, true },
		{ "flush", F(VIRTIO_BLK_F_FLUSH), -1, false },
		{ "flush, a write that is none", F(VIRTIO_BLK_F_FLUSH), 0, false },
		{ "both", F(VIRTIO_BLK_F_FLUSH) | F(VIRTIO_BLK_F_CONFIG_WCE), -1, false },
		{ "writethrough", F(VIRTIO_BLK_F_FLUSH) | F(VIRTIO_BLK_F_CONFIG_WCE), 0, true },
		{ "writeback", F(VIRTIO_BLK_F_FLUSH) | F(VIRTIO_BLK_F_CONFIG_WCE), 1, false },
		{ "no flush", F(VIRTIO_BLK_F_CONFIG_WCE), -1, true },
	};
	struct bed *bed = *state;

	create(bed, false);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		start(bed, rows[i].features);
		if (rows[i].written >= 0)
			virtio_mmio_write(bed->dev, CONFIG(wce), 1, (uint64_t)rows[i].written);
		assert_row(rows[i].name,
		           virtio_mmio_read(bed->dev, CONFIG(wce), 1) == !rows[i].stable);
		assert_row(rows[i].name, write_disk(bed, 0, 512, 1) == VIRTIO_BLK_S_OK);
		assert_row(rows[i].name, host.write_flags == (rows[i].stable ? RWF_DSYNC : 0));
		host.flushes = 0;
		assert_row(rows[i].name,
		           ask_range(bed, VIRTIO_BLK_T_WRITE_ZEROES, 0, 1, 0) == VIRTIO_BLK_S_OK);
		assert_row(rows[i].name, host.flushes == rows[i].stable);
		assert_row(rows[i].name,
		           ask(bed, VIRTIO_BLK_T_FLUSH, 0, 0, false, NULL) == VIRTIO_BLK_S_OK);
		assert_row(rows[i].name, host.flushes == rows[i].stable + 1u);
		set(bed, REG_STATUS, 0);
	}
	/* Nothing else of the configuration can be written. */
	set(bed, CONFIG(capacity), 1);
	assert_int_equal(get(bed, CONFIG(capacity)), DISK_SIZE / 512);
}

/* --- a host that fails --- */

static void test_errors_of_the_host(void **state)
{
	static const int errors[] = { EIO, ENOSPC, EDQUOT, EFBIG };
	struct bed *bed = *state;

	create(bed, false);
	start(bed, F(VIRTIO_BLK_F_FLUSH));
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		uint32_t length = 1;

		host.error = errors[i];
		assert_int_equal(read_disk(bed, 0, 512), VIRTIO_BLK_S_IOERR);
		assert_int_equal(ask(bed, VIRTIO_BLK_T_IN, 0, 512, true, &length),
		                 VIRTIO_BLK_S_IOERR);
		assert_int_equal(length, 0);
		assert_int_equal(write_disk(bed, 0, 512, 1), VIRTIO_BLK_S_IOERR);
		assert_int_equal(ask(bed, VIRTIO_BLK_T_FLUSH, 0, 0, false, NULL),
		                 VIRTIO_BLK_S_IOERR);
		assert_int_equal(ask_range(bed, VIRTIO_BLK_T_DISCARD, 0, 8, 0), VIRTIO_BLK_S_IOERR);
		assert_int_equal(ask_range(bed, VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 1),
		                 VIRTIO_BLK_S_IOERR);
		host.error = 0;
		assert_int_equal(read_disk(bed, 0, 512), VIRTIO_BLK_S_OK);
	}
	assert_int_equal(get(bed, REG_STATUS), STATUS_RUNNING);
	expect_file(bed, 0, DISK_SIZE, -1);
}

static void test_calls_that_fall_short(void **state)
{
	struct bed *bed = *state;

	create(bed, false);
	start(bed, F(VIRTIO_BLK_F_FLUSH));
	host.most = 100;
	assert_int_equal(read_disk(bed, 3, 4096), VIRTIO_BLK_S_OK);
	for (size_t i = 0; i < 4096; i++)
		assert_int_equal(data(bed)[i], pattern(3 * 512 + i));
	assert_int_equal(write_disk(bed, 3, 4096, 0x77), VIRTIO_BLK_S_OK);
	expect_file(bed, 3 * 512, 4096, 0x77);
	host.most = 0;
	/* Somebody cuts the file off below the guest. */
	assert_int_equal(truncate(bed->path, DISK_SIZE / 2), 0);
	assert_int_equal(read_disk(bed, DISK_SIZE / 1024 - 4, 4096), VIRTIO_BLK_S_IOERR);
	assert_int_equal(read_disk(bed, DISK_SIZE / 512 - 4, 512), VIRTIO_BLK_S_IOERR);
	assert_int_equal(read_disk(bed, 0, 512), VIRTIO_BLK_S_OK);
}

/* --- rules and resets --- */

static void expect_failed(struct bed *bed)
{
	notify();
	await(get(bed, REG_STATUS) & STATUS_NEEDS_RESET);
	assert_int_equal(used(bed), 0);
	set(bed, REG_STATUS, 0);
	assert_int_equal(get(bed, REG_STATUS), 0);
	start(bed, F(VIRTIO_BLK_F_FLUSH));
	assert_int_equal(read_disk(bed, 1, 512), VIRTIO_BLK_S_OK);
	assert_int_equal(data(bed)[5], pattern(517));
	set(bed, REG_STATUS, 0);
	start(bed, F(VIRTIO_BLK_F_FLUSH));
}

static void test_no_room_for_an_answer(void **state)
{
	struct bed *bed = *state;

	create(bed, false);
	start(bed, F(VIRTIO_BLK_F_FLUSH));
	/* Header only. */
	ring_describe(&bed->ring, 0, HEADERS, 16, 0, 0);
	ring_offer(&bed->ring, 0);
	expect_failed(bed);
	/* A write whose status can't be written. */
	ring_describe(&bed->ring, 0, HEADERS, 16, DESC_NEXT, 1);
	ring_describe(&bed->ring, 1, DATA, 512, DESC_NEXT, 2);
	ring_describe(&bed->ring, 2, STATUSES, 1, 0, 0);
	ring_offer(&bed->ring, 0);
	expect_failed(bed);
	/* Status only; half a header. */
	ring_describe(&bed->ring, 0, STATUSES, 1, DESC_WRITE, 0);
	ring_offer(&bed->ring, 0);
	expect_failed(bed);
	ring_describe(&bed->ring, 0, HEADERS, 8, DESC_NEXT, 1);
	ring_describe(&bed->ring, 1, STATUSES, 1, DESC_WRITE, 0);
	ring_offer(&bed->ring, 0);
	expect_failed(bed);
}

static void *reset_device(void *arg)
{
	struct bed *bed = arg;
	static bool done;

	set(bed, REG_STATUS, 0);
	/* B2: when the write returns, the read that was under way has ended. */
	done = host.read_done;
	return &done;
}

static void test_reset_waits_for_a_request(void **state)
{
	struct bed *bed = *state;
	pthread_t resetter;
	void *done = NULL;

	create(bed, false);
	start(bed, F(VIRTIO_BLK_F_FLUSH));
	host.held = true;
	uint16_t head = offer(bed, VIRTIO_BLK_T_IN, 0, 512, true);
	offer(bed, VIRTIO_BLK_T_IN, 0, 512, true);
	notify();
	sem_wait(&host.arrived);
	/* Meanwhile a vCPU is served. */
	assert_int_equal(get(bed, REG_STATUS), STATUS_RUNNING);
	assert_int_equal(get(bed, CONFIG(blk_size)), 512);
	assert_int_equal(pthread_create(&resetter, NULL, reset_device, bed), 0);
	await(get(bed, REG_STATUS) == 0);
	host.held = false;
	sem_post(&host.go);
	assert_int_equal(pthread_join(resetter, &done), 0);
	assert_true(*(bool *)done);
	/* B3: neither request was answered, and the next life is undisturbed. */
	assert_int_equal(used(bed), 0);
	assert_int_equal(*at(bed, STATUSES + head, 1), UNANSWERED);
	start(bed, F(VIRTIO_BLK_F_FLUSH));
	assert_int_equal(read_disk(bed, 2, 512), VIRTIO_BLK_S_OK);
	assert_int_equal(used(bed), 1);
}

static void test_destroyed_at_work(void **state)
{
	struct bed *bed = *state;

	create(bed, false);
	start(bed, F(VIRTIO_BLK_F_FLUSH));
	host.held = true;
	offer(bed, VIRTIO_BLK_T_IN, 0, 512, true);
	notify();
	sem_wait(&host.arrived);
	host.held = false;
	sem_post(&host.go);
	virtio_destroy(bed->dev);
	bed->dev = NULL;
	assert_true(host.read_done);
}

/* --- files --- */

static int open_disk(const char *path, bool read_only, struct blk_file *file, struct error *err)
{
	*err = (struct error){ 0 };
	*file = (struct blk_file){ .fd = -1 };
	int ret = blk_file_open(path, read_only, file, err);
	if (ret)
		assert_int_equal(file->fd, -1);
	return ret;
}

static void test_bad_files(void **state)
{
	struct bed *bed = *state;
	struct blk_file file;
	struct error err;

	assert_int_equal(open_disk("/nowhere/disk", false, &file, &err), -ENOENT);
	assert_non_null(strstr(err.msg, "/nowhere/disk"));
	assert_int_equal(open_disk(bed->folder, true, &file, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "neither a file nor a block device"));
	assert_true(open_disk(bed->folder, false, &file, &err) < 0);
	assert_int_equal(open_disk("/dev/null", false, &file, &err), -EINVAL);
	assert_int_equal(unlink(bed->path), 0);
	assert_int_equal(mkfifo(bed->path, 0600), 0);
	assert_int_equal(open_disk(bed->path, true, &file, &err), -EINVAL);
	assert_int_equal(open_disk(bed->path, false, &file, &err), -EINVAL);
	assert_int_equal(unlink(bed->path), 0);
	make_file(bed, 0);
	assert_int_equal(open_disk(bed->path, false, &file, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "truncate --size"));
	make_file(bed, 1000);
	assert_int_equal(open_disk(bed->path, false, &file, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "1000 bytes, is no multiple of 512"));
}

static void test_locks(void **state)
{
	static const struct {
		bool first, second; /* read-only */
		bool together;
	} rows[] = { { false, false, false },
		     { false, true, false },
		     { true, false, false },
		     { true, true, true } };
	struct bed *bed = *state;
	struct blk_file first, second;
	struct error err;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(open_disk(bed->path, rows[i].first, &first, &err), 0);
		assert_int_equal(open_disk(bed->path, rows[i].second, &second, &err),
		                 rows[i].together ? 0 : -EBUSY);
		assert_int_equal(strstr(err.msg, "in use") == NULL, rows[i].together);
		blk_file_close(&first);
		blk_file_close(&second);
		assert_int_equal(open_disk(bed->path, false, &first, &err), 0);
		assert_int_equal(first.size, DISK_SIZE);
		blk_file_close(&first);
	}
}

#define BLK_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BLK_TEST(test_features_and_config),
		BLK_TEST(test_read_only),
		BLK_TEST(test_read_and_write),
		BLK_TEST(test_many_requests),
		BLK_TEST(test_interrupts),
		BLK_TEST(test_no_answer_waits_for_a_flush),
		BLK_TEST(test_old_answers),
		BLK_TEST(test_reset_while_answers_are_held),
		BLK_TEST(test_identity),
		BLK_TEST(test_discard_and_zeroes),
		BLK_TEST(test_cache_modes),
		BLK_TEST(test_errors_of_the_host),
		BLK_TEST(test_calls_that_fall_short),
		BLK_TEST(test_no_room_for_an_answer),
		BLK_TEST(test_reset_waits_for_a_request),
		BLK_TEST(test_destroyed_at_work),
		BLK_TEST(test_bad_files),
		BLK_TEST(test_locks),
	};

	return cmocka_run_group_tests_name("vmm_blk", tests, NULL, NULL);
}
