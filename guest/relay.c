/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * relay.c - the verb "relay": bytes between 127.0.0.1:port in the guest and a port of the host.
 * The agent's thread.
 *
 * A link is two sockets and two lanes, one a direction. A lane holds at most LANE_SIZE bytes: it
 * reads only while it has room and writes only while it holds something, so a slow reader slows
 * its writer and nothing grows. The end of one direction is passed on (shutdown), the other lane
 * goes on; a link ends when both lanes have, or at the first error.
 *
 * A door outlives the channel: a restored clone's VMM needn't ask for it again.
 */
#include "guest/relay.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guest/agent.h"
#include "guest/channel.h"
#include "guest/host.h"
#include "guest/verbs.h"
#include "lib/cleanup.h"
#include "lib/listener.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/proto.h"

#define DOORS_MAX 16
#define LINKS_MAX 256
#define LANE_SIZE ((size_t)32 << 10)
#define BACKLOG 64

enum side { GUEST, HOST, SIDES };

/* Bytes that came from one side and are on their way to the other. */
struct lane {
	uint8_t data[LANE_SIZE];
	size_t start, used;
	bool ended;  /* nothing more will come in */
	bool closed; /* and that was passed on */
};

struct end {
	struct link *link; /* borrowed: its own */
	struct loop_watch watch;
	int fd; /* owned */
};

struct link {
	struct relays *relays; /* borrowed */
	struct link *next;
	bool connecting;
	struct end ends[SIDES];
	struct lane lanes[SIDES]; /* lanes[s] carries what came from side s */
};

/* A port of the guest's; free when its listener isn't listening. */
struct door {
	struct relays *relays; /* borrowed */
	struct listener listener;
	uint16_t port;
	uint32_t to;
};

struct relays {
	struct agent *agent; /* borrowed */
	struct door doors[DOORS_MAX];
	struct link *links; /* owned */
	size_t link_count;
	struct log_limit limit;
};

static void link_free(struct link *link)
{
	struct relays *relays = link->relays;

	for (struct link **at = &relays->links; *at; at = &(*at)->next) {
		if (*at == link) {
			*at = link->next;
			break;
		}
	}
	relays->link_count--;
	for (int side = 0; side < SIDES; side++) {
		loop_watch_remove(relays->agent->loop, &link->ends[side].watch);
		close_fd(&link->ends[side].fd);
	}
	free(link);
}

/* --- pumping --- */

/* Fills @lane from @fd. 0 or -errno. */
static int lane_read(struct lane *lane, int fd)
{
	ssize_t n;

	if (lane->ended || lane->used)
		return 0;
	n = recv(fd, lane->data, sizeof(lane->data), 0);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	lane->start = 0;
	lane->used = (size_t)n;
	lane->ended = n == 0;
	return 0;
}

/* Empties @lane to @fd, and passes on its end. 0 or -errno. */
static int lane_write(struct lane *lane, int fd)
{
	while (lane->used) {
		ssize_t n = send(fd, lane->data + lane->start, lane->used, MSG_NOSIGNAL);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -errno;
		lane->start += (size_t)n;
		lane->used -= (size_t)n;
	}
	if (lane->ended && !lane->closed) {
		lane->closed = true;
		shutdown(fd, SHUT_WR);
	}
	return 0;
}

static uint32_t end_events(const struct link *link, enum side side)
{
	const struct lane *in = &link->lanes[side],
			  *out = &link->lanes[side == GUEST ? HOST : GUEST];
	uint32_t events = 0;

	if (!in->ended && !in->used)
		events |= EPOLLIN;
	if (out->used)
		events |= EPOLLOUT;
	return events;
}

/*
 * A socket that is done in both directions would report its hang-up for ever; so an end without
 * anything to wait for leaves the loop until there is something again.
 */
static int end_watch(struct link *link, enum side side,
                     void (*ready)(struct loop_watch *, uint32_t))
{
	struct loop *loop = link->relays->agent->loop;
	struct end *end = &link->ends[side];
	uint32_t events = end_events(link, side);

	if (!events) {
		loop_watch_remove(loop, &end->watch);
		return 0;
	}
	if (end->watch.active)
		return loop_watch_change(loop, &end->watch, events);
	return loop_watch_add(loop, &end->watch, end->fd, events, ready);
}

static void end_ready(struct loop_watch *watch, uint32_t events);

