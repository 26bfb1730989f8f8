/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * device.h - a virtio device over MMIO v2 (virtio 1.2 §4.2): what every device shares.
 *
 * Registers are accessed by vCPU threads through the bus, queue notifications arrive by ioeventfd
 * on the device's loop. Both take the device's lock, so a device's own callbacks always run with its
 * state to themselves and must not block. The interrupt registers alone are free of the lock: a
 * vCPU in its interrupt handler doesn't wait for a device that is at work.
 */
#ifndef CLOCHE_VMM_VIRTIO_DEVICE_H
#define CLOCHE_VMM_VIRTIO_DEVICE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/error.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/wire_fields.h"
#include "vmm/irq.h"
#include "vmm/memory.h"
#include "vmm/virtio/queue.h"

#define VIRTIO_QUEUES_MAX 5
/* Chains that a device works off in one turn, so that a driver can't keep the I/O thread. */
#define VIRTIO_TURN_MAX 128
#define VIRTIO_MMIO_SIZE 0x1000

/* §6: what the transport and the queues do for every device */
#define VIRTIO_F_INDIRECT_DESC_BIT (1ull << 28)
#define VIRTIO_F_EVENT_IDX_BIT (1ull << 29)
#define VIRTIO_F_VERSION_1_BIT (1ull << 32)

/* §2.1 */
#define VIRTIO_STATUS_ACKNOWLEDGE 1u
#define VIRTIO_STATUS_DRIVER 2u
#define VIRTIO_STATUS_DRIVER_OK 4u
#define VIRTIO_STATUS_FEATURES_OK 8u
#define VIRTIO_STATUS_NEEDS_RESET 64u
#define VIRTIO_STATUS_FAILED 128u

struct virtio_device;

struct virtio_ops {
	const char *name;   /* "vsock" */
	uint32_t device_id; /* §5 */
	uint64_t features;  /* offered besides those of the transport */
	unsigned queue_count;
	uint16_t queue_size; /* QueueSizeMax, a power of two */
	size_t config_size;  /* bytes of device configuration space */

	/* Copies the configuration space; the transport has checked the range. */
	void (*config_read)(struct virtio_device *dev, size_t offset, void *out, size_t size);
	/*
	 * The driver writes its configuration space; the transport has checked the range. NULL: the
	 * space is read-only.
	 */
	void (*config_write)(struct virtio_device *dev, size_t offset, const void *data,
	                     size_t size);
	/* DRIVER_OK was set; queues that the driver made ready are active. May be NULL. */
	void (*activated)(struct virtio_device *dev);
	/* The driver notified @queue, which is active. */
	void (*notified)(struct virtio_device *dev, unsigned queue);
	/* The driver reset the device; queues are forgotten already. May be NULL. */
	void (*reset)(struct virtio_device *dev);
	/* Frees what the device holds. May be NULL. */
	void (*destroy)(struct virtio_device *dev);

	/*
	 * The VM is to be copied (state.h); the vCPUs are parked. Gives back every chain that is out of
	 * its ring, signals what is owed, lets work that is under way end. May be NULL.
	 */
	void (*quiesce)(struct virtio_device *dev);
	/* Encodes what the transport doesn't know of. May be NULL: there is nothing. */
	void (*save)(const struct virtio_device *dev, struct wire_writer *out);
	/*
	 * Takes up a driver's work where it was saved: transport and queues are restored already, and
	 * nothing runs yet. 0 or -errno. May be NULL.
	 */
	int (*restore)(struct virtio_device *dev, struct wire_reader *in, struct error *err);
};

struct virtio_notify {
	struct loop_watch watch;
	struct virtio_device *dev; /* borrowed */
	unsigned queue;
	int fd; /* owned: ioeventfd */
};

struct virtio_device {
	const struct virtio_ops *ops;
	pthread_mutex_t lock;
	const struct guest_memory *memory; /* borrowed */
	struct loop *loop;                 /* borrowed */
	int vm_fd;                         /* borrowed */
	struct gpa base;
	struct irq_line irq;

	uint64_t features; /* offered besides those of the transport: of ops, and what was added */
	uint32_t status, features_select, driver_features_select, queue_select;
	uint64_t driver_features;
	atomic_uint interrupt_status;
	uint32_t config_generation;
	bool needs_reset;
	struct virtqueue queues[VIRTIO_QUEUES_MAX];
	struct virtio_notify notify[VIRTIO_QUEUES_MAX];
	struct log_limit complaints;
};

/* Where a device is put and what it may use. */
struct virtio_place {
	const struct guest_memory *memory;
	struct loop *loop;
	int vm_fd;
	struct gpa base;
	unsigned pin;
};

/* Initialises the shared part: irqfd, ioeventfds, watches. 0 or -errno, then finish() is safe. */
int virtio_device_init(struct virtio_device *dev, const struct virtio_ops *ops,
                       const struct virtio_place *place, struct error *err);
void virtio_device_finish(struct virtio_device *dev);

/*
 * Lets go of the loop: no notification arrives any more. For a device that owns its loop and destroys
 * it before virtio_device_finish(); the loop isn't running.
 */
void virtio_device_unwatch(struct virtio_device *dev);

/* Bus handlers (vmm/bus.h); @device is the struct virtio_device. They take its lock themselves. */
uint64_t virtio_mmio_read(void *device, uint64_t offset, unsigned size);
void virtio_mmio_write(void *device, uint64_t offset, unsigned size, uint64_t value);

/* The features that are offered, those of the transport included. */
uint64_t virtio_device_offers(const struct virtio_device *dev);

/* Did the driver accept the feature with this bit mask? Only meaningful from .activated on. */
bool virtio_device_has(const struct virtio_device *dev, uint64_t feature);

/* The configuration space has changed: tells the driver (§2.5, §4.2.2.1). The lock is held. */
void virtio_device_config_changed(struct virtio_device *dev);

/* Sends a used-buffer interrupt for @queue if the driver wants one. */
void virtio_device_signal(struct virtio_device *dev, unsigned queue);

/* The same for all queues at once: one interrupt, however many of them are due one. */
void virtio_device_signal_all(struct virtio_device *dev);

/*
 * Has .notified called for @queue once more, after all else that waits on the I/O thread: for a
 * device whose turn ended at VIRTIO_TURN_MAX with work left.
 */
void virtio_device_again(struct virtio_device *dev, unsigned queue);

/*
 * The driver broke a rule: says so once per burst, sets DEVICE_NEEDS_RESET (§2.1.2) and sends a
 * configuration interrupt. The device does nothing more until it is reset.
 */
void virtio_device_fail(struct virtio_device *dev, const struct error *err);

#endif
