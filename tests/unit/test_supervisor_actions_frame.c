/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_supervisor_actions_frame.c - names of frames, and the way between a picture's pixels and the
 * screen's; what an action may expect. Links the supervisor's modules.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "supervisor/actions_expect.h"
#include "supervisor/actions_list.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* --- names ----------------------------------------------------------------------------------- */

static void test_names(void **state)
{
	static const struct {
		const char *name;
		bool has_view;
		struct action_view view;
	} good[] = {
		{ "0badcafe-1", false, { 0 } },
		{ "0badcafe-18446744073709551615", false, { 0 } },
		{ "0badcafe-1@640x400/1280x800+0+0", true, { 640, 400, { 0, 0 }, 1280, 800 } },
		{ "0badcafe-1@1x1/4096x4096+0+0", true, { 1, 1, { 0, 0 }, 4096, 4096 } },
		{ "0badcafe-1@4096x4096/1x1+4095+4095",
		  true,
		  { 4096, 4096, { 4095, 4095 }, 1, 1 } },
	};
	static const char *const bad[] = {
		"",
		"@",
		"frame",
		"0BADCAFE-1",
		"0badcafe-1 ",
		"0badcafe-1@",
		"0badcafe-1@640x400",
		"0badcafe-1@640x400/1280x800",
		"0badcafe-1@640x400/1280x800+0",
		"0badcafe-1@640x400/1280x800+0+0 ",
		"0badcafe-1@640x400/1280x800+0+0x",
		"0badcafe-1@ 640x400/1280x800+0+0",
		"0badcafe-1@+640x400/1280x800+0+0",
		"0badcafe-1@0640x400/1280x800+0+0",
		"0badcafe-1@640x400/1280x800+-1+0",
		"0badcafe-1@0x400/1280x800+0+0",
		"0badcafe-1@640x0/1280x800+0+0",
		"0badcafe-1@640x400/0x800+0+0",
		"0badcafe-1@640x400/1280x0+0+0",
		"0badcafe-1@4097x400/1280x800+0+0",
		"0badcafe-1@640x400/1280x800+2817+0",
		"0badcafe-1@640x400/1280x800+0+3297",
		"0badcafe-1@640x400/9999x800+0+0",
		"0badcafe-1@640x400/1280x800+0+0@640x400/1280x800+0+0",
		"0123456789abcdef0123456789abcdef01234567",
	};
	struct action_frame frame;
	char name[ACTION_FRAME_MAX];

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++) {
		assert_true(action_frame_parse(good[i].name, &frame));
		assert_int_equal(frame.has_view, good[i].has_view);
		if (frame.has_view)
			assert_memory_equal(&frame.view, &good[i].view, sizeof(frame.view));
		action_frame_name(&frame, frame.id, name);
		assert_string_equal(name, good[i].name);
	}
	for (size_t i = 0; i < COUNT(bad); i++) {
		if (action_frame_parse(bad[i], &frame))
			fail_msg("'%s' is taken for a frame's name", bad[i]);
	}
}

