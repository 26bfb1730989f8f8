/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * balloon.c - lists of pages that aren't RAM, lists without end, reports of what is in use.
 */
#include "tests/hostile/guest/hostile.h"

#define Q_INFLATE 0u
#define Q_DEFLATE 1u
#define Q_STATS 2u
#define Q_REPORTS 4u
#define QUEUE_SIZE 128u

#define F_STATS (1ull << 1)
#define F_REPORTING (1ull << 5)

#define SPARE (20u << 20) /* memory that nobody uses, from here to RAM_END */
#define LIST ((uint32_t *)(uintptr_t)(16u << 20))
#define LIST_MAX ((4u << 20) / 4)

static struct queue inflate, deflate, stats, reports;

static uint32_t page_of(uint64_t address)
{
	return (uint32_t)(address / PAGE);
}

static void start(struct dev *dev)
{
	dev_negotiate(dev, F_STATS | F_REPORTING);
	queue_start(&inflate, dev, Q_INFLATE, QUEUE_SIZE);
	queue_start(&deflate, dev, Q_DEFLATE, QUEUE_SIZE);
	queue_start(&stats, dev, Q_STATS, QUEUE_SIZE);
	queue_start(&reports, dev, Q_REPORTS, QUEUE_SIZE);
	dev_go(dev);
}

static void offer(struct queue *queue, const void *at, uint32_t size, uint16_t flags)
{
	queue_describe(queue, 0, at, size, flags, 0);
	queue_publish(queue, 0);
	queue_kick(queue);
}

static volatile uint64_t *word_at(uint64_t address)
{
	return (volatile uint64_t *)(uintptr_t)address;
}

void serve_balloon(struct dev *dev)
{
	start(dev);
	*word_at(SPARE) = 0x1234;
	*word_at(SPARE + PAGE) = 0x5678;
	LIST[0] = page_of(SPARE);
	offer(&inflate, LIST, 4, 0);
	queue_await(&inflate);
	check(*word_at(SPARE) == 0, "serve: the balloon takes a page");
	check(*word_at(SPARE + PAGE) == 0x5678, "serve: and no other");
	offer(&deflate, LIST, 4, 0);
	queue_await(&deflate);
}

/* --- pages that aren't RAM --- */

static void inflate_bad(struct dev *dev, uint32_t page)
{
	start(dev);
	LIST[0] = page_of(SPARE);
	LIST[1] = page;
	offer(&inflate, LIST, 8, 0);
	await_needs_reset(dev);
	check(queue_used(&inflate) == 0, "the list isn't used");
}

static void balloon_page_behind_ram(struct dev *dev)
{
	inflate_bad(dev, page_of(RAM_END));
}

static void balloon_page_in_hole(struct dev *dev)
{
	inflate_bad(dev, page_of(LAYOUT_HOLE_START));
}

static void balloon_page_is_device(struct dev *dev)
{
	inflate_bad(dev, page_of(LAYOUT_VIRTIO));
}

static void balloon_page_in_image(struct dev *dev)
{
	inflate_bad(dev, page_of(IMAGE_START));
}

static void balloon_page_max(struct dev *dev)
{
	inflate_bad(dev, 0xffffffff);
}

/* --- odd lists --- */

static void balloon_pages_twice(struct dev *dev)
{
	start(dev);
	for (unsigned i = 0; i < 1000; i++)
		LIST[i] = page_of(SPARE) + i % 3;
	offer(&inflate, LIST, 4000, 0);
	queue_await(&inflate);
}

static void balloon_list_cut_short(struct dev *dev)
{
	start(dev);
	*word_at(SPARE + PAGE) = 0x5678;
	LIST[0] = page_of(SPARE);
	LIST[1] = page_of(SPARE + PAGE);
	for (uint32_t size = 1; size < 8; size++) {
		offer(&inflate, LIST, size, 0);
		queue_await(&inflate);
	}
	check(*word_at(SPARE + PAGE) == 0x5678, "half a page number is none");
}

static void balloon_list_writable(struct dev *dev)
{
	start(dev);
	*word_at(SPARE) = 0x1234;
	LIST[0] = page_of(SPARE);
	offer(&inflate, LIST, 4, DESC_WRITE);
	queue_await(&inflate);
	check(*word_at(SPARE) == 0x1234, "not a list");
}

