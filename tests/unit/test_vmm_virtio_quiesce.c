/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_vmm_virtio_quiesce.c - devices that are brought to rest in the midst of their work: what they hold
 * is in its ring again, and both the original and a copy take it up from there.
 *
 * Wraps ioctl (vmm_fake_kvm.h), and preadv so that a disk's request takes as long as a test wants.
 */
#include "tests/unit/vmm_driver.h"

#include <linux/virtio_blk.h>
#include <linux/virtio_net.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/sock.h"
#include "vmm/virtio/balloon.h"
#include "vmm/virtio/net.h"
#include "vmm/virtio/state.h"

#define RING 64
#define PAGE GUEST_PAGE_SIZE
#define LIST 0x100000u
#define GIVEN 0x400000u
#define BUFFERS 0x200000u
#define BUFFER_SIZE 2048u
#define HANG_S 60

/* --- what all have --------------------------------------------------------------------------- */

static struct wire_writer save_at_rest(struct driver *d)
{
	struct wire_writer out = WIRE_WRITER_INIT;

	virtio_device_save(d->dev, &out);
	assert_false(out.failed);
	return out;
}

/* @dev, a fresh one, takes the original's place. Frees @saved. */
static void go_on_in(struct driver *d, struct virtio_device *dev, struct wire_writer *saved)
{
	struct wire_reader in = wire_reader_over(saved->data, saved->size);

	d->dev = dev;
	if (virtio_device_restore(dev, &in, &d->err))
		fail_msg("%s", d->err.msg);
	wire_writer_finish(saved);
	virtio_device_wake(dev);
	fake_kvm_rounds(d->loop, 8);
}

static void forget_original(struct driver *d)
{
	virtio_destroy(d->dev);
	d->dev = NULL;
	fake_kvm_reset();
}

static unsigned waiting(struct driver *d, unsigned queue)
{
	return virtqueue_waiting(&d->dev->queues[queue]);
}

static uint16_t used(struct driver *d, unsigned queue)
{
	return __atomic_load_n(d->rings[queue].used_idx, __ATOMIC_ACQUIRE);
}

static void offer(struct driver *d, unsigned queue, uint64_t at, uint32_t size, unsigned flags)
{
	uint16_t head = *d->rings[queue].avail_idx % RING;

	ring_describe(&d->rings[queue], head, at, size, flags, 0);
	ring_offer(&d->rings[queue], head);
}

/* --- balloon --------------------------------------------------------------------------------- */

#define F_STATS (1u << 1)
#define LIST_PAGES 3000u /* more than a turn takes */

static struct virtio_device *create_balloon(struct driver *d)
{
	const struct virtio_place place = driver_place(d);
	struct virtio_device *dev = NULL;

	assert_int_equal(virtio_balloon_create(&place, &(const struct balloon_handlers){ 0 }, true,
	                                       &dev, &d->err),
	                 0);
	return dev;
}

static void start_balloon(struct driver *d)
{
	d->dev = create_balloon(d);
	driver_start(d, F_STATS, 7, RING);
	memset(d->memory.ram + GIVEN, 0x5a, DRIVER_RAM - GIVEN);
}

/* A list that a turn doesn't finish, whose last entries have pages of their own. */
static void give_long_list(struct driver *d)
{
	uint32_t *list = (uint32_t *)(void *)(d->memory.ram + LIST);

	for (uint32_t i = 0; i < LIST_PAGES; i++)
		list[i] = GIVEN / PAGE + (i < LIST_PAGES - 100 ? i % 800 : 800 + i % 100);
	offer(d, 0, LIST, LIST_PAGES * 4, 0);
	driver_notify(d, 0);
	assert_int_equal(used(d, 0), 0);
	assert_int_equal(waiting(d, 0), 0); /* the list is out of the ring */
	assert_int_equal(d->memory.ram[GIVEN + 850 * PAGE], 0x5a);
}

static void expect_given(struct driver *d)
{
	fake_kvm_rounds(d->loop, 8);
	assert_int_equal(used(d, 0), 1);
	for (uint32_t i = 0; i < 900; i++)
		assert_int_equal(d->memory.ram[GIVEN + i * PAGE], 0);
	assert_int_equal(driver_get(d, REG_STATUS), STATUS_RUNNING);
}