/* Every pixel of a picture lies in the rectangle that is shown for where it lies on the screen. */
static void test_there_and_back(void **state)
{
	static const struct action_view views[] = {
		{ 1280, 800, { 0, 0 }, 1280, 800 }, { 640, 400, { 0, 0 }, 1280, 800 },
		{ 401, 250, { 0, 0 }, 1280, 800 },  { 37, 23, { 1000, 700 }, 111, 69 },
		{ 200, 100, { 300, 400 }, 20, 10 }, { 1, 1, { 0, 0 }, 4096, 4096 },
		{ 4096, 1, { 0, 0 }, 1, 4096 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(views); i++) {
		const struct action_view *v = &views[i];

		for (uint32_t k = 0; k < v->width; k += 1 + v->width / 100) {
			struct action_point pixel = { k, k * v->height / v->width };
			struct action_point at = action_view_place(v, pixel);
			json_t *there = json_pack("[[i,i,i,i]]", (int)at.x, (int)at.y, 1, 1);
			json_t *shown = action_view_show(v, there);
			uint32_t back[4];

			assert_in_range(at.x, v->origin.x, v->origin.x + v->of_width - 1);
			assert_in_range(at.y, v->origin.y, v->origin.y + v->of_height - 1);
			assert_true(shot_rectangle(json_array_get(shown, 0), back));
			assert_in_range(pixel.x, back[0], back[0] + back[2] - 1);
			assert_in_range(pixel.y, back[1], back[1] + back[3] - 1);
			json_decref(there);
			json_decref(shown);
		}
	}
}

static void test_show(void **state)
{
	static const struct action_view half = { 640, 400, { 0, 0 }, 1280, 800 };
	static const struct action_view part = { 100, 50, { 300, 400 }, 100, 50 };
	static const struct {
		const struct action_view *view;
		const char *screen, *picture;
	} cases[] = {
		{ &half, "[[64,32,64,32],[1279,799,1,1]]", "[[32,16,32,16],[639,399,1,1]]" },
		{ &part, "[[0,0,300,800],[0,0,301,401],[390,440,64,32],[400,400,1,1]]",
		  "[[0,0,1,1],[90,40,10,10]]" },
		{ &part, "[[0,0,1280,800]]", "[[0,0,100,50]]" },
		{ &part, "[]", "[]" },
		{ &part, "null", "[]" },
		/* What a broken VMM may say. */
		{ &half, "[[1,2,3],[0,0,0,1],[-1,0,4,4],\"x\",[0,0,9999,1],[0,0,2,2,2],[2,2,2,2]]",
		  "[[1,1,1,1]]" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		json_t *screen = json_loads(cases[i].screen, JSON_DECODE_ANY, NULL);
		json_t *picture = json_loads(cases[i].picture, 0, NULL);
		json_t *shown = action_view_show(cases[i].view, screen);

		if (!json_equal(shown, picture))
			fail_msg("%s: %s", cases[i].screen, json_dumps(shown, 0));
		json_decref(screen);
		json_decref(picture);
		json_decref(shown);
	}
}

/* --- what is expected ------------------------------------------------------------------------ */

static struct action_expect *expect_of(json_t *object)
{
	struct action_expect *expect;
	char wrong[EXPECT_WRONG_MAX];

	if (!action_expect_parse(object, &expect, wrong))
		fail_msg("%s", wrong);
	return expect;
}

static void test_expect(void **state)
{
	json_t *object = json_loads("{\"settled\":true,\"quiet_ms\":60000,\"timeout_ms\":600000,"
	                            "\"changed\":true,\"unchanged\":[1,2,3,4],"
	                            "\"url\":{\"equals\":\"http://a/\"},"
	                            "\"title\":{\"matches\":\"^Do(ne|it)$\"}}",
	                            0, NULL);
	struct action_expect *expect = expect_of(object);
	static const uint32_t area[4] = { 1, 2, 3, 4 };

	(void)state;
	assert_true(expect->settled && expect->changed.set && expect->changed.everywhere);
	assert_true(expect->unchanged.set && !expect->unchanged.everywhere);
	assert_memory_equal(expect->unchanged.rectangle, area, sizeof(area));
	assert_int_equal(expect->quiet_ms, 60000);
	assert_int_equal(expect->timeout_ms, 600000);
	assert_true(expected_text_matches(&expect->url, "http://a/"));
	assert_false(expected_text_matches(&expect->url, "http://a/b"));
	assert_true(expected_text_matches(&expect->title, "Done"));
	assert_false(expected_text_matches(&expect->title, "Done."));
	action_expect_destroy(expect);
	json_decref(object);
}

static void test_expect_defaults(void **state)
{
	json_t *object = json_loads("{\"title\":\"\"}", 0, NULL);
	struct action_expect *expect = expect_of(object);

	(void)state;
	assert_int_equal(expect->timeout_ms, EXPECT_TIMEOUT_MS);
	assert_int_equal(expect->quiet_ms, EXPECT_QUIET_MS);
	assert_false(expect->settled || expect->changed.set || expect->unchanged.set);
	assert_false(expected_text_is_set(&expect->url));
	assert_true(expected_text_matches(&expect->url, "anything"));
	assert_true(expected_text_matches(&expect->title, ""));
	assert_false(expected_text_matches(&expect->title, "x"));
	action_expect_destroy(expect);
	action_expect_destroy(NULL);
	json_decref(object);
}

static void test_expect_mistakes(void **state)
{
	static const struct {
		const char *expect, *wrong;
	} cases[] = {
		{ "true", "must be an object" },
		{ "[]", "must be an object" },
		{ "{}", "has none of" },
		{ "{\"timeout_ms\":1}", "has none of" },
		{ "{\"settled\":false}", "settled: must be true" },
		{ "{\"settled\":1}", "settled: must be true" },
		{ "{\"settled\":true,\"soon\":1}", "soon: is unknown" },
		{ "{\"settled\":true,\"timeout_ms\":0}", "timeout_ms: must be" },
		{ "{\"settled\":true,\"timeout_ms\":600001}", "timeout_ms: must be" },
		{ "{\"settled\":true,\"timeout_ms\":\"1\"}", "timeout_ms: must be" },
		{ "{\"settled\":true,\"quiet_ms\":0}", "quiet_ms: must be" },
		{ "{\"settled\":true,\"quiet_ms\":60001}", "quiet_ms: must be" },
		{ "{\"changed\":false}", "changed: must be true" },
		{ "{\"changed\":[1,2,3]}", "changed: must be true" },
		{ "{\"changed\":[1,2,3,0]}", "changed: must be true" },
		{ "{\"changed\":[-1,2,3,4]}", "changed: must be true" },
		{ "{\"unchanged\":[1,2,3,4.5]}", "unchanged: must be true" },
		{ "{\"unchanged\":[1,2,3,4,5]}", "unchanged: must be true" },
		{ "{\"url\":7}", "url: must be a text" },
		{ "{\"url\":{}}", "url: must be a text" },
		{ "{\"url\":{\"is\":\"a\"}}", "url: must be a text" },
		{ "{\"url\":{\"equals\":\"a\",\"matches\":\"a\"}}", "url: must be a text" },
		{ "{\"url\":{\"equals\":1}}", "url: must be a text" },
		{ "{\"title\":{\"matches\":1}}", "title: must be a text" },
		{ "{\"title\":{\"matches\":\"(\"}}", "title: \"matches\" is no POSIX" },
		{ "{\"title\":{\"matches\":\"a{99999}\"}}", "title: \"matches\" is no POSIX" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		json_t *object = json_loads(cases[i].expect, JSON_DECODE_ANY, NULL);
		struct action_expect *expect;
		char wrong[EXPECT_WRONG_MAX];

		assert_non_null(object);
		assert_false(action_expect_parse(object, &expect, wrong));
		if (strncmp(wrong, cases[i].wrong, strlen(cases[i].wrong)) != 0)
			fail_msg("%s: %s", cases[i].expect, wrong);
		json_decref(object);
	}
}

static void test_expect_long(void **state)
{
	char *text = calloc(1, EXPECT_TEXT_MAX + 2);

	(void)state;
	memset(text, 'x', EXPECT_TEXT_MAX + 1);
	for (unsigned matches = 0; matches < 2; matches++) {
		const size_t most = matches ? EXPECT_PATTERN_MAX : EXPECT_TEXT_MAX;

		for (size_t extra = 0; extra < 2; extra++) {
			json_t *object =
				json_pack("{s:{s:s%}}", "url", matches ? "matches" : "equals", text,
			                  most + extra);
			struct action_expect *expect = NULL;
			char wrong[EXPECT_WRONG_MAX];

			assert_int_equal(action_expect_parse(object, &expect, wrong), extra == 0);
			if (extra)
				assert_string_equal(wrong, "url: is too long");
			action_expect_destroy(expect);
			json_decref(object);
		}
	}
	free(text);
}

/* --- as arguments ---------------------------------------------------------------------------- */

static void test_common_arguments(void **state)
{
	static const char text[] =
		"{\"type\":\"wait\",\"frame\":\"0badcafe-1@640x400/1280x800+0+0\","
		"\"if_unchanged\":true,\"expect\":{\"settled\":true}}";
	struct action_list list = { 0 };
	struct failure failure = { 0 };

	(void)state;
	assert_int_equal(action_list_parse(text, strlen(text), &list, &failure), 0);
	assert_true(list.items[0].if_unchanged && list.items[0].expect->settled);
	assert_string_equal(list.items[0].frame.id, "0badcafe-1");
	assert_int_equal(list.items[0].frame.view.width, 640);
	action_list_finish(&list);
}

static void test_common_mistakes(void **state)
{
	static const struct {
		const char *action, *message;
	} cases[] = {
		{ "{\"type\":\"wait\",\"frame\":7}", "wait: frame: is no frame's name" },
		{ "{\"type\":\"wait\",\"frame\":\"?\"}", "wait: frame: is no frame's name" },
		{ "{\"type\":\"wait\",\"frame\":\"a-1\",\"if_unchanged\":1}",
		  "wait: if_unchanged: must be true or false" },
		{ "{\"type\":\"wait\",\"if_unchanged\":true}",
		  "wait: if_unchanged: needs the argument frame" },
		{ "{\"type\":\"wait\",\"expect\":{\"url\":1}}", "wait: expect: url: must be" },
		{ "{\"type\":\"wait\",\"max_width\":1}", "wait: takes no argument \"max_width\"" },
		{ "{\"type\":\"screenshot\",\"max_width\":0}", "screenshot: max_width: must be" },
		{ "{\"action\":\"screenshot\",\"max_pixels\":-5}", "screenshot: max_pixels: must" },
		{ "{\"action\":\"zoom\",\"region\":[0,0,1,1],\"max_width\":\"1\"}",
		  "zoom: max_width: must be" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct action_list list = { 0 };
		struct failure failure = { 0 };

		assert_int_equal(action_list_parse(cases[i].action, strlen(cases[i].action), &list,
		                                   &failure),
		                 -1);
		if (strncmp(failure.message, cases[i].message, strlen(cases[i].message)) != 0)
			fail_msg("%s: %s", cases[i].action, failure.message);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_show),
		cmocka_unit_test(test_expect),
		cmocka_unit_test(test_expect_defaults),
		cmocka_unit_test(test_expect_mistakes),
		cmocka_unit_test(test_expect_long),
		cmocka_unit_test(test_common_arguments),
		cmocka_unit_test(test_common_mistakes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
