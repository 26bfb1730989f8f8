/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * devices.c - tests of virtio over real MMIO, queues, interrupt routes, the root image.
 */
#include "tests/native/guest/guest.h"
#include "tests/native/guest/virtio_regs.h"

static struct vring ring;
static uint8_t random_bytes[2][64];

static void run_virtio(const struct boot_params *bp, const char *cmdline)
{
	(void)bp;
	(void)cmdline;
	for (unsigned i = 0; i < 12; i++) {
		uint64_t base = LAYOUT_VIRTIO + i * 0x1000ull;

		if (mmio_read(base + REG_MAGIC, 4) != MAGIC)
			continue;
		print_value("device", mmio_read(base + REG_DEVICE_ID, 4));
		print_value("version", mmio_read(base + REG_VERSION, 4));
		print_value("vendor", mmio_read(base + REG_VENDOR_ID, 4));
		mmio_write(base + REG_DEVICE_FEATURES_SEL, 4, 1);
		check(mmio_read(base + REG_DEVICE_FEATURES, 4) & 1, "VERSION_1 is offered");
		print_value("queue_max", mmio_read(base + REG_QUEUE_NUM_MAX, 4));
		print_value("config", mmio_read(base + REG_CONFIG, 8));
		check(mmio_read(base + REG_MAGIC, 1) == 0, "a narrow access reads 0");
		check(mmio_read(base + REG_MAGIC + 2, 4) == 0, "a misaligned access reads 0");
		check(mmio_read(base + 0xffc, 4) == 0, "config space past its end reads 0");
		mmio_write(base + REG_STATUS, 4, STATUS_DRIVER_OK);
		check(mmio_read(base + REG_STATUS, 4) == 0,
		      "DRIVER_OK before FEATURES_OK is ignored");
		mmio_write(base + REG_STATUS, 4, STATUS_FEATURES_OK);
		check(mmio_read(base + REG_STATUS, 4) == 0,
		      "FEATURES_OK without VERSION_1 is refused");
	}
}

static bool start_rng(struct virtio *rng)
{
	if (!virtio_find(DEVICE_RNG, rng)) {
		check(false, "there is an rng");
		return false;
	}
	check(virtio_start(rng, &ring) == STATUS_RUNNING, "the rng starts");
	return true;
}

/* Requests by ioeventfd, answers by the used ring; neither notification nor answer is an exit. */
static void run_rng(const struct boot_params *bp, const char *cmdline)
{
	struct virtio rng;

	(void)bp;
	(void)cmdline;
	if (!start_rng(&rng))
		return;
	for (unsigned i = 0; i < 2; i++) {
		virtio_ask(&rng, random_bytes[i], sizeof(random_bytes[i]));
		check(virtio_wait(&rng) == sizeof(random_bytes[i]), "the buffer is filled");
		print("random ");
		print_bytes(random_bytes[i], sizeof(random_bytes[i]));
		print("\n");
	}
	/* Twice round the ring. */
	for (unsigned i = 0; i < 2 * RING_SIZE; i++) {
		virtio_ask(&rng, random_bytes[0], 8);
		check(virtio_wait(&rng) == 8, "round the ring");
	}
}

/* Refills the ring as fast as it is emptied, and never lets go. */
static void run_storm(const struct boot_params *bp, const char *cmdline)
{
	struct virtio rng;

	(void)bp;
	(void)cmdline;
	if (!start_rng(&rng))
		return;
	print("storming\n");
	for (unsigned i = 0; i < RING_SIZE; i++)
		virtio_ask(&rng, random_bytes[0], 8);
	uint16_t before = 0;
	for (unsigned waited = 0;; waited++) {
		uint16_t served = __atomic_load_n(&ring.used.idx, __ATOMIC_ACQUIRE);

		__atomic_store_n(&ring.avail.idx, (uint16_t)(served + RING_SIZE), __ATOMIC_RELEASE);
		if (served == before && waited > 10000)
			mmio_write(rng.base + REG_QUEUE_NOTIFY, 4, 0);
		if (served != before || waited > 10000)
			waited = 0;
		before = served;
	}
}

/* A driver that breaks a rule gets a device that says so, and that works again after a reset. */
static void run_rules(const struct boot_params *bp, const char *cmdline)
{
	struct virtio rng;

	(void)bp;
	(void)cmdline;
	if (!start_rng(&rng))
		return;
	virtio_ask(&rng, (void *)(uintptr_t)LAYOUT_HOLE_START, 64);
	while (!(mmio_read(rng.base + REG_STATUS, 4) & STATUS_NEEDS_RESET))
		relax();
	check(mmio_read(rng.base + REG_INTERRUPT_STATUS, 4) & 2,
	      "a configuration interrupt says so");
	check(ring.used.idx == 0, "nothing was used");

	memset(&ring, 0, sizeof(ring));
	check(virtio_start(&rng, &ring) == STATUS_RUNNING, "the rng starts again");
	virtio_ask(&rng, random_bytes[0], sizeof(random_bytes[0]));
	check(virtio_wait(&rng) == sizeof(random_bytes[0]), "the rng works again");

	memset(&ring, 0, sizeof(ring));
	check(virtio_start(&rng, (struct vring *)(uintptr_t)LAYOUT_HOLE_START) & STATUS_NEEDS_RESET,
	      "a ring outside RAM is refused");
	mmio_write(rng.base + REG_QUEUE_NOTIFY, 4, 0);
	for (unsigned i = 0; i < 100; i++)
		mmio_write(rng.base + REG_STATUS, 4, 0);
	check(mmio_read(rng.base + REG_STATUS, 4) == 0, "a storm of resets ends in a reset device");
}

