/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_supervisor_watching.c - record and watch against the VMM's own control socket, frames and scan: the machine
 * is played (vmm_control_bed.h), its screen is painted by hand. The VMM's loop has a thread of its own.
 */
#define BED_HAS_FRAMES
#include "tests/unit/vmm_control_bed.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

#include "display/png.h"
#include "supervisor/record.h"
#include "supervisor/recording_read.h"
#include "supervisor/watch.h"
#include "tests/unit/xwd_fixture.h"
#include "vmm/scan.h"

#define WIDTH 320u
#define HEIGHT 200u
#define TICK_MS 40u
#define MARK_X 77u /* where the picture that is watched for is painted */
#define MARK_Y 45u
#define MARK_SIDE 30u

static struct framebuffer *shown;

struct framebuffer *screen_framebuffer(struct screen *screen)
{
	(void)screen;
	return framebuffer_share(shown);
}

/* What the guest does, a step every TICK_MS, on the VMM's thread. */
static struct guest {
	struct bed *bed;
	struct loop_timer timer;
	struct xwd_fixture file;
	pthread_t thread;
	atomic_uint step, ends_at; /* 0: when the test stops it */
	atomic_bool stop;
	atomic_bool marks;
	char folder[32], path[64];
	struct session session;
	struct client client;
} guest;

static void paint(unsigned x, unsigned y, uint32_t colour)
{
	memcpy(xwd_byte(&guest.file, guest.file.offset + (size_t)y * guest.file.stride + 4ul * x),
	       &colour, 3);
}

static uint32_t mark_colour(unsigned x, unsigned y)
{
	return x == y ? 0x102030 : 0xf0f0f0 - (x * 7 + y * 3) % 16;
}

static void act(void)
{
	json_t *request = json_pack("{s:s,s:[{s:s}]}", "verb", "input", "steps", "text", "hunter2");

	control_publish_action(guest.bed->vm.control, request, "agent");
	json_decref(request);
}

static void on_step(struct loop_timer *timer)
{
	struct vm *vm = &guest.bed->vm;

	guest.step++;
	if (atomic_load(&guest.stop) || (guest.ends_at && guest.step == guest.ends_at)) {
		loop_stop(vm->loop);
		return;
	}
	if (guest.step <= 10)
		for (unsigned x = 0; x < 50; x++)
			paint(guest.step * 20 + x, 150, guest.step * 0x102010);
	if (guest.step == 5)
		act();
	if (guest.step == 8 && guest.marks)
		for (unsigned y = 0; y < MARK_SIDE; y++)
			for (unsigned x = 0; x < MARK_SIDE; x++)
				paint(MARK_X + x, MARK_Y + y, mark_colour(x, y));
	scan_poke(vm->scan);
	loop_timer_set(vm->loop, timer, clock_now_ns() + TICK_MS * NS_PER_MS, on_step);
}

/* The VMM, to its end. */
static void *run_vmm(void *arg)
{
	struct bed *bed = arg;

	loop_timer_set(bed->vm.loop, &guest.timer, clock_now_ns() + TICK_MS * NS_PER_MS, on_step);
	loop_run(bed->vm.loop);
	frames_destroy(bed->vm.frames);
	scan_destroy(bed->vm.scan);
	control_destroy(bed->vm.control);
	bed->vm.control = NULL;
	return NULL;
}

static int start(void **state)
{
	struct failure failure = { 0 };

	memset(&guest, 0, sizeof(guest));
	if (setup(state))
		return -1;
	guest.bed = *state;
	xwd_fixture_open(&guest.file, WIDTH, HEIGHT, 160, 0, 4 * WIDTH);
	assert_int_equal(framebuffer_create(guest.file.pages, guest.file.count, WIDTH, HEIGHT,
	                                    &shown, NULL),
	                 0);
	assert_int_equal(scan_create(&guest.bed->vm, &guest.bed->vm.scan), 0);
	assert_int_equal(frames_create(&guest.bed->vm, &guest.bed->vm.frames), 0);
	strcpy(guest.folder, "/tmp/watching.XXXXXX");
	assert_non_null(mkdtemp(guest.folder));
	snprintf(guest.path, sizeof(guest.path), "%s/file", guest.folder);
	guest.session = (struct session){ .name = "demo",
		                          .path = guest.bed->folder,
		                          .root_fd = -1,
		                          .folder_fd = open(guest.bed->folder,
		                                            O_RDONLY | O_DIRECTORY | O_CLOEXEC) };
	guest.client = (struct client)CLIENT_INIT;
	assert_int_equal(pthread_create(&guest.thread, NULL, run_vmm, guest.bed), 0);
	assert_int_equal(client_open(&guest.client, &guest.session, &failure), 0);
	return 0;
}

