/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_vmm_net.c - the network card between a test's driver and a test's stream peer.
 *
 * The driver speaks through rings in guest memory; the peer is the other end of a real unix socket.
 * Wraps ioctl (vmm_fake_kvm.h), clock_gettime: time passes when a test says so, and recv, for a peer
 * that sends faster than we read. Above 700 lines: both directions need the same driver and peer.
 */
#include "tests/unit/vmm_fake_kvm.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/sock.h"
#include "tests/native/guest/virtio_regs.h"
#include "tests/unit/vmm_ring.h"
#include "vmm/virtio/net.h"
#include "vmm/virtio/net_header.h"
#include "vmm/virtio/virtio.h"

#define BASE 0xd0000000u
#define QUEUE_SIZE 64
#define RX 0
#define TX 1
#define BUFFERS 0x100000u
#define BUFFER_STRIDE 0x20000u
#define FRAMES 0x1000000u
#define MRG_RXBUF (1u << 15)

int __wrap_clock_gettime(clockid_t clock, struct timespec *out);

static uint64_t now_ns = 1000 * NS_PER_S;

int __wrap_clock_gettime(clockid_t clock, struct timespec *out)
{
	(void)clock;
	out->tv_sec = (time_t)(now_ns / NS_PER_S);
	out->tv_nsec = (long)(now_ns % NS_PER_S);
	return 0;
}

/* Writes that the peer still makes, each right after we have read the one before. */
static unsigned babble_left;
static int babbler;

ssize_t __real_recv(int fd, void *data, size_t size, int flags);
ssize_t __wrap_recv(int fd, void *data, size_t size, int flags);

ssize_t __wrap_recv(int fd, void *data, size_t size, int flags)
{
	static const uint8_t empty_frames[4096];
	ssize_t got = __real_recv(fd, data, size, flags);

	if (fd != babbler && babble_left > 0) {
		babble_left--;
		assert_int_equal(write(babbler, empty_frames, sizeof(empty_frames)),
		                 sizeof(empty_frames));
	}
	return got;
}

struct bed {
	struct guest_memory memory;
	struct loop *loop;
	struct virtio_device *dev;
	struct ring rings[2];
	uint16_t rx_seen; /* used elements of RX looked at */
	char dir[32], path[48];
	int listen_fd, peer;
	struct error err;
};