static void await_used_interrupt(const struct virtio *rng)
{
	while (!(mmio_read(rng->base + REG_INTERRUPT_STATUS, 4) & 1))
		relax();
}

static void run_irq(const struct boot_params *bp, const char *cmdline)
{
	struct virtio rng;

	(void)bp;
	(void)cmdline;
	lapic_enable();
	check((ioapic_read(1) & 0xff00ff) == (0x11u | 23u << 16), "an IOAPIC of 24 pins");
	if (!start_rng(&rng))
		return;

	route_pin(rng.pin, 0x40);
	check(ioapic_read(IOAPIC_REDIRECTION + 2 * rng.pin) == 0x40, "the entry reads back");
	virtio_ask(&rng, random_bytes[0], 8);
	await_request(0x40);
	check(virtio_wait(&rng) == 8, "the answer was there before its interrupt");
	print("delivered\n");

	/* Still asserted, as nothing was acknowledged: only the vector changes, no edge is due. */
	route_pin(rng.pin, 0x41 | REDIRECTION_MASKED);
	mmio_write(rng.base + REG_INTERRUPT_ACK, 4, 3);
	virtio_ask(&rng, random_bytes[0], 8);
	await_used_interrupt(&rng);
	check(!requested(0x41), "a masked pin delivers nothing");
	route_pin(rng.pin, 0x41);
	await_request(0x41);
	print("resent\n");

	mmio_write(rng.base + REG_INTERRUPT_ACK, 4, 3);
	route_pin(rng.pin, 0x42 | REDIRECTION_MASKED);
	route_pin(rng.pin, 0x42);
	check(!requested(0x42), "nothing is resent once acknowledged");

	ring.avail.flags = AVAIL_NO_INTERRUPT;
	virtio_ask(&rng, random_bytes[0], 8);
	virtio_wait(&rng);
	check(mmio_read(rng.base + REG_INTERRUPT_STATUS, 4) == 0,
	      "no interrupt when none is wanted");

	/* The serial's line: THR is empty, so enabling its interrupt raises it. */
	route_pin(LAYOUT_PIN_SERIAL, 0x50);
	mmio_write(LAYOUT_SERIAL + 1, 1, 2);
	await_request(0x50);
	mmio_write(LAYOUT_SERIAL + 1, 1, 0);
	print("serial\n");
}

/* The image through its memory slot: what the file holds, zeros behind, and no way to write. */
static void run_image(const struct boot_params *bp, const char *cmdline)
{
	struct virtio pmem;
	uint64_t sum = 0;

	(void)bp;
	(void)cmdline;
	if (!virtio_find(DEVICE_PMEM, &pmem)) {
		check(false, "there is a pmem");
		return;
	}
	uint64_t start = mmio_read(pmem.base + REG_CONFIG, 8);
	uint64_t size = mmio_read(pmem.base + REG_CONFIG + 8, 8);
	print_value("start", start);
	print_value("size", size);
	map_high(start, size);
	for (uint64_t at = start; at < start + size; at += 8)
		sum = (sum ^ *(volatile uint64_t *)at) * 0x100000001b3ull;
	print_value("sum", sum);

	for (uint64_t at = start; at < start + size; at += size / 4) {
		volatile uint64_t *word = (volatile uint64_t *)at;
		uint64_t before = *word;

		mmio_write(at, 8, ~before);
		check(*word == before, "the image can't be written");
	}
	virtio_start(&pmem, &ring);
	/* A flush is a readable type and a writable answer; a writable buffer alone gets an error. */
	virtio_ask(&pmem, random_bytes[0], 4);
	check(virtio_wait(&pmem) == 4 && random_bytes[0][0] == 1, "a flush without a type fails");
}

#define SECTOR 512u
#define DISK_SECTORS 64u

enum { DISK_IN = 0, DISK_OUT = 1, DISK_FLUSH = 4, DISK_ID = 8, DISK_DISCARD = 11 };

static struct {
	uint32_t type, reserved;
	uint64_t sector;
} disk_header;
static uint8_t disk_data[4 * SECTOR], disk_status;

