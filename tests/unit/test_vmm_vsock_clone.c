/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_vmm_vsock_clone.c - the vsock device of a copied guest: what its driver is told, what it may do
 * until then, and until the copy is let out.
 *
 * Wraps ioctl (vmm_fake_kvm.h).
 */
#include "tests/unit/vmm_vsock_bed.h"

#include "lib/cleanup.h"
#include "vmm/virtio/state.h"
#include "vmm/virtio/vsock_device.h"

#define EVENT 2
#define EVENTS 0x300000u
#define EVENT_IDX (1u << 29)
#define OTHER_PORT 80

/* --- copies ---------------------------------------------------------------------------------- */

static struct wire_writer save(struct bed *bed)
{
	struct wire_writer out = WIRE_WRITER_INIT;

	virtio_device_quiesce(bed->dev);
	virtio_device_save(bed->dev, &out);
	virtio_device_unquiesce(bed->dev);
	assert_false(out.failed);
	return out;
}

/* A fresh device, which takes up @saved when the guest runs, in a moment. */
static void become(struct bed *bed, const struct wire_writer *saved, bool shut)
{
	struct wire_reader in = wire_reader_over(saved->data, saved->size);

	virtio_destroy(bed->dev);
	bed->dev = NULL;
	close_fd(&bed->service_fd);
	bed->services = 0;
	fake_kvm_reset();
	assert_int_equal(create_device(bed), 0);
	if (shut)
		virtio_vsock_shut(bed->dev);
	if (virtio_device_restore(bed->dev, &in, &bed->err))
		fail_msg("%s", bed->err.msg);
	virtio_device_wake(bed->dev);
	fake_kvm_rounds(bed->loop, 2);
}

/* The guest goes on in a copy, whose original is gone. */
static void copy(struct bed *bed, bool shut)
{
	struct wire_writer saved = save(bed);

	become(bed, &saved, shut);
	wire_writer_finish(&saved);
}

/* --- the driver ------------------------------------------------------------------------------ */

static void offer_event(struct bed *bed, uint32_t size, unsigned flags)
{
	struct ring *events = &bed->rings[EVENT];
	uint16_t head = *events->avail_idx % QUEUE_SIZE;

	memset(bed->memory.ram + EVENTS + head * 16u, 0xff, 16);
	ring_describe(events, head, EVENTS + head * 16u, size, flags, 0);
	ring_offer(events, head);
}

static void notify(struct bed *bed, unsigned queue)
{
	fake_kvm_notify(BASE + REG_QUEUE_NOTIFY, queue);
	fake_kvm_rounds(bed->loop, 2);
}

static uint16_t used(struct bed *bed, unsigned queue)
{
	return *bed->rings[queue].used_idx;
}

/* The driver has been told that its connections are gone: a transport reset, 4 bytes of it (§5.10.6.7). */
static void expect_event(struct bed *bed, uint16_t idx)
{
	struct ring_used element = ring_used_before(&bed->rings[EVENT], idx);

	assert_int_equal(used(bed, EVENT), idx);
	assert_int_equal(element.len, 4);
	assert_memory_equal(bed->memory.ram + EVENTS + element.id * 16u, "\0\0\0\0\xff", 5);
}

/* What Linux does with an event: it is handled, and its buffer is offered again. */
static void handle_event(struct bed *bed)
{
	offer_event(bed, 4, RING_F_WRITE);
	notify(bed, EVENT);
}

/* A packet in the TX ring, which may not be looked at yet. */
static void put_packet(struct bed *bed, uint16_t slot, const struct vsock_packet *p)
{
	uint64_t at = TX_BUFFERS + slot * 64u;

	vsock_packet_encode(p, bed->memory.ram + at);
	ring_describe(&bed->rings[TX], slot, at, VSOCK_HEADER_SIZE, 0, 0);
	ring_offer(&bed->rings[TX], slot);
}

static struct vsock_packet packet_from(uint32_t guest_port, uint32_t host_port, enum vsock_op op)
{
	struct vsock_packet p = packet_of(op);

	p.src_port = guest_port;
	p.dst_port = host_port;
	return p;
}

