/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_display_vnc.c - what viewers see and say. The viewers are libvncclient's, and bare sockets for
 * those that break the rules.
 */
#include "tests/unit/xwd_fixture.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <rfb/rfbclient.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "display/vnc.h"
#include "lib/cleanup.h"

#define WIDTH 1280u
#define HEIGHT 800u
#define PATIENCE_MS 30000
#define EVENTS_MAX 16

struct seen {
	struct vnc_viewer *vnc;
	atomic_int count;
	atomic_bool deaf; /* it isn't listened to */
	struct {
		uint32_t keysym;
		bool down;
		unsigned x, y, buttons;
	} events[EVENTS_MAX];
	sem_t said, ended, turned_away;
};

static struct bed {
	struct xwd_fixture file;
	struct framebuffer *fb;
	struct tiles *tiles;
	struct vnc_library *library;
	struct vnc_source *source;
	struct error err;
	char folder[32], path[48];
	int listener;
} bed;

static void on_key(void *arg, uint32_t keysym, bool down)
{
	struct seen *seen = arg;
	int at = atomic_fetch_add(&seen->count, 1);

	seen->events[at].keysym = keysym;
	seen->events[at].down = down;
	sem_post(&seen->said);
}

static void on_pointer(void *arg, unsigned x, unsigned y, unsigned buttons)
{
	struct seen *seen = arg;
	int at = atomic_fetch_add(&seen->count, 1);

	seen->events[at].x = x;
	seen->events[at].y = y;
	seen->events[at].buttons = buttons;
	sem_post(&seen->said);
}

static void on_ended(void *arg)
{
	struct seen *seen = arg;

	sem_post(&seen->ended);
}

static bool may_go_on(void *arg)
{
	struct seen *seen = arg;

	if (!atomic_load(&seen->deaf))
		return true;
	sem_post(&seen->turned_away);
	return false;
}

static const struct vnc_events events = { may_go_on, on_key, on_pointer, on_ended };

/* A descriptor for the library. */
static int number(void)
{
	return fcntl(bed.listener, F_DUPFD_CLOEXEC, 0);
}

static void send_away(struct vnc_viewer *viewer)
{
	int left = vnc_viewer_destroy(viewer);

	close_fd(&left);
}

static bool await(sem_t *sem)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PATIENCE_MS / 1000;
	return sem_timedwait(sem, &until) == 0;
}

static void paint(uint32_t x, uint32_t y, uint32_t color)
{
	size_t offset = bed.file.offset + (size_t)y * bed.file.stride + 4 * x;

	for (unsigned k = 0; k < 4; k++)
		*xwd_byte(&bed.file, offset + k) = (uint8_t)(color >> (8 * k));
}

static void show(void)
{
	tiles_scan(bed.tiles, bed.fb);
	assert_true(vnc_source_show(bed.source, bed.tiles));
}

static int setup(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	(void)state;
	bed = (struct bed){ .folder = "/tmp/unit.XXXXXX" };
	assert_non_null(mkdtemp(bed.folder));
	snprintf(bed.path, sizeof(bed.path), "%s/vnc.sock", bed.folder);
	xwd_fixture_open(&bed.file, WIDTH, HEIGHT, 160, 256, 4 * WIDTH);
	assert_int_equal(framebuffer_create(bed.file.pages, bed.file.count, WIDTH, HEIGHT, &bed.fb,
	                                    &bed.err),
	                 0);
	assert_int_equal(tiles_create(WIDTH, HEIGHT, &bed.tiles), 0);
	assert_int_equal(vnc_library_load(&bed.library, &bed.err), 0);
	assert_int_equal(
		vnc_source_create(bed.library, WIDTH, HEIGHT, "unit", &bed.source, &bed.err), 0);
	strcpy(address.sun_path, bed.path);
	bed.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(bed.listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(bed.listener, 4), 0);
	show();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	vnc_source_destroy(bed.source);
	vnc_library_release(bed.library);
	tiles_destroy(bed.tiles);
	framebuffer_destroy(bed.fb);
	xwd_fixture_close(&bed.file);
	close(bed.listener);
	unlink(bed.path);
	return rmdir(bed.folder);
}

