/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/snapshot/pager_private.h"

#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "vmm/snapshot/userfault.h"

#define LOADER_NICE 5 /* who waits goes first */
#define BATCH 16u     /* faults that are taken from the kernel at once */

void pager_poke(int fd)
{
	uint64_t one = 1;
	ssize_t done = write(fd, &one, sizeof(one));

	/* Only a counter that is full already wouldn't take it. */
	(void)done;
}

void pager_fail(struct pager *pager, const char *message)
{
	if (!atomic_exchange(&pager->failed, true))
		pager->handlers.failed(pager->handlers.arg, message);
}

/* Room for a chunk, for as long as the thread runs; the caller frees it. NULL: the pager has failed. */
static uint8_t *get_buffer(struct pager *pager)
{
	uint8_t *buffer = malloc(SNAPSHOT_CHUNK_SIZE);

	if (!buffer)
		pager_fail(pager, "no memory to load the guest's memory");
	else
		memset(buffer, 0, SNAPSHOT_CHUNK_SIZE); /* touched before anybody waits for it */
	return buffer;
}

/* --- putting chunks there -------------------------------------------------------------------- */

static bool is_there(struct pager *pager, uint64_t chunk)
{
	return atomic_load(&pager->there[chunk / 8]) >> (chunk % 8) & 1;
}

static void note_there(struct pager *pager, uint64_t chunk, bool zero)
{
	uint8_t bit = (uint8_t)(1u << (chunk % 8));

	if (atomic_fetch_or(&pager->there[chunk / 8], bit) & bit || zero)
		return;
	if (atomic_fetch_add(&pager->loaded, 1) + 1 == atomic_load(&pager->wanted))
		pager_poke(pager->wake_fd);
}

/*
 * Puts the page at @waited_for there, which who waits for it needs first, then the whole chunk.
 * @waited_for is in the chunk, or NULL: nobody waits. 0 or -errno.
 */
static int put_pages(struct pager *pager, uint64_t chunk, const uint8_t *waited_for,
                     const uint8_t *bytes)
{
	uint8_t *at = pager->memory->ram + chunk * SNAPSHOT_CHUNK_SIZE;
	int ret = 0;

	if (waited_for) {
		size_t offset = (size_t)(waited_for - at) / GUEST_PAGE_SIZE * GUEST_PAGE_SIZE;

		ret = userfault_put(pager->fault_fd, at + offset, bytes ? bytes + offset : NULL,
		                    GUEST_PAGE_SIZE);
	}
	if (ret == 0)
		ret = userfault_put(pager->fault_fd, at, bytes,
		                    snapshot_file_chunk_size(pager->file, chunk));
	return ret;
}

/* I1, I2. @buffer has room for a chunk. */
static void put_chunk(struct pager *pager, uint64_t chunk, const uint8_t *waited_for,
                      uint8_t *buffer)
{
	bool zero = snapshot_file_chunk(pager->file, chunk) == SNAPSHOT_CHUNK_ZERO;
	struct error err = { 0 };

	int ret = zero ? 0 : snapshot_file_read_chunk(pager->file, chunk, buffer, &err);
	if (ret == 0) {
		ret = put_pages(pager, chunk, waited_for, zero ? NULL : buffer);
		if (ret)
			error_set(&err, ret, "guest memory can't be loaded: %s", strerror(-ret));
	}
	if (ret)
		pager_fail(pager, err.msg);
	else
		note_there(pager, chunk, zero);
}

/* --- the server ------------------------------------------------------------------------------ */

static void serve_fault(struct pager *pager, const void *address, uint8_t *buffer)
{
	uint64_t offset = (uint64_t)((uintptr_t)address - (uintptr_t)pager->memory->ram);
	uint64_t chunk = offset / SNAPSHOT_CHUNK_SIZE;

	ASSERT(offset < pager->memory->ram_size);
	/* It was put there while the fault came. Who put it may not have woken everybody yet. */
	if (is_there(pager, chunk)) {
		userfault_wake(pager->fault_fd, pager->memory->ram + chunk * SNAPSHOT_CHUNK_SIZE,
		               snapshot_file_chunk_size(pager->file, chunk));
		return;
	}
	if (pager->noting && snapshot_file_chunk(pager->file, chunk) != SNAPSHOT_CHUNK_ZERO)
		touch_record_note(pager->noting, (uint32_t)chunk, clock_now_ns());
	put_chunk(pager, chunk, address, buffer);
}

void *pager_serve(void *arg)
{
	struct pager *pager = arg;
	struct pollfd fds[] = { { .fd = pager->fault_fd, .events = POLLIN },
		                { .fd = pager->serve_fd, .events = POLLIN } };
	cleanup_free uint8_t *buffer = get_buffer(pager);
	void *addresses[BATCH];

	while (buffer && !atomic_load(&pager->stop_serving)) {
		int count = userfault_read(pager->fault_fd, addresses, BATCH);

		if (count < 0) {
			pager_fail(pager, "userfaultfd can't be read any more");
			break;
		}
		if (count == 0) {
			poll(fds, 2, -1);
			continue;
		}
		atomic_store(&pager->serving_ns, clock_now_ns());
		for (int i = 0; i < count; i++)
			serve_fault(pager, addresses[i], buffer);
		atomic_store(&pager->serving_ns, 0);
	}
	return NULL;
}

/* --- loaders --------------------------------------------------------------------------------- */

static bool goes_on(const struct pager *pager)
{
	return !atomic_load(&pager->stop_loading) && !atomic_load(&pager->failed);
}

static void load_chunk(struct pager *pager, uint64_t chunk, uint8_t *buffer)
{
	if (!is_there(pager, chunk) &&
	    snapshot_file_chunk(pager->file, chunk) != SNAPSHOT_CHUNK_ZERO)
		put_chunk(pager, chunk, NULL, buffer);
}

void *pager_load(void *arg)
{
	const struct sched_param none = { 0 };
	struct pager *pager = arg;
	cleanup_free uint8_t *buffer = get_buffer(pager);
	bool idle = false;

	setpriority(PRIO_PROCESS, (id_t)gettid(), LOADER_NICE);
	while (goes_on(pager)) {
		uint64_t place = atomic_fetch_add(&pager->next, 1);

		if (place < pager->order.count) {
			load_chunk(pager, pager->order.chunks[place], buffer);
			continue;
		}
		if (place - pager->order.count >= pager->chunk_count)
			break;
		/* The guest is likely to do without the rest for long. */
		if (!idle && !atomic_load(&pager->hurry))
			pthread_setschedparam(pthread_self(), SCHED_IDLE, &none);
		idle = true;
		load_chunk(pager, place - pager->order.count, buffer);
	}
	return NULL;
}

/*
 * Beside those that are idle by now, as who isn't privileged can't undo that. It takes what they are
 * at as well (I2), so that nothing waits for them.
 */
void *pager_load_hurried(void *arg)
{
	struct pager *pager = arg;
	cleanup_free uint8_t *buffer = get_buffer(pager);
	uint64_t chunk;

	while (goes_on(pager) &&
	       (chunk = atomic_fetch_add(&pager->next_hurried, 1)) < pager->chunk_count)
		load_chunk(pager, chunk, buffer);
	return NULL;
}
