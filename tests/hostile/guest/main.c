/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * main.c - runs the cases that the command line names, and looks at what each left behind.
 *
 * Prints "case NAME" before, "ok NAME" or "bad NAME" after each, and the size of the table, by
 * which run.py knows that its own list is the same.
 */
#include <asm/e820.h>

#include "tests/hostile/guest/hostile.h"

uint8_t buffer[PAGE] __attribute__((aligned(PAGE)));
uint8_t canary[PAGE] __attribute__((aligned(PAGE)));
struct vring_desc indirect_table[QUEUE_MAX + 1] __attribute__((aligned(PAGE)));

static const struct hostile_case *const tables[] = {
	ring_cases,  queue_cases, race_cases,    transport_cases, life_cases, small_cases,
	vsock_cases, blk_cases,   balloon_cases, net_cases,       tap_cases,  storm_cases,
};
#define TABLES (sizeof(tables) / sizeof(tables[0]))

static bool bad; /* a check of this case failed */

void guest_main(const struct boot_params *bp);

static const struct hostile_case *find(const char *name)
{
	for (size_t i = 0; i < TABLES; i++)
		for (const struct hostile_case *c = tables[i]; c->name; c++)
			if (streq(c->name, name))
				return c;
	return NULL;
}

static size_t count_cases(void)
{
	size_t count = 0;

	for (size_t i = 0; i < TABLES; i++)
		for (const struct hostile_case *c = tables[i]; c->name; c++)
			count++;
	return count;
}

void run_attack(struct dev *dev, const struct hostile_case *c)
{
	const struct attack *a = c->attack;
	uint16_t size = a->size ? a->size : 16, heads = a->head_count ? a->head_count : 1;
	struct queue queue;

	dev_negotiate(dev, a->features);
	queue_start(&queue, dev, a->queue, size);
	memcpy(queue.memory->desc, a->desc, sizeof(a->desc));
	memcpy(indirect_table, a->table, sizeof(a->table));
	dev_go(dev);
	for (uint16_t i = 0; i < heads; i++)
		queue_publish(&queue, a->heads[i]);
	queue_kick(&queue);
	if (c->outcome == SERVED)
		check(queue_await(&queue) == a->used_len, "the used length");
	else
		await_needs_reset(dev);
	check(c->outcome == SERVED || heads > 1 || queue_used(&queue) == 0,
	      "a broken chain isn't used");
}

static void check_outcome(const struct hostile_case *c, const struct dev *dev)
{
	uint32_t status = dev_status(dev);

	if (c->outcome == SERVED) {
		check(!(status & STATUS_NEEDS_RESET), "no DEVICE_NEEDS_RESET");
		return;
	}
	check(status & STATUS_NEEDS_RESET, "DEVICE_NEEDS_RESET");
	check(!(reg_read(dev, REG_INTERRUPT_STATUS) & INTERRUPT_CONFIG) == (c->outcome == REFUSED),
	      "a configuration interrupt says so");
	dev_reset(dev);
	check(dev_status(dev) == 0, "the device resets");
	check(reg_read(dev, REG_INTERRUPT_STATUS) == 0, "a reset takes the interrupts back");
}

static void run(const struct hostile_case *c)
{
	struct dev dev = { 0 };

	if (c->device && !dev_find(&dev, c->device))
		return;
	if (c->attack)
		run_attack(&dev, c);
	else
		c->run(&dev);
	if (c->device)
		check_outcome(c, &dev);
	serve(c->device);
	serve(c->device == DEVICE_RNG ? DEVICE_VSOCK : DEVICE_RNG);
}

static void run_named(const char *name)
{
	const struct hostile_case *c = find(name);

	print("case ");
	print(name);
	print("\n");
	bad = bad || checks_failed();
	checks_forget();
	if (c)
		run(c);
	else
		check(false, "no such case");
	print(checks_failed() ? "bad " : "ok ");
	print(name);
	print("\n");
}

static bool has_ram_end(const struct boot_params *bp)
{
	for (unsigned i = 0; i < bp->e820_entries; i++)
		if (bp->e820_table[i].addr + bp->e820_table[i].size == RAM_END ||
		    bp->e820_table[i].addr == LAYOUT_HOLE_END)
			return true;
	return false;
}

void guest_main(const struct boot_params *bp)
{
	static char names[2048];
	char *name = names;

	print_value("table", count_cases());
	if (!word_value((const char *)(uintptr_t)bp->hdr.cmd_line_ptr, "cases", names,
	                sizeof(names)))
		check(false, "cases=NAME,NAME names the cases");
	check(has_ram_end(bp), "RAM ends where the cases think");
	while (*name) {
		char *end = name;

		while (*end && *end != ',')
			end++;
		bool last = !*end;
		*end = '\0';
		run_named(name);
		name = last ? end : end + 1;
	}
	print(bad || checks_failed() ? "guest: failed\n" : "guest: passed\n");
	spin_forever(); /* the host still looks at the VMM, then ends it */
}
