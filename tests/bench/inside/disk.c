/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * disk.c - reads a disk past the page cache, runs inside a guest.
 *
 *	disk rand|seq BLOCK THREADS SECONDS DEVICE
 *
 * Each thread has one read of BLOCK bytes under way at any time (O_DIRECT), so THREADS is the queue
 * depth: rand at block-aligned places all over the device, seq one behind the other, threads
 * taking turns. Prints the number of reads and the nanoseconds they took together. The guest's
 * kernel has neither io_uring nor aio.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define THREADS_MAX 64
#define NS_PER_S 1000000000ull

struct load {
	int fd;
	bool random;
	size_t block;
	uint64_t blocks; /* on the device */
	uint64_t end_ns;
	atomic_ullong next; /* of a sequence */
	pthread_barrier_t start;
};

struct worker {
	struct load *load;
	pthread_t thread;
	uint64_t state; /* of the random numbers, never 0 */
	uint64_t reads;
};

static void fail(const char *what)
{
	fprintf(stderr, "disk: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* xorshift64 */
static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void *work(void *arg)
{
	struct worker *worker = arg;
	struct load *load = worker->load;
	void *buffer = aligned_alloc(4096, load->block);

	if (!buffer)
		fail("memory");
	memset(buffer, 0, load->block); /* the first fault isn't the disk's time */
	pthread_barrier_wait(&load->start);
	while (now_ns() < load->end_ns) {
		uint64_t number = load->random ? next_random(&worker->state)
		                               : atomic_fetch_add(&load->next, 1);
		off_t offset = (off_t)(number % load->blocks * load->block);

		if (pread(load->fd, buffer, load->block, offset) != (ssize_t)load->block)
			fail("read");
		worker->reads++;
	}
	free(buffer);
	return NULL;
}

int main(int argc, char *argv[])
{
	struct worker workers[THREADS_MAX];
	struct load load = { 0 };
	uint64_t reads = 0, started;

	if (argc != 6) {
		fputs("usage: disk rand|seq BLOCK THREADS SECONDS DEVICE\n", stderr);
		return 2;
	}
	unsigned threads = (unsigned)strtoul(argv[3], NULL, 10);
	load.random = strcmp(argv[1], "rand") == 0;
	load.block = strtoul(argv[2], NULL, 10);
	load.fd = open(argv[5], O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (load.fd < 0)
		fail(argv[5]);
	off_t size = lseek(load.fd, 0, SEEK_END);
	if (threads < 1 || threads > THREADS_MAX || load.block < 512 || size < (off_t)load.block) {
		fputs("disk: a number is out of range\n", stderr);
		return 2;
	}
	load.blocks = (uint64_t)size / load.block;
	pthread_barrier_init(&load.start, NULL, threads + 1);
	for (unsigned i = 0; i < threads; i++) {
		workers[i] = (struct worker){ .load = &load, .state = i + 1 };
		for (unsigned n = 0; n < 64; n++)
			next_random(&workers[i].state);
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]))
			fail("thread");
	}
	started = now_ns();
	load.end_ns = started + strtoul(argv[4], NULL, 10) * NS_PER_S;
	pthread_barrier_wait(&load.start);
	for (unsigned i = 0; i < threads; i++) {
		pthread_join(workers[i].thread, NULL);
		reads += workers[i].reads;
	}
	printf("%llu %llu\n", (unsigned long long)reads, (unsigned long long)(now_ns() - started));
	return 0;
}
