/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * actions_schema.c - the vocabularies as a JSON schema (draft 2020-12). Pure.
 *
 * It says what a schema can: what depends on the screen, or on two arguments at once, is only found
 * by actions.c.
 */
#include "lib/log.h"
#include "supervisor/actions_list.h"
#include "supervisor/actions_private.h"

#define PIXEL "{\"type\":\"integer\",\"minimum\":0,\"maximum\":4095}"
#define TEXT "{\"type\":\"string\",\"minLength\":1,\"maxLength\":8192}"
#define POINT                                                                                      \
	"{\"type\":\"array\",\"items\":" PIXEL ",\"minItems\":2,\"maxItems\":2,"                   \
	"\"description\":\"[x, y], in pixels\"}"
#define SCROLL                                                                                     \
	"{\"type\":\"integer\",\"minimum\":-12000,\"maximum\":12000,\"description\":\"pixels\"}"
#define LIMIT "{\"type\":\"integer\",\"minimum\":1,\"maximum\":2147483647}"
#define KEYS "{\"type\":\"array\",\"items\":{\"type\":\"string\",\"minLength\":1}"
#define SIDE "{\"type\":\"integer\",\"minimum\":0,\"maximum\":4096}"
#define AREA                                                                                       \
	"{\"anyOf\":[{\"const\":true},{\"type\":\"array\",\"items\":" SIDE ","                     \
	"\"minItems\":4,\"maxItems\":4,\"description\":\"[x, y, width, height]\"}]}"
#define WORDS                                                                                      \
	"{\"anyOf\":[{\"type\":\"string\",\"maxLength\":8192},"                                    \
	"{\"type\":\"object\",\"properties\":{\"equals\":{\"type\":\"string\",\"maxLength\":"      \
	"8192}},"                                                                                  \
	"\"required\":[\"equals\"],\"additionalProperties\":false},"                               \
	"{\"type\":\"object\",\"properties\":{\"matches\":{\"type\":\"string\",\"maxLength\":"     \
	"1024}},"                                                                                  \
	"\"required\":[\"matches\"],\"additionalProperties\":false}]}"

static const char *const kinds[ARGUMENT_KINDS] = {
	[ARGUMENT_NONE] = "false",
	[ARGUMENT_POINT] = POINT,
	[ARGUMENT_START] = POINT,
	[ARGUMENT_X] = PIXEL,
	[ARGUMENT_Y] = PIXEL,
	[ARGUMENT_PATH] = "{\"type\":\"array\",\"minItems\":2,\"maxItems\":256,\"items\":{\"type\":"
			  "\"object\",\"properties\":{\"x\":" PIXEL ",\"y\":" PIXEL
			  "},\"required\":[\"x\",\"y\"],\"additionalProperties\":false}}",
	[ARGUMENT_REGION] = "{\"type\":\"array\",\"items\":" SIDE ",\"minItems\":4,\"maxItems\":4,"
			    "\"description\":\"[x0, y0, x1, y1]\"}",
	[ARGUMENT_BUTTON] = "{\"enum\":[\"left\",\"right\",\"wheel\",\"back\",\"forward\"]}",
	[ARGUMENT_MODIFIERS] = "{\"type\":\"string\",\"minLength\":1,\"maxLength\":8192,"
			       "\"description\":\"modifiers to hold, as ctrl+shift\"}",
	[ARGUMENT_HELD] = KEYS ",\"description\":\"modifiers to hold\"}",
	[ARGUMENT_KEYS] = "{\"type\":\"string\",\"minLength\":1,\"maxLength\":8192,"
			  "\"description\":\"a key with its modifiers, as ctrl+a; several with "
			  "spaces between\"}",
	[ARGUMENT_CHORD] = KEYS ",\"minItems\":1,\"description\":\"pressed together\"}",
	[ARGUMENT_REPEAT] = "{\"type\":\"integer\",\"minimum\":1,\"maximum\":100}",
	[ARGUMENT_TEXT] = TEXT,
	[ARGUMENT_DIRECTION] = "{\"enum\":[\"up\",\"down\",\"left\",\"right\"]}",
	[ARGUMENT_AMOUNT] = "{\"type\":\"integer\",\"minimum\":0,\"maximum\":100,"
			    "\"description\":\"clicks of the wheel\"}",
	[ARGUMENT_SCROLL_X] = SCROLL,
	[ARGUMENT_SCROLL_Y] = SCROLL,
	[ARGUMENT_DURATION] = "{\"type\":\"number\",\"minimum\":0,\"maximum\":300,"
			      "\"description\":\"seconds\"}",
	[ARGUMENT_URL] = TEXT,
	[ARGUMENT_MAX_WIDTH] = LIMIT,
	[ARGUMENT_MAX_PIXELS] = LIMIT,
	[ARGUMENT_FRAME] = "{\"type\":\"string\",\"description\":\"the frame of the screenshot "
			   "that this was decided on; coordinates are its picture's\"}",
	[ARGUMENT_IF_UNCHANGED] = "{\"type\":\"boolean\",\"description\":\"refuse it when what it "
				  "is about has changed since that frame\"}",
	[ARGUMENT_EXPECT] =
		"{\"type\":\"object\",\"properties\":{\"settled\":{\"const\":true},\"quiet_ms\":"
		"{\"type\":\"integer\",\"minimum\":1,\"maximum\":60000},\"timeout_ms\":{\"type\":"
		"\"integer\",\"minimum\":1,\"maximum\":600000},\"changed\":" AREA
		",\"unchanged\":" AREA ",\"url\":" WORDS ",\"title\":" WORDS
		"},\"additionalProperties\":false,\"anyOf\":[{\"required\":[\"settled\"]},"
		"{\"required\":[\"changed\"]},{\"required\":[\"unchanged\"]},"
		"{\"required\":[\"url\"]},{\"required\":[\"title\"]}]}",
};

