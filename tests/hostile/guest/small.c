/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * small.c - rng, pmem, IOAPIC, serial port.
 */
#include "tests/hostile/guest/hostile.h"

#define RNG_MOST 256u
#define PMEM_FLUSH 0u
#define PMEM_OK 0u
#define PMEM_EIO 1u

#define IOAPIC_SELECT LAYOUT_IOAPIC
#define IOAPIC_WINDOW (LAYOUT_IOAPIC + 0x10u)
#define IOAPIC_VERSION 1u
#define IOAPIC_PIN(n) (0x10u + 2 * (n))
#define ENTRY_MASKED 0x10000u

static struct queue queue;

/* --- rng --- */

static void rng_huge_request(struct dev *dev)
{
	uint8_t *at = (uint8_t *)(uintptr_t)(16u << 20);

	memset(at, 0x5a, PAGE);
	dev_negotiate(dev, 0);
	queue_start(&queue, dev, 0, 16);
	dev_go(dev);
	queue_describe(&queue, 0, at, 40u << 20, DESC_WRITE, 0);
	queue_publish(&queue, 0);
	queue_kick(&queue);
	check(queue_await(&queue) == RNG_MOST, "one chunk");
	for (unsigned i = RNG_MOST; i < PAGE; i++)
		check(at[i] == 0x5a, "and not a byte more");
}

static void rng_flood(struct dev *dev)
{
	dev_negotiate(dev, 0);
	queue_start(&queue, dev, 0, 16);
	queue_describe(&queue, 0, (void *)(uintptr_t)(16u << 20), 40u << 20, DESC_WRITE, 0);
	dev_go(dev);
	for (unsigned i = 0; i < 100; i++) {
		for (unsigned k = 0; k < 16; k++)
			queue_publish(&queue, 0);
		queue_kick(&queue);
		check(queue_await(&queue) == RNG_MOST, "each gets its chunk");
	}
}

/* --- pmem --- */

static uint32_t pmem_type, pmem_answer;

static void start_pmem(struct dev *dev)
{
	pmem_type = PMEM_FLUSH;
	pmem_answer = ~0u;
	dev_negotiate(dev, 0);
	queue_start(&queue, dev, 0, 16);
	queue_describe(&queue, 0, &pmem_type, 4, DESC_NEXT, 1);
	queue_describe(&queue, 1, &pmem_answer, 4, DESC_WRITE, 0);
	dev_go(dev);
}

static uint32_t ask(void)
{
	queue_publish(&queue, 0);
	queue_kick(&queue);
	return queue_await(&queue);
}

static void pmem_flush_flood(struct dev *dev)
{
	start_pmem(dev);
	for (unsigned i = 0; i < 1000; i++) {
		for (unsigned k = 0; k < 16; k++)
			queue_publish(&queue, 0);
		queue_kick(&queue);
		queue_await(&queue);
		check(pmem_answer == PMEM_OK, "flushed");
	}
}

static void pmem_unknown_type(struct dev *dev)
{
	start_pmem(dev);
	pmem_type = 0xdeadbeef;
	check(ask() == 4 && pmem_answer == PMEM_EIO, "an error, no more");
}

static void pmem_short_type(struct dev *dev)
{
	start_pmem(dev);
	queue.memory->desc[0].len = 2;
	check(ask() == 4 && pmem_answer == PMEM_EIO, "an error, no more");
}

static void pmem_no_answer(struct dev *dev)
{
	start_pmem(dev);
	queue_describe(&queue, 0, &pmem_type, 4, 0, 0);
	check(ask() == 0, "nowhere to answer");
}

static void pmem_short_answer(struct dev *dev)
{
	start_pmem(dev);
	pmem_answer = 0x5a5a5a5a;
	queue.memory->desc[1].len = 1;
	check(ask() == 1, "as much as there is room for");
	check(pmem_answer >> 8 == 0x5a5a5a, "and no more");
}

static void pmem_answer_alone(struct dev *dev)
{
	start_pmem(dev);
	queue_describe(&queue, 0, &pmem_answer, 4, DESC_WRITE, 0);
	check(ask() == 4 && pmem_answer == PMEM_EIO, "a flush without a type fails");
}

static void pmem_answer_in_image(struct dev *dev)
{
	start_pmem(dev);
	queue_describe(&queue, 1, (void *)IMAGE_START, 4, DESC_WRITE, 0);
	queue_publish(&queue, 0);
	queue_kick(&queue);
	await_needs_reset(dev);
}

