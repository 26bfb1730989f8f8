/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hostile.h - the hostile guest: drives the VMM's devices against the rules, case by case.
 *
 * One thread, one CPU, on the runtime of tests/native/guest. The command line names the cases to run
 * (cases=NAME,NAME…); tests/hostile/run.py reads how they went from the serial console, and the
 * VMM's complaints from its stderr.
 *
 * What each case leaves behind is checked by main.c: DEVICE_NEEDS_RESET or not, the interrupt that
 * says so, and that the device under attack (after a reset) and another one still serve.
 */
#ifndef CLOCHE_TESTS_HOSTILE_H
#define CLOCHE_TESTS_HOSTILE_H

#include "tests/native/guest/guest.h"
#include "tests/native/guest/virtio_regs.h"

#define QUEUE_MAX 256
#define PAGE 4096u
/* What run.py starts the guest with; main.c checks both. */
#define RAM_END (64u << 20)
#define IMAGE_START (1ull << 32)

#define F_INDIRECT (1ull << 28)
#define F_EVENT_IDX (1ull << 29)
#define F_VERSION_1 (1ull << 32)

#define INTERRUPT_USED 1u
#define INTERRUPT_CONFIG 2u

/* --- driver.c: a driver that does what it is told, right or wrong --- */

struct dev {
	uint64_t base;
	unsigned id;
};

struct used_elem {
	uint32_t id, len;
};

/* The memory of one queue. */
struct ring_memory {
	struct vring_desc desc[QUEUE_MAX] __attribute__((aligned(PAGE)));
	struct {
		uint16_t flags, idx, ring[QUEUE_MAX + 1];
	} avail __attribute__((aligned(PAGE)));
	struct {
		uint16_t flags, idx;
		struct used_elem ring[QUEUE_MAX];
		uint16_t event;
	} used __attribute__((aligned(PAGE)));
} __attribute__((aligned(PAGE)));

struct queue {
	struct dev *dev;
	unsigned index;
	uint16_t size, published; /* avail index as it would be, if we behaved */
	struct ring_memory *memory;
};

/* A ring's three addresses, as the registers take them. */
struct ring_place {
	uint32_t size;
	uint64_t desc, avail, used;
};

uint32_t reg_read(const struct dev *dev, unsigned reg);
void reg_write(const struct dev *dev, unsigned reg, uint32_t value);

/* Finds device @id; a failed check when there is none. */
bool dev_find(struct dev *out_dev, unsigned id);
void dev_reset(const struct dev *dev);
uint32_t dev_status(const struct dev *dev);
uint64_t dev_features(const struct dev *dev);
/* Reset, ACKNOWLEDGE, DRIVER, @features and VERSION_1, FEATURES_OK. */
void dev_negotiate(const struct dev *dev, uint64_t features);
void dev_go(const struct dev *dev); /* DRIVER_OK */

/* Clears the memory of queue @index and says where it is. */
struct ring_place queue_init(struct queue *queue, struct dev *dev, unsigned index, uint16_t size);
/* Tells the device about it; QueueReady is left to queue_ready(). */
void queue_place(const struct queue *queue, const struct ring_place *place);
void queue_ready(const struct queue *queue);
/* All of the above with nothing special. */
void queue_start(struct queue *queue, struct dev *dev, unsigned index, uint16_t size);

void queue_describe(struct queue *queue, uint16_t slot, const void *at, uint32_t size,
                    uint16_t flags, uint16_t next);
void queue_publish(struct queue *queue, uint16_t head);
void queue_kick(const struct queue *queue);
uint16_t queue_used(const struct queue *queue); /* the device's index */
/* Waits until all that was published is used; the length in the last entry. */
uint32_t queue_await(const struct queue *queue);
void await_needs_reset(const struct dev *dev);

uint32_t random32(void); /* the same numbers in every run */

/* --- serve.c: a well-behaved exchange with a device, from reset to reset --- */

/* Does nothing for a device that isn't there or has no queue. */
void serve(unsigned id);

/* Parts of it. */
void serve_blk(struct dev *dev);
void serve_balloon(struct dev *dev);
void serve_net(struct dev *dev);

/* --- the cases --- */

enum outcome {
	SERVED,      /* no DEVICE_NEEDS_RESET */
	NEEDS_RESET, /* set, and the configuration interrupt says so */
	REFUSED      /* set before DRIVER_OK, when no interrupt is due (§2.1.2) */
};

/* A chain or two that a driver shouldn't offer; the attack is the data. */
struct attack {
	uint64_t features;
	unsigned queue;
	uint16_t size; /* 0: 16 */
	struct vring_desc desc[4];
	struct vring_desc table[4]; /* at indirect_table */
	uint16_t heads[2];
	uint16_t head_count; /* 0: 1 */
	uint32_t used_len;   /* SERVED: of the last chain */
};

struct hostile_case {
	const char *name;
	unsigned device; /* under attack; 0: no virtio device */
	enum outcome outcome;
	void (*run)(struct dev *dev); /* NULL: .attack */
	const struct attack *attack;
};

/* A row for a case that is a function, and is called like it. */
#define HOSTILE_CASE(function, device, outcome)                                                    \
	{                                                                                          \
#function, (device), (outcome), (function), NULL                                   \
	}

extern const struct hostile_case ring_cases[], queue_cases[], race_cases[], transport_cases[],
	life_cases[], small_cases[], vsock_cases[], blk_cases[], balloon_cases[], net_cases[],
	tap_cases[], storm_cases[]; /* each ends with a NULL name */

/* Buffers of the cases. */
extern uint8_t buffer[PAGE], canary[PAGE];
extern struct vring_desc indirect_table[QUEUE_MAX + 1];
void run_attack(struct dev *dev, const struct hostile_case *c);

#define AT(object) ((uint64_t)(uintptr_t)(object))

#endif
