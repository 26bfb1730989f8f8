/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net.c - the device: frames between two queues and a back end (net_backend.h).
 *
 * Theory of operation. Transmit: a chain is popped, its header judged (net_header.h), the frame sent
 * from guest memory as it lies there. Receive: buffers are taken ahead of frames (net_rx.h) and the
 * frame is read into them; only a frame that finds too few of them goes to .pending and is copied
 * when the driver has brought more. Each side stops for one of three reasons and goes on by the
 * event that ends it:
 *
 *	                    receive                    transmit
 *	nothing to do       back end's .ready          driver's notification
 *	no room             driver's notification      back end's .ready
 *	over the limit      timer                      timer
 *
 * Threads. Reset and DRIVER_OK arrive on a vCPU thread and touch only what the lock guards; watches
 * and timers are changed by the I/O thread, which gets to know of an activation by a notification
 * of both queues.
 *
 * Invariants:
 *  E1  nothing is read from the back end without a place for it: a frame that doesn't fit stays
 *      in the host, but for one.
 *  E2  chains that the driver offers for receiving hold the header; those it transmits are
 *      readable only. A driver that breaks this, or a rule of net_header.h, gets DEVICE_NEEDS_RESET.
 *  E3  no frame goes out or in while its limit says no; none is lost for that.
 */
#include "vmm/virtio/net.h"

#include <endian.h>
#include <errno.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/token_bucket.h"
#include "vmm/virtio/net_backend.h"
#include "vmm/virtio/net_header.h"
#include "vmm/virtio/net_rx.h"

#define NET_DEVICE_ID 1
#define QUEUE_RX 0
#define QUEUE_TX 1
/* A tenth of a second's worth may come at once. */
#define BURSTS_PER_S 10

struct limit {
	struct token_bucket bytes, packets;
	struct loop_timer timer; /* set while it is over the limit */
};

struct net {
	struct virtio_device dev;
	struct net_backend *backend; /* owned */
	struct virtio_net_config config;
	bool running; /* DRIVER_OK was set */
	bool shut;    /* no frame goes in or out: virtio_net_shut() */
	struct limit rx_limit, tx_limit;
	bool want_in, want_out;
	struct net_rx rx;
	size_t pending_size; /* of .pending, header included; 0: none */
	uint8_t pending[NET_HEADER_SIZE + NET_FRAME_MAX];
};

static struct net *net_of(struct virtio_device *dev)
{
	return container_of(dev, struct net, dev);
}

/* --- limits ------------------------------------------------------------------------------------ */

static void bucket_init(struct token_bucket *bucket, uint64_t rate, uint64_t now_ns)
{
	uint64_t burst = rate / BURSTS_PER_S;

	if (burst == 0)
		burst = 1;
	token_bucket_init(bucket, rate, burst < UINT32_MAX ? (uint32_t)burst : UINT32_MAX, now_ns);
}

static void limit_init(struct limit *limit, const struct net_config *config)
{
	uint64_t now_ns = clock_now_ns();

	bucket_init(&limit->bytes, config->rate_bytes, now_ns);
	bucket_init(&limit->packets, config->rate_packets, now_ns);
}

/* True: a frame may pass, whose size needn't be known yet. Else the timer is set. */
static bool limit_passes(struct net *net, struct limit *limit, void (*expired)(struct loop_timer *))
{
	if (limit->bytes.rate == 0 && limit->packets.rate == 0)
		return true;
	uint64_t now_ns = clock_now_ns();
	uint64_t bytes = token_bucket_wait_ns(&limit->bytes, 1, now_ns);
	uint64_t packets = token_bucket_wait_ns(&limit->packets, 1, now_ns);
	uint64_t wait = bytes > packets ? bytes : packets;

	if (wait == 0)
		return true;
	loop_timer_set(net->dev.loop, &limit->timer, now_ns + wait, expired);
	return false;
}

static void limit_charge(struct limit *limit, size_t size)
{
	token_bucket_charge(&limit->bytes, (uint32_t)size);
	token_bucket_charge(&limit->packets, 1);
}

/* --- host to guest --------------------------------------------------------------------------- */

static void on_rx_limit(struct loop_timer *timer);
static void on_tx_limit(struct loop_timer *timer);