static void test_list_in_work(void **state)
{
	struct driver *d = *state;

	start_balloon(d);
	give_long_list(d);
	virtio_device_quiesce(d->dev);
	assert_int_equal(waiting(d, 0), 1);
	struct wire_writer saved = save_at_rest(d);
	virtio_device_unquiesce(d->dev);
	expect_given(d);
	assert_int_equal(waiting(d, 0), 0);

	forget_original(d);
	memset(d->memory.ram + GIVEN, 0x5a, DRIVER_RAM - GIVEN);
	*d->rings[0].used_idx = 0;
	go_on_in(d, create_balloon(d), &saved);
	expect_given(d);
}

static struct balloon_state look(struct driver *d)
{
	struct balloon_state balloon;

	virtio_balloon_read(d->dev, &balloon);
	return balloon;
}

static void test_statistics_at_hand(void **state)
{
	static const uint8_t stat[] = { BALLOON_FREE, 0, 7, 0, 0, 0, 0, 0, 0, 0 };
	struct driver *d = *state;

	start_balloon(d);
	memcpy(d->memory.ram + LIST, stat, sizeof(stat));
	/* The second one waits in the ring for the first to be asked back. */
	offer(d, 2, LIST, sizeof(stat), 0);
	offer(d, 2, LIST, sizeof(stat), 0);
	driver_notify(d, 2);
	assert_int_equal(waiting(d, 2), 1);
	virtio_device_quiesce(d->dev);
	assert_int_equal(waiting(d, 2), 2);
	struct wire_writer saved = save_at_rest(d);
	virtio_device_unquiesce(d->dev);
	fake_kvm_rounds(d->loop, 2);
	assert_int_equal(waiting(d, 2), 1);
	assert_true(virtio_balloon_ask(d->dev));
	assert_int_equal(used(d, 2), 1);

	forget_original(d);
	*d->rings[2].used_idx = 0;
	go_on_in(d, create_balloon(d), &saved);
	assert_int_equal(waiting(d, 2), 1);
	assert_true(look(d).driver);
	assert_int_equal(look(d).known, 1u << BALLOON_FREE);
	assert_int_equal(look(d).stats[BALLOON_FREE], 7);
	assert_true(virtio_balloon_ask(d->dev));
	assert_int_equal(used(d, 2), 1);
}

static void test_balloon_keeps_its_size(void **state)
{
	struct driver *d = *state;

	start_balloon(d);
	assert_int_equal(virtio_balloon_set_target(d->dev, 5 << 20), 0);
	virtio_mmio_write(d->dev, REG_CONFIG + 4, 4, 3);
	driver_set(d, REG_INTERRUPT_ACK, 3);
	virtio_device_quiesce(d->dev);
	struct wire_writer saved = save_at_rest(d);
	virtio_device_unquiesce(d->dev);
	forget_original(d);
	go_on_in(d, create_balloon(d), &saved);
	assert_int_equal(look(d).target, 5 << 20);
	assert_int_equal(look(d).actual, 3 * PAGE);
	assert_int_equal(driver_get(d, REG_CONFIG), (5 << 20) / PAGE);
	assert_int_equal(driver_get(d, REG_CONFIG + 4), 3);
	/* From there on it is the copy's own. */
	driver_set(d, REG_INTERRUPT_ACK, 3);
	assert_int_equal(virtio_balloon_set_target(d->dev, 0), 0);
	assert_int_equal(driver_get(d, REG_INTERRUPT_STATUS), 2);
}

/* --- net ------------------------------------------------------------------------------------- */

#define RX 0
#define TX 1
#define MERGEABLE (1u << VIRTIO_NET_F_MRG_RXBUF)
#define STATUS_AT (REG_CONFIG + 6)
#define HEADER_SIZE 12u
#define FRAME_SIZE 100u

static struct {
	char folder[40], path[48];
	int listener, peer;
} stream;

static int setup_net(void **state)
{
	struct error err = { 0 };

	strcpy(stream.folder, "/tmp/cloche-unit-quiesce-XXXXXX");
	stream.listener = stream.peer = -1;
	if (!mkdtemp(stream.folder))
		return -1;
	snprintf(stream.path, sizeof(stream.path), "%s/sock", stream.folder);
	return sock_listen_unix(stream.path, &stream.listener, &err) || driver_setup(state);
}

static int teardown_net(void **state)
{
	int ret = driver_teardown(state);

	close_fd(&stream.peer);
	close_fd(&stream.listener);
	unlink(stream.path);
	return rmdir(stream.folder) || ret;
}

