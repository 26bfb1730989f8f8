/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * environment.h - the environment that the user's programs get. Pure; the agent's thread.
 */
#ifndef CLOCHE_GUEST_ENVIRONMENT_H
#define CLOCHE_GUEST_ENVIRONMENT_H

#include <jansson.h>
#include <stdbool.h>

struct agent;

/*
 * HOME, USER, LOGNAME, PATH, DISPLAY, LANG, XDG_RUNTIME_DIR of the user (of root with @root), then
 * what @extra (an object of strings, or NULL) adds or replaces. 0: *out_envp ends in NULL and is for
 * environment_free(); -EINVAL: @extra is something else; -ENOMEM.
 */
int environment_make(const struct agent *agent, bool root, json_t *extra, char ***out_envp);

/* Takes NULL. */
void environment_free(char **envp);

#endif