/* Gives the pending frame to the guest. False: it stays, as there are too few buffers. */
static bool deliver_pending(struct net *net)
{
	struct virtqueue *queue = &net->dev.queues[QUEUE_RX];

	if (net->pending_size > net->rx.size) {
		if (!net_rx_is_full(&net->rx, queue))
			return false;
		log_warn_limited(&net->dev.complaints,
		                 "net: frame of %zu bytes dropped, as all receive buffers together "
		                 "are smaller",
		                 net->pending_size - NET_HEADER_SIZE);
		net->pending_size = 0;
		return true;
	}
	net_rx_write(&net->rx, 0, net->pending, net->pending_size);
	net_rx_commit(&net->rx, queue, net->pending_size);
	net->pending_size = 0;
	return true;
}

/*
 * Reads one frame into the guest's buffers, with .pending behind them for what is more. False:
 * there is none.
 */
static bool receive_one(struct net *net)
{
	struct net_rx *rx = &net->rx;
	size_t room = rx->size < sizeof(net->pending) ? (size_t)rx->size : sizeof(net->pending);
	int count = (int)(rx->iov_end - rx->iov_first);

	if (room < sizeof(net->pending))
		rx->iov[rx->iov_end] =
			(struct iovec){ net->pending + room, sizeof(net->pending) - room };
	size_t got = net->backend->ops->receive(net->backend, rx->iov + rx->iov_first,
	                                        count + (room < sizeof(net->pending)));
	if (got <= NET_HEADER_SIZE)
		return false;
	limit_charge(&net->rx_limit, got - NET_HEADER_SIZE);
	if (got <= rx->size) {
		net_rx_commit(rx, &net->dev.queues[QUEUE_RX], got);
		return true;
	}
	net_rx_read(rx, net->pending, room);
	net->pending_size = got;
	return true;
}

/* Why receiving stopped. */
enum stop { STOP_EMPTY, STOP_NO_ROOM, STOP_LIMIT, STOP_TURN, STOP_BROKEN };

static enum stop receive_some(struct net *net, unsigned *out_frames, struct error *err)
{
	struct virtqueue *queue = &net->dev.queues[QUEUE_RX];

	for (*out_frames = 0; *out_frames < VIRTIO_TURN_MAX; ++*out_frames) {
		if (net_rx_fill(&net->rx, queue, err))
			return STOP_BROKEN;
		if (net->rx.count == 0)
			return STOP_NO_ROOM;
		if (net->pending_size) {
			if (!deliver_pending(net))
				return STOP_NO_ROOM;
			continue;
		}
		if (!limit_passes(net, &net->rx_limit, on_rx_limit))
			return STOP_LIMIT;
		if (!receive_one(net))
			return STOP_EMPTY;
	}
	return STOP_TURN;
}

/* Frames that the driver is to be told of; of transmit(), too. */
static unsigned receive(struct net *net)
{
	struct error err = { 0 };
	unsigned frames = 0;

	net->want_in = false;
	if (!net->dev.queues[QUEUE_RX].active || net->rx_limit.timer.active)
		return 0;
	enum stop why = receive_some(net, &frames, &err);
	if (why == STOP_BROKEN)
		virtio_device_fail(&net->dev, &err);
	/* The back end may hold frames that no event tells of. */
	if (why == STOP_TURN)
		virtio_device_again(&net->dev, QUEUE_RX);
	net->want_in = why == STOP_EMPTY;
	return frames;
}

/* --- guest to host --------------------------------------------------------------------------- */

/*
 * The frame in @chain as @out_iov, whose first entry is @out_header, judged. Frame's bytes, or
 * -EPROTO with @err.
 */
static int take_frame(const struct net *net, const struct virtqueue_chain *chain,
                      uint8_t out_header[NET_HEADER_SIZE], struct iovec *out_iov, int *out_count,
                      struct error *err)
{
	uint8_t raw[NET_HEADER_SIZE] = { 0 };
	size_t skip = virtqueue_read(chain, 0, raw, sizeof(raw));
	uint64_t size = chain->readable_size - skip;
	int count = 0;

	if (chain->writable)
		return error_set(err, -EPROTO, "net: writable buffer in a transmitted frame");
	const char *rule = net_header_check(raw, size, net->dev.driver_features, out_header);
	if (rule)
		return error_set(err, -EPROTO, "net: %s", rule);
	out_iov[count++] = (struct iovec){ out_header, NET_HEADER_SIZE };
	for (unsigned i = 0; i < chain->readable; i++) {
		const struct virtqueue_buffer *b = &chain->buffers[i];
		size_t n = skip < b->size ? skip : b->size;

		skip -= n;
		if (b->size > n)
			out_iov[count++] = (struct iovec){ b->data + n, b->size - n };
	}
	*out_count = count;
	return (int)size;
}