static int stop_all(void **state)
{
	atomic_store(&guest.stop, true);
	pthread_join(guest.thread, NULL);
	client_close(&guest.client);
	close(guest.session.folder_fd);
	framebuffer_destroy(shown);
	xwd_fixture_close(&guest.file);
	unlink(guest.path);
	assert_int_equal(rmdir(guest.folder), 0);
	return teardown(state);
}

/* --- record ---------------------------------------------------------------------------------- */

static const struct invocation inv = { .json = true }; /* shows no progress */

static struct record_result record_it(const struct record_options *options, int signal_fd)
{
	struct record_result result;
	struct failure failure = { 0 };

	if (record_run(&inv, &guest.client, options, signal_fd, &result, &failure))
		fail_msg("%s", failure.message);
	return result;
}

/* The last picture is what the screen is, now that it stands still. */
static void check_last_picture(struct recording *recording)
{
	const struct picture *picture;
	struct error err = { 0 };

	assert_int_equal(recording_draw(recording, &picture, &err), 0);
	assert_int_equal(picture->grid.width, WIDTH);
	for (unsigned y = 0; y < HEIGHT; y++)
		for (unsigned x = 0; x < WIDTH; x++) {
			uint32_t pixel = 0;

			memcpy(&pixel,
			       xwd_byte(&guest.file, guest.file.offset +
			                                     (size_t)y * guest.file.stride +
			                                     4ul * x),
			       3);
			if (picture->pixels[y * WIDTH + x] != pixel)
				fail_msg("%u,%u differs", x, y);
		}
}

static void test_record(void **state)
{
	const struct record_options options = { .file = guest.path,
		                                .max_bytes = 1 << 30,
		                                .duration_ms = 2000 };
	struct record_result result = record_it(&options, -1);
	struct recording *recording;
	struct recording_event event;
	struct error err = { 0 };
	unsigned frames = 0, actions = 0;

	(void)state;
	struct stat st;
	assert_string_equal(result.reason, "duration");
	assert_int_equal(stat(guest.path, &st), 0);
	assert_int_equal(result.written.bytes, st.st_size);
	assert_int_equal(recording_open(guest.path, &recording, &err), 0);
	assert_true(recording_info(recording)->whole);
	while (recording_next(recording, &event, &err) > 0) {
		frames += event.kind == RECORDING_FRAME;
		if (event.kind != RECORDING_ACTION)
			continue;
		/* In their order: after the fourth step, before the sixth. */
		assert_in_range(frames, 2, 9);
		assert_null(memmem(event.text, event.text_size, "hunter2", 7));
		assert_non_null(memmem(event.text, event.text_size, "characters", 10));
		actions++;
	}
	assert_int_equal(frames, result.written.frames);
	assert_in_range(frames, 5, 12);
	assert_int_equal(actions, 1);
	check_last_picture(recording);
	recording_close(recording);
}

static void test_record_with_text(void **state)
{
	const struct record_options options = {
		.file = guest.path, .max_bytes = 1 << 30, .duration_ms = 1000, .with_text = true
	};
	struct recording *recording;
	struct recording_event event;
	struct error err = { 0 };
	bool found = false;

	(void)state;
	record_it(&options, -1);
	assert_int_equal(recording_open(guest.path, &recording, &err), 0);
	assert_int_equal(recording_info(recording)->header.flags, RECORDING_WITH_TEXT);
	while (recording_next(recording, &event, &err) > 0)
		found |= event.kind == RECORDING_ACTION &&
		         memmem(event.text, event.text_size, "hunter2", 7);
	assert_true(found);
	recording_close(recording);
}

static void test_record_ends(void **state)
{
	struct record_options options = { .file = guest.path, .max_bytes = 100 };
	struct failure failure = { 0 };
	struct record_result result;
	uint64_t one = 1;
	int fd = eventfd(0, EFD_CLOEXEC);

	(void)state;
	/* The first frame is more than that already. */
	assert_string_equal(record_it(&options, -1).reason, "size");
	/* A file that is there is somebody's. */
	assert_int_equal(record_run(&inv, &guest.client, &options, -1, &result, &failure), -1);
	assert_string_equal(failure.code, CODE_EXISTS);
	unlink(guest.path);
	options.max_bytes = 1 << 30;
	assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
	assert_string_equal(record_it(&options, fd).reason, "interrupted");
	close(fd);
}

