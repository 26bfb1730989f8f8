/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * queue.c - split virtqueues against a driver that lies.
 *
 * Theory of operation. The driver owns three arrays in guest memory: descriptors, the avail ring
 * that it fills, the used ring that we fill. A pop reads avail->idx once, then one head, then
 * walks that head's chain, copying each descriptor to the host before looking at it. Lengths and
 * addresses that the device gets are those of the copies, already turned into host pointers.
 *
 * Invariants; a driver that violates one gets a broken queue and DEVICE_NEEDS_RESET:
 *
 *  Q1  size is a power of two in 1..VIRTQUEUE_SIZE_MAX; size and addresses are read at activation
 *      and never again.
 *  Q2  the three rings lie in RAM, aligned, and don't overlap.
 *  Q3  0 <= avail->idx - next_avail <= size (mod 2^16): no more chains than descriptors.
 *  Q4  every head and every next index is below the size of the table that it points into.
 *  Q5  a chain has at most size descriptors, those of an indirect table included: a loop can't be
 *      walked for ever.
 *  Q6  every buffer has a length > 0 and lies within one region of guest memory; a writable one
 *      lies in writable memory; no buffer touches the used ring.
 *  Q7  readable descriptors come before writable ones (§2.7.4.2).
 *  Q8  the bytes of a chain's readable part, and of its writable part, fit 32 bits.
 *  Q9  an indirect descriptor only if negotiated, only as the last of its chain, never inside a
 *      table; its table has 1..size whole descriptors within one region of guest memory (§2.7.5.3).
 *
 * Every guest field is read exactly once, through a volatile or atomic load.
 *
 * Notifications (§2.7.7, §2.7.10). Both sides publish an index, then look at the other's event
 * index, with a full fence between: either the producer sees that it is to notify, or the consumer
 * sees the new entry. So a pop that finds the ring empty sets avail_event, fences, and looks once
 * more; while a device works off a ring, avail_event stays behind and the driver keeps quiet.
 */
#include "vmm/virtio/queue.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "lib/log.h"

/* §2.7.5 */
struct virtq_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};

#define VIRTQ_DESC_F_NEXT 1
#define VIRTQ_DESC_F_WRITE 2
#define VIRTQ_DESC_F_INDIRECT 4

/* §2.7.6 */
struct virtq_avail {
	uint16_t flags;
	uint16_t idx;
	uint16_t ring[];
};

#define VIRTQ_AVAIL_F_NO_INTERRUPT 1

/* §2.7.8 */
struct virtq_used_elem {
	uint32_t id;
	uint32_t len;
};

struct virtq_used {
	uint16_t flags;
	uint16_t idx;
	struct virtq_used_elem ring[];
};

void virtqueue_init(struct virtqueue *queue, const struct guest_memory *memory, const char *owner,
                    unsigned index)
{
	*queue = (struct virtqueue){ .memory = memory, .owner = owner, .index = index };
}

static int broken(struct virtqueue *queue, struct error *err, int code, const char *what)
{
	queue->broken = true;
	return error_set(err, code, "%s queue %u: %s", queue->owner, queue->index, what);
}

static bool overlap(const void *a, size_t a_size, const void *b, size_t b_size)
{
	uintptr_t a0 = (uintptr_t)a, b0 = (uintptr_t)b;

	return a0 < b0 + b_size && b0 < a0 + a_size;
}

static size_t used_size(uint16_t size)
{
	/* Two bytes behind the ring belong to it (avail_event), used or not. */
	return sizeof(struct virtq_used) + size * sizeof(struct virtq_used_elem) + 2;
}

static size_t avail_size(uint16_t size)
{
	return sizeof(struct virtq_avail) + size * sizeof(uint16_t) + 2;
}

