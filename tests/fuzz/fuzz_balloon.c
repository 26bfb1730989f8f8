/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_balloon.c - vmm/virtio/balloon.c: lists of pages, reports, statistics, and a host that sets
 * targets and asks.
 */
#include "vmm/virtio/balloon.h"

#include "tests/fuzz/driver.h"
#include "tests/fuzz/guest_ram.h"

enum act { TARGET, ASK, LOOK, ACTS };

static struct virtio_device *balloon;

void fuzz_init(void)
{
}

static void look(void)
{
	struct balloon_state state;

	virtio_balloon_read(balloon, &state);
	CHECK(state.actual <= RAM_LOW_SIZE && state.target <= RAM_LOW_SIZE);
	CHECK(state.known < 1u << BALLOON_STATS);
	CHECK((state.inflated | state.reported) % GUEST_PAGE_SIZE == 0);
}

/* As control does it: looks, and now and then has it asked for again at once. */
static void on_stats(void *arg)
{
	(void)arg;
	look();
	virtio_balloon_ask(balloon);
}

static struct virtio_device *create(const struct virtio_place *place, struct input *in)
{
	const struct balloon_handlers handlers = { NULL, input_u8(in) & 1 ? on_stats : NULL };
	struct error err = { 0 };

	balloon = NULL;
	CHECK(virtio_balloon_create(place, &handlers, true, &balloon, &err) == 0);
	return balloon;
}

static void host(struct input *in)
{
	uint8_t byte = input_u8(in);

	switch ((enum act)(byte % ACTS)) {
	case TARGET:
		virtio_balloon_set_target(balloon, (uint64_t)(byte / ACTS) * GUEST_PAGE_SIZE);
		break;
	case ASK:
		virtio_balloon_ask(balloon);
		break;
	case LOOK:
	case ACTS:
		look();
		break;
	}
	driver_loop();
}

void fuzz_one(struct input *in)
{
	static const struct driver_device device = { .create = create, .host = host };

	driver_run(&device, in);
}
