/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pager.c - RAM on demand: userfaultfd(2) in front of a snapshot file.
 *
 * Only the blocks of RAM in which the snapshot has something are registered. All others are plain
 * memory from the start, and so are zero chunks of those that are once the pager is done: nothing
 * is ever copied to make zeros.
 *
 *	server    waits for faults, reads the chunk that each is in, puts it there
 *	loaders   put what nobody has touched yet: in the recorded order, at a lower priority, then, at
 *	          idle priority, all
 *	watcher   starts the loaders, sees that no fault waits for too long, ends it all
 *
 *  I1  A chunk is put from bytes whose hash was right, or not at all.
 *  I2  Chunks are put as wholes, by any number of threads at once: a page that is there stays. So
 *      nobody owns a chunk, and the server never waits for a loader.
 *  I3  .there has a chunk only when all its pages are there; .loaded counts those that aren't zero.
 *  I4  No page goes away while the pager works: guest_memory_discard() says "not now" (.loading).
 *  I5  The memory is unregistered when all chunks are there, and by nobody but the watcher, after
 *      the other threads have ended.
 *  I6  Loaders take no lock: at idle priority one may get no processor for long.
 */
#include "vmm/snapshot/pager_private.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/thread.h"
#include "vmm/snapshot/blocks.h"
#include "vmm/snapshot/parallel.h"
#include "vmm/snapshot/userfault.h"

#define WATCH_MS 1000
#define RUNS_MAX 256u /* of registered memory, about: each costs a system call at the start */

/* --- the watcher ----------------------------------------------------------------------------- */

static void start_loaders(struct pager *pager, unsigned wanted, void *(*run)(void *))
{
	unsigned started = 0;
	int ret = 0;

	wanted = wanted < PAGER_LOADERS_MAX ? wanted : PAGER_LOADERS_MAX;
	for (; started < wanted && ret == 0; started += ret == 0) {
		ret = thread_start(&pager->loaders[pager->loader_count], "pager-load", 0, run,
		                   pager);
		pager->loader_count += ret == 0;
	}
	if (started == 0)
		pager_fail(pager, "no thread can be started to load the guest's memory");
}

static void end_recording(struct pager *pager)
{
	if (!pager->record)
		return;
	touch_record_end(pager->record, &pager->order);
	pager->record = NULL;
}

static bool records_on(const struct pager *pager, uint64_t began_ns)
{
	if (!pager->record || atomic_load(&pager->hurry))
		return false;
	/* In this order: the clock mustn't be behind what is noted meanwhile. */
	uint64_t last_ns = touch_record_last_ns(pager->record);
	uint64_t now_ns = clock_now_ns();

	return now_ns - last_ns < PAGER_RECORD_QUIET_S * NS_PER_S &&
	       now_ns - began_ns < PAGER_RECORD_MAX_S * NS_PER_S;
}

static void steer(struct pager *pager, uint64_t began_ns)
{
	unsigned cpus = parallel_threads(0);

	/* What is loaded ahead isn't seen to be touched. */
	if (records_on(pager, began_ns))
		return;
	end_recording(pager);
	if (!pager->loading)
		/* One is left to the guest and the server. */
		start_loaders(pager, cpus > 1 ? cpus - 1 : 1, pager_load);
	pager->loading = true;
	if (!pager->hurrying && atomic_load(&pager->hurry)) {
		pager->hurrying = true;
		start_loaders(pager, cpus, pager_load_hurried);
	}
}

static void check_patience(struct pager *pager)
{
	uint64_t since_ns = atomic_load(&pager->serving_ns);

	if (since_ns && clock_now_ns() - since_ns > PAGER_PATIENCE_S * NS_PER_S)
		pager_fail(pager,
		           "the snapshot can't be read: a page that the guest waits for hasn't "
		           "come for 30 seconds");
}

static void count_chunks(struct pager *pager)
{
	uint64_t wanted = 0;

	for (uint64_t chunk = 0; chunk < pager->chunk_count; chunk++)
		wanted += snapshot_file_chunk(pager->file, chunk) != SNAPSHOT_CHUNK_ZERO;
	atomic_store(&pager->wanted, wanted);
}

static void wait_for_poke(struct pager *pager)
{
	struct pollfd fd = { .fd = pager->wake_fd, .events = POLLIN };
	uint64_t pokes;

	if (poll(&fd, 1, WATCH_MS) > 0) {
		ssize_t got = read(pager->wake_fd, &pokes, sizeof(pokes));
		(void)got;
	}
}

static void end_threads(struct pager *pager)
{
	atomic_store(&pager->stop_loading, true);
	for (unsigned i = 0; i < pager->loader_count; i++)
		pthread_join(pager->loaders[i], NULL);
	atomic_store(&pager->stop_serving, true);
	pager_poke(pager->serve_fd);
	pthread_join(pager->server, NULL);
}

/* I5. Faults that came since the server ended find zeros, and so they are: all else is there. */
static void let_go(struct pager *pager)
{
	userfault_unregister(pager->fault_fd, pager->memory->ram, pager->memory->ram_size);
	close_fd(&pager->fault_fd);
	atomic_store(&pager->memory->loading, false);
	atomic_store(&pager->complete, true);
	pager->handlers.finished(pager->handlers.arg);
}