int virtqueue_activate(struct virtqueue *queue, struct error *err)
{
	const struct virtqueue_setup s = queue->setup;

	if (queue->active || queue->broken)
		return broken(queue, err, -EINVAL, "made ready twice");
	if (s.size == 0 || s.size > VIRTQUEUE_SIZE_MAX || (s.size & (s.size - 1)))
		return broken(queue, err, -EINVAL, "Q1: size is 0, no power of two, or too large");
	if (s.descriptors.value % 16 || s.driver.value % 2 || s.device.value % 4)
		return broken(queue, err, -EINVAL, "Q2: a ring is misaligned");

	size_t desc_bytes = s.size * sizeof(struct virtq_desc);
	const void *desc = guest_memory_at(queue->memory, s.descriptors, desc_bytes, GUEST_READ);
	const void *avail =
		guest_memory_at(queue->memory, s.driver, avail_size(s.size), GUEST_READ);
	void *used = guest_memory_at(queue->memory, s.device, used_size(s.size), GUEST_WRITE);
	if (!desc || !avail || !used)
		return broken(queue, err, -EINVAL, "Q2: a ring lies outside RAM");
	if (overlap(used, used_size(s.size), desc, desc_bytes) ||
	    overlap(used, used_size(s.size), avail, avail_size(s.size)) ||
	    overlap(avail, avail_size(s.size), desc, desc_bytes))
		return broken(queue, err, -EINVAL, "Q2: rings overlap");

	queue->size = s.size;
	queue->desc = desc;
	queue->avail = avail;
	queue->used = used;
	queue->next_avail = 0;
	queue->next_used = 0;
	queue->signalled = 0;
	queue->active = true;
	return 0;
}

void virtqueue_save(const struct virtqueue *queue, struct virtqueue_state *out_state)
{
	*out_state = (struct virtqueue_state){
		.setup = queue->setup,
		.event_idx = queue->event_idx,
		.indirect = queue->indirect,
		.active = queue->active,
		.broken = queue->broken,
		.next_avail = queue->next_avail,
		.next_used = queue->next_used,
		.signalled = queue->signalled,
	};
}

int virtqueue_restore(struct virtqueue *queue, const struct virtqueue_state *state,
                      struct error *err)
{
	queue->setup = state->setup;
	queue->event_idx = state->event_idx;
	queue->indirect = state->indirect;
	int ret = state->active ? virtqueue_activate(queue, err) : 0;
	if (ret)
		return ret;
	queue->next_avail = state->next_avail;
	queue->next_used = state->next_used;
	queue->signalled = state->signalled;
	queue->broken = state->broken;
	return 0;
}

static uint16_t load16(const uint16_t *field, int order)
{
	return __atomic_load_n(field, order);
}

/* The descriptors that a walk is in: the queue's own, or an indirect table, which needn't be aligned. */
struct table {
	const uint8_t *descriptors;
	uint32_t count;
	bool indirect;
};

struct half_descriptor {
	uint64_t value;
} __attribute__((packed));

/* One read of a descriptor, in two halves; the copy is what counts from here on. */
static struct virtq_desc copy_descriptor(const struct table *table, uint32_t index)
{
	const uint8_t *at = table->descriptors + index * sizeof(struct virtq_desc);
	const volatile struct half_descriptor *half = (const void *)at;
	uint64_t halves[2] = { half[0].value, half[1].value };
	struct virtq_desc copy;

	_Static_assert(sizeof(halves) == sizeof(copy), "a descriptor is two 64-bit words");
	memcpy(&copy, halves, sizeof(copy));
	return copy;
}

/* Follows an indirect descriptor into its table. NULL, or the rule it breaks. */
static const char *enter_table(const struct virtqueue *queue, const struct virtq_desc *d,
                               struct table *table)
{
	if (!queue->indirect)
		return "Q9: indirect descriptor, not negotiated";
	if (table->indirect)
		return "Q9: indirect descriptor in an indirect table";
	if (d->flags & VIRTQ_DESC_F_NEXT)
		return "Q9: indirect descriptor that isn't the last";
	if (d->len == 0 || d->len % sizeof(struct virtq_desc))
		return "Q9: indirect table that is empty or ends within a descriptor";
	if (d->len / sizeof(struct virtq_desc) > queue->size)
		return "Q9: indirect table larger than the queue";
	const uint8_t *at = guest_memory_at(queue->memory, GPA(d->addr), d->len, GUEST_READ);
	if (!at)
		return "Q9: indirect table outside memory";
	*table = (struct table){ at, d->len / (uint32_t)sizeof(struct virtq_desc), true };
	return NULL;
}

