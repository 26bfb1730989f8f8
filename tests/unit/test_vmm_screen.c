/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_vmm_screen.c - which screen is attached, pictures of it, an agent that announces without end, and
 * where a copy of the guest has its screen.
 */
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/proto.h"
#include "lib/wire.h"
#include "tests/unit/xwd_fixture.h"
#include "vmm/agent.h"
#include "vmm/control.h"
#include "vmm/frame_ids.h"
#include "vmm/picture.h"
#include "vmm/screen.h"
#include "vmm/vm.h"

#define RAM (4u << 20)
#define WIDTH 64u
#define HEIGHT 64u
#define PAGES 5u /* header and pixels of that size */
#define PATIENCE_MS 30000

static struct {
	agent_done *done; /* of the request that the agent hasn't answered; NULL: there is none */
	void *done_arg;
	unsigned requests, reached, notified;
} machine;

static struct {
	unsigned count;
	char code[32]; /* of the last one; empty: ok */
	char hash[20];
} shots;

/* --- the machine ----------------------------------------------------------------------------- */

void agent_request(struct agent *agent, json_t *request, const void *blob, size_t blob_size,
                   uint64_t timeout_ms, agent_done *done, void *arg)
{
	(void)agent;
	(void)blob;
	assert_string_equal(json_string_value(json_object_get(request, "verb")), "display");
	assert_int_equal(blob_size, 0);
	assert_true(timeout_ms > 0);
	assert_null(machine.done);
	machine.requests++;
	machine.done = done;
	machine.done_arg = arg;
}

void vm_reach(struct vm *vm, enum vm_stage stage)
{
	(void)vm;
	assert_int_equal(stage, STAGE_DISPLAY);
	machine.reached++;
}

void control_notify(struct control *control)
{
	(void)control;
	machine.notified++;
}

static void give_answer(json_t *reply, const void *blob, size_t blob_size)
{
	agent_done *done = machine.done;

	assert_non_null(done);
	machine.done = NULL;
	done(machine.done_arg, reply, blob, blob_size);
	json_decref(reply);
}

/* The agent's answer: a screen in the pages from guest page @first on. */
static void answer_with_screen(uint64_t first)
{
	uint64_t pages[PAGES];

	for (unsigned i = 0; i < PAGES; i++)
		pages[i] = first + i;
	give_answer(json_pack("{s:b,s:i,s:i}", "ok", 1, "width", (int)WIDTH, "height", (int)HEIGHT),
	            pages, sizeof(pages));
}

/* --- the bed --------------------------------------------------------------------------------- */

struct bed {
	struct vm vm;
};

static void draw(struct bed *bed, uint64_t first, uint8_t color)
{
	uint8_t *ram = guest_memory_at(&bed->vm.memory, GPA(first * GUEST_PAGE_SIZE),
	                               (size_t)PAGES * GUEST_PAGE_SIZE, GUEST_WRITE);

	assert_non_null(ram);
	memset(ram, color, (size_t)PAGES * GUEST_PAGE_SIZE);
	xwd_fill_header(ram, WIDTH, HEIGHT);
	xwd_put_field(ram, F_NCOLORS, 0);
}

static int setup(void **state)
{
	struct bed *bed = calloc(1, sizeof(*bed));
	struct error err = { 0 };

	assert_non_null(bed);
	memset(&machine, 0, sizeof(machine));
	memset(&shots, 0, sizeof(shots));
	assert_int_equal(loop_create(&bed->vm.loop), 0);
	assert_int_equal(
		guest_memory_init(&bed->vm.memory, RAM, GPA(1ull << 30), GPA(2ull << 30), &err), 0);
	assert_int_equal(screen_create(&bed->vm, &bed->vm.screen), 0);
	assert_int_equal(frame_ids_create(&bed->vm.frame_ids), 0);
	draw(bed, 16, 0x20);
	draw(bed, 32, 0x40);
	*state = bed;
	return 0;
}

static int teardown(void **state)
{
	struct bed *bed = *state;

	screen_destroy(bed->vm.screen);
	frame_ids_destroy(bed->vm.frame_ids);
	guest_memory_finish(&bed->vm.memory);
	loop_destroy(bed->vm.loop);
	free(bed);
	return 0;
}

