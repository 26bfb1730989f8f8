/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/agent_event.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define MEMBERS_MAX 6

enum kind { END, STRING, INTEGER, BOOLEAN };

static const struct {
	const char *event;
	struct {
		const char *name;
		enum kind kind;
	} members[MEMBERS_MAX];
} known[] = {
	{ "hello",
	  { { "protocol", INTEGER },
	    { "agent", STRING },
	    { "kernel", STRING },
	    { "boot_ms", INTEGER },
	    { "root", BOOLEAN } } },
	{ "ready", { { "stage", STRING }, { "boot_ms", INTEGER } } },
	{ "died",
	  { { "process", STRING },
	    { "exit", INTEGER },
	    { "signal", INTEGER },
	    { "boot_ms", INTEGER } } },
};

static bool is_short_text(const json_t *value)
{
	const char *text = json_string_value(value);

	if (!text || json_string_length(value) > AGENT_EVENT_STRING_MAX)
		return false;
	for (size_t i = 0; i < json_string_length(value); i++)
		if (text[i] < ' ' || text[i] > '~')
			return false;
	return true;
}

static bool is_right(const json_t *value, enum kind kind)
{
	switch (kind) {
	case STRING:
		return is_short_text(value);
	case INTEGER:
		return json_is_integer(value);
	case BOOLEAN:
		return json_is_boolean(value);
	case END:
		break;
	}
	return false;
}

json_t *agent_event_reduce(const json_t *event)
{
	const char *name = json_string_value(json_object_get(event, "event"));
	size_t row = 0;

	while (row < sizeof(known) / sizeof(known[0]) &&
	       (!name || strcmp(known[row].event, name) != 0))
		row++;
	if (row == sizeof(known) / sizeof(known[0]))
		return NULL;
	json_t *reduced = json_pack("{s:s}", "event", name);
	for (size_t i = 0; i < MEMBERS_MAX && known[row].members[i].kind != END; i++) {
		const char *member = known[row].members[i].name;
		json_t *value = json_object_get(event, member);

		if (is_right(value, known[row].members[i].kind))
			json_object_set(reduced, member, value);
	}
	return reduced;
}