static enum stop transmit_some(struct net *net, unsigned *out_frames, struct error *err)
{
	struct virtqueue *queue = &net->dev.queues[QUEUE_TX];
	struct iovec iov[VIRTQUEUE_SIZE_MAX + 1];
	struct virtqueue_chain chain;

	for (*out_frames = 0; *out_frames < VIRTIO_TURN_MAX; ++*out_frames) {
		uint8_t header[NET_HEADER_SIZE];
		int count = 0;

		if (!limit_passes(net, &net->tx_limit, on_tx_limit))
			return STOP_LIMIT;
		int got = virtqueue_pop(queue, &chain, err);
		if (got <= 0)
			return got ? STOP_BROKEN : STOP_EMPTY;
		int size = take_frame(net, &chain, header, iov, &count, err);
		if (size < 0)
			return STOP_BROKEN;
		enum net_sent sent =
			net->backend->ops->send(net->backend, iov, count, (size_t)size);
		if (sent == NET_FULL) {
			virtqueue_unpop(queue, 1);
			return STOP_NO_ROOM;
		}
		limit_charge(&net->tx_limit, (size_t)size);
		virtqueue_push(queue, chain.head, 0);
	}
	return STOP_TURN;
}

static unsigned transmit(struct net *net)
{
	struct error err = { 0 };
	unsigned frames = 0;

	net->want_out = false;
	if (!net->dev.queues[QUEUE_TX].active || net->tx_limit.timer.active)
		return 0;
	enum stop why = transmit_some(net, &frames, &err);
	if (why == STOP_BROKEN)
		virtio_device_fail(&net->dev, &err);
	if (why == STOP_TURN)
		virtio_device_again(&net->dev, QUEUE_TX);
	net->want_out = why == STOP_NO_ROOM;
	return frames;
}

/* --- events ---------------------------------------------------------------------------------- */

static void sync_link(struct net *net)
{
	uint16_t status = htole16(net->backend->up ? VIRTIO_NET_S_LINK_UP : 0);

	if (status == net->config.status)
		return;
	net->config.status = status;
	virtio_device_config_changed(&net->dev);
}

/*
 * On the I/O thread, under the lock: does what can be done in the directions asked for. What was sent
 * is often answered before the call that sent it returns (TCP's acknowledgements, through a tap), so
 * receiving is tried after it: frames of both directions cost the guest one interrupt.
 */
static void work(struct net *net, bool in, bool out)
{
	unsigned frames = 0;
	bool works = net->running && !net->shut;

	if (works && !net->dev.needs_reset && out)
		frames += transmit(net);
	if (works && !net->dev.needs_reset && (in || net->want_in))
		frames += receive(net);
	if (frames > 0)
		virtio_device_signal_all(&net->dev);
	if (!works || net->dev.needs_reset)
		net->want_in = net->want_out = false;
	sync_link(net);
	net->backend->ops->want(net->backend, net->want_in, net->want_out);
}

static void on_backend_ready(struct net_backend *backend);

static void work_locked(struct net *net, bool in, bool out)
{
	pthread_mutex_lock(&net->dev.lock);
	work(net, in, out);
	pthread_mutex_unlock(&net->dev.lock);
}

static void on_rx_limit(struct loop_timer *timer)
{
	work_locked(container_of(timer, struct net, rx_limit.timer), true, false);
}

static void on_tx_limit(struct loop_timer *timer)
{
	work_locked(container_of(timer, struct net, tx_limit.timer), false, true);
}

static void net_notified(struct virtio_device *dev, unsigned queue)
{
	work(net_of(dev), queue == QUEUE_RX, queue == QUEUE_TX);
}

static void net_activated(struct virtio_device *dev)
{
	struct net *net = net_of(dev);

	net_rx_init(&net->rx, virtio_device_has(dev, NET_F(VIRTIO_NET_F_MRG_RXBUF)));
	net->backend->ops->negotiated(net->backend, dev->driver_features);
	net->running = true;
	virtio_device_again(dev, QUEUE_RX);
	virtio_device_again(dev, QUEUE_TX);
}

static void net_reset(struct virtio_device *dev)
{
	struct net *net = net_of(dev);

	net->running = false;
	net->pending_size = 0;
	net_rx_init(&net->rx, false);
}

static void net_config_read(struct virtio_device *dev, size_t offset, void *out, size_t size)
{
	memcpy(out, (const uint8_t *)&net_of(dev)->config + offset, size);
}