/* Adds one descriptor to the chain. NULL, or the rule it breaks. */
static const char *add_buffer(const struct virtqueue *queue, const struct virtq_desc *d,
                              struct virtqueue_chain *chain)
{
	bool writable = d->flags & VIRTQ_DESC_F_WRITE;

	if (d->len == 0)
		return "Q6: buffer of no length";
	if (!writable && chain->writable)
		return "Q7: readable buffer behind a writable one";
	uint8_t *data = guest_memory_at(queue->memory, GPA(d->addr), d->len,
	                                writable ? GUEST_WRITE : GUEST_READ);
	if (!data)
		return "Q6: buffer outside memory";
	if (overlap(data, d->len, queue->used, used_size(queue->size)))
		return "Q6: buffer over the used ring";

	uint64_t *total = writable ? &chain->writable_size : &chain->readable_size;
	if (*total + d->len > UINT32_MAX)
		return "Q8: chain of more than 4 GiB";
	*total += d->len;
	chain->buffers[chain->readable + chain->writable] =
		(struct virtqueue_buffer){ .data = data, .size = d->len };
	if (writable)
		chain->writable++;
	else
		chain->readable++;
	return NULL;
}

static const char *walk(const struct virtqueue *queue, uint16_t head, struct virtqueue_chain *chain)
{
	struct table table = { (const uint8_t *)queue->desc, queue->size, false };
	uint32_t index = head;

	chain->head = head;
	chain->readable = chain->writable = 0;
	chain->readable_size = chain->writable_size = 0;
	for (unsigned n = 0; n < queue->size;) {
		if (index >= table.count)
			return "Q4: descriptor index beyond its table";
		struct virtq_desc d = copy_descriptor(&table, index);
		bool enters = d.flags & VIRTQ_DESC_F_INDIRECT;
		const char *rule =
			enters ? enter_table(queue, &d, &table) : add_buffer(queue, &d, chain);
		if (rule)
			return rule;
		if (!enters && !(d.flags & VIRTQ_DESC_F_NEXT))
			return NULL;
		index = enters ? 0 : d.next;
		n += !enters; /* a table is entered once at most: the loop still ends */
	}
	return "Q5: chain longer than the queue";
}

/* avail_event, behind the used ring: "notify me about the entry with this index" (§2.7.10). */
static void ask_for_notification(struct virtqueue *queue, uint16_t index)
{
	uint16_t *avail_event = (uint16_t *)(void *)&queue->used->ring[queue->size];

	__atomic_store_n(avail_event, index, __ATOMIC_RELAXED);
	atomic_thread_fence(memory_order_seq_cst);
}

/* Chains that wait. Acquire: entries and descriptors are read after the index that published them. */
static uint16_t count_waiting(const struct virtqueue *queue)
{
	return (uint16_t)(load16(&queue->avail->idx, __ATOMIC_ACQUIRE) - queue->next_avail);
}

int virtqueue_pop(struct virtqueue *queue, struct virtqueue_chain *out_chain, struct error *err)
{
	if (!queue->active || queue->broken)
		return 0;
	uint16_t waiting = count_waiting(queue);
	if (waiting == 0 && queue->event_idx) {
		ask_for_notification(queue, queue->next_avail);
		waiting = count_waiting(queue);
	}
	if (waiting == 0)
		return 0;
	if (waiting > queue->size)
		return broken(queue, err, -EPROTO, "Q3: avail index ran away");

	uint16_t head = load16(&queue->avail->ring[queue->next_avail & (queue->size - 1)],
	                       __ATOMIC_RELAXED);
	const char *rule = walk(queue, head, out_chain);
	if (rule)
		return broken(queue, err, -EPROTO, rule);
	queue->next_avail++;
	return 1;
}