static void send_from(struct bed *bed, uint32_t guest_port, uint32_t host_port, enum vsock_op op)
{
	const struct vsock_packet p = packet_from(guest_port, host_port, op);

	send_data(bed, &p, NULL, 0);
}

/* The next packet for the guest is of this kind and between these ports. */
static void expect_from(struct bed *bed, uint32_t host_port, uint32_t guest_port, enum vsock_op op)
{
	expect(bed, op);
	assert_int_equal(bed->packet.src_port, host_port);
	assert_int_equal(bed->packet.dst_port, guest_port);
}

/* A driver with @events buffers for events from the beginning. */
static void start_with_events(struct bed *bed, unsigned events)
{
	start(bed, 8);
	for (unsigned i = 0; i < events; i++)
		offer_event(bed, 4, RING_F_WRITE);
	notify(bed, EVENT);
	assert_int_equal(used(bed, EVENT), 0);
}

/* A running copy: its driver has heard of the reset and has handled it. */
static void start_copy(struct bed *bed, bool shut)
{
	start_with_events(bed, 8);
	copy(bed, shut);
	expect_event(bed, 1);
	handle_event(bed);
}

/* --- the transport reset --------------------------------------------------------------------- */

/* Nothing moves before the driver knows that its connections are gone, and then all does. */
static void expect_reset_first(struct bed *bed, unsigned events)
{
	struct vsock_packet old = packet_of(VSOCK_OP_RW), request = packet_of(VSOCK_OP_REQUEST);

	start_with_events(bed, events);
	send_op(bed, VSOCK_OP_REQUEST);
	expect(bed, VSOCK_OP_RESPONSE);
	copy(bed, false);
	uint16_t sent = used(bed, TX);

	/* Of the connection from before, and a request for a new one; and a program of the host's. */
	put_packet(bed, 0, &old);
	request.src_port = GUEST_PORT + 1;
	put_packet(bed, 1, &request);
	notify(bed, TX);
	int fd = connect_host(bed);
	assert_int_equal(write(fd, "CONNECT 52\n", 11), 11);
	expect_nothing(bed);
	assert_int_equal(used(bed, TX), sent);
	assert_int_equal(bed->services, 0);
	if (events == 0) {
		assert_int_equal(used(bed, EVENT), 0);
		offer_event(bed, 4, RING_F_WRITE);
		notify(bed, EVENT);
	}
	expect_event(bed, 1);
	assert_true(fake_kvm_edges(&bed->dev->irq) > 0);
	/* It hears of one more buffer than it has now: that is the sign. */
	if (bed->features & EVENT_IDX)
		assert_int_equal(*(uint16_t *)(void *)&bed->rings[EVENT].used_ring[QUEUE_SIZE],
		                 *bed->rings[EVENT].avail_idx);
	notify(bed, TX);
	notify(bed, RX);
	notify(bed, EVENT);
	expect_nothing(bed);
	assert_int_equal(used(bed, TX), sent);
	assert_int_equal(used(bed, EVENT), 1);

	handle_event(bed);
	assert_int_equal(used(bed, TX), sent + 2);
	assert_int_equal(used(bed, EVENT), 1);
	expect_from(bed, HOST_PORT, GUEST_PORT, VSOCK_OP_RST);
	bool response = false, connect = false;
	for (unsigned i = 0; i < 2; i++) {
		assert_true(receive(bed));
		response |= bed->packet.op == VSOCK_OP_RESPONSE &&
		            bed->packet.dst_port == GUEST_PORT + 1;
		connect |= bed->packet.op == VSOCK_OP_REQUEST && bed->packet.dst_port == 52;
	}
	assert_true(response && connect);
	assert_int_equal(bed->services, 1);
	expect_nothing(bed);
	close(fd);
}

static void test_reset_first(void **state)
{
	expect_reset_first(*state, 0);
}

static void test_reset_first_with_many_buffers(void **state)
{
	expect_reset_first(*state, 8);
}

static void test_reset_first_with_event_indices(void **state)
{
	struct bed *bed = *state;

	bed->features = EVENT_IDX;
	expect_reset_first(bed, 8);
}