static int setup_with(void **state, uint64_t rate_bytes, uint64_t rate_packets)
{
	struct bed *bed = calloc(1, sizeof(*bed));

	fake_kvm_reset();
	if (!bed)
		return -1;
	strcpy(bed->dir, "/tmp/cloche-unit-net-XXXXXX");
	if (!mkdtemp(bed->dir) || loop_create(&bed->loop) ||
	    guest_memory_init(&bed->memory, 64u << 20, GPA(3ull << 30), GPA(4ull << 30), &bed->err))
		return -1;
	snprintf(bed->path, sizeof(bed->path), "%s/sock", bed->dir);
	if (sock_listen_unix(bed->path, &bed->listen_fd, &bed->err))
		return -1;
	struct virtio_place place = { .memory = &bed->memory,
		                      .loop = bed->loop,
		                      .vm_fd = FAKE_VM_FD,
		                      .base = GPA(BASE),
		                      .pin = 5 };
	struct net_config config = { .kind = NET_STREAM,
		                     .target = bed->path,
		                     .mac = { 2, 1, 2, 3, 4, 5 },
		                     .rate_bytes = rate_bytes,
		                     .rate_packets = rate_packets };
	if (virtio_net_create(&place, &config, &bed->dev, &bed->err))
		return -1;
	bed->peer = accept4(bed->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	*state = bed;
	return bed->peer < 0;
}

static int setup(void **state)
{
	return setup_with(state, 0, 0);
}

static int setup_packets(void **state)
{
	return setup_with(state, 0, 10);
}

static int setup_bytes(void **state)
{
	return setup_with(state, 10000, 0);
}

static int teardown(void **state)
{
	struct bed *bed = *state;

	virtio_destroy(bed->dev);
	if (bed->peer >= 0)
		close(bed->peer);
	close(bed->listen_fd);
	unlink(bed->path);
	int ret = rmdir(bed->dir);
	loop_destroy(bed->loop);
	guest_memory_finish(&bed->memory);
	free(bed);
	return ret;
}

/* --- the driver --- */

static void set(struct bed *bed, unsigned reg, uint32_t value)
{
	virtio_mmio_write(bed->dev, reg, 4, value);
}

static void rounds(struct bed *bed)
{
	fake_kvm_rounds(bed->loop, 4);
}

static void notify(struct bed *bed, uint32_t queue)
{
	fake_kvm_notify(BASE + REG_QUEUE_NOTIFY, queue);
	rounds(bed);
}

static void offer_rx(struct bed *bed, uint16_t slot, uint32_t size)
{
	ring_describe(&bed->rings[RX], slot, BUFFERS + slot * BUFFER_STRIDE, size, RING_F_WRITE, 0);
	ring_offer(&bed->rings[RX], slot);
}

static void start_queues(struct bed *bed, uint32_t features, uint16_t queue_size)
{
	set(bed, REG_STATUS, 0);
	set(bed, REG_STATUS, STATUS_ACKNOWLEDGE | STATUS_DRIVER);
	set(bed, REG_DRIVER_FEATURES_SEL, 0);
	set(bed, REG_DRIVER_FEATURES, features);
	set(bed, REG_DRIVER_FEATURES_SEL, 1);
	set(bed, REG_DRIVER_FEATURES, 1);
	set(bed, REG_STATUS, STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK);
	for (unsigned i = 0; i < 2; i++) {
		ring_init(&bed->rings[i], &bed->memory, 0x10000 + i * 0x10000, queue_size);
		set(bed, REG_QUEUE_SEL, i);
		set(bed, REG_QUEUE_NUM, queue_size);
		set(bed, REG_QUEUE_DESC, (uint32_t)bed->rings[i].setup.descriptors.value);
		set(bed, REG_QUEUE_DRIVER, (uint32_t)bed->rings[i].setup.driver.value);
		set(bed, REG_QUEUE_DEVICE, (uint32_t)bed->rings[i].setup.device.value);
		set(bed, REG_QUEUE_READY, 1);
	}
	set(bed, REG_STATUS, STATUS_RUNNING);
	assert_int_equal(virtio_mmio_read(bed->dev, REG_STATUS, 4), STATUS_RUNNING);
	bed->rx_seen = 0;
	rounds(bed);
}

/* A driver with @buffers receive buffers of @size bytes each. */
static void start(struct bed *bed, uint32_t features, uint16_t buffers, uint32_t size)
{
	start_queues(bed, features, QUEUE_SIZE);
	for (uint16_t i = 0; i < buffers; i++)
		offer_rx(bed, i, size);
	notify(bed, RX);
}

static bool needs_reset(struct bed *bed)
{
	return virtio_mmio_read(bed->dev, REG_STATUS, 4) & STATUS_NEEDS_RESET;
}

static bool link_up(struct bed *bed)
{
	return virtio_mmio_read(bed->dev, REG_CONFIG + 6, 2) == 1;
}

static void fill_frame(uint8_t *out, size_t size, uint8_t seed)
{
	for (size_t i = 0; i < size; i++)
		out[i] = (uint8_t)(seed + i * 7);
}

static void check_frame(const uint8_t *frame, size_t size, uint8_t seed)
{
	for (size_t i = 0; i < size; i++)
		assert_int_equal(frame[i], (uint8_t)(seed + i * 7));
}

/* Puts header and frame into @slot as two descriptors; what the driver says goes out as it is. */
static void offer_tx(struct bed *bed, uint16_t slot, uint32_t size, uint8_t seed, uint8_t flags)
{
	uint64_t at = FRAMES + slot * BUFFER_STRIDE;
	uint8_t *header = bed->memory.ram + at;

	memset(header, 0, NET_HEADER_SIZE);
	header[0] = flags;
	fill_frame(header + NET_HEADER_SIZE, size, seed);
	uint16_t first = (uint16_t)(2 * slot), second = (uint16_t)(2 * slot + 1);
	ring_describe(&bed->rings[TX], first, at, NET_HEADER_SIZE, RING_F_NEXT, second);
	ring_describe(&bed->rings[TX], second, at + NET_HEADER_SIZE, size, 0, 0);
	ring_offer(&bed->rings[TX], first);
}

static uint16_t tx_used(struct bed *bed)
{
	return *bed->rings[TX].used_idx;
}

static uint16_t rx_used(struct bed *bed)
{
	return *bed->rings[RX].used_idx;
}

/* --- the peer --- */

static size_t peer_put(uint8_t *out, size_t size, uint8_t seed)
{
	out[0] = 0;
	out[1] = (uint8_t)(size >> 16);
	out[2] = (uint8_t)(size >> 8);
	out[3] = (uint8_t)size;
	fill_frame(out + 4, size, seed);
	return size + 4;
}

static void peer_sends(struct bed *bed, size_t size, uint8_t seed)
{
	static uint8_t bytes[1 << 17];
	size_t total = peer_put(bytes, size, seed);

	assert_int_equal(write(bed->peer, bytes, total), total);
	rounds(bed);
}

static size_t peer_reads(struct bed *bed, uint8_t *out, size_t size)
{
	ssize_t got = read(bed->peer, out, size);

	if (got < 0)
		assert_int_equal(errno, EAGAIN);
	return got < 0 ? 0 : (size_t)got;
}

static void peer_gets(struct bed *bed, size_t size, uint8_t seed)
{
	uint8_t bytes[4096];

	assert_int_equal(peer_reads(bed, bytes, sizeof(bytes)), size + 4);
	assert_int_equal(bytes[0] << 24 | bytes[1] << 16 | bytes[2] << 8 | bytes[3], size);
	check_frame(bytes + 4, size, seed);
}

/* The next frame for the guest, over as many buffers as its header says. */
static void expect_frame(struct bed *bed, size_t size, uint8_t seed, unsigned buffers)
{
	static uint8_t all[NET_HEADER_SIZE + NET_FRAME_MAX];
	static const uint8_t zeros[10];
	size_t got = 0;

	assert_int_equal((uint16_t)(rx_used(bed) - bed->rx_seen) >= buffers, 1);
	for (unsigned i = 0; i < buffers; i++) {
		struct ring_used used = ring_used_before(&bed->rings[RX], ++bed->rx_seen);

		assert_true(got + used.len <= sizeof(all));
		memcpy(all + got, bed->memory.ram + BUFFERS + used.id * BUFFER_STRIDE, used.len);
		got += used.len;
	}
	assert_int_equal(got, NET_HEADER_SIZE + size);
	assert_memory_equal(all, zeros, sizeof(zeros));
	assert_int_equal(all[10] | all[11] << 8, buffers);
	check_frame(all + NET_HEADER_SIZE, size, seed);
}

/* --- tests --- */

static void test_registers(void **state)
{
	struct bed *bed = *state;

	set(bed, REG_DEVICE_FEATURES_SEL, 0);
	uint32_t features = (uint32_t)virtio_mmio_read(bed->dev, REG_DEVICE_FEATURES, 4);
	assert_int_equal(virtio_mmio_read(bed->dev, REG_DEVICE_ID, 4), 1);
	/* MAC, MRG_RXBUF and STATUS; a stream computes no checksums and makes no segments. */
	assert_int_equal(features & 0xffffff, 1u << 5 | 1u << 15 | 1u << 16);
	assert_int_equal(virtio_mmio_read(bed->dev, REG_CONFIG, 4), 0x03020102);
	assert_int_equal(virtio_mmio_read(bed->dev, REG_CONFIG + 4, 2), 0x0504);
	assert_true(link_up(bed));
}

static void test_frames_both_ways(void **state)
{
	struct bed *bed = *state;

	start(bed, MRG_RXBUF, 8, 2048);
	offer_tx(bed, 0, 60, 1, 0);
	offer_tx(bed, 1, 1514, 2, 0);
	notify(bed, TX);
	assert_int_equal(tx_used(bed), 2);
	uint8_t both[4096];
	assert_int_equal(peer_reads(bed, both, sizeof(both)), 64 + 1518);
	check_frame(both + 4, 60, 1);
	check_frame(both + 68, 1514, 2);
	peer_sends(bed, 14, 3);
	peer_sends(bed, 1514, 4);
	expect_frame(bed, 14, 3, 1);
	expect_frame(bed, 1514, 4, 1);
	assert_false(needs_reset(bed));
}

static void test_nothing_moves_before_driver_ok(void **state)
{
	struct bed *bed = *state;

	peer_sends(bed, 60, 1);
	start(bed, MRG_RXBUF, 4, 2048);
	expect_frame(bed, 60, 1, 1);
}

static void test_frame_over_several_buffers(void **state)
{
	struct bed *bed = *state;

	start(bed, MRG_RXBUF, 50, 1536);
	peer_sends(bed, NET_FRAME_MAX, 9);
	expect_frame(bed, NET_FRAME_MAX, 9, 43);
	peer_sends(bed, 1536 - NET_HEADER_SIZE, 10);
	expect_frame(bed, 1536 - NET_HEADER_SIZE, 10, 1);
	peer_sends(bed, 1537 - NET_HEADER_SIZE, 11);
	expect_frame(bed, 1537 - NET_HEADER_SIZE, 11, 2);
}

/* The arrays of buffers are used from front to back many times over. */
static void test_many_frames(void **state)
{
	struct bed *bed = *state;
	uint16_t slot = 0;

	start(bed, MRG_RXBUF, 50, 1536);
	for (unsigned i = 0; i < 2000; i++) {
		size_t size = 14 + i * 37 % 5000;
		unsigned buffers = (unsigned)((size + NET_HEADER_SIZE + 1535) / 1536);

		peer_sends(bed, size, (uint8_t)i);
		expect_frame(bed, size, (uint8_t)i, buffers);
		for (unsigned n = 0; n < buffers; n++, slot = (uint16_t)((slot + 1) % 50))
			offer_rx(bed, slot, 1536);
		notify(bed, RX);
	}
}

static void test_without_merging_a_frame_has_one_buffer(void **state)
{
	struct bed *bed = *state;

	start(bed, 0, 4, 2048);
	peer_sends(bed, 2048 - NET_HEADER_SIZE, 1);
	expect_frame(bed, 2048 - NET_HEADER_SIZE, 1, 1);
	peer_sends(bed, 2049 - NET_HEADER_SIZE, 2); /* nowhere to put it: it is lost */
	peer_sends(bed, 100, 3);
	expect_frame(bed, 100, 3, 1);
	assert_int_equal(rx_used(bed), 2);
	assert_false(needs_reset(bed));
}

static void test_starved_receiver_gets_them_later(void **state)
{
	struct bed *bed = *state;

	start(bed, MRG_RXBUF, 0, 0);
	for (uint8_t i = 0; i < 5; i++)
		peer_sends(bed, 1000, i);
	assert_int_equal(rx_used(bed), 0);
	for (uint16_t i = 0; i < 2; i++)
		offer_rx(bed, i, 2048);
	notify(bed, RX);
	expect_frame(bed, 1000, 0, 1);
	expect_frame(bed, 1000, 1, 1);
	assert_int_equal(rx_used(bed), 2);
	for (uint16_t i = 2; i < 5; i++)
		offer_rx(bed, i, 2048);
	notify(bed, RX);
	for (uint8_t i = 2; i < 5; i++)
		expect_frame(bed, 1000, i, 1);
}

static void test_frame_waits_for_enough_buffers(void **state)
{
	struct bed *bed = *state;

	start(bed, MRG_RXBUF, 2, 2048);
	peer_sends(bed, 5000, 1);
	peer_sends(bed, 100, 2);
	assert_int_equal(rx_used(bed), 0);
	offer_rx(bed, 2, 2048);
	notify(bed, RX);
	expect_frame(bed, 5000, 1, 3);
	offer_rx(bed, 3, 2048);
	notify(bed, RX);
	expect_frame(bed, 100, 2, 1);
}

static void test_frame_larger_than_all_buffers_is_dropped(void **state)
{
	struct bed *bed = *state;

	start_queues(bed, MRG_RXBUF, 4);
	for (uint16_t i = 0; i < 4; i++)
		offer_rx(bed, i, 1024);
	notify(bed, RX);
	peer_sends(bed, 5000, 1);
	peer_sends(bed, 100, 2);
	expect_frame(bed, 100, 2, 1);
	assert_false(needs_reset(bed));
}

/* A driver that offers one chain twice as often as the queue has entries: four are held. */
static void test_one_chain_offered_many_times(void **state)
{
	struct bed *bed = *state;

	start_queues(bed, MRG_RXBUF, 4);
	for (unsigned i = 0; i < 8; i++) {
		offer_rx(bed, 0, 1024);
		notify(bed, RX);
	}
	peer_sends(bed, 3000, 1);
	assert_int_equal(rx_used(bed), 3);
	assert_false(needs_reset(bed));
}

static void test_reset_forgets_buffers(void **state)
{
	struct bed *bed = *state;

	start(bed, MRG_RXBUF, 2, 2048);
	peer_sends(bed, 5000, 1); /* waits for a third buffer that never comes */
	set(bed, REG_STATUS, 0);
	peer_sends(bed, 100, 2);
	start(bed, MRG_RXBUF, 2, 2048);
	expect_frame(bed, 100, 2, 1);
	assert_int_equal(rx_used(bed), 1);
}

/* --- hostile drivers: the device needs a reset, and works again after one --- */

static void works_after_reset(struct bed *bed)
{
	uint8_t drain[8192];

	assert_true(needs_reset(bed));
	while (peer_reads(bed, drain, sizeof(drain)))
		;
	start(bed, MRG_RXBUF, 8, 2048);
	offer_tx(bed, 0, 60, 42, 0);
	notify(bed, TX);
	peer_gets(bed, 60, 42);
	peer_sends(bed, 60, 43);
	expect_frame(bed, 60, 43, 1);
}

static void test_checksum_that_was_not_negotiated(void **state)
{
	struct bed *bed = *state;

	start(bed, MRG_RXBUF, 4, 2048);
	offer_tx(bed, 0, 60, 1, 1);
	notify(bed, TX);
	assert_int_equal(tx_used(bed), 0);
	works_after_reset(bed);
}

static void test_frames_of_wrong_size(void **state)
{
	static const uint32_t sizes[] = { 1, 13, NET_FRAME_MAX + 1 };
	struct bed *bed = *state;
	uint8_t byte;

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		start(bed, MRG_RXBUF, 4, 2048);
		offer_tx(bed, 0, sizes[i], 1, 0);
		notify(bed, TX);
		assert_true(needs_reset(bed));
		assert_int_equal(peer_reads(bed, &byte, 1), 0);
	}
	works_after_reset(bed);
}

