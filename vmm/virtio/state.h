/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * state.h - a virtio device's state: what a driver would notice if it were lost. Main thread; the
 * vCPUs are parked, or not started yet.
 *
 *	quiesce -> save (any number of times) -> unquiesce        a device whose VM is copied
 *	create -> restore -> wake                                 the copy's
 */
#ifndef CLOCHE_VMM_VIRTIO_STATE_H
#define CLOCHE_VMM_VIRTIO_STATE_H

#include "vmm/virtio/device.h"

/*
 * Brings the device to rest and keeps its lock until virtio_device_unquiesce(). A disk's request that
 * is under way is waited for.
 */
void virtio_device_quiesce(struct virtio_device *dev);

/* Lets it go on: every queue is looked at again. */
void virtio_device_unquiesce(struct virtio_device *dev);

/* Encodes transport, queues, and what the device adds. Between the two calls above. */
void virtio_device_save(const struct virtio_device *dev, struct wire_writer *out);

/*
 * Gives a fresh device the state in @in, all of which is used: a device of the same kind, whose rings
 * lie in memory, whose driver has accepted only what this one offers. 0 or -EINVAL.
 */
int virtio_device_restore(struct virtio_device *dev, struct wire_reader *in, struct error *err);

/*
 * After restoring, when interrupts have their routes: sends the interrupt that the driver hasn't
 * acknowledged, and has every queue looked at, for what its driver said of it may be lost.
 */
void virtio_device_wake(struct virtio_device *dev);

#endif