static void on_shot(void *arg, json_t *reply, int fd)
{
	struct loop *loop = arg;
	const json_t *error = json_object_get(reply, "error");
	const char *hash = json_string_value(json_object_get(reply, "hash"));

	shots.count++;
	snprintf(shots.code, sizeof(shots.code), "%s",
	         error ? json_string_value(json_object_get(error, "code")) : "");
	if (hash)
		snprintf(shots.hash, sizeof(shots.hash), "%s", hash);
	if (!error)
		assert_true(fcntl(fd, F_GETFD) >= 0);
	else
		assert_int_equal(fd, -1);
	json_decref(reply);
	loop_stop(loop);
}

static void shoot(struct bed *bed)
{
	const struct screenshot_wish wish = { .format = SCREENSHOT_RGB };

	picture_shoot(&bed->vm, &wish, on_shot, bed->vm.loop);
}

/* The agent announces the screen that begins at page @first, and says where it is. */
static void attach(struct bed *bed, uint64_t first)
{
	screen_attach(bed->vm.screen);
	answer_with_screen(first);
}

/* As many pictures as may wait at once; none comes before the loop runs. */
static void shoot_most(struct bed *bed)
{
	for (unsigned i = 0; i < SCREEN_JOBS_MAX; i++)
		shoot(bed);
	assert_int_equal(shots.count, 0);
}

static void too_late(struct loop_timer *timer)
{
	(void)timer;
	fail_msg("no picture came");
}

/* Runs the loop until @count pictures or refusals have come. */
static void wait_for_shots(struct bed *bed, unsigned count)
{
	struct loop_timer timer = { 0 };

	loop_timer_set(bed->vm.loop, &timer, clock_now_ns() + PATIENCE_MS * NS_PER_MS, too_late);
	while (shots.count < count)
		loop_run(bed->vm.loop);
	loop_timer_cancel(bed->vm.loop, &timer);
	assert_int_equal(shots.count, count);
}

/* --- tests ----------------------------------------------------------------------------------- */

static void test_no_screen_yet(void **state)
{
	struct bed *bed = *state;
	unsigned width, height;

	assert_false(screen_size(bed->vm.screen, &width, &height));
	shoot(bed);
	assert_int_equal(shots.count, 1);
	assert_string_equal(shots.code, "not_ready");
}

static void test_attach_and_shoot(void **state)
{
	struct bed *bed = *state;
	unsigned width, height;

	screen_attach(bed->vm.screen);
	assert_int_equal(machine.requests, 1);
	answer_with_screen(16);
	assert_int_equal(machine.reached, 1);
	assert_int_equal(machine.notified, 1);
	assert_true(screen_size(bed->vm.screen, &width, &height));
	assert_int_equal(width, WIDTH);
	assert_int_equal(height, HEIGHT);

	char first[sizeof(shots.hash)];
	shoot(bed);
	wait_for_shots(bed, 1);
	assert_string_equal(shots.code, "");
	memcpy(first, shots.hash, sizeof(first));
	/* Another screen is another picture, the first one again the same. */
	attach(bed, 32);
	shoot(bed);
	wait_for_shots(bed, 2);
	assert_string_not_equal(shots.hash, first);
	attach(bed, 16);
	shoot(bed);
	wait_for_shots(bed, 3);
	assert_string_equal(shots.hash, first);
}

/* A screen that can't be is left out, and the one before it stays. */
static void test_wrong_screens(void **state)
{
	struct bed *bed = *state;

	screen_attach(bed->vm.screen);
	give_answer(wire_reply_error(1, PROTO_ERR_FAILED, "no framebuffer"), NULL, 0);
	screen_attach(bed->vm.screen);
	answer_with_screen(RAM / GUEST_PAGE_SIZE - 1);
	assert_int_equal(machine.reached, 0);
	shoot(bed);
	assert_string_equal(shots.code, "not_ready");

	attach(bed, 16);
	screen_attach(bed->vm.screen);
	answer_with_screen(UINT64_MAX - 1);
	assert_int_equal(machine.reached, 1);
	shoot(bed);
	wait_for_shots(bed, 2);
	assert_string_equal(shots.code, "");
}

/* "The display is ready", a thousand times before an answer: one request now and one after it. */
static void test_announcements_without_end(void **state)
{
	struct bed *bed = *state;

	for (unsigned i = 0; i < 1000; i++)
		screen_attach(bed->vm.screen);
	assert_int_equal(machine.requests, 1);
	answer_with_screen(16);
	assert_int_equal(machine.requests, 2);
	answer_with_screen(32);
	assert_int_equal(machine.requests, 2);
	assert_null(machine.done);
	assert_int_equal(machine.reached, 2);
}

/* As many announcements as pictures, the loop never idle between: nothing is read after it was
 * freed (the sanitisers see that), nobody waits for ever. */
