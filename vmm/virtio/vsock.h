/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vsock.h - byte streams between guest and host (virtio 1.2 §5.10), seen from the host as unix
 * sockets the way Firecracker does it:
 *
 *	host -> guest   connect to PATH, send "CONNECT <port>\n", read "OK <host port>\n"
 *	guest -> host   the guest connects to CID 2, port P; it arrives at the unix socket PATH_P
 *
 * A service inside the VMM may take a port for itself instead of PATH_P.
 */
#ifndef CLOCHE_VMM_VIRTIO_VSOCK_H
#define CLOCHE_VMM_VIRTIO_VSOCK_H

#include "vmm/virtio/device.h"

#define VSOCK_CONNS_MAX 1024
/* The first so many that live at once get large buffers, the others small ones (vsock_conn.h). */
#define VSOCK_LARGE_MAX 128
/* What the device buffers at most, when no host side reads: 60 MiB. */
#define VSOCK_BUFFERED_MAX (60u << 20)
#define VSOCK_SERVICES_MAX 4

/*
 * Creates the device for @guest_cid (3 or above) and listens on @path (may be NULL: then only
 * services can be reached). The path must not exist; it is unlinked again on destruction.
 * 0 or -errno.
 */
int virtio_vsock_create(const struct virtio_place *place, uint64_t guest_cid, const char *path,
                        struct virtio_device **out_dev, struct error *err);

/*
 * Hands guest connections to host port @port to @accept as one end of a socket pair, which @accept
 * owns. Called before the guest runs; @accept runs on the I/O thread, under the device's lock, and
 * must not call back into the device. -ENOSPC when all slots are taken.
 */
int virtio_vsock_serve(struct virtio_device *dev, uint32_t port, void (*accept)(void *arg, int fd),
                       void *arg);

/*
 * Until virtio_vsock_open(), the guest reaches services only: its other requests wait, and so do
 * clients of the host. For a copy of a guest, which must not speak before it knows that it is one.
 * Shut before the guest runs, opened by the I/O thread.
 */
void virtio_vsock_shut(struct virtio_device *dev);
void virtio_vsock_open(struct virtio_device *dev);

#endif