/* Receive buffers go back into their ring. A frame that waits for more of them is lost, as frames may. */
static void net_quiesce(struct virtio_device *dev)
{
	struct net *net = net_of(dev);

	virtqueue_unpop(&dev->queues[QUEUE_RX], net->rx.count);
	net_rx_init(&net->rx, net->rx.mergeable);
	net->pending_size = 0;
}

static void net_save(const struct virtio_device *dev, struct wire_writer *out)
{
	const struct net *net = container_of(dev, struct net, dev);

	wire_put_u8(out, net->running);
	wire_put_u16(out, le16toh(net->config.status));
	wire_put_u16(out, le16toh(net->config.mtu));
}

static int net_restore(struct virtio_device *dev, struct wire_reader *in, struct error *err)
{
	struct net *net = net_of(dev);

	(void)err;
	net->running = wire_get_u8(in);
	/* As the driver knows it: a link that is another now is told by a change. */
	net->config.status = htole16(wire_get_u16(in));
	net->config.mtu = htole16(wire_get_u16(in));
	if (!net->running)
		return 0;
	net_rx_init(&net->rx, virtio_device_has(dev, NET_F(VIRTIO_NET_F_MRG_RXBUF)));
	net->backend->ops->negotiated(net->backend, dev->driver_features);
	return 0;
}

void virtio_net_shut(struct virtio_device *dev)
{
	pthread_mutex_lock(&dev->lock);
	net_of(dev)->shut = true;
	pthread_mutex_unlock(&dev->lock);
}

void virtio_net_open(struct virtio_device *dev)
{
	struct net *net = net_of(dev);

	pthread_mutex_lock(&dev->lock);
	net->shut = false;
	work(net, true, true);
	pthread_mutex_unlock(&dev->lock);
}

static void net_destroy(struct virtio_device *dev)
{
	struct net *net = net_of(dev);

	loop_timer_cancel(dev->loop, &net->rx_limit.timer);
	loop_timer_cancel(dev->loop, &net->tx_limit.timer);
	if (net->backend)
		net->backend->ops->destroy(net->backend);
}

static const struct virtio_ops net_ops = {
	.name = "net",
	.device_id = NET_DEVICE_ID,
	.features = NET_F(VIRTIO_NET_F_MAC) | NET_F(VIRTIO_NET_F_STATUS) |
	            NET_F(VIRTIO_NET_F_MRG_RXBUF),
	.queue_count = 2,
	.queue_size = 256,
	.config_size = offsetof(struct virtio_net_config, speed),
	.config_read = net_config_read,
	.activated = net_activated,
	.notified = net_notified,
	.reset = net_reset,
	.quiesce = net_quiesce,
	.save = net_save,
	.restore = net_restore,
	.destroy = net_destroy,
};

static void on_backend_ready(struct net_backend *backend)
{
	struct net *net = backend->owner;

	work_locked(net, net->want_in, net->want_out);
}

static int plug_in(struct net *net, const struct net_config *config, struct error *err)
{
	struct loop *loop = net->dev.loop;
	int ret;

	if (config->kind == NET_UNPLUGGED)
		ret = net_unplugged_create(&net->backend, err);
	else if (config->kind == NET_STREAM)
		ret = net_stream_create(loop, config->target, &net->backend, err);
	else
		ret = net_tap_create(loop, config->target, config->fd, &net->backend, err);
	if (ret)
		return ret;
	net->backend->ready = on_backend_ready;
	net->backend->owner = net;
	net->dev.features |= net->backend->features;
	if (net->backend->mtu) {
		net->dev.features |= NET_F(VIRTIO_NET_F_MTU);
		net->config.mtu = htole16(net->backend->mtu);
	}
	net->config.status = htole16(VIRTIO_NET_S_LINK_UP);
	net->config.max_virtqueue_pairs = htole16(1);
	memcpy(net->config.mac, config->mac, NET_MAC_SIZE);
	return 0;
}

int virtio_net_create(const struct virtio_place *place, const struct net_config *config,
                      struct virtio_device **out_dev, struct error *err)
{
	struct net *net = calloc(1, sizeof(*net));

	if (!net)
		return error_set(err, -ENOMEM, "no memory for net");
	int ret = virtio_device_init(&net->dev, &net_ops, place, err);
	if (ret) {
		free(net);
		return ret;
	}
	limit_init(&net->rx_limit, config);
	limit_init(&net->tx_limit, config);
	ret = plug_in(net, config, err);
	if (ret) {
		virtio_device_finish(&net->dev);
		free(net);
		return ret;
	}
	*out_dev = &net->dev;
	return 0;
}
