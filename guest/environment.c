/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * environment.c - building an envp. The agent's thread.
 */
#include "guest/environment.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest/agent.h"

struct builder {
	char **envp;
	size_t count, room;
};

/* Sets @name to @value, in place of an earlier value if there is one. */
static int variable_set(struct builder *builder, const char *name, const char *value)
{
	size_t length = strlen(name), i;
	char *text;

	if (!length || strchr(name, '='))
		return -EINVAL;
	if (asprintf(&text, "%s=%s", name, value) < 0)
		return -ENOMEM;
	for (i = 0; i < builder->count; i++)
		if (!strncmp(builder->envp[i], name, length) && builder->envp[i][length] == '=')
			break;
	if (i < builder->count)
		free(builder->envp[i]);
	else
		builder->count++;
	builder->envp[i] = text;
	return 0;
}

static int base_set(struct builder *builder, const struct agent *agent, bool root)
{
	const struct options *options = &agent->options;
	const char *user = root ? "root" : AGENT_USER;
	char display[16];
	char runtime[sizeof(options->run) + 8];
	int ret;

	snprintf(display, sizeof(display), ":%u", options->display);
	snprintf(runtime, sizeof(runtime), "%s/user", options->run);
	ret = variable_set(builder, "HOME", root ? "/root" : options->home);
	if (ret == 0)
		ret = variable_set(builder, "USER", user);
	if (ret == 0)
		ret = variable_set(builder, "LOGNAME", user);
	if (ret == 0)
		ret = variable_set(builder, "PATH", AGENT_PATH);
	if (ret == 0)
		ret = variable_set(builder, "DISPLAY", display);
	if (ret == 0)
		ret = variable_set(builder, "LANG", "C.UTF-8");
	if (ret == 0 && !root)
		ret = variable_set(builder, "XDG_RUNTIME_DIR", runtime);
	return ret;
}

int environment_make(const struct agent *agent, bool root, json_t *extra, char ***out_envp)
{
	struct builder builder = { .room = 8 + json_object_size(extra) };
	const char *name;
	json_t *value;
	int ret;

	if (extra && !json_is_object(extra))
		return -EINVAL;
	builder.envp = calloc(builder.room, sizeof(char *));
	if (!builder.envp)
		return -ENOMEM;
	ret = base_set(&builder, agent, root);
	json_object_foreach(extra, name, value)
	{
		if (ret < 0)
			break;
		ret = json_is_string(value) ? variable_set(&builder, name, json_string_value(value))
		                            : -EINVAL;
	}
	if (ret < 0) {
		environment_free(builder.envp);
		return ret;
	}
	*out_envp = builder.envp;
	return 0;
}

void environment_free(char **envp)
{
	for (char **p = envp; p && *p; p++)
		free(*p);
	free(envp);
}