static void pmem_image_written(struct dev *dev)
{
	(void)dev;
	map_high(IMAGE_START, 2u << 20);
	for (uint64_t at = IMAGE_START; at < IMAGE_START + (2u << 20); at += 64 * PAGE) {
		uint64_t before = *(volatile uint64_t *)at;

		mmio_write(at, 8, ~before);
		check(*(volatile uint64_t *)at == before, "the image can't be written");
	}
}

/* --- IOAPIC --- */

static uint32_t ioapic_get(uint32_t index)
{
	mmio_write(IOAPIC_SELECT, 4, index);
	return (uint32_t)mmio_read(IOAPIC_WINDOW, 4);
}

static void ioapic_set(uint32_t index, uint32_t value)
{
	mmio_write(IOAPIC_SELECT, 4, index);
	mmio_write(IOAPIC_WINDOW, 4, value);
}

static void mask_all(void)
{
	for (unsigned pin = 0; pin < 24; pin++) {
		ioapic_set(IOAPIC_PIN(pin), ENTRY_MASKED);
		ioapic_set(IOAPIC_PIN(pin) + 1, 0);
	}
}

static void ioapic_pin_out_of_range(struct dev *dev)
{
	(void)dev;
	for (uint32_t index = IOAPIC_PIN(24); index < 0x100; index++) {
		ioapic_set(index, 0xffffffff);
		check(ioapic_get(index) == 0, "no such pin");
	}
	check((ioapic_get(IOAPIC_VERSION) & 0xff00ff) == (0x11u | 23u << 16), "24 pins");
}

static void ioapic_index_is_a_byte(struct dev *dev)
{
	(void)dev;
	ioapic_set(IOAPIC_PIN(3), ENTRY_MASKED | 0x33);
	check(ioapic_get(0xffffff00 | IOAPIC_PIN(3)) == (ENTRY_MASKED | 0x33),
	      "the low byte selects");
	for (uint32_t index = 3; index < 0x10; index++) {
		ioapic_set(index, 0xffffffff);
		check(ioapic_get(index) == 0, "no such register");
	}
	mask_all();
}

static void ioapic_reserved_bits(struct dev *dev)
{
	(void)dev;
	for (unsigned pin = 0; pin < 24; pin++) {
		ioapic_set(IOAPIC_PIN(pin), 0xffffffff);
		ioapic_set(IOAPIC_PIN(pin) + 1, 0xffffffff);
		check(ioapic_get(IOAPIC_PIN(pin)) == 0x1afff, "reserved and read-only bits stay 0");
		check(ioapic_get(IOAPIC_PIN(pin) + 1) == 0xff000000, "in the high half too");
	}
	uint32_t version = ioapic_get(IOAPIC_VERSION);
	ioapic_set(IOAPIC_VERSION, 0);
	check(ioapic_get(IOAPIC_VERSION) == version, "the version is read-only");
	ioapic_set(0, 0xffffffff);
	check(ioapic_get(0) == 0x0f000000, "the id has four bits");
	ioapic_set(0, 0);
	mask_all();
}

/* SMI, NMI, INIT, ExtINT and reserved modes, vectors that are exceptions, absent CPUs: no route. */
static void ioapic_strange_routes(struct dev *dev)
{
	(void)dev;
	for (uint32_t mode = 0; mode < 8; mode++)
		for (uint32_t vector = 0; vector < 0x100; vector += 15) {
			ioapic_set(IOAPIC_PIN(20) + 1, vector << 24);
			ioapic_set(IOAPIC_PIN(20), mode << 8 | vector);
			ioapic_set(IOAPIC_PIN(20), 0x8800 | mode << 8 | vector);
		}
	mask_all();
}

static void ioapic_storm(struct dev *dev)
{
	(void)dev;
	for (unsigned i = 0; i < 2000; i++)
		ioapic_set(IOAPIC_PIN(i % 24), i & 1 ? ENTRY_MASKED : 0x20 + i % 0xd0);
	mask_all();
}

static void ioapic_odd_access(struct dev *dev)
{
	(void)dev;
	mmio_write(IOAPIC_SELECT, 4, IOAPIC_VERSION);
	for (unsigned size = 1; size <= 8; size *= 2)
		for (unsigned offset = 0; offset < 0x1000; offset += 7) {
			mmio_read(LAYOUT_IOAPIC + offset, size);
			if (size != 4)
				mmio_write(LAYOUT_IOAPIC + offset, size, ~0ull);
		}
	mmio_write(IOAPIC_WINDOW + 1, 4, 0xffffffff);
	check(mmio_read(IOAPIC_SELECT, 4) == IOAPIC_VERSION, "none of it selects");
	mask_all();
}