/* A million entries in one chain; another device is served meanwhile. */
static void balloon_huge_list(struct dev *dev)
{
	start(dev);
	for (unsigned i = 0; i < LIST_MAX; i++)
		LIST[i] = page_of(SPARE) + i % 1024;
	offer(&inflate, LIST, LIST_MAX * 4, 0);
	serve(DEVICE_RNG);
	queue_await(&inflate);
}

static void balloon_list_flood(struct dev *dev)
{
	start(dev);
	LIST[0] = page_of(SPARE);
	queue_describe(&inflate, 0, LIST, 4, 0, 0);
	for (unsigned i = 0; i < 30; i++) {
		for (unsigned k = 0; k < QUEUE_SIZE; k++)
			queue_publish(&inflate, 0);
		queue_kick(&inflate);
		queue_await(&inflate);
	}
}

static void balloon_inflate_all(struct dev *dev)
{
	uint32_t pages = (RAM_END - SPARE) / PAGE;

	start(dev);
	for (uint32_t i = 0; i < pages; i++) {
		*word_at(SPARE + i * PAGE) = i;
		LIST[i] = page_of(SPARE) + i;
	}
	offer(&inflate, LIST, pages * 4, 0);
	queue_await(&inflate);
	for (uint32_t i = 0; i < pages; i++)
		check(*word_at(SPARE + i * PAGE) == 0, "each page is gone");
}

/* The page that the list itself stands on: it's read to its end, or as zeros. */
static void balloon_list_gives_itself(struct dev *dev)
{
	start(dev);
	for (unsigned i = 0; i < 1024; i++)
		LIST[i] = page_of(AT(LIST));
	offer(&inflate, LIST, PAGE, 0);
	queue_await(&inflate);
}

/* Its own rings: what was used is forgotten by the guest, not by the device. */
static void balloon_gives_its_descriptors(struct dev *dev)
{
	start(dev);
	LIST[0] = page_of(AT(inflate.memory->desc));
	offer(&inflate, LIST, 4, 0);
	queue_await(&inflate);
	queue_publish(&inflate, 0);
	queue_kick(&inflate);
	await_needs_reset(dev); /* a buffer of no length: the descriptor is gone */
}

static void balloon_gives_its_used_ring(struct dev *dev)
{
	start(dev);
	LIST[0] = page_of(AT(&inflate.memory->used));
	offer(&inflate, LIST, 4, 0);
	queue_await(&inflate);
	LIST[0] = page_of(SPARE);
	offer(&inflate, LIST, 4, 0);
	queue_await(&inflate);
}

static void balloon_reset_during_list(struct dev *dev)
{
	for (unsigned i = 0; i < LIST_MAX; i++)
		LIST[i] = page_of(SPARE) + i % 1024;
	for (unsigned round = 0; round < 20; round++) {
		start(dev);
		offer(&inflate, LIST, LIST_MAX * 4, 0);
		for (unsigned i = 0; i < round * 100; i++)
			relax();
		dev_reset(dev);
		check(dev_status(dev) == 0, "reset in the midst of a list");
	}
}

static void balloon_deflate_garbage(struct dev *dev)
{
	start(dev);
	LIST[0] = 0xffffffff;
	offer(&deflate, LIST, 4, 0);
	queue_await(&deflate);
	offer(&deflate, LIST, 3, DESC_WRITE);
	queue_await(&deflate);
}

/* --- statistics --- */

static void balloon_stats_flood(struct dev *dev)
{
	start(dev);
	queue_describe(&stats, 0, LIST, 100, 0, 0);
	for (unsigned i = 0; i < QUEUE_SIZE; i++)
		queue_publish(&stats, 0);
	for (unsigned i = 0; i < 1000; i++)
		queue_kick(&stats);
	serve(DEVICE_RNG);
	check(queue_used(&stats) == 0, "one is kept, the others wait");
}

static void balloon_stats_garbage(struct dev *dev)
{
	for (unsigned i = 0; i < PAGE / 4; i++)
		LIST[i] = random32();
	for (uint32_t size = 1; size < 4 * PAGE; size = size * 3 + 1) {
		start(dev);
		offer(&stats, LIST, size, size % 2 ? 0 : DESC_WRITE);
		serve(DEVICE_RNG);
		check(!(dev_status(dev) & STATUS_NEEDS_RESET), "unknown tags, cut short, none");
	}
}

/* --- reports --- */