static void test_record_outlives_its_session(void **state)
{
	const struct record_options options = { .file = guest.path, .max_bytes = 1 << 30 };
	struct recording *recording;
	struct error err = { 0 };

	(void)state;
	guest.ends_at = 14;
	assert_string_equal(record_it(&options, -1).reason, "session ended");
	assert_int_equal(recording_open(guest.path, &recording, &err), 0);
	assert_true(recording_info(recording)->whole);
	recording_close(recording);
}

/* --- watch ----------------------------------------------------------------------------------- */

/* The mark as a PNG at guest.path; with @spoilt one pixel is another. */
static void save_mark(bool spoilt)
{
	uint8_t rgb[MARK_SIDE * MARK_SIDE * 3];
	struct error err = { 0 };
	uint8_t *out = rgb;
	void *png;
	size_t size;

	for (unsigned y = 0; y < MARK_SIDE; y++)
		for (unsigned x = 0; x < MARK_SIDE; x++) {
			uint32_t colour = mark_colour(x, y) ^ (spoilt && x == 20 && y == 7);

			*out++ = (uint8_t)(colour >> 16);
			*out++ = (uint8_t)(colour >> 8);
			*out++ = (uint8_t)colour;
		}
	assert_int_equal(png_encode_rgb(rgb, MARK_SIDE, MARK_SIDE, &png, &size, &err), 0);
	int fd = open(guest.path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, png, size), size);
	close(fd);
	free(png);
}

static uint64_t watch_it(bool freeze, bool once)
{
	struct watch_options options = { .name = "mark", .freeze = freeze, .once = once };
	struct failure failure = { 0 };
	uint64_t seen = 0;

	if (watch_load(guest.path, &options.template, &failure) ||
	    watch_run(&inv, &guest.client, &options, -1, &seen, &failure))
		fail_msg("%s", failure.message);
	find_destroy(options.template);
	return seen;
}

static void test_watch(void **state)
{
	(void)state;
	guest.marks = true;
	save_mark(false);
	assert_int_equal(watch_it(true, true), 1);
	/* By the time it says so, it is done. */
	assert_int_equal(machine.pauses, 1);
	assert_true(guest.step >= 8);
}

/* Nearly is not at all; and the end of the session is the watch's. */
static void test_watch_in_vain(void **state)
{
	(void)state;
	guest.marks = true;
	guest.ends_at = 25;
	save_mark(true);
	assert_int_equal(watch_it(true, false), 0);
	assert_int_equal(machine.pauses, 0);
}

static void test_watch_files(void **state)
{
	struct find_template *template = NULL;
	struct failure failure = { 0 };
	char both[200];

	(void)state;
	assert_int_equal(watch_load("/nowhere.png", &template, &failure), -1);
	assert_int_equal(failure.status, STATUS_USAGE);
	assert_int_equal(watch_load(guest.folder, &template, &failure), -1);
	save_mark(false);
	/* A mask that is all bright counts everything. */
	snprintf(both, sizeof(both), "%s:%s", guest.path, guest.path);
	assert_int_equal(watch_load(both, &template, &failure), 0);
	assert_int_equal(find_pixels(template), MARK_SIDE * MARK_SIDE - MARK_SIDE);
	find_destroy(template);
	snprintf(both, sizeof(both), "%s:/nowhere.png", guest.path);
	assert_int_equal(watch_load(both, &template, &failure), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_record, start, stop_all),
		cmocka_unit_test_setup_teardown(test_record_with_text, start, stop_all),
		cmocka_unit_test_setup_teardown(test_record_ends, start, stop_all),
		cmocka_unit_test_setup_teardown(test_record_outlives_its_session, start, stop_all),
		cmocka_unit_test_setup_teardown(test_watch, start, stop_all),
		cmocka_unit_test_setup_teardown(test_watch_in_vain, start, stop_all),
		cmocka_unit_test_setup_teardown(test_watch_files, start, stop_all),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("supervisor_watching", tests, NULL, NULL);
}
