/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd_bake.c - `cloche bake`: a template, from which `run` starts sessions. Single thread.
 */
#include <stdio.h>

#include "lib/cleanup.h"
#include "lib/proto.h"
#include "supervisor/bake.h"
#include "supervisor/interrupt.h"
#include "supervisor/options.h"
#include "supervisor/output.h"
#include "supervisor/plan.h"

static void print_text(const struct bake_request *request, const struct bake_result *result)
{
	char file[PROGRESS_BYTES_SIZE];
	char ram[PROGRESS_BYTES_SIZE];
	char ratio[PROGRESS_RATIO_SIZE];

	progress_format_bytes(result->saved.file_bytes, file);
	progress_format_bytes(result->saved.ram_bytes, ram);
	progress_format_ratio(result->saved.ram_bytes, result->saved.file_bytes, ratio);
	printf("template %s is ready: %s/%s.snap\n", request->name, request->folder->path,
	       request->name);
	printf("  snapshot  %s of %s (%s)  id %s\n", file, ram, ratio, result->saved.id);
	printf("  start     %llu ms instead of %llu ms%s%s%s\n",
	       (unsigned long long)result->restore_ms, (unsigned long long)result->boot_ms,
	       result->mode ? " (" : "", result->mode ? result->mode : "", result->mode ? ")" : "");
	printf("  baked in  %.1f s\n", (double)result->total_ms / 1000);
}

static void print_json(const struct bake_request *request, const struct bake_result *result)
{
	json_t *answer = output_answer_new();

	json_object_set_new(answer, "file",
	                    json_sprintf("%s/%s.snap", request->folder->path, request->name));
	json_object_update_new(
		answer,
		json_pack("{s:s,s:s,s:I,s:I,s:I,s:I,s:s*,s:I}", "template", request->name, "id",
	                  result->saved.id, "file_bytes", (json_int_t)result->saved.file_bytes,
	                  "ram_bytes", (json_int_t)result->saved.ram_bytes, "boot_ms",
	                  (json_int_t)result->boot_ms, "restore_ms", (json_int_t)result->restore_ms,
	                  "mode", result->mode, "total_ms", (json_int_t)result->total_ms));
	output_answer(answer);
}

/* What the command line says, as far as it isn't the plan's. */
struct bake_options {
	const char *page;
	uint64_t timeout_ms;
	struct option_list relays;
};

static int bake(struct invocation *inv, const struct bake_options *o, const char *name,
                struct launch_plan *plan, int signal_fd, struct failure *failure)
{
	cleanup_template_folder struct template_folder folder = TEMPLATE_FOLDER_INIT;
	struct bake_request request = { .inv = inv,
		                        .folder = &folder,
		                        .name = name,
		                        .plan = plan,
		                        .signal_fd = signal_fd,
		                        .timeout_ms = o->timeout_ms };
	struct bake_result result;

	if (template_check_name(name, failure) < 0 || plan_page(plan, o->page, failure) < 0 ||
	    plan_relays(plan, &o->relays, failure) < 0 ||
	    images_find(NULL, NULL, NULL, &plan->images, failure) < 0 ||
	    images_find_vmm(&plan->vmm, failure) < 0 || plan_check_host(plan, failure) < 0 ||
	    template_folder_open(true, &folder, failure) < 0 ||
	    bake_lock(inv, &folder, signal_fd, failure) < 0 ||
	    bake_template(&request, &result, failure) < 0)
		return -1;
	if (inv->json)
		print_json(&request, &result);
	else
		print_text(&request, &result);
	return STATUS_OK;
}

int command_bake(struct invocation *inv, struct failure *failure)
{
	cleanup_plan struct launch_plan plan = { .memory_mib = PLAN_MEMORY_DEFAULT_MIB,
		                                 .cpus = 1,
		                                 .size = PLAN_SIZE_DEFAULT };
	struct bake_options o = { .timeout_ms = BAKE_TIMEOUT_DEFAULT_MS };
	const struct option options[] = {
		{ "mem", 0, OPTION_MEMORY, &plan.memory_mib, "SIZE", "guest memory (default 1G)",
		  PLAN_MEMORY_MIN_MIB, PLAN_MEMORY_MAX_MIB },
		{ "cpus", 0, OPTION_NUMBER, &plan.cpus, "N", "virtual CPUs, 1 to 8 (default 1)", 1,
		  PLAN_CPUS_MAX },
		{ "size", 0, OPTION_GEOMETRY, &plan.size, "WxH", "screen (default 1280x800)", 0,
		  0 },
		{ "page", 0, OPTION_STRING, &o.page, "URL",
		  "the page that its browser shows (default: a blank one)", 0, 0 },
		{ "relay", 0, OPTION_LIST, &o.relays, "PORT:SOCKET",
		  "for --page, as in `run`; sessions have it only if they ask for it again", 0, 0 },
		{ "timeout", 0, OPTION_DURATION, &o.timeout_ms, "TIME",
		  "give up when it isn't ready by then (default 15m)", 1, PROTO_TIMEOUT_MAX_MS },
	};
	struct arguments arguments;
	cleanup_fd int signal_fd = -1;
	int rc = options_parse(inv, options, sizeof(options) / sizeof(options[0]),
	                       (struct options_shape){ 0, 1, false }, &arguments, failure);

	if (rc != 0)
		return rc > 0 ? STATUS_OK : -1;
	if (interrupt_watch(&signal_fd, failure) < 0)
		return -1;
	rc = bake(inv, &o, arguments.count ? arguments.items[0] : TEMPLATE_DEFAULT, &plan,
	          signal_fd, failure);
	if (rc < 0)
		interrupt_obey(signal_fd);
	return rc;
}
