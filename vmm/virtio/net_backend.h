/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_backend.h - what a virtio-net device is plugged into: a tap or a stream.
 *
 * A back end belongs to its device and is called under the device's lock, by the I/O thread; only
 * .negotiated runs on a vCPU thread. Nothing here blocks. The back end calls .ready without the lock.
 */
#ifndef CLOCHE_VMM_VIRTIO_NET_BACKEND_H
#define CLOCHE_VMM_VIRTIO_NET_BACKEND_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "lib/error.h"
#include "lib/loop.h"

struct net_backend;

enum net_sent {
	NET_SENT,
	NET_DROPPED, /* the host doesn't take this frame, or the link is down */
	NET_FULL,    /* not now: .ready comes when it is worth another try */
};

struct net_backend_ops {
	/*
	 * Sends one frame. @iov[0] is its checked header (NET_HEADER_SIZE bytes, net_header.h) and is
	 * the back end's to replace; the frame behind it, of @size bytes, is guest memory.
	 */
	enum net_sent (*send)(struct net_backend *backend, struct iovec *iov, int count,
	                      size_t size);
	/*
	 * Receives one frame, its header before it, into @iov, which is large enough. Bytes; 0 when
	 * there is none.
	 */
	size_t (*receive)(struct net_backend *backend, const struct iovec *iov, int count);
	/* What .ready is wanted for: a frame came; there is room again. */
	void (*want)(struct net_backend *backend, bool in, bool out);
	/* The driver has accepted @features and knows nothing of what came before. */
	void (*negotiated)(struct net_backend *backend, uint64_t features);
	void (*destroy)(struct net_backend *backend);
};

struct net_backend {
	const struct net_backend_ops *ops;
	uint64_t features; /* that it can offer, as bits of the device (virtio 1.2 §5.1.3) */
	uint16_t mtu;      /* to be told to the driver; 0: nothing to be told */
	bool up;           /* the link; a change is told by .ready */
	/* Set by the device. */
	void (*ready)(struct net_backend *backend);
	void *owner;
};

/*
 * A tap interface: by @name, which must exist, or the descriptor @fd (then @name is NULL), which is
 * taken over on success. *out_backend is to be destroyed. 0 or -errno.
 */
int net_tap_create(struct loop *loop, const char *name, int fd, struct net_backend **out_backend,
                   struct error *err);

/*
 * A connection to the unix stream socket at @path (borrowed), whose server speaks net_framing.h.
 * When it ends, the link goes down, and up again if the server takes another one.
 */
int net_stream_create(struct loop *loop, const char *path, struct net_backend **out_backend,
                      struct error *err);

/* Nothing at all: the link is down, frames are dropped, and whatever a driver uses will do. */
int net_unplugged_create(struct net_backend **out_backend, struct error *err);

#endif
