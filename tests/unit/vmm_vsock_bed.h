/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmm_vsock_bed.h - the vsock device between a test's driver and a test's host programs.
 *
 * The driver speaks through rings in guest memory; the host side is real unix sockets. A unit that
 * uses it wraps ioctl (vmm_fake_kvm.h). One thread.
 */
#ifndef CLOCHE_TESTS_UNIT_VMM_VSOCK_BED_H
#define CLOCHE_TESTS_UNIT_VMM_VSOCK_BED_H

#include "tests/unit/unit.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/sock.h"
#include "tests/native/guest/virtio_regs.h"
#include "tests/unit/vmm_fake_kvm.h"
#include "tests/unit/vmm_ring.h"
#include "vmm/virtio/virtio.h"
#include "vmm/virtio/vsock.h"
#include "vmm/virtio/vsock_conn.h"
#include "vmm/virtio/vsock_packet.h"

#define BASE 0xd0000000u
#define GUEST_CID 42
#define QUEUE_SIZE 64
#define RX 0
#define TX 1
#define RX_BUFFERS 0x100000u
#define RX_BUFFER_SIZE 4096u
#define TX_BUFFERS 0x200000u
#define TX_BUFFER_SIZE 0x20000u
#define HOST_PORT 1024
#define GUEST_PORT 5000

struct bed {
	struct guest_memory memory;
	struct loop *loop;
	struct virtio_device *dev;
	struct ring rings[3];
	uint16_t rx_seen;  /* used elements of RX looked at */
	uint32_t rx_size;  /* of each buffer that is offered */
	uint32_t features; /* that the driver takes besides VERSION_1 */
	char dir[32], path[48];
	int service_fd; /* what the service was handed last */
	unsigned services;
	struct vsock_packet packet; /* received last */
	const uint8_t *data;        /* its data */
	struct error err;
};

static inline void on_service(void *arg, int fd)
{
	struct bed *bed = arg;

	if (bed->service_fd >= 0)
		close(bed->service_fd);
	bed->service_fd = fd;
	bed->services++;
}

static inline int create_device(struct bed *bed)
{
	struct virtio_place place = { .memory = &bed->memory,
		                      .loop = bed->loop,
		                      .vm_fd = FAKE_VM_FD,
		                      .base = GPA(BASE),
		                      .pin = 5 };

	if (virtio_vsock_create(&place, GUEST_CID, bed->path, &bed->dev, &bed->err))
		return -1;
	return virtio_vsock_serve(bed->dev, HOST_PORT, on_service, bed);
}

static inline int setup(void **state)
{
	struct bed *bed = calloc(1, sizeof(*bed));

	fake_kvm_reset();
	if (!bed)
		return -1;
	strcpy(bed->dir, "/tmp/cloche-unit-vsock-XXXXXX");
	bed->service_fd = -1;
	bed->rx_size = RX_BUFFER_SIZE;
	if (!mkdtemp(bed->dir) || loop_create(&bed->loop) ||
	    guest_memory_init(&bed->memory, 64u << 20, GPA(3ull << 30), GPA(4ull << 30), &bed->err))
		return -1;
	snprintf(bed->path, sizeof(bed->path), "%s/sock", bed->dir);
	*state = bed;
	return create_device(bed);
}

static inline int teardown(void **state)
{
	struct bed *bed = *state;

	virtio_destroy(bed->dev);
	if (bed->service_fd >= 0)
		close(bed->service_fd);
	/* The device has taken its socket away. */
	int ret = rmdir(bed->dir);
	loop_destroy(bed->loop);
	guest_memory_finish(&bed->memory);
	free(bed);
	return ret;
}

/* --- the driver --- */

static inline void set(struct bed *bed, unsigned reg, uint32_t value)
{
	virtio_mmio_write(bed->dev, reg, 4, value);
}

static inline void offer_rx(struct bed *bed, uint16_t slot)
{
	ring_describe(&bed->rings[RX], slot, RX_BUFFERS + slot * RX_BUFFER_SIZE, bed->rx_size,
	              RING_F_WRITE, 0);
	ring_offer(&bed->rings[RX], slot);
}

static inline void start(struct bed *bed, uint16_t rx_buffers)
{
	set(bed, REG_STATUS, 0);
	set(bed, REG_STATUS, STATUS_ACKNOWLEDGE | STATUS_DRIVER);
	set(bed, REG_DRIVER_FEATURES_SEL, 0);
	set(bed, REG_DRIVER_FEATURES, bed->features);
	set(bed, REG_DRIVER_FEATURES_SEL, 1);
	set(bed, REG_DRIVER_FEATURES, 1);
	set(bed, REG_STATUS, STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK);
	for (unsigned i = 0; i < 3; i++) {
		ring_init(&bed->rings[i], &bed->memory, 0x10000 + i * 0x10000, QUEUE_SIZE);
		set(bed, REG_QUEUE_SEL, i);
		set(bed, REG_QUEUE_NUM, QUEUE_SIZE);
		set(bed, REG_QUEUE_DESC, (uint32_t)bed->rings[i].setup.descriptors.value);
		set(bed, REG_QUEUE_DRIVER, (uint32_t)bed->rings[i].setup.driver.value);
		set(bed, REG_QUEUE_DEVICE, (uint32_t)bed->rings[i].setup.device.value);
		set(bed, REG_QUEUE_READY, 1);
	}
	set(bed, REG_STATUS, STATUS_RUNNING);
	assert_int_equal(virtio_mmio_read(bed->dev, REG_STATUS, 4), STATUS_RUNNING);
	bed->rx_seen = 0;
	for (uint16_t i = 0; i < rx_buffers; i++)
		offer_rx(bed, i);
	fake_kvm_notify(BASE + REG_QUEUE_NOTIFY, RX);
	fake_kvm_rounds(bed->loop, 1);
}

