/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_guest_input.c - UTF-8, key names, chords and steps.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <xkbcommon/xkbcommon-keysyms.h>

#include "guest/keys.h"
#include "guest/steps.h"
#include "guest/text.h"

static void test_characters(void **state)
{
	static const struct {
		const char *text;
		int32_t value;
		size_t length;
	} rows[] = {
		{ "", 0, 0 },
		{ "a", 'a', 1 },
		{ "\xc3\xa9", 0xe9, 2 },
		{ "\xe6\xbc\xa2", 0x6f22, 3 },
		{ "\xf0\x9f\x99\x82", 0x1f642, 4 },
		{ "\xf4\x8f\xbf\xbf", 0x10ffff, 4 },
		{ "\x80", -1, 1 },
		{ "\xc0\x80", -1, 1 },         /* over-long NUL */
		{ "\xe0\x80\xaf", -1, 1 },     /* over-long slash */
		{ "\xed\xa0\x80", -1, 1 },     /* surrogate */
		{ "\xf4\x90\x80\x80", -1, 1 }, /* beyond Unicode */
		{ "\xf8\x88\x80\x80", -1, 1 },
		{ "\xc3", -1, 1 },
		{ "\xe6\xbc", -1, 1 },
		{ "\xff", -1, 1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *text = rows[i].text;

		assert_int_equal(text_next(&text), rows[i].value);
		assert_int_equal(text - rows[i].text, rows[i].length);
	}
}

static void test_make_utf8(void **state)
{
	char out[8];

	(void)state;
	text_make_utf8("a\xff\xc3\xa9", out, sizeof(out));
	assert_string_equal(out, "a\xef\xbf\xbd\xc3\xa9");
	text_make_utf8("\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2", out, sizeof(out));
	assert_string_equal(out, "\xe6\xbc\xa2\xe6\xbc\xa2");
	text_make_utf8("\xff", out, 3);
	assert_string_equal(out, "");
	text_make_utf8("x", out, 1);
	assert_string_equal(out, "");
	assert_int_equal(text_json_size("a\"\\\n\xc3\xa9"), 1 + 2 + 2 + 6 + 2);
}

static void test_chords(void **state)
{
	static const struct {
		const char *text;
		size_t count;
		uint32_t keysyms[3];
	} rows[] = {
		{ "a", 1, { XKB_KEY_a } },
		{ "A", 1, { XKB_KEY_A } },
		{ "+", 1, { XKB_KEY_plus } },
		{ " ", 1, { XKB_KEY_space } },
		{ "\xc3\xa9", 1, { XKB_KEY_eacute } },
		{ "\xe6\xbc\xa2", 1, { 0x01006f22 } },
		{ "ctrl+shift+t", 3, { XKB_KEY_Control_L, XKB_KEY_Shift_L, XKB_KEY_t } },
		{ "CTRL+A", 2, { XKB_KEY_Control_L, XKB_KEY_A } },
		{ "ctrl++", 2, { XKB_KEY_Control_L, XKB_KEY_plus } },
		{ "ctrl + a", 2, { XKB_KEY_Control_L, XKB_KEY_a } },
		{ "alt+F4", 2, { XKB_KEY_Alt_L, XKB_KEY_F4 } },
		{ "super", 1, { XKB_KEY_Super_L } },
		{ "meta", 1, { XKB_KEY_Meta_L } },
		{ "cmd+c", 2, { XKB_KEY_Super_L, XKB_KEY_c } },
		{ "Return", 1, { XKB_KEY_Return } },
		{ "enter", 1, { XKB_KEY_Return } },
		{ "KP_Enter", 1, { XKB_KEY_KP_Enter } },
		{ "BackSpace", 1, { XKB_KEY_BackSpace } },
		{ "backspace", 1, { XKB_KEY_BackSpace } },
		{ "Escape", 1, { XKB_KEY_Escape } },
		{ "ESC", 1, { XKB_KEY_Escape } },
		{ "Page_Up", 1, { XKB_KEY_Page_Up } },
		{ "PageDown", 1, { XKB_KEY_Page_Down } },
		{ "page_down", 1, { XKB_KEY_Page_Down } },
		{ "Prior", 1, { XKB_KEY_Prior } },
		{ "ArrowLeft", 1, { XKB_KEY_Left } },
		{ "up", 1, { XKB_KEY_Up } },
		{ "Tab", 1, { XKB_KEY_Tab } },
		{ "space", 1, { XKB_KEY_space } },
		{ "Delete", 1, { XKB_KEY_Delete } },
		{ "del", 1, { XKB_KEY_Delete } },
		{ "home", 1, { XKB_KEY_Home } },
		{ "End", 1, { XKB_KEY_End } },
		{ "f12", 1, { XKB_KEY_F12 } },
		{ "minus", 1, { XKB_KEY_minus } },
		{ "U20AC", 1, { 0x010020ac } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = { 0 };
		struct chord chord = { .count = 0 };

		assert_int_equal(keys_parse_chord(rows[i].text, &chord, &err), 0);
		assert_int_equal(chord.count, rows[i].count);
		for (size_t k = 0; k < chord.count; k++)
			assert_int_equal(chord.keysyms[k], rows[i].keysyms[k]);
	}
}

static void test_chords_refused(void **state)
{
	static const char *const texts[] = {
		"",
		"ctrl+",
		"nosuchkey",
		"ctrl+nosuchkey",
		"a+b+c+d+e+f+g",
		"\x07",
		"\xff",
		("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
		 "x"
		 "xxx"),
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct chord chord = { .count = 99 };
		struct error err = { 0 };

		assert_int_equal(keys_parse_chord(texts[i], &chord, &err), -EINVAL);
		assert_int_equal(chord.count, 99);
		assert_true(err.msg[0] != '\0');
	}
}

static void test_characters_to_keysyms(void **state)
{
	(void)state;
	assert_int_equal(keys_from_character('\n'), XKB_KEY_Return);
	assert_int_equal(keys_from_character('\r'), XKB_KEY_Return);
	assert_int_equal(keys_from_character('\t'), XKB_KEY_Tab);
	assert_int_equal(keys_from_character(0xdf), XKB_KEY_ssharp);
	assert_int_equal(keys_from_character(0x3a9), XKB_KEY_Greek_OMEGA);
	assert_int_equal(keys_from_character(0x1f642), 0x0101f642);
	assert_int_equal(keys_from_character(7), 0);
	assert_int_equal(keys_from_character(0x7f), 0);
	assert_int_equal(keys_from_character(0x85), 0);
}

static void test_kinds_of_keysyms(void **state)
{
	static const struct {
		uint32_t keysym;
		bool is_character, has_case;
	} rows[] = {
		{ XKB_KEY_a, true, true },           { XKB_KEY_Eacute, true, true },
		{ XKB_KEY_slash, true, false },      { XKB_KEY_space, true, false },
		{ 0x01006f22, true, false },         { XKB_KEY_Cyrillic_de, true, true },
		{ XKB_KEY_Tab, false, false },       { XKB_KEY_Return, false, false },
		{ XKB_KEY_BackSpace, false, false }, { XKB_KEY_Delete, false, false },
		{ XKB_KEY_F1, false, false },        { XKB_KEY_Shift_L, false, false },
		{ XKB_KEY_Left, false, false },      { XKB_KEY_ISO_Left_Tab, false, false },
		{ 0x1fffffff, false, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(keys_is_character(rows[i].keysym), rows[i].is_character);
		assert_int_equal(keys_has_case(rows[i].keysym), rows[i].has_case);
	}
}

static void test_steps(void **state)
{
	json_t *array =
		json_loads("[{\"move\":[0,799]},{\"move\":[1279,0]},{\"button\":1},"
	                   "{\"button\":9,\"down\":true},{\"key\":\"shift\",\"down\":false},"
	                   "{\"key\":\"a\"},{\"text\":\"\xf0\x9f\x99\x82\\n\"},"
	                   "{\"sleep_ms\":60000},{\"keysym\":536870911,\"down\":true}]",
	                   0, NULL);
	struct steps steps = { .count = 0 };
	struct error err = { 0 };

	(void)state;
	assert_int_equal(steps_parse(array, 1280, 800, &steps, &err), 0);
	assert_int_equal(steps.count, 9);
	assert_int_equal(steps.list[0].kind, STEP_MOVE);
	assert_int_equal(steps.list[0].y, 799);
	assert_int_equal(steps.list[2].way, WAY_CLICK);
	assert_int_equal(steps.list[3].way, WAY_DOWN);
	assert_int_equal(steps.list[4].way, WAY_UP);
	assert_int_equal(steps.list[5].way, WAY_CLICK);
	assert_int_equal(steps.list[6].kind, STEP_TEXT);
	assert_int_equal(steps.list[7].sleep_ms, 60000);
	assert_int_equal(steps.list[8].kind, STEP_KEYSYM);
	assert_int_equal(steps.list[8].keysym, 0x1fffffff);
	assert_int_equal(steps.list[8].way, WAY_DOWN);
	steps_finish(&steps);
	json_decref(array);
}

static void test_steps_refused(void **state)
{
	static const char *const texts[] = {
		"{\"move\":[1280,0]}",
		"{\"move\":[0,800]}",
		"{\"move\":[-1,0]}",
		"{\"move\":[1]}",
		"{\"move\":[1,2,3]}",
		"{\"move\":[1.5,2]}",
		"{\"move\":\"1,2\"}",
		"{\"move\":[9223372036854775807,0]}",
		"{\"button\":0}",
		"{\"button\":10}",
		"{\"button\":1,\"down\":1}",
		"{\"button\":\"1\"}",
		"{\"key\":\"\"}",
		"{\"key\":1}",
		"{\"key\":\"a\",\"down\":\"\"}",
		"{\"text\":1}",
		"{\"text\":\"\\u0007\"}",
		"{\"sleep_ms\":-1}",
		"{\"sleep_ms\":60001}",
		"{\"keysym\":0}",
		"{\"keysym\":536870912}",
		"{\"keysym\":\"a\"}",
		"{\"keysym\":97,\"down\":1}",
		"{\"jump\":1}",
		"{}",
		"1",
		"null",
		"[]",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		json_t *array = json_pack("[{s:i}, o]", "sleep_ms", 0,
		                          json_loads(texts[i], JSON_DECODE_ANY, NULL));
		struct steps steps = { .count = 99 };
		struct error err = { 0 };

		assert_int_equal(steps_parse(array, 1280, 800, &steps, &err), -EINVAL);
		assert_int_equal(strncmp(err.msg, "step 1: ", 8), 0);
		assert_int_equal(steps.count, 99);
		json_decref(array);
	}
}

static void test_steps_too_many(void **state)
{
	json_t *array = json_array();
	struct steps steps;
	struct error err = { 0 };

	(void)state;
	for (int i = 0; i <= STEPS_MAX; i++)
		json_array_append_new(array, json_pack("{s:i}", "sleep_ms", 0));
	assert_int_equal(steps_parse(array, 1280, 800, &steps, &err), -EINVAL);
	json_array_remove(array, 0);
	assert_int_equal(steps_parse(array, 1280, 800, &steps, &err), 0);
	assert_int_equal(steps.count, STEPS_MAX);
	steps_finish(&steps);
	json_decref(array);
	assert_int_equal(steps_parse(NULL, 1280, 800, &steps, &err), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_characters),
		cmocka_unit_test(test_make_utf8),
		cmocka_unit_test(test_chords),
		cmocka_unit_test(test_chords_refused),
		cmocka_unit_test(test_characters_to_keysyms),
		cmocka_unit_test(test_kinds_of_keysyms),
		cmocka_unit_test(test_steps),
		cmocka_unit_test(test_steps_refused),
		cmocka_unit_test(test_steps_too_many),
	};

	return cmocka_run_group_tests_name("guest_input", tests, NULL, NULL);
}
