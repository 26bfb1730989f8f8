/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * frames.c - see frames.h.
 *
 * A client belongs to the I/O thread: it is made and ended there, and the loop watches its socket for the
 * end. From scan_add() to scan_remove() all that is below "the scan's thread" is that thread's alone. It gets
 * to know when it can send on through an epoll of its own, which the scan watches.
 *
 *	           frame()                        all is sent
 *	 idle ---------------> sending a copy ---------------> idle, or the next copy if tiles are marked
 *	                        | frame(): marks tiles
 *	                        | the socket is full: EPOLLOUT
 *	                        ` an error: dead; the loop sees the end of the socket, which is shut down
 */
#include "vmm/frames.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "display/frame_stream.h"
#include "display/scratch.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/sock.h"
#include "vmm/scan.h"
#include "vmm/vm.h"

#define SMALL_MAX ((size_t)256 << 10) /* a copy of up to so many bytes is malloc's */

struct frames_client {
	struct frames *frames; /* borrowed */
	int fd;                /* owned; -1: a free place */
	int poll_fd;           /* owned epoll: can .fd be sent to? */
	struct loop_watch watch;

	/* The scan's thread. */
	struct scan_listener listener;
	unsigned width, height; /* of the screen that it was told of */
	unsigned count;         /* tiles of that */
	uint8_t *marked;        /* owned: tiles to be told */
	uint64_t *told;         /* owned: the hash of each as it was told last */
	uint64_t number, time_ns;
	struct scratch scratch;
	uint8_t *copy; /* owned, or in .scratch; NULL: nothing is on its way */
	size_t size, sent;
	bool waiting; /* for EPOLLOUT */
	bool dead;
};

struct frames {
	struct vm *vm; /* borrowed */
	struct frames_client clients[FRAMES_CLIENTS_MAX];
};

/* --- the scan's thread ----------------------------------------------------------------------- */

static void drop_copy(struct frames_client *client)
{
	if (client->copy != client->scratch.data)
		free(client->copy);
	scratch_finish(&client->scratch);
	client->copy = NULL;
}

static void die(struct frames_client *client)
{
	drop_copy(client);
	client->dead = true;
	epoll_ctl(client->poll_fd, EPOLL_CTL_DEL, client->fd, NULL);
	shutdown(client->fd, SHUT_RDWR);
}

/* Another screen: all is to be told, nothing of it was. False: no memory. */
static bool follow_size(struct frames_client *client, const struct tiles *tiles)
{
	const struct grid *grid = tiles_grid(tiles);

	if (grid->width == client->width && grid->height == client->height)
		return true;
	client->count = grid_count(grid);
	free(client->marked);
	free(client->told);
	client->marked = malloc(client->count);
	client->told = malloc(client->count * sizeof(*client->told));
	if (!client->marked || !client->told)
		return false;
	/* What is known to be told is something that the tile isn't. */
	for (unsigned i = 0; i < client->count; i++)
		client->told[i] = ~tiles_hashes(tiles)[i];
	memset(client->marked, 1, client->count);
	client->width = grid->width;
	client->height = grid->height;
	return true;
}

/* Forgets marks of tiles that are again as they were told. What is left, and its size as bytes. */
static unsigned count_marked(struct frames_client *client, const struct tiles *tiles,
                             size_t *out_size)
{
	const uint64_t *hashes = tiles_hashes(tiles);
	unsigned count = 0;

	*out_size = FRAME_HEAD_SIZE;
	for (unsigned i = 0; i < client->count; i++) {
		if (!client->marked[i])
			continue;
		client->marked[i] = hashes[i] != client->told[i];
		if (!client->marked[i])
			continue;
		struct rectangle tile = grid_tile(tiles_grid(tiles), i);
		*out_size += FRAME_TILE_HEAD_SIZE + (size_t)tile.width * tile.height * 4;
		count++;
	}
	return count;
}

static uint8_t *copy_tile(struct frames_client *client, const struct tiles *tiles, unsigned index,
                          uint8_t *at)
{
	struct rectangle tile = grid_tile(tiles_grid(tiles), index);
	const uint32_t *pixels = tiles_pixels(tiles) + (size_t)tile.y * client->width + tile.x;

	client->told[index] = tiles_hashes(tiles)[index];
	client->marked[index] = 0;
	frame_tile_encode(index, client->told[index], at);
	at += FRAME_TILE_HEAD_SIZE;
	/* Little-endian, as this processor's words are. */
	for (unsigned y = 0; y < tile.height; y++, pixels += client->width) {
		memcpy(at, pixels, tile.width * 4ul);
		at += tile.width * 4ul;
	}
	return at;
}

static uint64_t to_realtime(uint64_t monotonic_ns)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec -
	       (clock_now_ns() - monotonic_ns);
}

/* Copies all that is marked. 0: nothing is; 1: a copy is to be sent; -ENOMEM. */
static int make_copy(struct frames_client *client, const struct tiles *tiles)
{
	size_t size;
	unsigned count = count_marked(client, tiles, &size);

	if (count == 0)
		return 0;
	if (size <= SMALL_MAX)
		client->copy = malloc(size);
	else if (scratch_init(&client->scratch, size) == 0)
		client->copy = client->scratch.data;
	if (!client->copy)
		return -ENOMEM;
	const struct frame_head head = { client->number, to_realtime(client->time_ns),
		                         client->width, client->height, count };
	frame_head_encode(&head, client->copy);
	uint8_t *at = client->copy + FRAME_HEAD_SIZE;
	for (unsigned i = 0; i < client->count; i++)
		if (client->marked[i])
			at = copy_tile(client, tiles, i, at);
	ASSERT(at == client->copy + size);
	client->size = size;
	client->sent = 0;
	return 1;
}

static void wait_for_room(struct frames_client *client, bool wait)
{
	struct epoll_event event = { .events = wait ? EPOLLOUT : 0 };

	if (client->waiting == wait)
		return;
	client->waiting = wait;
	if (epoll_ctl(client->poll_fd, EPOLL_CTL_MOD, client->fd, &event))
		die(client);
}

/* Sends what the socket takes. True: all of the copy. */
static bool send_copy(struct frames_client *client)
{
	while (client->sent < client->size) {
		ssize_t n = send(client->fd, client->copy + client->sent,
		                 client->size - client->sent, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
			wait_for_room(client, true);
			return false;
		}
		if (n < 0) {
			die(client);
			return false;
		}
		client->sent += (size_t)n;
	}
	drop_copy(client);
	return true;
}

/* Sends what is on its way, then what is marked, until the socket is full or nothing is left. */
static void send_on(struct frames_client *client, const struct tiles *tiles)
{
	while (!client->dead) {
		if (client->copy && !send_copy(client))
			return;
		int ret = client->marked && tiles ? make_copy(client, tiles) : 0;

		if (ret < 0)
			die(client);
		if (ret <= 0)
			break;
	}
	if (!client->dead)
		wait_for_room(client, false);
}

static void on_frame(struct scan_listener *listener, const struct scan_frame *frame)
{
	struct frames_client *client = container_of(listener, struct frames_client, listener);
	const uint8_t *changed = tiles_changed(frame->tiles);

	if (client->dead)
		return;
	if (!follow_size(client, frame->tiles)) {
		die(client);
		return;
	}
	for (unsigned i = 0; i < client->count; i++)
		client->marked[i] |= changed[i];
	client->number = frame->number;
	client->time_ns = frame->time_ns;
	if (!client->waiting)
		send_on(client, frame->tiles);
}

/* There is room again, or nobody to make some. */
static void on_room(struct scan_listener *listener)
{
	struct frames_client *client = container_of(listener, struct frames_client, listener);
	const struct tiles *tiles = scan_tiles(client->frames->vm->scan);
	struct epoll_event event = { .events = 0 };

	if (client->dead || epoll_wait(client->poll_fd, &event, 1, 0) != 1)
		return;
	if (event.events & (EPOLLHUP | EPOLLERR)) {
		die(client);
		return;
	}
	/* A screen of another size is told by its frame first. */
	if (tiles && (tiles_grid(tiles)->width != client->width ||
	              tiles_grid(tiles)->height != client->height))
		tiles = NULL;
	send_on(client, tiles);
}

/* --- I/O thread ------------------------------------------------------------------------------ */

static void end_client(struct frames_client *client)
{
	if (client->fd < 0)
		return;
	scan_remove(client->frames->vm->scan, &client->listener);
	loop_watch_remove(client->frames->vm->loop, &client->watch);
	drop_copy(client);
	free(client->marked);
	free(client->told);
	close_fd(&client->poll_fd);
	close_fd(&client->fd);
}

/* Its end, or bytes, which it has no reason to send. */
static void on_input(struct loop_watch *watch, uint32_t events)
{
	(void)events;
	end_client(container_of(watch, struct frames_client, watch));
}

int frames_create(struct vm *vm, struct frames **out_frames)
{
	struct frames *frames = calloc(1, sizeof(*frames));

	if (!frames)
		return -ENOMEM;
	frames->vm = vm;
	for (unsigned i = 0; i < FRAMES_CLIENTS_MAX; i++)
		frames->clients[i].fd = -1;
	*out_frames = frames;
	return 0;
}

void frames_destroy(struct frames *frames)
{
	if (!frames)
		return;
	for (unsigned i = 0; i < FRAMES_CLIENTS_MAX; i++)
		end_client(&frames->clients[i]);
	free(frames);
}

/* All of it, or nothing. */
static int start(struct frames_client *client)
{
	struct epoll_event event = { .events = 0 };
	struct vm *vm = client->frames->vm;

	client->poll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (client->poll_fd < 0 || epoll_ctl(client->poll_fd, EPOLL_CTL_ADD, client->fd, &event))
		return -errno;
	int ret = loop_watch_add(vm->loop, &client->watch, client->fd, EPOLLIN | EPOLLRDHUP,
	                         on_input);
	if (ret)
		return ret;
	client->listener.fd = client->poll_fd;
	ret = scan_add(vm->scan, &client->listener);
	if (ret)
		loop_watch_remove(vm->loop, &client->watch);
	return ret;
}

int frames_add(struct frames *frames, int fd, bool fast)
{
	struct frames_client *client = frames->clients;

	if (!sock_is_connected_stream(fd))
		return -ENOTSOCK;
	while (client < frames->clients + FRAMES_CLIENTS_MAX && client->fd >= 0)
		client++;
	if (client == frames->clients + FRAMES_CLIENTS_MAX)
		return -EBUSY;
	*client = (struct frames_client){
		.frames = frames,
		.fd = fd,
		.poll_fd = -1,
		.listener = { .frame = on_frame, .readable = on_room, .fd = -1, .fast = fast },
	};
	int ret = start(client);
	if (ret) {
		close_fd(&client->poll_fd);
		client->fd = -1;
	}
	return ret;
}