static void test_header_cut_short(void **state)
{
	struct bed *bed = *state;

	start(bed, MRG_RXBUF, 4, 2048);
	ring_describe(&bed->rings[TX], 0, FRAMES, NET_HEADER_SIZE - 1, 0, 0);
	ring_offer(&bed->rings[TX], 0);
	notify(bed, TX);
	works_after_reset(bed);
}

static void test_writable_buffer_to_transmit(void **state)
{
	struct bed *bed = *state;

	start(bed, MRG_RXBUF, 4, 2048);
	ring_describe(&bed->rings[TX], 0, FRAMES, 100, RING_F_NEXT, 1);
	ring_describe(&bed->rings[TX], 1, FRAMES + 100, 100, RING_F_WRITE, 0);
	ring_offer(&bed->rings[TX], 0);
	notify(bed, TX);
	works_after_reset(bed);
}

static void test_readable_buffer_to_receive(void **state)
{
	struct bed *bed = *state;

	start(bed, MRG_RXBUF, 0, 0);
	ring_describe(&bed->rings[RX], 0, BUFFERS, 100, RING_F_NEXT, 1);
	ring_describe(&bed->rings[RX], 1, BUFFERS + 100, 2000, RING_F_WRITE, 0);
	ring_offer(&bed->rings[RX], 0);
	notify(bed, RX);
	works_after_reset(bed);
}

