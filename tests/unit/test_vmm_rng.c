/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_vmm_rng.c - what the rng gives a guest that wants all of it, by a clock of the test's own.
 *
 * Wraps ioctl (vmm_fake_kvm.h) and clock_gettime. That it answers requests at all is in
 * test_vmm_virtio_mmio.c.
 */
#include "tests/unit/vmm_driver.h"

#include <time.h>

#include "lib/clock.h"

#define BUFFER 0x100000u
#define CHUNK 256u
#define BURST (256u << 10) /* bytes: what virtio.h promises */
#define RATE (1u << 20)    /* bytes a second */
#define RING 16

static uint64_t now_ns;

int __wrap_clock_gettime(clockid_t clock, struct timespec *out);

int __wrap_clock_gettime(clockid_t clock, struct timespec *out)
{
	assert_int_equal(clock, CLOCK_MONOTONIC);
	*out = (struct timespec){ .tv_sec = (time_t)(now_ns / NS_PER_S),
		                  .tv_nsec = (long)(now_ns % NS_PER_S) };
	return 0;
}

static int setup(void **state)
{
	now_ns = 100 * NS_PER_S;
	if (driver_setup(state))
		return -1;
	struct driver *d = *state;
	const struct virtio_place place = driver_place(d);

	return virtio_rng_create(&place, &d->dev, &d->err);
}

/* Keeps the ring full for @rounds rounds of the loop; the requests that were answered. */
static unsigned want(struct driver *d, unsigned rounds, uint32_t size)
{
	struct ring *ring = &d->rings[0];
	uint16_t first = *ring->used_idx;

	while (rounds-- > 0) {
		while ((uint16_t)(*ring->avail_idx - *ring->used_idx) < RING) {
			uint16_t head = *ring->avail_idx % RING;

			ring_describe(ring, head, BUFFER, size, RING_F_WRITE, 0);
			ring_offer(ring, head);
		}
		driver_notify(d, 0);
	}
	return (uint16_t)(*ring->used_idx - first);
}

static void test_burst_then_rate(void **state)
{
	struct driver *d = *state;

	driver_start(d, 0, 1, RING);
	assert_int_equal(want(d, 200, 4096), BURST / CHUNK);
	assert_int_equal(want(d, 50, 4096), 0);
	assert_int_equal(driver_get(d, REG_STATUS), STATUS_RUNNING);
	/* What waits in the ring is answered by itself, without another notification. */
	uint16_t before = *d->rings[0].used_idx;
	now_ns += NS_PER_S * CHUNK / RATE + 1;
	fake_kvm_rounds(d->loop, 3);
	assert_int_equal((uint16_t)(*d->rings[0].used_idx - before), 1);
}

static void test_refilled_in_a_second(void **state)
{
	struct driver *d = *state;
	unsigned answered = 0;

	driver_start(d, 0, 1, RING);
	want(d, 200, 4096);
	for (unsigned ms = 0; ms < 1000; ms++) {
		now_ns += NS_PER_MS;
		answered += want(d, 2, 4096);
	}
	assert_in_range(answered, RATE / CHUNK - 1, RATE / CHUNK);
}

static void test_reset_while_it_waits(void **state)
{
	struct driver *d = *state;

	driver_start(d, 0, 1, RING);
	want(d, 200, 4096);
	driver_set(d, REG_STATUS, 0);
	now_ns += NS_PER_S;
	fake_kvm_rounds(d->loop, 3);
	/* A new driver isn't answered before it asks, nor kept from it by the old one's debts. */
	driver_start(d, 0, 1, RING);
	fake_kvm_rounds(d->loop, 3);
	assert_int_equal(*d->rings[0].used_idx, 0);
	assert_int_equal(want(d, 1, 4096), RING);
}

static void test_destroyed_while_it_waits(void **state)
{
	struct driver *d = *state;

	driver_start(d, 0, 1, RING);
	want(d, 200, 4096);
	virtio_destroy(d->dev);
	d->dev = NULL;
	now_ns += NS_PER_S;
	fake_kvm_rounds(d->loop, 3);
}

int main(void)
{
#define RNG_TEST(name_) cmocka_unit_test_setup_teardown(name_, setup, driver_teardown)
	const struct CMUnitTest tests[] = {
		RNG_TEST(test_burst_then_rate),
		RNG_TEST(test_refilled_in_a_second),
		RNG_TEST(test_reset_while_it_waits),
		RNG_TEST(test_destroyed_while_it_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
