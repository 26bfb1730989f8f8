/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_vmm_frames.c - the verb "frames": what its clients read is what the screen shows, however slowly they
 * read and whatever they do. With the scan's thread as it is; the reader is the CLI's.
 */
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/loop.h"
#include "supervisor/frames.h"
#include "tests/unit/vmm_shown_screen.h"
#include "tests/unit/xwd_fixture.h"
#include "vmm/frames.h"
#include "vmm/scan.h"
#include "vmm/screen.h"
#include "vmm/vm.h"

#define WIDTH 640u
#define HEIGHT 400u
#define COLUMNS 10u
#define TILES 130u
#define PATIENCE_NS (30 * NS_PER_S)

/* --- the screen ------------------------------------------------------------------------------ */

static void show(struct xwd_fixture *file, unsigned width, unsigned height)
{
	struct framebuffer *fb = NULL;

	if (file) {
		xwd_fixture_open(file, width, height, 160, 0, 4 * width);
		assert_int_equal(
			framebuffer_create(file->pages, file->count, width, height, &fb, NULL), 0);
	}
	pthread_mutex_lock(&shown.lock);
	struct framebuffer *before = shown.fb;
	shown.fb = fb;
	pthread_mutex_unlock(&shown.lock);
	framebuffer_destroy(before);
}

/* --- the bed --------------------------------------------------------------------------------- */

struct bed {
	struct vm vm;
	struct xwd_fixture file, other;
};

static int setup(void **state)
{
	struct bed *bed = calloc(1, sizeof(*bed));

	assert_non_null(bed);
	show(&bed->file, WIDTH, HEIGHT);
	assert_int_equal(loop_create(&bed->vm.loop), 0);
	assert_int_equal(scan_create(&bed->vm, &bed->vm.scan), 0);
	assert_int_equal(frames_create(&bed->vm, &bed->vm.frames), 0);
	*state = bed;
	return 0;
}

static int teardown(void **state)
{
	struct bed *bed = *state;

	frames_destroy(bed->vm.frames);
	scan_destroy(bed->vm.scan);
	loop_destroy(bed->vm.loop);
	show(NULL, 0, 0);
	xwd_fixture_close(&bed->file);
	if (bed->other.ram)
		xwd_fixture_close(&bed->other);
	free(bed);
	return 0;
}

static void paint(struct xwd_fixture *file, unsigned x, unsigned y, uint32_t colour)
{
	uint8_t *at = xwd_byte(file, file->offset + (size_t)y * file->stride + 4ul * x);

	memcpy(at, &colour, 3);
}

struct reader {
	int fd;
	struct frames frames;
	unsigned told;  /* frames */
	unsigned tiles; /* of the last one */
};

static int on_told(struct frames *frames, void *arg)
{
	struct reader *reader = arg;

	reader->told++;
	reader->tiles = frames->head.count;
	return 0;
}

static void open_reader(struct bed *bed, struct reader *reader)
{
	int fds[2];

	*reader = (struct reader){ .fd = -1 };
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(frames_add(bed->vm.frames, fds[0], true), 0);
	reader->fd = fds[1];
}

static void close_reader(struct reader *reader)
{
	close(reader->fd);
	frames_finish(&reader->frames);
}

/* Reads and checks what has come within @ms. False: the stream is at its end. */
static bool read_some(struct reader *reader, int ms, size_t max)
{
	struct pollfd pollfd = { .fd = reader->fd, .events = POLLIN };
	static uint8_t bytes[FRAMES_READ_MAX];
	struct error err = { 0 };

	if (poll(&pollfd, 1, ms) <= 0)
		return true;
	ssize_t n =
		recv(reader->fd, bytes, max < sizeof(bytes) ? max : sizeof(bytes), MSG_DONTWAIT);
	if (n <= 0)
		return false;
	if (frames_push(&reader->frames, bytes, (size_t)n, on_told, reader, &err))
		fail_msg("%s", err.msg);
	return true;
}

static bool shows(const struct reader *reader, struct xwd_fixture *file)
{
	const struct picture *picture = &reader->frames.picture;

	if (picture->grid.width != file->width || picture->grid.height != file->height)
		return false;
	for (unsigned y = 0; y < file->height; y++)
		for (unsigned x = 0; x < file->width; x++) {
			uint32_t pixel = 0;

			memcpy(&pixel,
			       xwd_byte(file, file->offset + (size_t)y * file->stride + 4ul * x),
			       3);
			if (picture->pixels[(size_t)y * file->width + x] != pixel)
				return false;
		}
	return true;
}

/* Reads until the picture is the screen's. */
static void wait_until_shown(struct reader *reader, struct xwd_fixture *file, size_t max)
{
	uint64_t until = clock_now_ns() + PATIENCE_NS;

	while (!frames_between(&reader->frames) || reader->told == 0 || !shows(reader, file)) {
		if (clock_now_ns() > until)
			fail_msg("the picture never became the screen's");
		assert_true(read_some(reader, 100, max));
	}
}

static void on_timeout(struct loop_timer *timer)
{
	struct vm *vm = (struct vm *)((char *)timer - offsetof(struct vm, ttl));

	loop_stop(vm->loop);
}

static void run_loop(struct bed *bed, unsigned ms)
{
	loop_timer_set(bed->vm.loop, &bed->vm.ttl, clock_now_ns() + ms * NS_PER_MS, on_timeout);
	assert_int_equal(loop_run(bed->vm.loop), 0);
}

/* --- the tests ------------------------------------------------------------------------------- */