static void test_buffer_without_room_for_the_header(void **state)
{
	struct bed *bed = *state;

	start(bed, MRG_RXBUF, 1, NET_HEADER_SIZE - 1);
	works_after_reset(bed);
}

/* Many more frames than one turn takes, in both directions at once. */
static void test_turns_are_limited_but_all_is_done(void **state)
{
	struct bed *bed = *state;
	uint16_t sent = 0;

	start(bed, MRG_RXBUF, 0, 0);
	for (unsigned round = 0; round < 20; round++) {
		for (uint16_t i = 0; i < QUEUE_SIZE / 2; i++)
			offer_tx(bed, i, 60, (uint8_t)i, 0);
		notify(bed, TX);
		sent = (uint16_t)(sent + QUEUE_SIZE / 2);
		assert_int_equal(tx_used(bed), sent);
		for (uint16_t i = 0; i < QUEUE_SIZE / 2; i++) {
			uint8_t frame[64];

			assert_int_equal(peer_reads(bed, frame, sizeof(frame)), sizeof(frame));
			check_frame(frame + 4, 60, (uint8_t)i);
		}
	}
}

/* --- peers that misbehave --- */

static void reconnect(struct bed *bed)
{
	close(bed->peer);
	now_ns += 2 * NS_PER_S;
	rounds(bed);
	bed->peer = accept4(bed->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_true(bed->peer >= 0);
	assert_true(link_up(bed));
}

static void test_peer_that_closes(void **state)
{
	struct bed *bed = *state;

	start(bed, MRG_RXBUF, 4, 2048);
	fake_kvm_edges(&bed->dev->irq);
	peer_sends(bed, 100, 1);
	close(bed->peer);
	rounds(bed);
	expect_frame(bed, 100, 1, 1);
	assert_false(link_up(bed));
	assert_true(virtio_mmio_read(bed->dev, REG_INTERRUPT_STATUS, 4) & 2);
	/* Without a link frames go nowhere, and their buffers come back. */
	offer_tx(bed, 0, 60, 1, 0);
	notify(bed, TX);
	assert_int_equal(tx_used(bed), 1);
	bed->peer = open("/dev/null", O_RDONLY | O_CLOEXEC);
	reconnect(bed);
	offer_tx(bed, 0, 60, 2, 0);
	notify(bed, TX);
	peer_gets(bed, 60, 2);
	peer_sends(bed, 200, 3);
	expect_frame(bed, 200, 3, 1);
}

/* Nobody listens any more: it is tried for as long as it takes. */
static void test_peer_that_stays_away(void **state)
{
	struct bed *bed = *state;

	start(bed, MRG_RXBUF, 4, 2048);
	close(bed->listen_fd);
	unlink(bed->path);
	shutdown(bed->peer, SHUT_RDWR);
	for (unsigned i = 0; i < 5; i++) {
		now_ns += 2 * NS_PER_S;
		rounds(bed);
		assert_false(link_up(bed));
	}
	assert_int_equal(sock_listen_unix(bed->path, &bed->listen_fd, &bed->err), 0);
	reconnect(bed);
}

static void test_peer_with_lengths_that_lie(void **state)
{
	static const char *const lengths[] = { "\xff\xff\xff\xff", "\0\1\0\x12", "\x80\0\0\0" };
	struct bed *bed = *state;

	start(bed, MRG_RXBUF, 16, 2048);
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		peer_sends(bed, 100, (uint8_t)i);
		expect_frame(bed, 100, (uint8_t)i, 1);
		assert_int_equal(write(bed->peer, lengths[i], 4), 4);
		rounds(bed);
		assert_false(link_up(bed));
		reconnect(bed);
	}
	assert_false(needs_reset(bed));
}