static void *watch(void *arg)
{
	struct pager *pager = arg;
	uint64_t began_ns = clock_now_ns();
	bool all = false;

	count_chunks(pager);
	while (!atomic_load(&pager->stop)) {
		all = atomic_load(&pager->loaded) == atomic_load(&pager->wanted);
		if (all)
			break;
		steer(pager, began_ns);
		check_patience(pager);
		wait_for_poke(pager);
	}
	end_threads(pager);
	end_recording(pager);
	if (all && !atomic_load(&pager->failed))
		let_go(pager);
	return NULL;
}

/* --- from outside ---------------------------------------------------------------------------- */

/* Runs of blocks with something in them, joined over small gaps so that there are few. */
static int register_blocks(struct pager *pager, struct error *err)
{
	struct guest_memory *memory = pager->memory;
	uint64_t count = guest_blocks(memory->ram_size), gap = count / RUNS_MAX;
	struct block_set blocks;
	int ret = 0;

	blocks_of_file(pager->file, &blocks);
	for (uint64_t first = 0, end; first < count && ret == 0; first = end) {
		end = guest_block_run_end(blocks.bits, first, count);
		if (!guest_block_is_set(blocks.bits, first))
			continue;
		while (end < count) {
			uint64_t next = guest_block_run_end(blocks.bits, end, count);

			if (next == count || next - end > gap)
				break;
			end = guest_block_run_end(blocks.bits, next, count);
		}
		uint64_t at = first * GUEST_BLOCK_SIZE, stop = end * GUEST_BLOCK_SIZE;
		ret = userfault_register(pager->fault_fd, memory->ram + at,
		                         (stop < memory->ram_size ? stop : memory->ram_size) - at,
		                         err);
	}
	return ret;
}

static void read_order(struct pager *pager, const char *path)
{
	struct error err = { 0 };

	if (touch_read(path, snapshot_file_id(pager->file), pager->chunk_count, &pager->order,
	               &err) &&
	    err.code != -ENOENT)
		log_warn("%s", err.msg);
}

static int set_up(struct pager *pager, const struct pager_config *config, struct error *err)
{
	int ret = userfault_open(&pager->fault_fd, err);

	if (ret)
		return ret;
	pager->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pager->serve_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (pager->wake_fd < 0 || pager->serve_fd < 0)
		return error_set(err, -errno, "eventfd: %s", strerror(errno));
	pager->there = calloc((pager->chunk_count + 7) / 8, 1);
	if (!pager->there)
		return error_set(err, -ENOMEM, "no memory to load the guest's RAM");
	if (config->touch)
		read_order(pager, config->touch);
	if (config->record) {
		ret = touch_record_create(config->record, pager->file, &pager->noting);
		if (ret)
			return error_set(err, ret, "no memory to record what is touched");
		pager->record = pager->noting;
	}
	return register_blocks(pager, err);
}

static void destroy(struct pager *pager)
{
	/* Closing it unregisters what is left. */
	close_fd(&pager->fault_fd);
	close_fd(&pager->wake_fd);
	close_fd(&pager->serve_fd);
	touch_order_finish(&pager->order);
	touch_record_destroy(pager->noting);
	free(pager->there);
	free(pager);
}

int pager_create(struct guest_memory *memory, const struct snapshot_file *file,
                 const struct pager_config *config, struct pager **out_pager, struct error *err)
{
	struct pager *pager = calloc(1, sizeof(*pager));

	if (!pager)
		return error_set(err, -ENOMEM, "no memory to load the guest's RAM");
	ASSERT(memory->ram_size == snapshot_file_ram_size(file) && !memory->of_file);
	pager->memory = memory;
	pager->file = file;
	pager->chunk_count = snapshot_file_chunk_count(file);
	pager->fault_fd = pager->wake_fd = pager->serve_fd = -1;
	atomic_init(&pager->wanted, PAGER_UNKNOWN);
	int ret = set_up(pager, config, err);
	if (ret) {
		destroy(pager);
		return ret;
	}
	atomic_store(&memory->loading, true);
	*out_pager = pager;
	return 0;
}

int pager_start(struct pager *pager, const struct pager_handlers *handlers, struct error *err)
{
	pager->handlers = *handlers;
	int ret = thread_start(&pager->server, "pager", 0, pager_serve, pager);
	if (ret)
		return error_set(err, ret, "cannot start a thread: %s", strerror(-ret));
	ret = thread_start(&pager->watcher, "pager-watch", 0, watch, pager);
	if (ret) {
		end_threads(pager);
		return error_set(err, ret, "cannot start a thread: %s", strerror(-ret));
	}
	pager->started = true;
	return 0;
}

void pager_hurry(struct pager *pager)
{
	atomic_store(&pager->hurry, true);
	pager_poke(pager->wake_fd);
}

bool pager_is_complete(const struct pager *pager)
{
	return atomic_load(&pager->complete);
}

void pager_finish(struct pager *pager)
{
	if (!pager)
		return;
	if (pager->started) {
		atomic_store(&pager->stop, true);
		pager_poke(pager->wake_fd);
		pthread_join(pager->watcher, NULL);
	}
	destroy(pager);
}