/* A copy that is copied before its driver has answered owes the same again. */
static void test_copy_of_a_copy(void **state)
{
	struct bed *bed = *state;

	start_with_events(bed, 2);
	copy(bed, false);
	expect_event(bed, 1);
	copy(bed, false);
	expect_event(bed, 2);
	handle_event(bed);
	send_op(bed, VSOCK_OP_REQUEST);
	expect(bed, VSOCK_OP_RESPONSE);
}

/* Drivers that have no connections to lose aren't told, and don't wait. */
static void test_nothing_to_reset(void **state)
{
	struct bed *bed = *state;

	copy(bed, false); /* none yet */
	start_with_events(bed, 2);
	send_op(bed, VSOCK_OP_REQUEST);
	expect(bed, VSOCK_OP_RESPONSE);
	assert_int_equal(used(bed, EVENT), 0);

	/* It broke a rule, and begins anew. */
	*bed->rings[TX].avail_idx += 1000;
	notify(bed, TX);
	assert_true(needs_reset(bed));
	copy(bed, false);
	assert_true(needs_reset(bed));
	start_with_events(bed, 2);
	send_op(bed, VSOCK_OP_REQUEST);
	expect(bed, VSOCK_OP_RESPONSE);
	assert_int_equal(used(bed, EVENT), 0);

	/* It is reset before it has given a buffer for the event. */
	start_with_events(bed, 0);
	copy(bed, false);
	start_with_events(bed, 2);
	send_op(bed, VSOCK_OP_REQUEST);
	expect(bed, VSOCK_OP_RESPONSE);
	assert_int_equal(used(bed, EVENT), 0);
}

/* A driver of another kind, without a queue for events, or with buffers that hold none. */
static void test_odd_event_queues(void **state)
{
	struct bed *bed = *state;

	start(bed, 8);
	struct wire_writer saved = save(bed);
	/* Queue 2 isn't active: of its 36 bytes, the 29th (test_vmm_virtio_state.c). */
	saved.data[46 + 2 * 36 + 28] = 0;
	become(bed, &saved, false);
	wire_writer_finish(&saved);
	send_op(bed, VSOCK_OP_REQUEST);
	expect(bed, VSOCK_OP_RESPONSE);

	start(bed, 8);
	offer_event(bed, 2, RING_F_WRITE);
	copy(bed, false);
	assert_int_equal(ring_used_before(&bed->rings[EVENT], 1).len, 2);
	handle_event(bed);
	send_op(bed, VSOCK_OP_REQUEST);
	expect(bed, VSOCK_OP_RESPONSE);

	start(bed, 8);
	offer_event(bed, 0, RING_F_WRITE); /* Q6 */
	copy(bed, false);
	assert_true(needs_reset(bed));
	start_with_events(bed, 1);
	send_op(bed, VSOCK_OP_REQUEST);
	expect(bed, VSOCK_OP_RESPONSE);
}

/* --- who waited for an answer ---------------------------------------------------------------- */

static unsigned count_resets(struct bed *bed, uint32_t host_port, uint32_t guest_port)
{
	unsigned count = 0;

	while (receive(bed)) {
		assert_int_equal(bed->packet.op, VSOCK_OP_RST);
		count += bed->packet.src_port == host_port && bed->packet.dst_port == guest_port;
	}
	return count;
}

/* Sockets of the guest that aren't connected yet don't hear of the reset: each is answered. */
static void test_answers_that_were_owed(void **state)
{
	static const struct {
		const char *name;
		uint32_t host_port;
		bool shut;   /* so that the request is held */
		bool leaves; /* the host's side, before the guest hears of it */
	} rows[] = {
		{ "accepted", HOST_PORT, false, false },
		{ "accepted, and closed by the host", HOST_PORT, false, true },
		{ "refused", OTHER_PORT, false, false },
		{ "held", OTHER_PORT, true, false },
	};
	struct bed *bed = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		start_with_events(bed, 8);
		/* No receive buffers: no answer gets through. */
		start(bed, 0);
		for (unsigned j = 0; j < 8; j++)
			offer_event(bed, 4, RING_F_WRITE);
		if (rows[i].shut)
			virtio_vsock_shut(bed->dev);
		send_from(bed, GUEST_PORT, rows[i].host_port, VSOCK_OP_REQUEST);
		if (rows[i].leaves)
			close_fd(&bed->service_fd);
		fake_kvm_rounds(bed->loop, 2);
		copy(bed, rows[i].shut);
		handle_event(bed);
		for (uint16_t j = 0; j < 8; j++)
			offer_rx(bed, j);
		notify(bed, RX);
		assert_row(rows[i].name, count_resets(bed, rows[i].host_port, GUEST_PORT) == 1);
		if (rows[i].shut)
			virtio_vsock_open(bed->dev);
		expect_nothing(bed);
		assert_row(rows[i].name, bed->services == 0);
	}
}

