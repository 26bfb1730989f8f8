/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * actions_list.c - see actions_list.h. Pure.
 */
#include "supervisor/actions_list.h"

#include <stdlib.h>

#include "lib/proto.h"

void action_list_finish(struct action_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		action_finish(&list->items[i]);
	free(list->items);
	*list = (struct action_list){ 0 };
}

int action_list_at(const struct action_list *list, size_t index, struct failure *failure)
{
	const struct failure inner = *failure;

	if (!list->is_array)
		return -1;
	*failure = (struct failure){ 0 };
	return failure_set(failure, inner.status, inner.code, "[%zu]: %s", index, inner.message);
}

int action_list_parse(const char *text, size_t size, struct action_list *out_list,
                      struct failure *failure)
{
	cleanup_action_list struct action_list list = { 0 };
	json_error_t error;
	json_auto_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
	size_t count = json_is_array(root) ? json_array_size(root) : 1;

	if (!root)
		return failure_set(failure, STATUS_USAGE, PROTO_ERR_BAD_REQUEST,
		                   "the action is no JSON: %s (line %d, column %d)", error.text,
		                   error.line, error.column);
	if (count == 0 || count > ACTION_LIST_MAX)
		return failure_set(failure, STATUS_USAGE, PROTO_ERR_BAD_REQUEST,
		                   "a list has 1 to %u actions, not %zu", ACTION_LIST_MAX, count);
	list.is_array = json_is_array(root);
	list.items = calloc(count, sizeof(*list.items));
	if (!list.items)
		return failure_set_nomem(failure);
	for (; list.count < count; list.count++) {
		json_t *object = list.is_array ? json_array_get(root, list.count) : root;

		if (action_parse(object, &list.items[list.count], failure) < 0)
			return action_list_at(&list, list.count, failure);
	}
	*out_list = list;
	list = (struct action_list){ 0 };
	return 0;
}