/* A frame cut off by the end of one connection doesn't run into the next. */
/* Frames that are none come without end: others on the loop get their turns all the same. */
static void test_peer_that_babbles(void **state)
{
	struct bed *bed = *state;

	start(bed, MRG_RXBUF, 4, 2048);
	babbler = bed->peer;
	babble_left = 1000;
	assert_int_equal(write(bed->peer, "\0\0\0\0", 4), 4);
	fake_kvm_rounds(bed->loop, 1);
	assert_true(babble_left > 900 && babble_left < 1000);
	fake_kvm_rounds(bed->loop, 1000);
	assert_int_equal(babble_left, 0);
	peer_sends(bed, 100, 1);
	expect_frame(bed, 100, 1, 1);
}

static void test_peer_that_closes_within_a_frame(void **state)
{
	struct bed *bed = *state;

	start(bed, MRG_RXBUF, 4, 2048);
	assert_int_equal(write(bed->peer, "\0\0\0\x40half", 8), 8);
	rounds(bed);
	close(bed->peer);
	rounds(bed);
	assert_false(link_up(bed));
	bed->peer = open("/dev/null", O_RDONLY | O_CLOEXEC);
	reconnect(bed);
	peer_sends(bed, 80, 5);
	expect_frame(bed, 80, 5, 1);
}

