/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio.h - the virtio devices there are, by their constructors. Main thread. Each returns a heap
 * object whose first member is its struct virtio_device; virtio_destroy() frees any of them.
 */
#ifndef CLOCHE_VMM_VIRTIO_VIRTIO_H
#define CLOCHE_VMM_VIRTIO_VIRTIO_H

#include "vmm/virtio/device.h"

/* The root image (virtio 1.2 §5.19): memory at [start, start+size) that is mapped read-only. */
int virtio_pmem_create(const struct virtio_place *place, struct gpa start, uint64_t size,
                       struct virtio_device **out_dev, struct error *err);

/* Entropy from getrandom(2) (§5.4): 1 MiB a second, after a burst of 256 KiB. */
int virtio_rng_create(const struct virtio_place *place, struct virtio_device **out_dev,
                      struct error *err);

/*
 * A disk over @path (§5.2), which it locks; see blk_file.h. @index, from 0, is in the name that the
 * guest reads: "disk0". It has a thread of its own, so place->loop isn't used.
 */
int virtio_blk_create(const struct virtio_place *place, const char *path, bool read_only,
                      unsigned index, struct virtio_device **out_dev, struct error *err);

/* Resets nothing, closes everything; takes NULL. */
void virtio_destroy(struct virtio_device *dev);

#endif