static void test_announcements_while_pictures_are_taken(void **state)
{
	struct bed *bed = *state;

	attach(bed, 16);
	for (unsigned round = 0; round < 50; round++) {
		for (unsigned i = 0; i < SCREEN_JOBS_MAX; i++) {
			shoot(bed);
			attach(bed, i % 2 ? 16 : 32);
		}
		wait_for_shots(bed, (round + 1) * SCREEN_JOBS_MAX);
		assert_string_equal(shots.code, "");
	}
}

static void test_too_many_shots(void **state)
{
	struct bed *bed = *state;

	attach(bed, 16);
	shoot_most(bed);
	shoot(bed);
	assert_int_equal(shots.count, 1);
	assert_string_equal(shots.code, "busy");
	wait_for_shots(bed, SCREEN_JOBS_MAX + 1);
	assert_string_equal(shots.code, "");
}

/* Whoever waits for a picture when the session ends is answered. */
static void test_end_while_pictures_are_taken(void **state)
{
	struct bed *bed = *state;

	attach(bed, 16);
	shoot_most(bed);
	screen_destroy(bed->vm.screen);
	assert_int_equal(shots.count, SCREEN_JOBS_MAX);
	assert_int_equal(screen_create(&bed->vm, &bed->vm.screen), 0);
}

/* --- state ----------------------------------------------------------------------------------- */

static struct wire_writer save(struct bed *bed)
{
	struct wire_writer out = WIRE_WRITER_INIT;

	screen_save(bed->vm.screen, &out);
	assert_false(out.failed);
	return out;
}

/* A screen as new takes up what is in [data, data+size). */
static int restore(struct bed *bed, const void *data, size_t size)
{
	struct wire_reader in = wire_reader_over(data, size);
	struct error err = { 0 };

	screen_destroy(bed->vm.screen);
	assert_int_equal(screen_create(&bed->vm, &bed->vm.screen), 0);
	machine.reached = 0;
	int ret = screen_restore(bed->vm.screen, &in, &err);
	assert_int_equal(ret, err.code);
	return ret;
}

static void test_copy(void **state)
{
	struct bed *bed = *state;
	char hash[sizeof(shots.hash)];
	unsigned width, height;

	attach(bed, 32);
	shoot(bed);
	wait_for_shots(bed, 1);
	memcpy(hash, shots.hash, sizeof(hash));
	struct wire_writer saved = save(bed);
	assert_int_equal(restore(bed, saved.data, saved.size), 0);
	assert_int_equal(machine.reached, 1);
	assert_int_equal(machine.requests, 1); /* nobody was asked again */
	assert_true(screen_size(bed->vm.screen, &width, &height));
	assert_int_equal(width, WIDTH);
	assert_int_equal(height, HEIGHT);
	shots.hash[0] = '\0';
	shoot(bed);
	wait_for_shots(bed, 2);
	assert_string_equal(shots.hash, hash);
	struct wire_writer again = save(bed);
	assert_int_equal(again.size, saved.size);
	assert_memory_equal(again.data, saved.data, saved.size);
	wire_writer_finish(&again);
	wire_writer_finish(&saved);
}

static void test_copy_without_a_screen(void **state)
{
	struct bed *bed = *state;
	unsigned width, height;
	struct wire_writer saved = save(bed);

	assert_int_equal(restore(bed, saved.data, saved.size), 0);
	assert_false(screen_size(bed->vm.screen, &width, &height));
	assert_int_equal(machine.reached, 0);
	wire_writer_finish(&saved);
}

/* What is saved is the screen that pictures were last taken of, whoever still reads the one before. */
static void test_copy_after_a_change(void **state)
{
	struct bed *bed = *state;
	char hash[sizeof(shots.hash)];

	attach(bed, 32);
	shoot(bed);
	wait_for_shots(bed, 1);
	memcpy(hash, shots.hash, sizeof(hash));
	attach(bed, 16);
	shoot(bed);
	attach(bed, 32);
	struct wire_writer saved = save(bed);
	wait_for_shots(bed, 2);
	assert_int_equal(restore(bed, saved.data, saved.size), 0);
	shoot(bed);
	wait_for_shots(bed, 3);
	assert_string_equal(shots.hash, hash);
	wire_writer_finish(&saved);
}

static void put_list(struct wire_writer *out, uint32_t width, uint32_t height,
                     const uint64_t *pages, size_t count)
{
	wire_put_u32(out, width);
	wire_put_u32(out, height);
	wire_put_blob(out, pages, count * sizeof(pages[0]));
}