/* It reads nothing: the ring fills up behind it; when it reads again, nothing is missing or cut. */
static void test_peer_that_stalls(void **state)
{
	struct bed *bed = *state;
	static uint8_t frame[4 + 60000];
	uint16_t offered = 0, checked = 0;
	size_t have = 0;

	start(bed, MRG_RXBUF, 4, 2048);
	while (tx_used(bed) == offered) {
		assert_true(offered < 32);
		offer_tx(bed, offered % 32, 60000, (uint8_t)offered, 0);
		offered++;
		notify(bed, TX);
	}
	for (unsigned i = 0; i < 3; i++, offered++)
		offer_tx(bed, offered % 32, 60000, (uint8_t)offered, 0);
	notify(bed, TX);
	assert_true(tx_used(bed) < offered);
	while (checked < offered) {
		size_t got = peer_reads(bed, frame + have, sizeof(frame) - have);

		have += got;
		if (got == 0)
			rounds(bed);
		if (have < sizeof(frame))
			continue;
		assert_int_equal(frame[0] << 24 | frame[1] << 16 | frame[2] << 8 | frame[3], 60000);
		check_frame(frame + 4, 60000, (uint8_t)checked);
		checked++;
		have = 0;
	}
	assert_int_equal(tx_used(bed), offered);
	assert_false(needs_reset(bed));
}