/* One request with @size bytes of disk_data, and its answer. */
static uint8_t disk_ask(struct virtio *disk, uint32_t type, uint64_t sector, uint32_t size)
{
	bool to_guest = type == DISK_IN || type == DISK_ID;
	const struct vring_desc status = { (uintptr_t)&disk_status, 1, DESC_WRITE, 0 };
	struct vring_desc chain[3] = {
		{ (uintptr_t)&disk_header, sizeof(disk_header), 0, 0 },
		{ (uintptr_t)disk_data, size, to_guest ? DESC_WRITE : 0, 0 },
		status,
	};

	if (size == 0)
		chain[1] = status;
	disk_header.type = type;
	disk_header.sector = sector;
	disk_status = 0xaa;
	virtio_ask_chain(disk, chain, size ? 3 : 2);
	virtio_wait(disk);
	return *(volatile uint8_t *)&disk_status;
}

/*
 * Each sector of the file begins with its number; what is written comes back and stays. With
 * mode=ro nothing can be changed, with mode=limited nothing written.
 */
static void run_disk(const struct boot_params *bp, const char *cmdline)
{
	struct virtio disk;
	char mode[8];
	bool writable = !word_value(cmdline, "mode", mode, sizeof(mode));
	bool discards = writable || !streq(mode, "ro");

	(void)bp;
	if (!virtio_find(DEVICE_BLK, &disk)) {
		check(false, "there is a disk");
		return;
	}
	check(mmio_read(disk.base + REG_CONFIG, 8) == DISK_SECTORS, "its capacity");
	check(virtio_start(&disk, &ring) == STATUS_RUNNING, "the disk starts");
	for (uint64_t i = 0; i < DISK_SECTORS; i++) {
		check(disk_ask(&disk, DISK_IN, i, SECTOR) == 0, "a sector is read");
		check(*(volatile uint64_t *)(void *)disk_data == i, "it is the right one");
	}
	check(disk_ask(&disk, DISK_IN, DISK_SECTORS - 1, 2 * SECTOR) == 1, "not behind the end");
	check(disk_ask(&disk, DISK_IN, UINT64_MAX, SECTOR) == 1, "not so far behind it");
	check(disk_ask(&disk, DISK_IN, 0, SECTOR - 1) == 1, "no part of a sector");
	check(disk_ask(&disk, 77, 0, 0) == 2, "no request of an unknown type");

	memset(disk_data, 0x5a, sizeof(disk_data));
	check(disk_ask(&disk, DISK_OUT, 10, sizeof(disk_data)) == (writable ? 0 : 1),
	      "sectors are written, if the disk may be");
	check(disk_ask(&disk, DISK_FLUSH, 0, 0) == 0, "and flushed");
	check(disk_ask(&disk, DISK_IN, 13, SECTOR) == 0 &&
	              *(volatile uint64_t *)(void *)disk_data ==
	                      (writable ? 0x5a5a5a5a5a5a5a5aull : 13),
	      "and come back");
	check(disk_ask(&disk, DISK_ID, 0, 20) == 0, "it has a name");
	print("id ");
	print((const char *)disk_data);
	print("\n");
	memcpy(disk_data, &(uint64_t[2]){ 20, 8 }, 16);
	check(disk_ask(&disk, DISK_DISCARD, 0, 16) == (discards ? 0 : 1), "sectors are discarded");

	/* A header alone: there is no byte for an answer. */
	const struct vring_desc header = { (uintptr_t)&disk_header, sizeof(disk_header), 0, 0 };
	uint16_t used = ring.used.idx;
	virtio_ask_chain(&disk, &header, 1);
	while (!(mmio_read(disk.base + REG_STATUS, 4) & STATUS_NEEDS_RESET))
		relax();
	check(ring.used.idx == used, "nothing was used");
	memset(&ring, 0, sizeof(ring));
	check(virtio_start(&disk, &ring) == STATUS_RUNNING, "the disk starts again");
	check(disk_ask(&disk, DISK_IN, 3, SECTOR) == 0 &&
	              *(volatile uint64_t *)(void *)disk_data == 3,
	      "and works");
	for (unsigned i = 0; i < 200; i++) {
		memset(&ring, 0, sizeof(ring));
		virtio_start(&disk, &ring);
		virtio_ask_chain(&disk, &header, 1);
	}
	check(virtio_start(&disk, &ring) == STATUS_RUNNING, "a storm of resets is survived");
}

static void run_generation(const struct boot_params *bp, const char *cmdline)
{
	(void)bp;
	(void)cmdline;
	print_value("generation", mmio_read(LAYOUT_VMGENID, 8));
	mmio_write(LAYOUT_VMGENID, 8, 0);
	print_value("generation", mmio_read(LAYOUT_VMGENID, 8));
}

const struct guest_test device_tests[] = {
	{ "virtio", run_virtio }, { "rng", run_rng },
	{ "rules", run_rules },   { "disk", run_disk },
	{ "storm", run_storm },   { "irq", run_irq },
	{ "image", run_image },   { "generation", run_generation },
	{ NULL, NULL },
};