/* --- shut ------------------------------------------------------------------------------------ */

static int listen_at(struct bed *bed, uint32_t port)
{
	char path[64];
	int fd = -1;

	snprintf(path, sizeof(path), "%s_%u", bed->path, port);
	assert_int_equal(sock_listen_unix(path, &fd, &bed->err), 0);
	return fd;
}

static void stop_listening(struct bed *bed, uint32_t port, int fd)
{
	char path[64];

	snprintf(path, sizeof(path), "%s_%u", bed->path, port);
	close(fd);
	unlink(path);
}

static int accept_now(int listener)
{
	return accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

/* The VMM's own services are reached, nothing else is; when it is opened, who waited gets through. */
static void test_requests_are_held(void **state)
{
	struct bed *bed = *state;
	int listener = listen_at(bed, OTHER_PORT);

	start_copy(bed, true);
	send_from(bed, GUEST_PORT, OTHER_PORT, VSOCK_OP_REQUEST);
	send_from(bed, GUEST_PORT + 1, OTHER_PORT + 1, VSOCK_OP_REQUEST); /* to nobody */
	expect_nothing(bed);
	send_from(bed, GUEST_PORT, HOST_PORT, VSOCK_OP_REQUEST);
	expect_from(bed, HOST_PORT, GUEST_PORT, VSOCK_OP_RESPONSE);
	assert_int_equal(bed->services, 1);
	assert_int_equal(accept_now(listener), -1);
	virtio_vsock_open(bed->dev);
	expect_from(bed, OTHER_PORT + 1, GUEST_PORT + 1, VSOCK_OP_RST);
	expect_from(bed, OTHER_PORT, GUEST_PORT, VSOCK_OP_RESPONSE);
	expect_nothing(bed);
	cleanup_fd int fd = accept_now(listener);
	assert_true(fd >= 0);
	assert_int_equal(accept_now(listener), -1);
	/* And it is a stream as any. */
	struct vsock_packet p = packet_from(GUEST_PORT, OTHER_PORT, VSOCK_OP_RW);
	char text[8];
	p.len = 2;
	send_data(bed, &p, "hi", 2);
	assert_int_equal(read(fd, text, sizeof(text)), 2);
	stop_listening(bed, OTHER_PORT, listener);
}

/* The guest may think better of it, or insist. */
static void test_held_requests_change(void **state)
{
	static const struct {
		enum vsock_op op;
		bool answered; /* by RST, at once */
		bool connects; /* when it is opened */
	} rows[] = {
		{ VSOCK_OP_RST, false, false },     { VSOCK_OP_REQUEST, false, true },
		{ VSOCK_OP_RW, true, false },       { VSOCK_OP_SHUTDOWN, true, false },
		{ VSOCK_OP_RESPONSE, true, false }, { VSOCK_OP_CREDIT_UPDATE, true, false },
		{ (enum vsock_op)99, true, false },
	};
	struct bed *bed = *state;
	int listener = listen_at(bed, OTHER_PORT);

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char name[16];

		snprintf(name, sizeof(name), "op %u", (unsigned)rows[i].op);
		start_copy(bed, true);
		send_from(bed, GUEST_PORT + 1, OTHER_PORT, VSOCK_OP_REQUEST);
		send_from(bed, GUEST_PORT, OTHER_PORT, VSOCK_OP_REQUEST);
		send_from(bed, GUEST_PORT, OTHER_PORT, rows[i].op);
		if (rows[i].answered)
			expect_from(bed, OTHER_PORT, GUEST_PORT, VSOCK_OP_RST);
		expect_nothing(bed);
		virtio_vsock_open(bed->dev);
		unsigned responses = 0;
		while (receive(bed))
			responses += bed->packet.op == VSOCK_OP_RESPONSE;
		assert_row(name, responses == 1u + rows[i].connects);
		for (int fd; (fd = accept_now(listener)) >= 0; responses--)
			close(fd);
		assert_row(name, responses == 0);
	}
	stop_listening(bed, OTHER_PORT, listener);
}