static inline bool needs_reset(struct bed *bed)
{
	return virtio_mmio_read(bed->dev, REG_STATUS, 4) & STATUS_NEEDS_RESET;
}

static inline struct vsock_packet packet_of(enum vsock_op op)
{
	return (struct vsock_packet){ .src_cid = GUEST_CID,
		                      .dst_cid = VSOCK_HOST_CID,
		                      .src_port = GUEST_PORT,
		                      .dst_port = HOST_PORT,
		                      .type = VSOCK_TYPE_STREAM,
		                      .op = (uint16_t)op,
		                      .buf_alloc = 65536 };
}

/* Sends header and data as two descriptors, and waits until the device has taken them. */
static inline void send_data(struct bed *bed, const struct vsock_packet *p, const void *data,
                             uint32_t size)
{
	struct ring *tx = &bed->rings[TX];
	uint16_t used = *tx->used_idx;

	vsock_packet_encode(p, bed->memory.ram + TX_BUFFERS);
	ring_describe(tx, 0, TX_BUFFERS, VSOCK_HEADER_SIZE, size ? RING_F_NEXT : 0, 1);
	if (size) {
		memcpy(bed->memory.ram + TX_BUFFERS + 4096, data, size);
		ring_describe(tx, 1, TX_BUFFERS + 4096, size, 0, 0);
	}
	ring_offer(tx, 0);
	fake_kvm_notify(BASE + REG_QUEUE_NOTIFY, TX);
	fake_kvm_rounds(bed->loop, 1);
	assert_int_equal(*tx->used_idx, (uint16_t)(used + 1));
	assert_int_equal(ring_used_before(tx, *tx->used_idx).len, 0);
}

static inline void send_op(struct bed *bed, enum vsock_op op)
{
	const struct vsock_packet p = packet_of(op);

	send_data(bed, &p, NULL, 0);
}

static inline void send_text(struct bed *bed, const char *text)
{
	struct vsock_packet p = packet_of(VSOCK_OP_RW);

	p.len = (uint32_t)strlen(text);
	send_data(bed, &p, text, p.len);
}

/* The next packet for the guest goes to .packet; its buffer is offered again. False: none. */
static inline bool receive(struct bed *bed)
{
	struct ring *rx = &bed->rings[RX];

	fake_kvm_rounds(bed->loop, 2);
	if (*rx->used_idx == bed->rx_seen)
		return false;
	struct ring_used used = ring_used_before(rx, ++bed->rx_seen);
	const uint8_t *at = bed->memory.ram + RX_BUFFERS + used.id * RX_BUFFER_SIZE;
	vsock_packet_decode(at, &bed->packet);
	bed->data = at + VSOCK_HEADER_SIZE;
	assert_int_equal(used.len, VSOCK_HEADER_SIZE + bed->packet.len);
	assert_int_equal(bed->packet.src_cid, VSOCK_HOST_CID);
	assert_int_equal(bed->packet.dst_cid, GUEST_CID);
	assert_int_equal(bed->packet.type, VSOCK_TYPE_STREAM);
	offer_rx(bed, (uint16_t)used.id);
	fake_kvm_notify(BASE + REG_QUEUE_NOTIFY, RX);
	return true;
}

static inline void expect(struct bed *bed, enum vsock_op op)
{
	assert_true(receive(bed));
	assert_int_equal(bed->packet.op, op);
}

static inline void expect_nothing(struct bed *bed)
{
	assert_false(receive(bed));
}

/* A stream from the guest to the service. */
static inline void connect_service(struct bed *bed)
{
	start(bed, 8);
	send_op(bed, VSOCK_OP_REQUEST);
	expect(bed, VSOCK_OP_RESPONSE);
	assert_int_equal(bed->packet.src_port, HOST_PORT);
	assert_int_equal(bed->packet.dst_port, GUEST_PORT);
	assert_int_equal(bed->packet.buf_alloc, VSOCK_BUFFER_SIZE);
	assert_int_equal(bed->packet.fwd_cnt, 0);
	assert_int_equal(bed->services, 1);
}

static inline int connect_host(struct bed *bed)
{
	int fd;

	assert_int_equal(sock_connect_unix(bed->path, &fd, &bed->err), 0);
	return fd;
}

static inline void assert_closed(int fd)
{
	char byte;

	assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), 0);
}

static inline void assert_open(int fd)
{
	char byte;

	assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
}

#endif