/* --- limits --- */

static void test_packet_limit(void **state)
{
	struct bed *bed = *state;

	start(bed, MRG_RXBUF, 8, 2048);
	for (uint16_t i = 0; i < 3; i++)
		offer_tx(bed, i, 60, (uint8_t)i, 0);
	notify(bed, TX);
	for (uint16_t i = 1; i <= 3; i++) {
		assert_int_equal(tx_used(bed), i);
		peer_gets(bed, 60, (uint8_t)(i - 1));
		now_ns += 90 * NS_PER_MS;
		rounds(bed);
		assert_int_equal(tx_used(bed), i);
		now_ns += 10 * NS_PER_MS;
		rounds(bed);
	}
	/* The other direction has a bucket of its own. */
	for (uint8_t i = 0; i < 3; i++)
		peer_sends(bed, 100, i);
	for (uint8_t i = 0; i < 3; i++) {
		assert_int_equal(rx_used(bed), i + 1);
		expect_frame(bed, 100, i, 1);
		now_ns += 100 * NS_PER_MS;
		rounds(bed);
	}
}

/* 10,000 bytes a second: a frame of 10,000 has the next one wait for nearly a second. */
static void test_byte_limit(void **state)
{
	struct bed *bed = *state;

	start(bed, MRG_RXBUF, 32, 2048);
	peer_sends(bed, 10000, 1);
	peer_sends(bed, 100, 2);
	expect_frame(bed, 10000, 1, 5);
	assert_int_equal(rx_used(bed), 5);
	now_ns += 890 * NS_PER_MS;
	rounds(bed);
	assert_int_equal(rx_used(bed), 5);
	now_ns += 20 * NS_PER_MS;
	rounds(bed);
	expect_frame(bed, 100, 2, 1);
}

