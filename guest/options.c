/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * options.c - kernel command line and arguments to struct options. Main thread; pure.
 */
#include "guest/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/proto.h"

void options_init(struct options *options)
{
	*options = (struct options){
		.channel = "vsock",
		.width = 1280,
		.height = 800,
		.page = "about:blank",
		.home = "/home/agent",
		.run = "/run/cloche",
		.browser = "/usr/lib/chromium/chromium",
	};
}

static bool number_parse(const char *text, char end, uint32_t min, uint32_t max,
                         const char **out_rest, uint32_t *out_value)
{
	uint32_t value = 0;
	const char *p = text;

	for (; *p >= '0' && *p <= '9'; p++) {
		value = value * 10 + (uint32_t)(*p - '0');
		if (value > max)
			return false;
	}
	if (p == text || *p != end || value < min)
		return false;
	*out_rest = p;
	*out_value = value;
	return true;
}

int options_parse_size(const char *text, uint32_t *out_width, uint32_t *out_height,
                       struct error *err)
{
	uint32_t width, height;
	const char *p;

	if (!number_parse(text, 'x', PROTO_DISPLAY_SIDE_MIN, PROTO_DISPLAY_SIDE_MAX, &p, &width) ||
	    !number_parse(p + 1, '\0', PROTO_DISPLAY_SIDE_MIN, PROTO_DISPLAY_SIDE_MAX, &p, &height))
		return error_set(err, -EINVAL, "size \"%.32s\" isn't WxH of %u to %u each", text,
		                 PROTO_DISPLAY_SIDE_MIN, PROTO_DISPLAY_SIDE_MAX);
	*out_width = width;
	*out_height = height;
	return 0;
}

bool options_url_allowed(const char *url)
{
	static const char *const schemes[] = { "http://", "https://", "data:" };

	for (const char *p = url; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return false;
	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
		if (!strncasecmp(url, schemes[i], strlen(schemes[i])))
			return true;
	return !strcasecmp(url, "about:blank") || !strncasecmp(url, "about:blank#", 12);
}

static int page_parse(struct options *options, const char *url, struct error *err)
{
	if (strlen(url) >= sizeof(options->page) || !options_url_allowed(url))
		return error_set(err, -EINVAL,
		                 "page \"%.64s\" is no http, https, data or about:blank URL", url);
	strcpy(options->page, url);
	return 0;
}

static int word_parse(struct options *options, const char *word, struct error *err)
{
	if (!strncmp(word, "cloche.size=", 12))
		return options_parse_size(word + 12, &options->width, &options->height, err);
	if (!strncmp(word, "cloche.page=", 12))
		return page_parse(options, word + 12, err);
	if (!strcmp(word, "cloche.root=1"))
		options->root = true;
	return 0;
}

int options_parse_kernel(struct options *options, const char *line, struct error *err)
{
	char *copy = strdup(line);
	char *save = NULL;
	int first = 0;

	if (!copy)
		return error_set(err, -ENOMEM, "no memory");
	for (char *word = strtok_r(copy, " \t\n", &save); word;
	     word = strtok_r(NULL, " \t\n", &save)) {
		struct error ignored = { 0 };
		int ret = word_parse(options, word, first ? &ignored : err);

		if (!first)
			first = ret;
	}
	free(copy);
	return first;
}

static int text_copy(char *field, size_t size, const char *name, const char *value,
                     struct error *err)
{
	if (!*value || strlen(value) >= size)
		return error_set(err, -EINVAL, "%s must have 1 to %zu characters", name, size - 1);
	strcpy(field, value);
	return 0;
}

/* An option with a value. Returns -ENOENT for a name that isn't one. */
static int value_parse(struct options *o, const char *name, const char *value, struct error *err)
{
	const char *rest;

	if (!strcmp(name, "--channel")) {
		if (!strncmp(value, "unix:", 5))
			return text_copy(o->channel, sizeof(o->channel), name, value + 5, err);
		if (!strcmp(value, "vsock"))
			return 0;
		return error_set(err, -EINVAL, "--channel is vsock or unix:PATH");
	}
	if (!strcmp(name, "--size"))
		return options_parse_size(value, &o->width, &o->height, err);
	if (!strcmp(name, "--page"))
		return page_parse(o, value, err);
	if (!strcmp(name, "--home"))
		return text_copy(o->home, sizeof(o->home), name, value, err);
	if (!strcmp(name, "--run"))
		return text_copy(o->run, sizeof(o->run), name, value, err);
	if (!strcmp(name, "--browser"))
		return text_copy(o->browser, sizeof(o->browser), name, value, err);
	if (!strcmp(name, "--display")) {
		if (!number_parse(value, '\0', 0, 999, &rest, &o->display))
			return error_set(err, -EINVAL, "--display is a number up to 999");
		return 0;
	}
	return -ENOENT;
}

int options_parse_arguments(struct options *options, int argc, char **argv, struct error *err)
{
	for (int i = 1; i < argc; i++) {
		int ret;

		if (!strcmp(argv[i], "--root")) {
			options->root = true;
			continue;
		}
		if (!strcmp(argv[i], "--no-browser")) {
			options->no_browser = true;
			continue;
		}
		if (i + 1 >= argc)
			return error_set(err, -EINVAL, "%.64s: unknown, or its value is missing",
			                 argv[i]);
		ret = value_parse(options, argv[i], argv[i + 1], err);
		if (ret == -ENOENT)
			return error_set(err, -EINVAL, "%.64s: unknown option", argv[i]);
		if (ret < 0)
			return ret;
		i++;
	}
	return 0;
}