static void test_so_many_are_held_and_no_more(void **state)
{
	struct bed *bed = *state;

	start_copy(bed, true);
	for (uint32_t i = 0; i < VSOCK_HELD_MAX; i++)
		send_from(bed, GUEST_PORT + i, OTHER_PORT, VSOCK_OP_REQUEST);
	expect_nothing(bed);
	send_from(bed, GUEST_PORT + VSOCK_HELD_MAX, OTHER_PORT, VSOCK_OP_REQUEST);
	expect_from(bed, OTHER_PORT, GUEST_PORT + VSOCK_HELD_MAX, VSOCK_OP_RST);
	/* One that gives up makes room. */
	send_from(bed, GUEST_PORT, OTHER_PORT, VSOCK_OP_RST);
	send_from(bed, GUEST_PORT + VSOCK_HELD_MAX, OTHER_PORT, VSOCK_OP_REQUEST);
	expect_nothing(bed);
	/* All are answered in the end; nobody listens. */
	virtio_vsock_open(bed->dev);
	for (unsigned i = 0; i < VSOCK_HELD_MAX; i++)
		expect(bed, VSOCK_OP_RST);
	expect_nothing(bed);
}

static void test_host_clients_wait(void **state)
{
	struct bed *bed = *state;

	start_copy(bed, true);
	int fd = connect_host(bed);
	assert_int_equal(write(fd, "CONNECT 52\n", 11), 11);
	expect_nothing(bed);
	assert_open(fd);
	virtio_vsock_open(bed->dev);
	expect(bed, VSOCK_OP_REQUEST);
	assert_int_equal(bed->packet.dst_port, 52);
	struct vsock_packet p = packet_from(52, bed->packet.src_port, VSOCK_OP_RESPONSE);
	send_data(bed, &p, NULL, 0);
	char answer[32] = "";
	assert_true(read(fd, answer, sizeof(answer)) > 3);
	assert_memory_equal(answer, "OK ", 3);
	close(fd);
}

/* A driver that is reset while it is shut: what it asked for is forgotten, and it is shut still. */
static void test_reset_while_shut(void **state)
{
	struct bed *bed = *state;
	int listener = listen_at(bed, OTHER_PORT);

	start_copy(bed, true);
	send_from(bed, GUEST_PORT, OTHER_PORT, VSOCK_OP_REQUEST);
	start_with_events(bed, 2);
	send_from(bed, GUEST_PORT + 1, OTHER_PORT, VSOCK_OP_REQUEST);
	expect_nothing(bed);
	virtio_vsock_open(bed->dev);
	expect_from(bed, OTHER_PORT, GUEST_PORT + 1, VSOCK_OP_RESPONSE);
	expect_nothing(bed);
	int fd = accept_now(listener);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(accept_now(listener), -1);
	stop_listening(bed, OTHER_PORT, listener);
}

/* Opened before its driver has heard of the reset: it still does so first. */
static void test_opened_early(void **state)
{
	struct bed *bed = *state;

	start_with_events(bed, 0);
	copy(bed, true);
	int fd = connect_host(bed);
	assert_int_equal(write(fd, "CONNECT 52\n", 11), 11);
	virtio_vsock_open(bed->dev);
	expect_nothing(bed);
	offer_event(bed, 4, RING_F_WRITE);
	notify(bed, EVENT);
	expect_event(bed, 1);
	expect_nothing(bed);
	handle_event(bed);
	expect(bed, VSOCK_OP_REQUEST);
	close(fd);
}