static void test_frames(void **state)
{
	struct bed *bed = *state;
	struct reader reader;

	open_reader(bed, &reader);
	wait_until_shown(&reader, &bed->file, SIZE_MAX);
	assert_int_equal(reader.told, 1);
	assert_int_equal(reader.tiles, TILES);
	/* One pixel: one frame, of one tile. */
	paint(&bed->file, 200, 100, 0xffffff);
	wait_until_shown(&reader, &bed->file, SIZE_MAX);
	assert_int_equal(reader.told, 2);
	assert_int_equal(reader.tiles, 1);
	assert_int_equal(reader.frames.picture.changed[100 / 32 * COLUMNS + 200 / 64], 1);
	/* The edge, where tiles are smaller. */
	paint(&bed->file, WIDTH - 1, HEIGHT - 1, 0x123456);
	wait_until_shown(&reader, &bed->file, SIZE_MAX);
	assert_int_equal(reader.told, 3);
	close_reader(&reader);
}

/* Nothing changes, nothing is sent. */
static void test_still(void **state)
{
	struct bed *bed = *state;
	struct reader reader;

	open_reader(bed, &reader);
	wait_until_shown(&reader, &bed->file, SIZE_MAX);
	uint64_t number = reader.frames.head.number;
	for (unsigned i = 0; i < 5; i++)
		assert_true(read_some(&reader, 50, SIZE_MAX));
	assert_int_equal(reader.told, 1);
	assert_int_equal(reader.frames.head.number, number);
	close_reader(&reader);
}

/*
 * One reads nothing while the screen changes, another one all: the latter isn't held up, and the former
 * gets the newest of each tile when it reads, not all that was.
 */
static void test_slow_reader(void **state)
{
	struct bed *bed = *state;
	struct reader slow, quick;
	const unsigned rounds = 40;

	open_reader(bed, &slow);
	open_reader(bed, &quick);
	for (unsigned i = 0; i < rounds; i++) {
		for (unsigned y = 0; y < HEIGHT; y += 16)
			for (unsigned x = 0; x < WIDTH; x += 32)
				paint(&bed->file, x, y, i * 0x010101 + 1);
		wait_until_shown(&quick, &bed->file, SIZE_MAX);
	}
	assert_true(quick.told > rounds / 2);
	wait_until_shown(&slow, &bed->file, 1000);
	/* What was on its way, what the socket held, and one for all that came after. */
	assert_in_range(slow.told, 1, 4);
	/* And it goes on. */
	paint(&bed->file, 3, 3, 0xabcdef);
	wait_until_shown(&slow, &bed->file, SIZE_MAX);
	close_reader(&slow);
	close_reader(&quick);
}

static void test_new_size(void **state)
{
	struct bed *bed = *state;
	struct reader reader;

	open_reader(bed, &reader);
	wait_until_shown(&reader, &bed->file, SIZE_MAX);
	show(&bed->other, 333, 222);
	wait_until_shown(&reader, &bed->other, SIZE_MAX);
	show(NULL, 0, 0);
	assert_true(read_some(&reader, 100, SIZE_MAX));
	close_reader(&reader);
}

/* There is no screen yet: frames come when there is. */
static void test_no_screen(void **state)
{
	struct bed *bed = *state;
	struct reader reader;

	show(NULL, 0, 0);
	open_reader(bed, &reader);
	assert_true(read_some(&reader, 100, SIZE_MAX));
	assert_int_equal(reader.told, 0);
	show(&bed->other, 128, 64);
	wait_until_shown(&reader, &bed->other, SIZE_MAX);
	close_reader(&reader);
}

/* Whoever hangs up, shuts down or speaks makes room for another. */
static void test_ends(void **state)
{
	struct bed *bed = *state;
	struct reader readers[FRAMES_CLIENTS_MAX];
	int fds[2];

	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < FRAMES_CLIENTS_MAX; i++)
			open_reader(bed, &readers[i]);
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
		assert_int_equal(frames_add(bed->vm.frames, fds[0], false), -EBUSY);
		close(fds[0]);
		close(fds[1]);
		for (unsigned i = 0; i < FRAMES_CLIENTS_MAX; i++) {
			if (i % 4 == 1)
				wait_until_shown(&readers[i], &bed->file, SIZE_MAX);
			if (i % 4 == 2)
				assert_int_equal(write(readers[i].fd, "?", 1), 1);
			else if (i % 4 == 3)
				shutdown(readers[i].fd, SHUT_RDWR);
			else
				close(readers[i].fd);
		}
		paint(&bed->file, round, 0, 0x00ff00);
		run_loop(bed, 100);
		for (unsigned i = 0; i < FRAMES_CLIENTS_MAX; i++) {
			if (i % 4 > 1)
				close(readers[i].fd);
			frames_finish(&readers[i].frames);
		}
	}
	open_reader(bed, &readers[0]);
	wait_until_shown(&readers[0], &bed->file, SIZE_MAX);
	close_reader(&readers[0]);
}

static void test_no_socket(void **state)
{
	struct bed *bed = *state;
	int fds[2], lone = socket(AF_UNIX, SOCK_STREAM, 0);

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(frames_add(bed->vm.frames, fds[1], false), -ENOTSOCK);
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, fds), 0);
	assert_int_equal(frames_add(bed->vm.frames, fds[0], false), -ENOTSOCK);
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(frames_add(bed->vm.frames, lone, false), -ENOTSOCK);
	close(lone);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_frames, setup, teardown),
		cmocka_unit_test_setup_teardown(test_still, setup, teardown),
		cmocka_unit_test_setup_teardown(test_slow_reader, setup, teardown),
		cmocka_unit_test_setup_teardown(test_new_size, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_screen, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ends, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_socket, setup, teardown),
	};

	return cmocka_run_group_tests_name("vmm_frames", tests, NULL, NULL);
}