/* Frames that a limit holds back don't survive a reset, and the limit does. */
static void test_reset_within_a_limit(void **state)
{
	struct bed *bed = *state;

	start(bed, MRG_RXBUF, 8, 2048);
	for (uint16_t i = 0; i < 3; i++)
		offer_tx(bed, i, 60, (uint8_t)i, 0);
	notify(bed, TX);
	peer_gets(bed, 60, 0);
	set(bed, REG_STATUS, 0);
	now_ns += 300 * NS_PER_MS;
	rounds(bed);
	start(bed, MRG_RXBUF, 8, 2048);
	offer_tx(bed, 0, 70, 9, 0);
	notify(bed, TX);
	peer_gets(bed, 70, 9);
}

int main(void)
{
#define NET_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		NET_TEST(test_registers),
		NET_TEST(test_frames_both_ways),
		NET_TEST(test_nothing_moves_before_driver_ok),
		NET_TEST(test_frame_over_several_buffers),
		NET_TEST(test_many_frames),
		NET_TEST(test_without_merging_a_frame_has_one_buffer),
		NET_TEST(test_starved_receiver_gets_them_later),
		NET_TEST(test_frame_waits_for_enough_buffers),
		NET_TEST(test_frame_larger_than_all_buffers_is_dropped),
		NET_TEST(test_one_chain_offered_many_times),
		NET_TEST(test_reset_forgets_buffers),
		NET_TEST(test_checksum_that_was_not_negotiated),
		NET_TEST(test_frames_of_wrong_size),
		NET_TEST(test_header_cut_short),
		NET_TEST(test_writable_buffer_to_transmit),
		NET_TEST(test_readable_buffer_to_receive),
		NET_TEST(test_buffer_without_room_for_the_header),
		NET_TEST(test_turns_are_limited_but_all_is_done),
		NET_TEST(test_peer_that_closes),
		NET_TEST(test_peer_that_stays_away),
		NET_TEST(test_peer_with_lengths_that_lie),
		NET_TEST(test_peer_that_babbles),
		NET_TEST(test_peer_that_closes_within_a_frame),
		NET_TEST(test_peer_that_stalls),
		cmocka_unit_test_setup_teardown(test_packet_limit, setup_packets, teardown),
		cmocka_unit_test_setup_teardown(test_byte_limit, setup_bytes, teardown),
		cmocka_unit_test_setup_teardown(test_reset_within_a_limit, setup_packets, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
