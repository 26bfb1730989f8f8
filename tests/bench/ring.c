/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ring.c - the least that a split ring costs: the yardstick of queue.descriptors.
 *
 * The driver of cycles.c as a thread, the same ring and chains, and a second thread that takes them:
 * reads index, head and both descriptors, copies the packet's header, returns the chain. It believes
 * all it reads and has no lock; when the ring is empty it says so (avail_event) and sleeps on an
 * eventfd, as a device does. What is left is the ring's cache lines going from core to core, and the
 * waking. Also tells the rate of the TSC, for times that a guest takes.
 *
 *	ring	prints "khz N", then ns for each CHAINS chains
 */
#include <err.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/clock.h"
#include "tests/bench/tsc.h"

#define SAMPLES 200
#define CHAINS 20000u
#define QUEUE_SIZE 256u
#define UNDER_WAY (QUEUE_SIZE / 2)
#define HEADER_SIZE 44u
#define DATA_SIZE 64u
#define DESC_NEXT 1u

static struct {
	struct {
		uint64_t addr;
		uint32_t len;
		uint16_t flags, next;
	} desc[QUEUE_SIZE];
	struct {
		uint16_t flags, ring[QUEUE_SIZE];
		_Atomic uint16_t idx;
	} avail __attribute__((aligned(64)));
	struct {
		struct {
			uint32_t id, len;
		} ring[QUEUE_SIZE];
		_Atomic uint16_t idx;
	} used __attribute__((aligned(64)));
} ring __attribute__((aligned(4096)));

static _Atomic uint16_t avail_event __attribute__((aligned(64)));
static int kick_fd;
static uint8_t packet[HEADER_SIZE], data[DATA_SIZE];
static atomic_bool done;

/* The avail index, which isn't @taken but when it is all over. */
static uint16_t await_chains(uint16_t taken)
{
	uint16_t idx = atomic_load_explicit(&ring.avail.idx, memory_order_acquire);
	uint64_t count;

	if (idx != taken)
		return idx;
	atomic_store(&avail_event, taken);
	idx = atomic_load(&ring.avail.idx);
	if (idx != taken)
		return idx;
	if (read(kick_fd, &count, sizeof(count)) < 0)
		err(1, "eventfd");
	return atomic_load(&ring.avail.idx);
}

static void kick(void)
{
	uint64_t one = 1;

	if (write(kick_fd, &one, sizeof(one)) < 0)
		err(1, "eventfd");
}

static void *take_chains(void *arg)
{
	uint8_t header[HEADER_SIZE];
	uint16_t taken = 0;
	uint64_t *sum = arg;

	while (!atomic_load_explicit(&done, memory_order_relaxed)) {
		uint16_t idx = await_chains(taken);

		for (; taken != idx; taken++) {
			uint16_t head = ring.avail.ring[taken % QUEUE_SIZE];
			uint16_t next = ring.desc[head].next;

			memcpy(header, (void *)(uintptr_t)ring.desc[head].addr, sizeof(header));
			*sum += header[0] + ring.desc[next].len;
			ring.used.ring[taken % QUEUE_SIZE].id = head;
			ring.used.ring[taken % QUEUE_SIZE].len = 0;
			atomic_store_explicit(&ring.used.idx, (uint16_t)(taken + 1),
			                      memory_order_release);
		}
	}
	return NULL;
}

static void send_chains(uint16_t *sent)
{
	uint16_t last = (uint16_t)(*sent + CHAINS);

	while (*sent != last) {
		uint16_t used = atomic_load_explicit(&ring.used.idx, memory_order_acquire);
		uint16_t before = *sent;

		while (*sent != last && (uint16_t)(*sent - used) < UNDER_WAY) {
			uint16_t slot = (uint16_t)(*sent % UNDER_WAY * 2);

			ring.desc[slot].addr = (uintptr_t)packet;
			ring.desc[slot].len = HEADER_SIZE;
			ring.desc[slot].flags = DESC_NEXT;
			ring.desc[slot].next = (uint16_t)(slot + 1);
			ring.desc[slot + 1].addr = (uintptr_t)data;
			ring.desc[slot + 1].len = DATA_SIZE;
			ring.avail.ring[*sent % QUEUE_SIZE] = slot;
			++*sent;
		}
		atomic_store(&ring.avail.idx, *sent);
		uint16_t event = atomic_load(&avail_event);
		if ((uint16_t)(*sent - event - 1) < (uint16_t)(*sent - before))
			kick();
	}
	while (atomic_load_explicit(&ring.used.idx, memory_order_acquire) != last)
		__builtin_ia32_pause();
}

int main(void)
{
	uint64_t ns[SAMPLES], sum = 0;
	uint16_t sent = 0;
	pthread_t thread;

	kick_fd = eventfd(0, EFD_CLOEXEC);
	if (kick_fd < 0)
		err(1, "eventfd");
	if (pthread_create(&thread, NULL, take_chains, &sum))
		errx(1, "cannot start a thread");
	struct tsc_mark begun = tsc_mark();
	for (unsigned i = 0; i < SAMPLES; i++) {
		uint64_t start_ns = clock_now_ns();

		send_chains(&sent);
		ns[i] = clock_now_ns() - start_ns;
	}
	tsc_print_rate(begun);
	atomic_store(&done, true);
	kick();
	pthread_join(thread, NULL);
	for (unsigned i = 0; i < SAMPLES; i++)
		printf("%llu\n", (unsigned long long)ns[i]);
	return sum == 0;
}
