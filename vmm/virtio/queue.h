/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * queue.h - split virtqueues (virtio 1.2 §2.7): the one place where rings are read.
 *
 * A queue belongs to its device and is used under the device's lock. A device sees bounded,
 * validated, host-local copies of descriptors; what the buffers hold still changes under its hands,
 * so it copies once and checks the copy.
 */
#ifndef CLOCHE_VMM_VIRTIO_QUEUE_H
#define CLOCHE_VMM_VIRTIO_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/memory.h"

#define VIRTQUEUE_SIZE_MAX 256

/* What the driver sets before it makes the queue ready (virtio 1.2 §4.2.2). */
struct virtqueue_setup {
	uint16_t size;
	struct gpa descriptors, driver, device; /* descriptor table, avail ring, used ring */
};

struct virtqueue {
	const struct guest_memory *memory; /* borrowed */
	const char *owner;                 /* borrowed: the device's name, for messages */
	unsigned index;
	struct virtqueue_setup setup; /* writable until .active */
	/* Negotiated (§2.7.10, §2.7.5.3); set by the transport before activation. */
	bool event_idx, indirect;
	bool active;
	bool broken; /* an invariant was violated: nothing is read any more until reset */

	/* Frozen at activation. */
	uint16_t size;
	const struct virtq_desc *desc;
	const struct virtq_avail *avail;
	struct virtq_used *used;
	uint16_t next_avail, next_used;
	uint16_t signalled; /* next_used when the driver's wish for an interrupt was last asked */
};

struct virtqueue_buffer {
	uint8_t *data; /* guest memory */
	uint32_t size; /* > 0 */
};

/* A chain: @readable buffers come first, @writable ones behind them. */
struct virtqueue_chain {
	uint16_t head;
	unsigned readable, writable;           /* buffers */
	uint64_t readable_size, writable_size; /* bytes, at most UINT32_MAX */
	struct virtqueue_buffer buffers[VIRTQUEUE_SIZE_MAX];
};

/* Puts the queue into the state after device reset. @memory and @owner are borrowed. */
void virtqueue_init(struct virtqueue *queue, const struct guest_memory *memory, const char *owner,
                    unsigned index);

/*
 * Checks what the driver set and freezes it. 0; -EINVAL: size 0, no power of two or too large, a
 * ring that is misaligned (§2.7: 16, 2, 4), outside RAM, or overlaps another. The queue is then
 * broken and @err says why.
 */
int virtqueue_activate(struct virtqueue *queue, struct error *err);

/*
 * Takes the next chain. 1: *out_chain is filled; 0: the ring is empty or the queue isn't active;
 * -EPROTO: the driver broke a rule. Then the queue is broken, @err says which, and the device
 * must set DEVICE_NEEDS_RESET.
 *
 * With EVENT_IDX the driver notifies again only after a pop has said 0: a device that stops before
 * comes back by itself (virtio_device_again(), or because it has something for the driver).
 */
int virtqueue_pop(struct virtqueue *queue, struct virtqueue_chain *out_chain, struct error *err);

/* What is saved of a queue: numbers, no memory. */
struct virtqueue_state {
	struct virtqueue_setup setup;
	bool event_idx, indirect, active, broken;
	uint16_t next_avail, next_used, signalled;
};

void virtqueue_save(const struct virtqueue *queue, struct virtqueue_state *out_state);

/*
 * Puts a queue that virtqueue_init() made into @state, which is judged as a driver's set-up is.
 * 0 or -EINVAL.
 */
int virtqueue_restore(struct virtqueue *queue, const struct virtqueue_state *state,
                      struct error *err);

/*
 * Bids the driver notify of the next chain that it adds, whatever waits already. How many wait now:
 * more later means that it has added some.
 */
unsigned virtqueue_await_more(struct virtqueue *queue);

/*
 * How many chains wait to be popped. Unlike a pop that finds none it doesn't ask for a notification:
 * for a device that would take more than it needs. More than the queue's size: the next pop fails.
 */
unsigned virtqueue_waiting(const struct virtqueue *queue);

/* Undoes the last @count pops, none of whose chains was pushed; chains popped before them may be. */
void virtqueue_unpop(struct virtqueue *queue, unsigned count);

/* Returns a chain to the driver with @written bytes in its writable part. */
void virtqueue_push(struct virtqueue *queue, uint16_t head, uint32_t written);

/* A chain that goes back, with the bytes written to it. */
struct virtqueue_used {
	uint16_t head;
	uint32_t written;
};

/* Returns @count > 0 chains, which the driver sees all at once: a frame in several (§5.1.6.4). */
void virtqueue_push_many(struct virtqueue *queue, const struct virtqueue_used *used,
                         unsigned count);

/* After pushes: does the driver want an interrupt for those since it was last asked (§2.7.7)? */
bool virtqueue_wants_interrupt(struct virtqueue *queue);

/* Copies the chain's readable part to @out, at most @size bytes from @offset on. Bytes copied. */
size_t virtqueue_read(const struct virtqueue_chain *chain, uint64_t offset, void *out, size_t size);

/* Copies @data into the chain's writable part likewise. Bytes copied. */
size_t virtqueue_write(const struct virtqueue_chain *chain, uint64_t offset, const void *data,
                       size_t size);

#endif
