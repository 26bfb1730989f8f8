/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cycles.c - a guest in ring 3 that times its own exits and a queue (exit.cost, queue.descriptors).
 *
 * On the runtime of tests/native/guest. The command line says what to time:
 *
 *	time=read	the rng's status register, through the bus and the device's lock
 *	time=write	its queue selection, likewise
 *	time=notify	its queue notification, an ioeventfd that wakes the I/O thread
 *	time=queue	chains of two descriptors through vsock's transmit queue, 128 under way: each
 *			a packet that the device reads and has nothing to do about (RST of no stream)
 *
 * Prints "ticks HEX" a sample, of ROUNDS accesses or chains; the TSC's rate is the reader's affair.
 */
#include "tests/native/guest/guest.h"
#include "tests/native/guest/virtio_regs.h"

#define SAMPLES 200
#define ACCESSES 100
#define CHAINS 20000u
#define QUEUE_SIZE 256u
#define UNDER_WAY (QUEUE_SIZE / 2)
#define VSOCK_TX 1u
#define F_EVENT_IDX (1u << 29)

void guest_main(const struct boot_params *bp);

/* struct virtio_vsock_hdr: from the guest to the host, stream, RST. */
static const struct {
	uint64_t src_cid, dst_cid;
	uint32_t src_port, dst_port, len;
	uint16_t type, op;
	uint32_t flags, buf_alloc, fwd_cnt;
} __attribute__((packed)) packet = { 3, 2, 1, 1, 64, 1, 3, 0, 0, 0 };

static const uint8_t data[64];
static uint64_t ticks[SAMPLES];

static struct {
	struct vring_desc desc[QUEUE_SIZE];
	struct {
		uint16_t flags, idx, ring[QUEUE_SIZE], event;
	} avail;
	struct {
		uint16_t flags, idx;
		struct {
			uint32_t id, len;
		} ring[QUEUE_SIZE];
		uint16_t event;
	} used __attribute__((aligned(4)));
} tx __attribute__((aligned(4096)));

static uint64_t now(void)
{
	uint32_t low, high;

	__asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

static void time_reads(const struct virtio *rng)
{
	for (unsigned i = 0; i < SAMPLES; i++) {
		uint64_t begun = now();

		for (unsigned k = 0; k < ACCESSES; k++)
			mmio_read(rng->base + REG_STATUS, 4);
		ticks[i] = now() - begun;
	}
}

static void time_writes(const struct virtio *rng, unsigned reg)
{
	for (unsigned i = 0; i < SAMPLES; i++) {
		uint64_t begun = now();

		for (unsigned k = 0; k < ACCESSES; k++)
			mmio_write(rng->base + reg, 4, 0);
		ticks[i] = now() - begun;
	}
}

static void time_accesses(const char *what)
{
	static struct vring ring;
	struct virtio rng;

	if (!virtio_find(DEVICE_RNG, &rng) || virtio_start(&rng, &ring) != STATUS_RUNNING) {
		check(false, "there is an rng");
		return;
	}
	if (streq(what, "read"))
		time_reads(&rng);
	else
		time_writes(&rng, streq(what, "write") ? REG_QUEUE_SEL : REG_QUEUE_NOTIFY);
}

static void set(uint64_t base, unsigned reg, uint32_t value)
{
	mmio_write(base + reg, 4, value);
}

static void start_queue(uint64_t base)
{
	set(base, REG_STATUS, 0);
	set(base, REG_STATUS, STATUS_ACKNOWLEDGE | STATUS_DRIVER);
	set(base, REG_DRIVER_FEATURES_SEL, 0);
	set(base, REG_DRIVER_FEATURES, F_EVENT_IDX);
	set(base, REG_DRIVER_FEATURES_SEL, 1);
	set(base, REG_DRIVER_FEATURES, 1);
	set(base, REG_STATUS, STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK);
	set(base, REG_QUEUE_SEL, VSOCK_TX);
	set(base, REG_QUEUE_NUM, QUEUE_SIZE);
	set(base, REG_QUEUE_DESC, (uint32_t)(uintptr_t)tx.desc);
	set(base, REG_QUEUE_DRIVER, (uint32_t)(uintptr_t)&tx.avail);
	set(base, REG_QUEUE_DEVICE, (uint32_t)(uintptr_t)&tx.used);
	set(base, REG_QUEUE_READY, 1);
	set(base, REG_STATUS, STATUS_RUNNING);
	check(mmio_read(base + REG_STATUS, 4) == STATUS_RUNNING, "the vsock device starts");
}

/* Keeps UNDER_WAY chains in the ring, and notifies when the device asks for it (§2.7.10). */
static void send_chains(uint64_t base, uint16_t *sent, unsigned count)
{
	uint16_t last = (uint16_t)(*sent + count);

	while (*sent != last) {
		uint16_t used = __atomic_load_n(&tx.used.idx, __ATOMIC_ACQUIRE), before = *sent;

		while (*sent != last && (uint16_t)(*sent - used) < UNDER_WAY) {
			uint16_t slot = (uint16_t)(*sent % UNDER_WAY * 2);

			tx.desc[slot] = (struct vring_desc){ (uintptr_t)&packet, sizeof(packet),
				                             DESC_NEXT, (uint16_t)(slot + 1) };
			tx.desc[slot + 1] =
				(struct vring_desc){ (uintptr_t)data, sizeof(data), 0, 0 };
			tx.avail.ring[*sent % QUEUE_SIZE] = slot;
			++*sent;
		}
		__atomic_store_n(&tx.avail.idx, *sent, __ATOMIC_SEQ_CST);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		uint16_t event = __atomic_load_n(&tx.used.event, __ATOMIC_RELAXED);
		if ((uint16_t)(*sent - event - 1) < (uint16_t)(*sent - before))
			set(base, REG_QUEUE_NOTIFY, VSOCK_TX);
	}
	while (__atomic_load_n(&tx.used.idx, __ATOMIC_ACQUIRE) != last)
		relax();
}

static void time_queue(void)
{
	struct virtio vsock;
	uint16_t sent = 0;

	if (!virtio_find(DEVICE_VSOCK, &vsock)) {
		check(false, "there is a vsock device");
		return;
	}
	start_queue(vsock.base);
	for (unsigned i = 0; i < SAMPLES; i++) {
		uint64_t begun = now();

		send_chains(vsock.base, &sent, CHAINS);
		ticks[i] = now() - begun;
	}
}

void guest_main(const struct boot_params *bp)
{
	char what[16] = "";

	word_value((const char *)(uintptr_t)bp->hdr.cmd_line_ptr, "time", what, sizeof(what));
	if (streq(what, "queue"))
		time_queue();
	else
		time_accesses(what);
	for (unsigned i = 0; i < SAMPLES; i++)
		print_value("ticks", ticks[i]);
	print(checks_failed() ? "guest: failed\n" : "guest: passed\n");
	power_off();
}
