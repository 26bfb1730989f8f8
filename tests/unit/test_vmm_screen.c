/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vmm/screen.c: which screen is attached, pictures of it, and an agent that announces without end. */
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
	struct screen *screen;
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
	assert_int_equal(screen_create(&bed->vm, &bed->screen), 0);
	draw(bed, 16, 0x20);
	draw(bed, 32, 0x40);
	*state = bed;
	return 0;
}

static int teardown(void **state)
{
	struct bed *bed = *state;

	screen_destroy(bed->screen);
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
	screen_shoot(bed->screen, SCREENSHOT_RGB, on_shot, bed->vm.loop);
}

/* The agent announces the screen that begins at page @first, and says where it is. */
static void attach(struct bed *bed, uint64_t first)
{
	screen_attach(bed->screen);
	answer_with_screen(first);
}

/* As many pictures as may wait at once; none comes before the loop runs. */
static void shoot_most(struct bed *bed)
{
	for (unsigned i = 0; i < SCREEN_SHOTS_MAX; i++)
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

	assert_false(screen_size(bed->screen, &width, &height));
	shoot(bed);
	assert_int_equal(shots.count, 1);
	assert_string_equal(shots.code, "not_ready");
}

static void test_attach_and_shoot(void **state)
{
	struct bed *bed = *state;
	unsigned width, height;

	screen_attach(bed->screen);
	assert_int_equal(machine.requests, 1);
	answer_with_screen(16);
	assert_int_equal(machine.reached, 1);
	assert_int_equal(machine.notified, 1);
	assert_true(screen_size(bed->screen, &width, &height));
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

	screen_attach(bed->screen);
	give_answer(wire_reply_error(1, PROTO_ERR_FAILED, "no framebuffer"), NULL, 0);
	screen_attach(bed->screen);
	answer_with_screen(RAM / GUEST_PAGE_SIZE - 1);
	assert_int_equal(machine.reached, 0);
	shoot(bed);
	assert_string_equal(shots.code, "not_ready");

	attach(bed, 16);
	screen_attach(bed->screen);
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
		screen_attach(bed->screen);
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
		for (unsigned i = 0; i < SCREEN_SHOTS_MAX; i++) {
			shoot(bed);
			attach(bed, i % 2 ? 16 : 32);
		}
		wait_for_shots(bed, (round + 1) * SCREEN_SHOTS_MAX);
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
	wait_for_shots(bed, SCREEN_SHOTS_MAX + 1);
	assert_string_equal(shots.code, "");
}

/* Whoever waits for a picture when the session ends is answered. */
static void test_end_while_pictures_are_taken(void **state)
{
	struct bed *bed = *state;

	attach(bed, 16);
	shoot_most(bed);
	screen_destroy(bed->screen);
	assert_int_equal(shots.count, SCREEN_SHOTS_MAX);
	assert_int_equal(screen_create(&bed->vm, &bed->screen), 0);
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
