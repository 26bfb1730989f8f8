/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_vmm_control_screen.c - what clients may ask about the screen, and how it is passed on.
 */
#include "tests/unit/vmm_control_bed.h"

static void test_requests_that_are_wrong(void **state)
{
	static const struct {
		const char *text, *words;
	} rows[] = {
		{ "{\"id\":1,\"verb\":\"screenshot\",\"format\":\"gif\"}", "png" },
		{ "{\"id\":1,\"verb\":\"screenshot\",\"region\":[1,2,3]}", "'region'" },
		{ "{\"id\":1,\"verb\":\"screenshot\",\"region\":[1,2,3,4,5]}", "'region'" },
		{ "{\"id\":1,\"verb\":\"screenshot\",\"region\":[1,2,0,4]}", "'region'" },
		{ "{\"id\":1,\"verb\":\"screenshot\",\"region\":[1,2,4,0]}", "'region'" },
		{ "{\"id\":1,\"verb\":\"screenshot\",\"region\":[-1,2,3,4]}", "'region'" },
		{ "{\"id\":1,\"verb\":\"screenshot\",\"region\":[4294967296,2,3,4]}", "'region'" },
		{ "{\"id\":1,\"verb\":\"screenshot\",\"region\":[1.0,2,3,4]}", "'region'" },
		{ "{\"id\":1,\"verb\":\"screenshot\",\"region\":{\"x\":1}}", "'region'" },
		{ "{\"id\":1,\"verb\":\"screenshot\",\"region\":null}", "'region'" },
		{ "{\"id\":1,\"verb\":\"screenshot\",\"max_width\":0}", "'max_width'" },
		{ "{\"id\":1,\"verb\":\"screenshot\",\"max_width\":\"9\"}", "'max_width'" },
		{ "{\"id\":1,\"verb\":\"screenshot\",\"max_pixels\":-1}", "'max_pixels'" },
		{ "{\"id\":1,\"verb\":\"screenshot\",\"max_pixels\":4294967296}", "'max_pixels'" },
		{ "{\"id\":1,\"verb\":\"settle\",\"quiet_ms\":0}", "'quiet_ms'" },
		{ "{\"id\":1,\"verb\":\"settle\",\"quiet_ms\":60001}", "'quiet_ms'" },
		{ "{\"id\":1,\"verb\":\"settle\",\"timeout_ms\":0}", "'timeout_ms'" },
		{ "{\"id\":1,\"verb\":\"settle\",\"timeout_ms\":3600001}", "'timeout_ms'" },
		{ "{\"id\":1,\"verb\":\"settle\",\"rect\":[1,2,3]}", "'rect'" },
		{ "{\"id\":1,\"verb\":\"compare\"}", "'frame'" },
		{ "{\"id\":1,\"verb\":\"compare\",\"frame\":7}", "'frame'" },
		{ "{\"id\":1,\"verb\":\"compare\",\"frame\":\"a\",\"against\":7}", "'against'" },
		{ "{\"id\":1,\"verb\":\"compare\",\"frame\":\"a\",\"name\":7}", "'name'" },
		{ "{\"id\":1,\"verb\":\"compare\",\"frame\":\"a\",\"rect\":7}", "'rect'" },
		{ "{\"id\":1,\"verb\":\"compare\",\"frame\":\"a\",\"point\":[1]}", "'point'" },
		{ "{\"id\":1,\"verb\":\"compare\",\"frame\":\"a\",\"point\":[1,2],"
		  "\"rect\":[1,2,3,4]}",
		  "not both" },
		{ "{\"id\":1,\"verb\":\"compare\",\"frame\":\"a\",\"picture\":1}", "'picture'" },
		{ "{\"id\":1,\"verb\":\"compare\",\"frame\":\"a\",\"against\":\"b\","
		  "\"picture\":true}",
		  "'picture'" },
	};
	struct bed *bed = *state;

	join(bed, 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		refused(bed, rows[i].text, "bad_request", rows[i].words);
	assert_null(machine.picture_done);
	assert_null(machine.settle_done);
}

static void expect_area(const struct rectangle *area, unsigned x, unsigned y, unsigned width,
                        unsigned height)
{
	assert_int_equal(area->x, x);
	assert_int_equal(area->y, y);
	assert_int_equal(area->width, width);
	assert_int_equal(area->height, height);
}

/* The picture, and a descriptor with it. */
static void test_screenshot(void **state)
{
	struct bed *bed = *state;
	struct wire_message message = WIRE_MESSAGE_INIT;
	struct error err = { 0 };

	join(bed, 0);
	say(bed, 0, "{\"id\":5,\"verb\":\"screenshot\"}");
	assert_int_equal(machine.shot.format, SCREENSHOT_PNG);
	assert_int_equal(machine.shot.max_width, 0);
	assert_int_equal(machine.shot.max_pixels, 0);
	expect_area(&machine.shot.region, 0, 0, 0, 0);
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	machine.picture_done(machine.done_arg, wire_reply_ok(0), fd);
	close(fd);
	wire_conn_read(&bed->clients[0], &err);
	assert_int_equal(wire_conn_next(&bed->clients[0], &message, &err), 1);
	assert_int_equal(number(message.object, "id"), 5);
	assert_true(message.fd >= 0);
	wire_message_finish(&message);

	say(bed, 0,
	    "{\"id\":6,\"verb\":\"screenshot\",\"format\":\"rgb\",\"region\":[10,20,300,4096],"
	    "\"max_width\":64,\"max_pixels\":4294967295}");
	assert_int_equal(machine.shot.format, SCREENSHOT_RGB);
	assert_int_equal(machine.shot.max_width, 64);
	assert_true(machine.shot.max_pixels == 4294967295);
	expect_area(&machine.shot.region, 10, 20, 300, 4096);
	machine.picture_done(machine.done_arg, wire_reply_error(0, PROTO_ERR_BAD_REQUEST, "no"),
	                     -1);
	json_t *reply = heard(bed, 0);
	expect_error(reply, "refused later", "bad_request", "no");
	assert_int_equal(number(reply, "id"), 6);
	json_decref(reply);
}

static void test_settle(void **state)
{
	struct bed *bed = *state;

	join(bed, 0);
	say(bed, 0, "{\"id\":1,\"verb\":\"settle\"}");
	assert_int_equal(machine.settle.quiet_ms, 500);
	assert_int_equal(machine.settle.timeout_ms, 10000);
	expect_area(&machine.settle.area, 0, 0, 0, 0);
	expect_nothing(bed, 0);
	machine.settle_done(machine.done_arg, wire_reply_ok(0));
	json_t *reply = granted(bed, 0);
	assert_int_equal(number(reply, "id"), 1);
	json_decref(reply);
	say(bed, 0,
	    "{\"id\":2,\"verb\":\"settle\",\"quiet_ms\":1,\"timeout_ms\":3600000,"
	    "\"rect\":[0,0,1,2]}");
	assert_int_equal(machine.settle.quiet_ms, 1);
	assert_int_equal(machine.settle.timeout_ms, 3600000);
	expect_area(&machine.settle.area, 0, 0, 1, 2);
	machine.settle_done(machine.done_arg, wire_reply_ok(0));
	json_decref(granted(bed, 0));
}

static void test_compare(void **state)
{
	struct bed *bed = *state;

	join(bed, 0);
	say(bed, 0, "{\"id\":1,\"verb\":\"compare\",\"frame\":\"one\"}");
	assert_string_equal(machine.frames[0], "one");
	assert_null(machine.comparison.against);
	assert_false(machine.comparison.picture);
	assert_false(machine.comparison.unnamed);
	expect_area(&machine.comparison.area, 0, 0, 0, 0);
	machine.picture_done(machine.done_arg, wire_reply_ok(0), -1);
	json_decref(granted(bed, 0));
	say(bed, 0,
	    "{\"id\":2,\"verb\":\"compare\",\"frame\":\"one\",\"against\":\"two\","
	    "\"point\":[7,8]}");
	assert_string_equal(machine.frames[1], "two");
	expect_area(&machine.comparison.area, 7, 8, 1, 1);
	machine.picture_done(machine.done_arg, wire_reply_ok(0), -1);
	json_decref(granted(bed, 0));
	say(bed, 0,
	    "{\"id\":3,\"verb\":\"compare\",\"frame\":\"one\",\"picture\":true,\"name\":false,"
	    "\"rect\":[1,2,3,4]}");
	assert_true(machine.comparison.picture);
	assert_true(machine.comparison.unnamed);
	expect_area(&machine.comparison.area, 1, 2, 3, 4);
	machine.picture_done(machine.done_arg, wire_reply_ok(0), -1);
	json_t *reply = granted(bed, 0);
	assert_int_equal(number(reply, "id"), 3);
	json_decref(reply);
}

/* Whoever asks of the agent may be about to change the screen. */
static void test_input_pokes(void **state)
{
	struct bed *bed = *state;

	join(bed, 0);
	say(bed, 0, "{\"id\":1,\"verb\":\"status\"}");
	json_decref(granted(bed, 0));
	assert_int_equal(machine.pokes, 0);
	say(bed, 0, "{\"id\":2,\"verb\":\"agent\",\"request\":{\"verb\":\"input\"}}");
	assert_int_equal(machine.pokes, 1);
	json_t *reply = wire_reply_ok(1);
	machine.agent_done(machine.done_arg, reply, NULL, 0);
	assert_int_equal(machine.pokes, 2);
	json_decref(reply);
	json_decref(granted(bed, 0));
}

int main(void)
{
#define CONTROL_TEST(name_) cmocka_unit_test_setup_teardown(name_, setup, teardown)
	const struct CMUnitTest tests[] = {
		CONTROL_TEST(test_requests_that_are_wrong),
		CONTROL_TEST(test_screenshot),
		CONTROL_TEST(test_settle),
		CONTROL_TEST(test_compare),
		CONTROL_TEST(test_input_pokes),
	};

	return cmocka_run_group_tests_name("vmm_control_screen", tests, NULL, NULL);
}