/* --- a viewer of libvncclient --------------------------------------------------------------------- */

struct person {
	rfbClient *client;
	struct seen seen;
	struct rectangle last; /* of an update */
};

static int tag;

static void on_update(rfbClient *client, int x, int y, int width, int height)
{
	struct person *person = rfbClientGetClientData(client, &tag);

	person->last =
		(struct rectangle){ (unsigned)x, (unsigned)y, (unsigned)width, (unsigned)height };
}

static void *accept_one(void *arg)
{
	struct seen *seen = arg;
	struct error err = { 0 };
	int fd = accept4(bed.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	assert_int_equal(
		vnc_viewer_create(bed.source, fd, number(), &events, seen, &seen->vnc, &err), 0);
	return NULL;
}

static void init_seen(struct seen *seen)
{
	*seen = (struct seen){ 0 };
	sem_init(&seen->said, 0, 0);
	sem_init(&seen->turned_away, 0, 0);
	sem_init(&seen->ended, 0, 0);
}

static void join(struct person *person)
{
	pthread_t server;

	init_seen(&person->seen);
	rfbClient *client = rfbGetClient(8, 3, 4);
	free(client->serverHost);
	client->serverHost = strdup(bed.path);
	client->GotFrameBufferUpdate = on_update;
	client->appData.useRemoteCursor = FALSE;
	client->appData.encodingsString = "zrle raw"; /* not JPEG, which loses something */
	rfbClientSetClientData(client, &tag, person);
	person->client = client;
	assert_int_equal(pthread_create(&server, NULL, accept_one, &person->seen), 0);
	assert_true(rfbInitClient(client, NULL, NULL));
	pthread_join(server, NULL);
}

static void leave(struct person *person)
{
	free(person->client->frameBuffer);
	rfbClientCleanup(person->client);
	assert_true(await(&person->seen.ended));
	send_away(person->seen.vnc);
}

static uint32_t color_at(const struct person *person, uint32_t x, uint32_t y)
{
	const rfbPixelFormat *format = &person->client->format;
	uint32_t pixel;

	memcpy(&pixel, person->client->frameBuffer + 4 * ((size_t)y * WIDTH + x), 4);
	return (pixel >> format->redShift & 0xff) << 16 |
	       (pixel >> format->greenShift & 0xff) << 8 | (pixel >> format->blueShift & 0xff);
}

/* Takes updates until that pixel has that colour. */
static void await_color(struct person *person, uint32_t x, uint32_t y, uint32_t color)
{
	while (color_at(person, x, y) != color) {
		assert_true(WaitForMessage(person->client, PATIENCE_MS * 1000) > 0);
		assert_true(HandleRFBServerMessage(person->client));
	}
}

static void test_pixels(void **state)
{
	struct person person = { 0 };

	(void)state;
	join(&person);
	assert_int_equal(person.client->width, WIDTH);
	assert_int_equal(person.client->height, HEIGHT);
	assert_string_equal(person.client->desktopName, "cloche: unit");
	await_color(&person, WIDTH - 1, HEIGHT - 1, xwd_color(WIDTH - 1, HEIGHT - 1));
	for (uint32_t y = 0; y < HEIGHT; y++)
		for (uint32_t x = 0; x < WIDTH; x++)
			assert_int_equal(color_at(&person, x, y), xwd_color(x, y));
	assert_true(vnc_viewer_sent(person.seen.vnc) > 1000);
	leave(&person);
}

/* One pixel makes one tile travel, no more. */
static void test_damage(void **state)
{
	struct person person = { 0 };

	(void)state;
	join(&person);
	await_color(&person, WIDTH - 1, HEIGHT - 1, xwd_color(WIDTH - 1, HEIGHT - 1));
	paint(70, 40, 0xabcdef);
	show();
	await_color(&person, 70, 40, 0xabcdef);
	assert_int_equal(person.last.x, 64);
	assert_int_equal(person.last.y, 32);
	assert_int_equal(person.last.width, 64);
	assert_int_equal(person.last.height, 32);
	leave(&person);
}

static void test_input(void **state)
{
	struct person person = { 0 };
	struct seen *seen = &person.seen;

	(void)state;
	join(&person);
	/* Who doesn't read isn't heard. */
	await_color(&person, WIDTH - 1, HEIGHT - 1, xwd_color(WIDTH - 1, HEIGHT - 1));
	assert_true(SendKeyEvent(person.client, 0x6c1, TRUE));
	assert_true(SendKeyEvent(person.client, 0x6c1, FALSE));
	assert_true(SendPointerEvent(person.client, 3, 4, 0));
	assert_true(SendPointerEvent(person.client, 60000, 60000, 1 | 1 << 4));
	for (int i = 0; i < 4; i++)
		assert_true(await(&seen->said));
	assert_int_equal(seen->events[0].keysym, 0x6c1);
	assert_true(seen->events[0].down);
	assert_false(seen->events[1].down);
	assert_int_equal(seen->events[2].x, 3);
	assert_int_equal(seen->events[2].y, 4);
	assert_int_equal(seen->events[3].x, WIDTH - 1);
	assert_int_equal(seen->events[3].y, HEIGHT - 1);
	assert_int_equal(seen->events[3].buttons, 1 | 1 << 4);
	leave(&person);
}

/* While there is no room for what it says, it waits. */
static void test_input_that_must_wait(void **state)
{
	struct person person = { 0 };
	struct seen *seen = &person.seen;

	(void)state;
	join(&person);
	await_color(&person, WIDTH - 1, HEIGHT - 1, xwd_color(WIDTH - 1, HEIGHT - 1));
	atomic_store(&seen->deaf, true);
	vnc_viewer_go_on(seen->vnc);
	assert_true(await(&seen->turned_away));
	assert_true(SendKeyEvent(person.client, 0x61, TRUE));
	assert_true(SendKeyEvent(person.client, 0x61, FALSE));
	usleep(20000);
	assert_int_equal(atomic_load(&seen->count), 0);
	atomic_store(&seen->deaf, false);
	vnc_viewer_go_on(seen->vnc);
	assert_true(await(&seen->said));
	assert_true(await(&seen->said));
	assert_int_equal(seen->events[1].keysym, 0x61);
	assert_false(seen->events[1].down);
	leave(&person);
}

/* --- viewers that break the rules ----------------------------------------------------------------- */

/* A viewer at whose other end nobody knows RFB. Its end of the socket. */
static int bare(struct seen *seen)
{
	int ends[2];

	init_seen(seen);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	assert_int_equal(vnc_viewer_create(bed.source, ends[0], number(), &events, seen, &seen->vnc,
	                                   &bed.err),
	                 0);
	return ends[1];
}

static void say(int fd, const void *data, size_t size)
{
	assert_int_equal(send(fd, data, size, MSG_NOSIGNAL), size);
}

static void hear(int fd, size_t size)
{
	char byte;

	while (size--)
		assert_int_equal(recv(fd, &byte, 1, 0), 1);
}

/* Through the handshake: no authentication, shared. */
static void introduce(int fd)
{
	hear(fd, 12);
	say(fd, "RFB 003.008\n", 12);
	hear(fd, 2);
	say(fd, "\1", 1);
	hear(fd, 4);
	say(fd, "\1", 1);
	hear(fd, 24 + sizeof("cloche: unit") - 1);
}

/* A palette of 256 colours comes before what is painted with it. */
static void test_palette(void **state)
{
	static const uint8_t format[20] = { 0, 0, 0, 0, 8, 8 };
	static const uint8_t pixel[] = { 3, 0, 0, 0, 0, 0, 0, 1, 0, 1 };
	struct seen seen;
	uint8_t head[6];
	int fd = bare(&seen);

	(void)state;
	introduce(fd);
	for (int i = 0; i < 2; i++) {
		say(fd, format, sizeof(format));
		say(fd, pixel, sizeof(pixel));
		assert_int_equal(recv(fd, head, 6, MSG_WAITALL), 6);
		assert_int_equal(head[0], 1); /* colours: 256 of them, from the first on */
		assert_memory_equal(head + 2, "\0\0\1\0", 4);
		hear(fd, 6 * 256);
		assert_int_equal(recv(fd, head, 4, MSG_WAITALL), 4);
		assert_int_equal(head[0], 0); /* an update of one rectangle */
		assert_memory_equal(head + 2, "\0\1", 2);
		hear(fd, 12 + 1);
	}
	shutdown(fd, SHUT_WR);
	assert_true(await(&seen.ended));
	send_away(seen.vnc);
	close(fd);
}

/* A whole screen, raw, again and again, and never a look at what comes. */
static void test_viewer_that_does_not_read(void **state)
{
	static const uint8_t whole[] = {
		3, 0, 0, 0, 0, 0, WIDTH >> 8, WIDTH & 0xff, HEIGHT >> 8, HEIGHT & 0xff
	};
	struct seen deaf;
	struct person person = { 0 };
	int fd = bare(&deaf);

	(void)state;
	introduce(fd);
	for (int i = 0; i < 100; i++)
		say(fd, whole, sizeof(whole));
	join(&person);
	for (uint32_t i = 0; i < 20; i++) {
		paint(10, 10, i + 1);
		show();
		await_color(&person, 10, 10, i + 1);
	}
	leave(&person);
	send_away(deaf.vnc);
	assert_true(await(&deaf.ended));
	close(fd);
}

static void test_garbage(void **state)
{
	static const char *const texts[] = { "GET / HTTP/1.1\r\n\r\n", "RFB 999.999\n",
		                             "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct seen seen;
		int fd = bare(&seen);

		say(fd, texts[i], strlen(texts[i]));
		shutdown(fd, SHUT_WR);
		assert_true(await(&seen.ended));
		send_away(seen.vnc);
		close(fd);
	}
}

static void test_garbage_after_the_handshake(void **state)
{
	/* No such message; text of 4 GiB for a clipboard; encodings that never come. */
	static const uint8_t texts[][8] = { { 99, 1, 2, 3, 4, 5, 6, 7 },
		                            { 6, 0, 0, 0, 0xff, 0xff, 0xff, 0xff },
		                            { 2, 0, 0xff, 0xff, 0, 0, 0, 0 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct seen seen;
		int fd = bare(&seen);

		introduce(fd);
		say(fd, texts[i], sizeof(texts[i]));
		shutdown(fd, SHUT_WR);
		assert_true(await(&seen.ended));
		assert_int_equal(atomic_load(&seen.count), 0);
		send_away(seen.vnc);
		close(fd);
	}
}

static void test_viewers_sent_away(void **state)
{
	struct seen silent, halfway;
	int fds[] = { bare(&silent), bare(&halfway) };

	(void)state;
	hear(fds[1], 12);
	say(fds[1], "RFB 0", 5);
	send_away(silent.vnc);
	send_away(halfway.vnc);
	assert_true(await(&silent.ended));
	assert_true(await(&halfway.ended));
	close(fds[0]);
	close(fds[1]);
}

static void test_screen_of_another_size(void **state)
{
	struct seen seen;
	struct tiles *other;
	int fd = bare(&seen);

	(void)state;
	introduce(fd);
	assert_int_equal(tiles_create(WIDTH, HEIGHT - 1, &other), 0);
	assert_false(vnc_source_show(bed.source, other));
	assert_true(await(&seen.ended));
	send_away(seen.vnc);
	tiles_destroy(other);
	close(fd);
}

int main(void)
{
#define VNC_TEST(name_) cmocka_unit_test_setup_teardown(name_, setup, teardown)
	const struct CMUnitTest tests[] = {
		VNC_TEST(test_pixels),
		VNC_TEST(test_damage),
		VNC_TEST(test_input),
		VNC_TEST(test_input_that_must_wait),
		VNC_TEST(test_palette),
		VNC_TEST(test_viewer_that_does_not_read),
		VNC_TEST(test_garbage),
		VNC_TEST(test_garbage_after_the_handshake),
		VNC_TEST(test_viewers_sent_away),
		VNC_TEST(test_screen_of_another_size),
	};

	rfbEnableClientLogging = FALSE;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