static json_t *kind_schema(enum argument_kind kind)
{
	json_t *schema = json_loads(kinds[kind], JSON_DECODE_ANY, NULL);

	ASSERT(schema);
	return schema;
}

static void add_arguments(const struct argument_spec *arguments, size_t max, json_t *properties,
                          json_t *required)
{
	for (size_t i = 0; i < max && arguments[i].name; i++) {
		enum argument_kind kind = arguments[i].kind;

		json_object_set_new(properties, arguments[i].name,
		                    kind == ARGUMENT_EXPECT
		                            ? json_pack("{s:s}", "$ref", "#/$defs/expect")
		                            : kind_schema(kind));
		if (!arguments[i].optional)
			json_array_append_new(required, json_string(arguments[i].name));
	}
}

static json_t *action_schema_of(const struct action_vocabulary *vocabulary,
                                const struct action_spec *spec)
{
	json_t *properties = json_pack("{s:{s:s}}", vocabulary->member, "const", spec->name);
	json_t *required = json_pack("[s]", vocabulary->member);

	add_arguments(spec->arguments, ACTION_ARGUMENTS_MAX, properties, required);
	add_arguments(action_common_arguments, SIZE_MAX, properties, required);
	return json_pack("{s:s,s:o,s:o,s:b}", "type", "object", "properties", properties,
	                 "required", required, "additionalProperties", 0);
}

json_t *action_schema(void)
{
	json_t *actions = json_array();

	for (const struct action_vocabulary *v = action_vocabularies; v->member; v++) {
		for (size_t i = 0; i < v->count; i++)
			json_array_append_new(actions, action_schema_of(v, &v->specs[i]));
	}
	return json_pack("{s:s,s:s,s:{s:o,s:{s:o}},s:[{s:s},{s:s,s:{s:s},s:i,s:i}]}", "$schema",
	                 "https://json-schema.org/draft/2020-12/schema", "title",
	                 "an action of cloche act, or a list of them", "$defs", "expect",
	                 kind_schema(ARGUMENT_EXPECT), "action", "oneOf", actions, "anyOf", "$ref",
	                 "#/$defs/action", "type", "array", "items", "$ref", "#/$defs/action",
	                 "minItems", 1, "maxItems", (int)ACTION_LIST_MAX);
}