static struct virtio_device *create_net(struct driver *d, enum net_kind kind)
{
	const struct net_config config = { .kind = kind, .target = stream.path };
	const struct virtio_place place = driver_place(d);
	struct virtio_device *dev = NULL;

	if (virtio_net_create(&place, &config, &dev, &d->err))
		fail_msg("%s", d->err.msg);
	if (kind != NET_STREAM)
		return dev;
	close_fd(&stream.peer);
	stream.peer = accept4(stream.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_true(stream.peer >= 0);
	return dev;
}

static void offer_buffers(struct driver *d, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		offer(d, RX, BUFFERS + i * BUFFER_SIZE, BUFFER_SIZE, RING_F_WRITE);
	driver_notify(d, RX);
}

static void start_net(struct driver *d)
{
	d->dev = create_net(d, NET_STREAM);
	driver_start(d, MERGEABLE, 3, RING);
	offer_buffers(d, 4);
}

static void peer_says(struct driver *d, uint32_t size, uint8_t byte)
{
	uint8_t frame[4 + 16384] = { (uint8_t)(size >> 24), (uint8_t)(size >> 16),
		                     (uint8_t)(size >> 8), (uint8_t)size };

	memset(frame + 4, byte, size);
	assert_int_equal(write(stream.peer, frame, 4 + size), 4 + size);
	fake_kvm_rounds(d->loop, 4);
}

/* Frame number @count of those received is one of FRAME_SIZE times @byte. */
static void expect_frame(struct driver *d, uint16_t count, uint8_t byte)
{
	assert_int_equal(used(d, RX), count);
	struct ring_used element = ring_used_before(&d->rings[RX], count);
	const uint8_t *data = d->memory.ram + d->rings[RX].desc[element.id].addr;
	assert_int_equal(element.len, HEADER_SIZE + FRAME_SIZE);
	for (unsigned i = 0; i < FRAME_SIZE; i++)
		assert_int_equal(data[HEADER_SIZE + i], byte);
}

static void send_frame(struct driver *d)
{
	memset(d->memory.ram + LIST, 0, HEADER_SIZE);
	memset(d->memory.ram + LIST + HEADER_SIZE, 9, FRAME_SIZE);
	offer(d, TX, LIST, HEADER_SIZE + FRAME_SIZE, 0);
	driver_notify(d, TX);
}

/* What the peer hears: a whole frame, or nothing. */
static bool peer_hears(void)
{
	uint8_t frame[4 + FRAME_SIZE + 1];
	ssize_t n = recv(stream.peer, frame, sizeof(frame), MSG_DONTWAIT);

	if (n < 0)
		return false;
	assert_int_equal(n, 4 + FRAME_SIZE);
	assert_int_equal(frame[3], FRAME_SIZE);
	assert_int_equal(frame[4], 9);
	return true;
}

static void test_receive_buffers_at_hand(void **state)
{
	struct driver *d = *state;

	start_net(d);
	assert_int_equal(waiting(d, RX), 0); /* taken ahead of frames */
	peer_says(d, FRAME_SIZE, 1);
	expect_frame(d, 1, 1);
	virtio_device_quiesce(d->dev);
	assert_int_equal(waiting(d, RX), 3);
	struct wire_writer saved = save_at_rest(d);
	virtio_device_unquiesce(d->dev);
	fake_kvm_rounds(d->loop, 2);
	assert_int_equal(waiting(d, RX), 0);
	peer_says(d, FRAME_SIZE, 2);
	expect_frame(d, 2, 2);
	assert_int_equal(ring_used_before(&d->rings[RX], 2).id, 1);

	forget_original(d);
	*d->rings[RX].used_idx = 1;
	go_on_in(d, create_net(d, NET_STREAM), &saved);
	assert_int_equal(waiting(d, RX), 0);
	peer_says(d, FRAME_SIZE, 3);
	expect_frame(d, 2, 3);
	assert_int_equal(ring_used_before(&d->rings[RX], 2).id, 1);
	send_frame(d);
	assert_true(peer_hears());
	assert_int_equal(driver_get(d, REG_STATUS), STATUS_RUNNING);
}

/* A frame that waits for more buffers may be lost, the buffers may not; nor is what follows. */
static void test_frame_at_hand(void **state)
{
	struct driver *d = *state;

	start_net(d);
	peer_says(d, 12000, 1);
	assert_int_equal(used(d, RX), 0);
	virtio_device_quiesce(d->dev);
	assert_int_equal(waiting(d, RX), 4);
	virtio_device_unquiesce(d->dev);
	fake_kvm_rounds(d->loop, 2);
	peer_says(d, FRAME_SIZE, 2);
	expect_frame(d, 1, 2);
}

/* The copy's card has no cable: the driver is told, and what it sends goes nowhere. */
static void test_unplugged(void **state)
{
	struct driver *d = *state;

	start_net(d);
	assert_int_equal(virtio_mmio_read(d->dev, STATUS_AT, 2), VIRTIO_NET_S_LINK_UP);
	virtio_device_quiesce(d->dev);
	struct wire_writer saved = save_at_rest(d);
	virtio_device_unquiesce(d->dev);
	forget_original(d);
	go_on_in(d, create_net(d, NET_UNPLUGGED), &saved);
	assert_int_equal(virtio_mmio_read(d->dev, STATUS_AT, 2), 0);
	assert_int_equal(driver_get(d, REG_INTERRUPT_STATUS) & 2, 2);
	send_frame(d);
	assert_int_equal(used(d, TX), 1);
	assert_int_equal(used(d, RX), 0);
	assert_int_equal(driver_get(d, REG_STATUS), STATUS_RUNNING);
}

/* Until it is opened nothing gets in or out; what waited then does. */
static void test_shut(void **state)
{
	struct driver *d = *state;

	start_net(d);
	virtio_device_quiesce(d->dev);
	struct wire_writer saved = save_at_rest(d);
	virtio_device_unquiesce(d->dev);
	forget_original(d);
	struct virtio_device *dev = create_net(d, NET_STREAM);
	virtio_net_shut(dev);
	go_on_in(d, dev, &saved);
	peer_says(d, FRAME_SIZE, 1);
	send_frame(d);
	send_frame(d);
	fake_kvm_rounds(d->loop, 8);
	assert_int_equal(used(d, RX), 0);
	assert_int_equal(used(d, TX), 0);
	assert_false(peer_hears());
	virtio_net_open(dev);
	fake_kvm_rounds(d->loop, 8);
	expect_frame(d, 1, 1);
	assert_int_equal(used(d, TX), 2);
}

/* --- blk ------------------------------------------------------------------------------------- */

#define DISK_SIZE (64u << 10)
#define STATUSES 0x180000u
#define REQUESTS 10u

static struct {
	int fd;
	bool held; /* reads wait for .go, after posting .arrived */
	sem_t arrived, go;
	atomic_uint reads; /* that have returned */
} disk;

ssize_t __real_preadv(int fd, const struct iovec *iov, int count, off_t offset);
ssize_t __wrap_preadv(int fd, const struct iovec *iov, int count, off_t offset);

ssize_t __wrap_preadv(int fd, const struct iovec *iov, int count, off_t offset)
{
	if (disk.held) {
		sem_post(&disk.arrived);
		sem_wait(&disk.go);
	}
	ssize_t n = __real_preadv(fd, iov, count, offset);
	atomic_fetch_add(&disk.reads, 1);
	return n;
}

static int setup_blk(void **state)
{
	memset(&disk, 0, sizeof(disk));
	disk.fd = memfd_create("disk", MFD_CLOEXEC);
	if (disk.fd < 0 || ftruncate(disk.fd, DISK_SIZE) || sem_init(&disk.arrived, 0, 0) ||
	    sem_init(&disk.go, 0, 0))
		return -1;
	return driver_setup(state);
}

static int teardown_blk(void **state)
{
	int ret = driver_teardown(state);

	close_fd(&disk.fd);
	return ret;
}

static struct virtio_device *create_blk(struct driver *d)
{
	const struct virtio_place place = driver_place(d);
	struct virtio_device *dev = NULL;
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", disk.fd);
	if (virtio_blk_create(&place, path, true, 0, &dev, &d->err))
		fail_msg("%s", d->err.msg);
	return dev;
}

/* Reads of a sector each. */
static void offer_reads(struct driver *d, uint16_t count)
{
	struct ring *ring = &d->rings[0];

	memset(d->memory.ram + LIST, 0, 16);
	for (uint16_t i = 0; i < count; i++) {
		uint16_t head = (uint16_t)(3 * i);

		ring_describe(ring, head, LIST, 16, RING_F_NEXT, (uint16_t)(head + 1));
		ring_describe(ring, (uint16_t)(head + 1), BUFFERS, 512, RING_F_NEXT | RING_F_WRITE,
		              (uint16_t)(head + 2));
		ring_describe(ring, (uint16_t)(head + 2), STATUSES + i, 1, RING_F_WRITE, 0);
		ring_offer(ring, head);
	}
	fake_kvm_notify(DRIVER_BASE + REG_QUEUE_NOTIFY, 0);
}

static void await_used(struct driver *d, uint16_t idx)
{
	for (unsigned waited = 0; used(d, 0) != idx; waited++) {
		assert_true(waited < HANG_S * 10000u);
		usleep(100);
	}
}

/*
 * Lets the request end that is under way, while somebody waits for that. If others are begun
 * nevertheless, they end some time, so that the test fails and doesn't hang.
 */
static void *release_one(void *arg)
{
	const atomic_bool *at_rest = arg;

	usleep(20000);
	sem_post(&disk.go);
	for (unsigned i = 0; i < HANG_S * 10 && !atomic_load(at_rest); i++) {
		usleep(100000);
		if (i >= 20)
			sem_post(&disk.go);
	}
	return NULL;
}

/* However many requests are in the ring, only the one under way is waited for. */
static void test_request_under_way(void **state)
{
	struct driver *d = *state;
	atomic_bool at_rest = false;
	pthread_t releaser;

	d->dev = create_blk(d);
	driver_start(d, 0, 1, RING);
	disk.held = true;
	offer_reads(d, REQUESTS);
	sem_wait(&disk.arrived);
	assert_int_equal(pthread_create(&releaser, NULL, release_one, &at_rest), 0);
	virtio_device_quiesce(d->dev);
	atomic_store(&at_rest, true);
	assert_int_equal(pthread_join(releaser, NULL), 0);
	assert_int_equal(atomic_load(&disk.reads), 1);
	assert_int_equal(used(d, 0), 1);
	assert_int_equal(waiting(d, 0), REQUESTS - 1);
	/* Nobody waits for the interrupt of what is answered. */
	assert_int_equal(fake_kvm_edges(&d->dev->irq), 1);
	struct wire_writer saved = save_at_rest(d);
	disk.held = false;
	virtio_device_unquiesce(d->dev);
	await_used(d, REQUESTS);
	assert_int_equal(atomic_load(&disk.reads), REQUESTS);

	forget_original(d);
	*d->rings[0].used_idx = 1;
	memset(d->memory.ram + STATUSES, 0xaa, REQUESTS);
	go_on_in(d, create_blk(d), &saved);
	await_used(d, REQUESTS);
	assert_int_equal(atomic_load(&disk.reads), 2 * REQUESTS - 1);
	assert_int_equal(d->memory.ram[STATUSES], 0xaa);
	for (unsigned i = 1; i < REQUESTS; i++)
		assert_int_equal(d->memory.ram[STATUSES + i], VIRTIO_BLK_S_OK);
}

static void test_idle_disk(void **state)
{
	struct driver *d = *state;

	d->dev = create_blk(d);
	driver_start(d, 0, 1, RING);
	for (unsigned i = 0; i < 3; i++) {
		virtio_device_quiesce(d->dev);
		virtio_device_unquiesce(d->dev);
	}
	assert_int_equal(fake_kvm_edges(&d->dev->irq), 0);
	offer_reads(d, 1);
	await_used(d, 1);
}

int main(void)
{
#define BALLOON_TEST(name_) cmocka_unit_test_setup_teardown(name_, driver_setup, driver_teardown)
#define NET_TEST(name_) cmocka_unit_test_setup_teardown(name_, setup_net, teardown_net)
#define BLK_TEST(name_) cmocka_unit_test_setup_teardown(name_, setup_blk, teardown_blk)
	const struct CMUnitTest tests[] = {
		BALLOON_TEST(test_list_in_work),
		BALLOON_TEST(test_statistics_at_hand),
		BALLOON_TEST(test_balloon_keeps_its_size),
		NET_TEST(test_receive_buffers_at_hand),
		NET_TEST(test_frame_at_hand),
		NET_TEST(test_unplugged),
		NET_TEST(test_shut),
		BLK_TEST(test_request_under_way),
		BLK_TEST(test_idle_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