static void link_pump(struct link *link)
{
	int ret = 0;

	for (int side = 0; side < SIDES && ret == 0; side++) {
		int other = side == GUEST ? HOST : GUEST;

		ret = lane_read(&link->lanes[side], link->ends[side].fd);
		if (ret == 0)
			ret = lane_write(&link->lanes[side], link->ends[other].fd);
	}
	for (int side = 0; side < SIDES && ret == 0; side++)
		ret = end_watch(link, (enum side)side, end_ready);
	if (ret < 0 || (link->lanes[GUEST].closed && link->lanes[HOST].closed))
		link_free(link);
}

static void end_ready(struct loop_watch *watch, uint32_t events)
{
	struct link *link = container_of(watch, struct end, watch)->link;

	(void)events;
	if (link->connecting) {
		int ret = host_connect_result(link->ends[HOST].fd);

		if (ret < 0) {
			log_warn_limited(&link->relays->limit, "relay: the host refuses: %s",
			                 strerror(-ret));
			link_free(link);
			return;
		}
		link->connecting = false;
	}
	link_pump(link);
}

/* --- accepting --- */

static void link_create(struct door *door, int fd)
{
	struct relays *relays = door->relays;
	struct link *link = relays->link_count < LINKS_MAX ? calloc(1, sizeof(*link)) : NULL;
	int on = 1;
	int ret;

	if (!link) {
		log_warn_limited(&relays->limit, "relay: too many connections");
		close(fd);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	link->relays = relays;
	link->next = relays->links;
	relays->links = link;
	relays->link_count++;
	link->ends[GUEST] = (struct end){ .link = link, .fd = fd };
	link->ends[HOST] = (struct end){ .link = link, .fd = -1 };
	ret = host_connect(&relays->agent->options, door->to, &link->ends[HOST].fd);
	if (ret == 0) {
		link_pump(link);
		return;
	}
	link->connecting = true;
	if (ret == -EINPROGRESS)
		ret = loop_watch_add(relays->agent->loop, &link->ends[HOST].watch,
		                     link->ends[HOST].fd, EPOLLOUT, end_ready);
	if (ret < 0) {
		log_warn_limited(&relays->limit, "relay: the host can't be reached: %s",
		                 strerror(-ret));
		link_free(link);
	}
}

static void on_accepted(struct listener *listener, int fd)
{
	link_create(container_of(listener, struct door, listener), fd);
}

static int door_open(struct door *door, uint16_t port, uint32_t to)
{
	const struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	cleanup_fd int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int on = 1;
	int ret;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(fd, BACKLOG) < 0)
		return -errno;
	ret = listener_start(&door->listener, door->relays->agent->loop, fd, on_accepted);
	if (ret < 0)
		return ret;
	steal_fd(&fd);
	door->port = port;
	door->to = to;
	return 0;
}

void verb_relay(struct agent *agent, struct request *request)
{
	struct relays *relays = agent->relays;
	struct door *unused = NULL;
	json_int_t port = 0, to = 0;
	int ret;

	if (!request_number(request, "port", true, 1, 65535, &port) ||
	    !request_number(request, "to", true, 1, UINT32_MAX - 1, &to))
		return;
	for (size_t i = 0; i < DOORS_MAX; i++) {
		struct door *door = &relays->doors[i];

		if (door->listener.fd < 0) {
			unused = unused ? unused : door;
		} else if (door->port == port) {
			door->to = (uint32_t)to; /* for the connections to come */
			request_reply(request, NULL, NULL, 0);
			return;
		}
	}
	ret = unused ? door_open(unused, (uint16_t)port, (uint32_t)to) : -EMFILE;
	if (ret < 0)
		request_fail(request, PROTO_ERR_FAILED, "relay: can't listen on port %d: %s",
		             (int)port, strerror(-ret));
	else
		request_reply(request, NULL, NULL, 0);
}

int relays_create(struct agent *agent, struct relays **out_relays)
{
	struct relays *relays = calloc(1, sizeof(*relays));

	if (!relays)
		return -ENOMEM;
	relays->agent = agent;
	relays->limit = (struct log_limit)LOG_LIMIT_INIT;
	for (size_t i = 0; i < DOORS_MAX; i++) {
		relays->doors[i].relays = relays;
		relays->doors[i].listener = (struct listener)LISTENER_INIT;
	}
	*out_relays = relays;
	return 0;
}

void relays_destroy(struct relays *relays)
{
	if (!relays)
		return;
	while (relays->links)
		link_free(relays->links);
	for (size_t i = 0; i < DOORS_MAX; i++) {
		listener_stop(&relays->doors[i].listener);
	}
	free(relays);
}
