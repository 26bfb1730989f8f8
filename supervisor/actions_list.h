/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * actions_list.h - what `cloche act` is given: one action, or a JSON array of them. Pure.
 */
#ifndef CLOCHE_SUPERVISOR_ACTIONS_LIST_H
#define CLOCHE_SUPERVISOR_ACTIONS_LIST_H

#include "supervisor/actions.h"

#define ACTION_LIST_MAX 256u              /* actions */
#define ACTION_JSON_MAX ((size_t)1 << 20) /* bytes of the whole */

struct action_list {
	struct action *items; /* owned */
	size_t count;
	bool is_array; /* the answer is one too */
};

void action_list_finish(struct action_list *list);
#define cleanup_action_list __attribute__((cleanup(action_list_finish)))

/* Puts the index of an array's action before the message of its failure. Returns -1. */
int action_list_at(const struct action_list *list, size_t index, struct failure *failure);

/*
 * Parses @size bytes. All actions are checked. 0; -1: STATUS_USAGE; in an array the message begins
 * with the index of the action, "[2]: ".
 */
int action_list_parse(const char *text, size_t size, struct action_list *out_list,
                      struct failure *failure);

#endif
