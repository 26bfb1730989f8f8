/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd_inspect.c - `cloche inspect` and `cloche verify`: what a snapshot file holds, and whether it is
 * sound. Single thread.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "supervisor/inspection.h"
#include "supervisor/interrupt.h"
#include "supervisor/options.h"
#include "supervisor/output.h"
#include "supervisor/plan.h"
#include "supervisor/progress.h"

#define TEXT_SIZE 400

static uint64_t number(const json_t *object, const char *key)
{
	return (uint64_t)client_integer(object, key, 0, INT64_MAX, 0);
}

/* A string of the file's, clean. */
static const char *text(const json_t *object, const char *key, char out_text[TEXT_SIZE])
{
	snprintf(out_text, TEXT_SIZE, "%s", client_string(object, key));
	text_clean(out_text);
	return out_text;
}

static void print_memory(const json_t *object)
{
	const json_t *chunks = json_object_get(object, "chunks");
	uint64_t stored = number(object, "stored_ram_bytes");
	uint64_t data = number(object, "data_bytes");
	char a[PROGRESS_BYTES_SIZE];
	char b[PROGRESS_BYTES_SIZE];
	char ratio[PROGRESS_RATIO_SIZE];

	progress_format_bytes(number(object, "ram_bytes"), a);
	printf("memory    %s in chunks of %llu KiB: %llu zero, %llu lz4, %llu raw, %llu the "
	       "parent's\n",
	       a, (unsigned long long)(number(chunks, "bytes") >> 10),
	       (unsigned long long)number(chunks, "zero"),
	       (unsigned long long)number(chunks, "lz4"), (unsigned long long)number(chunks, "raw"),
	       (unsigned long long)number(chunks, "parent"));
	progress_format_bytes(stored, a);
	progress_format_bytes(data, b);
	progress_format_ratio(stored, data, ratio);
	printf("stored    %s as %s (%s)\n", a, b, ratio);
	progress_format_bytes(number(object, "state_bytes"), a);
	progress_format_bytes(number(object, "index_bytes"), b);
	printf("          state %s, index %s\n", a, b);
}

static void print_guest(const json_t *config)
{
	const json_t *image = json_object_get(config, "image");
	size_t disks = json_array_size(json_object_get(config, "disks"));
	char word[TEXT_SIZE];

	if (!config)
		return;
	printf("guest     %s: %llu MiB, %llu CPU%s, screen %llux%llu%s%s%s\n",
	       text(config, "name", word), (unsigned long long)number(config, "memory_mib"),
	       (unsigned long long)number(config, "cpus"), number(config, "cpus") == 1 ? "" : "s",
	       (unsigned long long)number(config, "width"),
	       (unsigned long long)number(config, "height"),
	       json_is_true(json_object_get(config, "net")) ? ", a network card" : "",
	       json_is_true(json_object_get(config, "guest_root")) ? ", guest root" : "",
	       json_is_true(json_object_get(config, "ring3")) ? ", a ring-3 test guest" : "");
	if (image)
		printf("image     %s\n", text(image, "file", word));
	for (size_t i = 0; i < disks; i++) {
		const json_t *disk = json_array_get(json_object_get(config, "disks"), i);

		snprintf(word, sizeof(word), "%s",
		         json_is_string(disk) ? json_string_value(disk) : "");
		text_clean(word);
		printf("disk      %s\n", word);
	}
}

static void print_sections(const json_t *list)
{
	const json_t *item;
	size_t i;

	puts("section          version     bytes");
	json_array_foreach(list, i, item)
	{
		const json_t *type = json_object_get(item, "type");
		char word[TEXT_SIZE];
		char name[64];

		if (json_is_string(type))
			snprintf(name, sizeof(name), "%.40s %llu", text(item, "type", word),
			         (unsigned long long)number(item, "instance"));
		else
			snprintf(name, sizeof(name), "(%lld) %llu",
			         (long long)json_integer_value(type),
			         (unsigned long long)number(item, "instance"));
		printf("  %-14s %7llu %9llu%s\n", name, (unsigned long long)number(item, "version"),
		       (unsigned long long)number(item, "bytes"),
		       json_is_true(json_object_get(item, "required")) ? "" : "  optional");
	}
}

static void print_inspection(const json_t *object)
{
	const json_t *ancestor;
	char bytes[PROGRESS_BYTES_SIZE];
	char word[TEXT_SIZE];
	size_t i;

	progress_format_bytes(number(object, "file_bytes"), bytes);
	printf("file      %s, %s, format %llu\n", text(object, "file", word), bytes,
	       (unsigned long long)number(object, "format"));
	printf("id        %s\n", text(object, "id", word));
	json_array_foreach(json_object_get(object, "ancestors"), i, ancestor)
	{
		printf("parent    %s", text(ancestor, "id", word));
		printf("  %s\n", text(ancestor, "file", word));
	}
	print_memory(object);
	print_guest(json_object_get(object, "config"));
	print_sections(json_object_get(object, "sections"));
}

static void print_verdict(const json_t *object)
{
	const struct progress all = { .done = number(object, "ram_bytes"),
		                      .elapsed_ms = number(object, "verify_ms") };
	size_t ancestors = json_array_size(json_object_get(object, "ancestors"));
	char bytes[PROGRESS_BYTES_SIZE];
	char speed[PROGRESS_BYTES_SIZE];
	char word[TEXT_SIZE];

	progress_format_bytes(all.done, bytes);
	progress_format_bytes(progress_speed(&all), speed);
	printf("%s is sound", text(object, "file", word));
	if (ancestors)
		printf(", with %zu before it", ancestors);
	printf(": %s of memory, %llu ms, %s/s\n", bytes, (unsigned long long)all.elapsed_ms, speed);
}

static int examine(struct invocation *inv, bool verify, struct failure *failure)
{
	json_auto_t *object = NULL;
	cleanup_fd int signal_fd = -1;
	cleanup_free char *path = NULL;
	cleanup_free char *vmm = NULL;
	struct arguments arguments;
	int rc = options_parse(inv, NULL, 0, (struct options_shape){ 1, 1, false }, &arguments,
	                       failure);

	if (rc != 0)
		return rc > 0 ? STATUS_OK : -1;
	if (plan_absolute_path(arguments.items[0], &path, failure) < 0 ||
	    images_find_vmm(&vmm, failure) < 0 || interrupt_watch(&signal_fd, failure) < 0)
		return -1;
	if (verify)
		output_progress(inv, "checking every byte of %s", arguments.items[0]);
	rc = inspection_ask(vmm, path, verify, signal_fd, &object, failure);
	output_progress_clear(inv);
	if (rc < 0) {
		interrupt_obey(signal_fd);
		return -1;
	}
	if (inv->json) {
		json_t *answer = output_answer_new();

		json_object_update(answer, object);
		output_answer(answer);
	} else if (verify) {
		print_verdict(object);
	} else {
		print_inspection(object);
	}
	return STATUS_OK;
}

int command_inspect(struct invocation *inv, struct failure *failure)
{
	return examine(inv, false, failure);
}

int command_verify(struct invocation *inv, struct failure *failure)
{
	return examine(inv, true, failure);
}
