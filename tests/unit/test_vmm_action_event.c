/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_vmm_action_event.c - what is told of an action, and that nothing typed is among it.
 */
#include "tests/unit/unit.h"
#include "vmm/action_event.h"

/* What is told of @request but event, time and who, as text. Owned by the caller; NULL: nothing. */
static char *tell(const char *request, bool with_text)
{
	json_t *object = json_loads(request, 0, NULL);
	assert_non_null(object);
	json_t *event = action_event(object, "agent", with_text);

	json_decref(object);
	if (!event)
		return NULL;
	assert_string_equal(json_string_value(json_object_get(event, "event")), "action");
	assert_string_equal(json_string_value(json_object_get(event, "by")), "agent");
	assert_true(json_integer_value(json_object_get(event, "realtime_ns")) > 1000000000);
	json_object_del(event, "event");
	json_object_del(event, "by");
	json_object_del(event, "realtime_ns");
	char *text = json_dumps(event, JSON_COMPACT | JSON_ENSURE_ASCII);
	json_decref(event);
	return text;
}

#define INPUT(steps) "{\"verb\":\"input\",\"steps\":[" steps "]}"
#define BROWSER(rest) "{\"verb\":\"browser\"," rest "}"

static void test_told(void **state)
{
	static const struct {
		const char *request, *told, *whole; /* NULL: as requested */
	} cases[] = {
		{ INPUT("{\"move\":[3,4]},{\"button\":1,\"down\":true},{\"sleep_ms\":5}"), NULL,
		  NULL },
		{ INPUT("{\"text\":\"g\\u00E9heim\"}"), INPUT("{\"characters\":6}"), NULL },
		{ INPUT("{\"key\":\"Return\"},{\"key\":\"ctrl+a\"},{\"key\":\"F5\"},{\"key\":"
		        "\"shift+Tab\"}"),
		  NULL, NULL },
		{ INPUT("{\"key\":\"shift\",\"down\":true},{\"key\":\"CTRL+Alt+t\"}"), NULL, NULL },
		{ INPUT("{\"key\":\"a\"},{\"key\":\"shift+a\"},{\"key\":\"KP_5\"},{\"key\":"
		        "\"eacute\"}"),
		  INPUT("{\"key\":\"?\"},{\"key\":\"?\"},{\"key\":\"?\"},{\"key\":\"?\"}"), NULL },
		{ INPUT("{\"key\":\"Fa\"},{\"key\":\"+\"},{\"key\":\"7\",\"down\":true},{\"key\":"
		        "\"F\"}"),
		  INPUT("{\"key\":\"?\"},{\"key\":\"?\"},{\"key\":\"?\",\"down\":true},{\"key\":\"?"
		        "\"}"),
		  NULL },
		{ INPUT("{\"keysym\":65293,\"down\":true},{\"keysym\":97,\"down\":true},{"
		        "\"keysym\":65457},"
		        "{\"keysym\":16777259},{\"keysym\":65105}"),
		  INPUT("{\"keysym\":65293,\"down\":true},{\"keysym\":0,\"down\":true},{\"keysym\":"
		        "0},"
		        "{\"keysym\":0},{\"keysym\":0}"),
		  NULL },
		{ BROWSER("\"op\":\"navigate\",\"url\":\"https://a.example/p?token=1#x\""),
		  BROWSER("\"op\":\"navigate\",\"url\":\"https://a.example/p\""), NULL },
		{ BROWSER("\"op\":\"navigate\",\"url\":\"http://u:p@ss@a.example/p\""),
		  BROWSER("\"op\":\"navigate\",\"url\":\"http://a.example/p\""), NULL },
		{ BROWSER("\"op\":\"navigate\",\"url\":\"http://a.example?x=@://\""),
		  BROWSER("\"op\":\"navigate\",\"url\":\"http://a.example\""), NULL },
		{ BROWSER("\"op\":\"navigate\",\"url\":\"data:text/html,secret\""),
		  BROWSER("\"op\":\"navigate\",\"url\":\"data:\""), NULL },
		{ BROWSER("\"op\":\"navigate\",\"url\":\"data:text/html,http://secret\""),
		  BROWSER("\"op\":\"navigate\",\"url\":\"data:\""), NULL },
		{ BROWSER("\"op\":\"navigate\",\"url\":\"nonsense\""),
		  BROWSER("\"op\":\"navigate\",\"url\":\"\""), NULL },
		{ BROWSER("\"op\":\"reload\""), NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *told = tell(cases[i].request, false), *whole = tell(cases[i].request, true);
		const char *expected = cases[i].told ? cases[i].told : cases[i].request;

		if (!told || strcmp(told, expected) != 0)
			fail_msg("row %zu: %s", i, told);
		if (!whole || strcmp(whole, cases[i].request) != 0)
			fail_msg("row %zu with text: %s", i, whole);
		free(told);
		free(whole);
	}
}

static void test_not_told(void **state)
{
	(void)state;
	assert_null(tell("{\"verb\":\"exec\",\"argv\":[\"true\"]}", true));
	assert_null(tell(BROWSER("\"op\":\"state\""), true));
	assert_null(tell("{\"verb\":\"browser\"}", true));
	assert_null(tell("{}", true));
}

/* Requests are checked by the guest's agent, later: here they may be anything, and are cut to size. */
static void test_nonsense_and_size(void **state)
{
	static const char *const requests[] = {
		INPUT("1,null,[],\"x\",{}"), "{\"verb\":\"input\",\"steps\":7}",
		"{\"verb\":\"input\"}", INPUT("{\"key\":\"\"},{\"text\":5},{\"keysym\":\"a\"}")
	};
	json_t *steps = json_array();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		free(tell(requests[i], false));
		free(tell(requests[i], true));
	}
	for (unsigned i = 0; i < 100; i++)
		json_array_append_new(steps, json_pack("{s:[ii]}", "move", i, i));
	json_array_insert_new(steps, 0,
	                      json_pack("{s:o}", "text",
	                                json_stringn((char[2000]){ [0 ... 1999] = 'x' }, 2000)));
	json_t *request = json_pack("{s:s,s:o}", "verb", "input", "steps", steps);
	json_t *event = action_event(request, "viewer", true);
	json_t *told = json_object_get(event, "steps");
	assert_int_equal(json_array_size(told), ACTION_STEPS_MAX);
	assert_int_equal(json_integer_value(json_object_get(event, "more")),
	                 101 - ACTION_STEPS_MAX);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(told, 0), "characters")),
	                 2000);
	json_decref(event);
	json_decref(request);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_told),
		cmocka_unit_test(test_not_told),
		cmocka_unit_test(test_nonsense_and_size),
	};

	return cmocka_run_group_tests_name("vmm_action_event", tests, NULL, NULL);
}