unsigned virtqueue_waiting(const struct virtqueue *queue)
{
	return queue->active && !queue->broken ? count_waiting(queue) : 0;
}

unsigned virtqueue_await_more(struct virtqueue *queue)
{
	unsigned waiting = virtqueue_waiting(queue);

	if (queue->active && !queue->broken && queue->event_idx)
		ask_for_notification(queue, (uint16_t)(queue->next_avail + waiting));
	return waiting;
}

void virtqueue_unpop(struct virtqueue *queue, unsigned count)
{
	queue->next_avail = (uint16_t)(queue->next_avail - count);
}

void virtqueue_push_many(struct virtqueue *queue, const struct virtqueue_used *used, unsigned count)
{
	ASSERT(queue->active && count > 0 && count <= queue->size);
	for (unsigned i = 0; i < count; i++) {
		struct virtq_used_elem *elem =
			&queue->used->ring[queue->next_used & (queue->size - 1)];

		__atomic_store_n(&elem->id, used[i].head, __ATOMIC_RELAXED);
		__atomic_store_n(&elem->len, used[i].written, __ATOMIC_RELAXED);
		queue->next_used++;
	}
	/* Release: the elements are there before the index says so. */
	__atomic_store_n(&queue->used->idx, queue->next_used, __ATOMIC_RELEASE);
}

void virtqueue_push(struct virtqueue *queue, uint16_t head, uint32_t written)
{
	virtqueue_push_many(queue, &(struct virtqueue_used){ head, written }, 1);
}

bool virtqueue_wants_interrupt(struct virtqueue *queue)
{
	if (!queue->active || queue->broken)
		return false;
	/* The used index must be out before the wish is read (§2.7.7.1), hence the full fence. */
	atomic_thread_fence(memory_order_seq_cst);
	if (!queue->event_idx)
		return !(load16(&queue->avail->flags, __ATOMIC_RELAXED) &
		         VIRTQ_AVAIL_F_NO_INTERRUPT);
	/* used_event, behind the avail ring: wanted if its entry is among those pushed since. */
	uint16_t event = load16(&queue->avail->ring[queue->size], __ATOMIC_RELAXED);
	uint16_t since = (uint16_t)(queue->next_used - queue->signalled);

	queue->signalled = queue->next_used;
	return (uint16_t)(queue->next_used - event - 1) < since;
}

/* Walks @count buffers, skipping @offset bytes; the one loop behind read and write. */
static size_t copy_buffers(const struct virtqueue_buffer *buffers, unsigned count, uint64_t offset,
                           uint8_t *host, size_t size, bool to_guest)
{
	size_t done = 0;

	for (unsigned i = 0; i < count && done < size; i++) {
		const struct virtqueue_buffer *b = &buffers[i];

		if (offset >= b->size) {
			offset -= b->size;
			continue;
		}
		size_t n = b->size - (size_t)offset;
		if (n > size - done)
			n = size - done;
		if (to_guest)
			memcpy(b->data + offset, host + done, n);
		else
			memcpy(host + done, b->data + offset, n);
		done += n;
		offset = 0;
	}
	return done;
}

size_t virtqueue_read(const struct virtqueue_chain *chain, uint64_t offset, void *out, size_t size)
{
	return copy_buffers(chain->buffers, chain->readable, offset, out, size, false);
}

size_t virtqueue_write(const struct virtqueue_chain *chain, uint64_t offset, const void *data,
                       size_t size)
{
	/* The cast only drops const for the shared loop, which doesn't write to it in this direction. */
	return copy_buffers(chain->buffers + chain->readable, chain->writable, offset,
	                    (uint8_t *)(uintptr_t)data, size, true);
}