/* A routed pin raised as often as it goes, while its route comes and goes. */
static void ioapic_storm_while_raised(struct dev *dev)
{
	dev_negotiate(dev, 0);
	queue_start(&queue, dev, 0, 16);
	queue_describe(&queue, 0, buffer, 8, DESC_WRITE, 0);
	dev_go(dev);
	uint32_t pin = LAYOUT_PIN_VIRTIO + (uint32_t)((dev->base - LAYOUT_VIRTIO) >> 12);
	for (unsigned i = 0; i < 300; i++) {
		queue_publish(&queue, 0);
		queue_kick(&queue);
		ioapic_set(IOAPIC_PIN(pin), i & 1 ? ENTRY_MASKED : 0x40);
		queue_await(&queue);
	}
	mask_all();
}

/* --- serial --- */

static void serial_odd_access(struct dev *dev)
{
	(void)dev;
	for (unsigned size = 2; size <= 8; size *= 2)
		for (unsigned offset = 0; offset < 8; offset++) {
			mmio_write(LAYOUT_SERIAL + offset, size, ~0ull);
			mmio_read(LAYOUT_SERIAL + offset, size);
		}
	check(mmio_read(LAYOUT_SERIAL + 5, 1) == 0x60, "the transmitter is empty");
}

static void serial_registers(struct dev *dev)
{
	(void)dev;
	for (unsigned i = 0; i < 2000; i++) {
		unsigned reg = 1 + random32() % 7;

		mmio_write(LAYOUT_SERIAL + reg, 1, random32());
		mmio_read(LAYOUT_SERIAL + random32() % 8, 1);
	}
	for (unsigned reg = 1; reg < 5; reg++)
		mmio_write(LAYOUT_SERIAL + reg, 1, 0);
}

static void serial_control_bytes(struct dev *dev)
{
	(void)dev;
	for (unsigned byte = 0; byte < 0x100; byte++)
		if (byte != '\n')
			mmio_write(LAYOUT_SERIAL, 1, byte);
	print("\n");
}

/* Nobody reads the other end: all that the guest loses is its own output. */
static void serial_flood(struct dev *dev)
{
	(void)dev;
	for (unsigned i = 0; i < 80000; i++)
		mmio_write(LAYOUT_SERIAL, 1, 'a' + i % 26);
	print("\n");
}

static void serial_interrupt_storm(struct dev *dev)
{
	(void)dev;
	ioapic_set(IOAPIC_PIN(LAYOUT_PIN_SERIAL), 0x51);
	for (unsigned i = 0; i < 2000; i++) {
		mmio_write(LAYOUT_SERIAL + 1, 1, 2);
		mmio_write(LAYOUT_SERIAL + 1, 1, 0);
	}
	mask_all();
}

#define PMEM_CASE(name_) HOSTILE_CASE(name_, DEVICE_PMEM, SERVED)

const struct hostile_case small_cases[] = {
	HOSTILE_CASE(rng_huge_request, DEVICE_RNG, SERVED),
	HOSTILE_CASE(rng_flood, DEVICE_RNG, SERVED),
	PMEM_CASE(pmem_flush_flood),
	PMEM_CASE(pmem_unknown_type),
	PMEM_CASE(pmem_short_type),
	PMEM_CASE(pmem_no_answer),
	PMEM_CASE(pmem_short_answer),
	PMEM_CASE(pmem_answer_alone),
	HOSTILE_CASE(pmem_answer_in_image, DEVICE_PMEM, NEEDS_RESET),
	PMEM_CASE(pmem_image_written),
	HOSTILE_CASE(ioapic_pin_out_of_range, 0, SERVED),
	HOSTILE_CASE(ioapic_index_is_a_byte, 0, SERVED),
	HOSTILE_CASE(ioapic_reserved_bits, 0, SERVED),
	HOSTILE_CASE(ioapic_strange_routes, 0, SERVED),
	HOSTILE_CASE(ioapic_storm, 0, SERVED),
	HOSTILE_CASE(ioapic_odd_access, 0, SERVED),
	HOSTILE_CASE(ioapic_storm_while_raised, DEVICE_RNG, SERVED),
	HOSTILE_CASE(serial_odd_access, 0, SERVED),
	HOSTILE_CASE(serial_registers, 0, SERVED),
	HOSTILE_CASE(serial_control_bytes, 0, SERVED),
	HOSTILE_CASE(serial_flood, 0, SERVED),
	HOSTILE_CASE(serial_interrupt_storm, 0, SERVED),
	{ 0 },
};