/* A screen that can't be isn't attached, and the guest runs without: its pixels are its own affair. */
static void test_screens_that_lie(void **state)
{
	static const struct {
		const char *name;
		uint32_t width, height;
		uint64_t pages[PAGES + 1];
		size_t count;
		bool attached;
	} rows[] = {
		{ "as it is", WIDTH, HEIGHT, { 16, 17, 18, 19, 20 }, PAGES, true },
		{ "none", 0, 0, { 0 }, 0, false },
		{ "none, with pages", 0, HEIGHT, { 16, 17, 18, 19, 20 }, PAGES, false },
		{ "wider", WIDTH + 1, HEIGHT, { 16, 17, 18, 19, 20 }, PAGES, false },
		{ "higher than all", WIDTH, UINT32_MAX, { 16, 17, 18, 19, 20 }, PAGES, false },
		{ "no pages", WIDTH, HEIGHT, { 0 }, 0, false },
		{ "a page too few", WIDTH, HEIGHT, { 16, 17, 18, 19 }, PAGES - 1, false },
		{ "a page too many", WIDTH, HEIGHT, { 16, 17, 18, 19, 20, 21 }, PAGES + 1, false },
		{ "a page twice", WIDTH, HEIGHT, { 16, 17, 18, 18, 20 }, PAGES, false },
		{ "a page outside", WIDTH, HEIGHT, { 16, 17, 18, 19, 1 << 20 }, PAGES, false },
		{ "a page beyond", WIDTH, HEIGHT, { 16, 17, 18, 19, UINT64_MAX }, PAGES, false },
		{ "no header there", WIDTH, HEIGHT, { 17, 16, 18, 19, 20 }, PAGES, false },
	};
	struct bed *bed = *state;
	unsigned width, height;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct wire_writer lie = WIRE_WRITER_INIT;

		put_list(&lie, rows[i].width, rows[i].height, rows[i].pages, rows[i].count);
		assert_row(rows[i].name, restore(bed, lie.data, lie.size) == 0);
		assert_row(rows[i].name,
		           screen_size(bed->vm.screen, &width, &height) == rows[i].attached);
		assert_row(rows[i].name, machine.reached == rows[i].attached);
		wire_writer_finish(&lie);
	}
}

static void test_states_that_are_none(void **state)
{
	struct bed *bed = *state;
	struct wire_writer out = WIRE_WRITER_INIT;

	attach(bed, 16);
	struct wire_writer saved = save(bed);
	wire_put_bytes(&out, saved.data, saved.size);
	wire_put_u8(&out, 0);
	for (size_t size = 0; size <= out.size; size++)
		assert_int_equal(restore(bed, out.data, size), size == saved.size ? 0 : -EINVAL);
	wire_writer_finish(&saved);
	wire_writer_finish(&out);

	/* A list longer than any screen's, all of it there. */
	uint64_t *pages = calloc(PROTO_DISPLAY_PAGES_MAX + 1, sizeof(*pages));
	assert_non_null(pages);
	put_list(&out, WIDTH, HEIGHT, pages, PROTO_DISPLAY_PAGES_MAX + 1);
	assert_int_equal(restore(bed, out.data, out.size), -EINVAL);
	wire_writer_finish(&out);
	/* A part of an entry. */
	wire_put_u32(&out, WIDTH);
	wire_put_u32(&out, HEIGHT);
	wire_put_blob(&out, pages, 39);
	assert_int_equal(restore(bed, out.data, out.size), 0);
	assert_int_equal(machine.reached, 0);
	wire_writer_finish(&out);
	free(pages);
}

int main(void)
{
#define SCREEN_TEST(name_) cmocka_unit_test_setup_teardown(name_, setup, teardown)
	const struct CMUnitTest tests[] = {
		SCREEN_TEST(test_no_screen_yet),
		SCREEN_TEST(test_attach_and_shoot),
		SCREEN_TEST(test_wrong_screens),
		SCREEN_TEST(test_announcements_without_end),
		SCREEN_TEST(test_announcements_while_pictures_are_taken),
		SCREEN_TEST(test_too_many_shots),
		SCREEN_TEST(test_end_while_pictures_are_taken),
		SCREEN_TEST(test_copy),
		SCREEN_TEST(test_copy_without_a_screen),
		SCREEN_TEST(test_copy_after_a_change),
		SCREEN_TEST(test_screens_that_lie),
		SCREEN_TEST(test_states_that_are_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