static void test_without_a_host_side(void **state)
{
	struct bed *bed = *state;
	const struct virtio_place place = { .memory = &bed->memory,
		                            .loop = bed->loop,
		                            .vm_fd = FAKE_VM_FD,
		                            .base = GPA(BASE),
		                            .pin = 5 };

	virtio_destroy(bed->dev);
	fake_kvm_reset();
	assert_int_equal(virtio_vsock_create(&place, GUEST_CID, NULL, &bed->dev, &bed->err), 0);
	virtio_vsock_shut(bed->dev);
	start(bed, 8);
	send_from(bed, GUEST_PORT, OTHER_PORT, VSOCK_OP_REQUEST);
	expect_nothing(bed);
	virtio_vsock_open(bed->dev);
	expect_from(bed, OTHER_PORT, GUEST_PORT, VSOCK_OP_RST);
}

/* --- and the rest ---------------------------------------------------------------------------- */

/* What nobody has waited for yet is signalled, once. */
static void test_completions_at_hand(void **state)
{
	struct bed *bed = *state;

	start(bed, 8);
	fake_kvm_edges(&bed->dev->irq);
	send_op(bed, VSOCK_OP_RST);
	assert_int_equal(fake_kvm_edges(&bed->dev->irq), 0);
	virtio_device_quiesce(bed->dev);
	assert_int_equal(fake_kvm_edges(&bed->dev->irq), 1);
	virtio_device_unquiesce(bed->dev);
	fake_kvm_rounds(bed->loop, 2);
	assert_int_equal(fake_kvm_edges(&bed->dev->irq), 0);
}

/* The host's end of the original's streams is the original's. */
static void test_original_keeps_its_streams(void **state)
{
	struct bed *bed = *state;
	char text[8];

	connect_service(bed);
	struct wire_writer saved = save(bed);
	fake_kvm_rounds(bed->loop, 2);
	send_text(bed, "on");
	assert_int_equal(read(bed->service_fd, text, sizeof(text)), 2);
	expect_nothing(bed);
	wire_writer_finish(&saved);
}

/* The port that the next connection of a host program's has in the guest. */
static uint32_t host_port_of_copy(struct bed *bed, const struct wire_writer *saved)
{
	become(bed, saved, false);
	handle_event(bed);
	int fd = connect_host(bed);
	assert_int_equal(write(fd, "CONNECT 52\n", 11), 11);
	expect(bed, VSOCK_OP_REQUEST);
	close(fd);
	return bed->packet.src_port;
}

static void test_copies_have_ports_of_their_own(void **state)
{
	struct bed *bed = *state;

	start_with_events(bed, 8);
	struct wire_writer saved = save(bed);
	uint32_t one = host_port_of_copy(bed, &saved);
	/* The rings are those of the moment of the copy again. */
	start_with_events(bed, 8);
	uint32_t other = host_port_of_copy(bed, &saved);
	assert_true(one >= VSOCK_FIRST_HOST_PORT && other >= VSOCK_FIRST_HOST_PORT);
	assert_int_not_equal(one, other);
	wire_writer_finish(&saved);
}

int main(void)
{
#define CLONE_TEST(name_) cmocka_unit_test_setup_teardown(name_, setup, teardown)
	const struct CMUnitTest tests[] = {
		CLONE_TEST(test_reset_first),
		CLONE_TEST(test_reset_first_with_many_buffers),
		CLONE_TEST(test_reset_first_with_event_indices),
		CLONE_TEST(test_copy_of_a_copy),
		CLONE_TEST(test_nothing_to_reset),
		CLONE_TEST(test_odd_event_queues),
		CLONE_TEST(test_answers_that_were_owed),
		CLONE_TEST(test_requests_are_held),
		CLONE_TEST(test_held_requests_change),
		CLONE_TEST(test_so_many_are_held_and_no_more),
		CLONE_TEST(test_host_clients_wait),
		CLONE_TEST(test_reset_while_shut),
		CLONE_TEST(test_opened_early),
		CLONE_TEST(test_without_a_host_side),
		CLONE_TEST(test_completions_at_hand),
		CLONE_TEST(test_original_keeps_its_streams),
		CLONE_TEST(test_copies_have_ports_of_their_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