static void report_bad(struct dev *dev, uint64_t at, uint32_t size)
{
	start(dev);
	*word_at(SPARE) = 0x1234;
	offer(&reports, (void *)at, size, DESC_WRITE);
	await_needs_reset(dev);
	check(*word_at(SPARE) == 0x1234, "nothing was given back");
}

static void balloon_report_misaligned(struct dev *dev)
{
	report_bad(dev, SPARE + 8, PAGE);
}

static void balloon_report_part_of_page(struct dev *dev)
{
	report_bad(dev, SPARE, PAGE - 1);
}

static void balloon_report_in_image(struct dev *dev)
{
	report_bad(dev, IMAGE_START, PAGE);
}

static void balloon_report_readable(struct dev *dev)
{
	start(dev);
	*word_at(SPARE) = 0x1234;
	offer(&reports, (void *)(uintptr_t)SPARE, PAGE, 0);
	queue_await(&reports);
	check(*word_at(SPARE) == 0x1234, "that's no report");
}

static void balloon_report_flood(struct dev *dev)
{
	start(dev);
	queue_describe(&reports, 0, (void *)(uintptr_t)SPARE, RAM_END - SPARE, DESC_WRITE, 0);
	for (unsigned i = 0; i < 20; i++) {
		for (unsigned k = 0; k < QUEUE_SIZE; k++)
			queue_publish(&reports, 0);
		queue_kick(&reports);
		queue_await(&reports);
	}
}

/* --- the rest --- */

static void balloon_config_written(struct dev *dev)
{
	start(dev);
	uint32_t target = reg_read(dev, REG_CONFIG);
	reg_write(dev, REG_CONFIG, 0xffffffff);
	mmio_write(dev->base + REG_CONFIG, 1, 0xff);
	check(reg_read(dev, REG_CONFIG) == target, "what the host wants stays");
	reg_write(dev, REG_CONFIG + 4, 0xffffffff);
	mmio_write(dev->base + REG_CONFIG + 6, 4, 0xffffffff);
	mmio_write(dev->base + REG_CONFIG, 8, ~0ull);
	check(reg_read(dev, REG_CONFIG) == target, "and stays");
}

static void balloon_queues_not_negotiated(struct dev *dev)
{
	dev_negotiate(dev, 0);
	queue_start(&stats, dev, Q_STATS, QUEUE_SIZE);
	queue_start(&reports, dev, Q_REPORTS, QUEUE_SIZE);
	dev_go(dev);
	offer(&stats, LIST, 100, 0);
	offer(&reports, (void *)(uintptr_t)SPARE, PAGE, DESC_WRITE);
	serve(DEVICE_RNG);
	check(queue_used(&stats) == 0 && queue_used(&reports) == 0, "nobody looks at them");
}

#define CASE(name, outcome) HOSTILE_CASE(name, DEVICE_BALLOON, outcome)

const struct hostile_case balloon_cases[] = {
	CASE(balloon_page_behind_ram, NEEDS_RESET),
	CASE(balloon_page_in_hole, NEEDS_RESET),
	CASE(balloon_page_is_device, NEEDS_RESET),
	CASE(balloon_page_in_image, NEEDS_RESET),
	CASE(balloon_page_max, NEEDS_RESET),
	CASE(balloon_pages_twice, SERVED),
	CASE(balloon_list_cut_short, SERVED),
	CASE(balloon_list_writable, SERVED),
	CASE(balloon_huge_list, SERVED),
	CASE(balloon_list_flood, SERVED),
	CASE(balloon_inflate_all, SERVED),
	CASE(balloon_list_gives_itself, SERVED),
	CASE(balloon_gives_its_descriptors, NEEDS_RESET),
	CASE(balloon_gives_its_used_ring, SERVED),
	CASE(balloon_reset_during_list, SERVED),
	CASE(balloon_deflate_garbage, SERVED),
	CASE(balloon_stats_flood, SERVED),
	CASE(balloon_stats_garbage, SERVED),
	CASE(balloon_report_misaligned, NEEDS_RESET),
	CASE(balloon_report_part_of_page, NEEDS_RESET),
	CASE(balloon_report_in_image, NEEDS_RESET),
	CASE(balloon_report_readable, SERVED),
	CASE(balloon_report_flood, SERVED),
	CASE(balloon_config_written, SERVED),
	CASE(balloon_queues_not_negotiated, SERVED),
	{ 0 },
};
