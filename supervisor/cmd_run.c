/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd_run.c - `cloche run`: a new session, up to the point where it can be used. Single thread.
 *
 *	look at the arguments and images          nothing exists yet: any failure just returns
 *	choose: from a template, or boot          a template that is out of date is baked anew
 *	start.h                                   the way to a session that can be used
 *
 * From a template it does as little as it can: the template's json, which says that guests run on this
 * kernel and CPU, stands for asking the VMM, and its images are only looked at.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/proto.h"
#include "supervisor/bake.h"
#include "supervisor/interrupt.h"
#include "supervisor/options.h"
#include "supervisor/output.h"
#include "supervisor/plan.h"
#include "supervisor/start.h"

#define WAIT_DEFAULT_MS 180000u

/* What the command line says, as far as it isn't the plan's. */
struct run_options {
	const char *kernel, *initramfs, *image, *append, *page, *net, *template;
	bool cold;
	uint64_t ttl_ms, wait_ms;
	struct option_list relays, disks;
};

/* One start under way. */
struct run {
	struct invocation *inv;
	struct run_options options;
	/* What isn't said is 0: a template may have anything there, a boot has the defaults. */
	struct launch_plan plan;
	struct template_folder folder;
	struct template template;
	int signal_fd; /* owned */
};

static void run_finish(struct run *run)
{
	launch_plan_finish(&run->plan);
	template_finish(&run->template);
	template_folder_close(&run->folder);
	close_fd(&run->signal_fd);
}

static int make_plan(struct run *run, struct failure *failure)
{
	const struct run_options *o = &run->options;
	struct launch_plan *plan = &run->plan;

	plan->ttl_s = plan_ttl_s(o->ttl_ms);
	if (plan_page(plan, o->page, failure) < 0 || plan_append(plan, o->append, failure) < 0 ||
	    plan_relays(plan, &o->relays, failure) < 0 ||
	    plan_disks(plan, &o->disks, failure) < 0 || plan_net(plan, o->net, failure) < 0 ||
	    images_find(o->kernel, o->initramfs, o->image, &plan->images, failure) < 0 ||
	    images_find_vmm(&plan->vmm, failure) < 0)
		return -1;
	return 0;
}

/* --- the template --- */

/* The option that a template can't have, or NULL. */
static const char *needs_boot(const struct run *run)
{
	const struct launch_plan *plan = &run->plan;
	const struct run_options *o = &run->options;

	if (plan->disk_count)
		return "--disk";
	if (plan->net || plan->mac || plan->net_rate)
		return "--net";
	if (plan->append)
		return "--append";
	if (plan->guest_root)
		return "--guest-root";
	if (plan->no_page_reporting)
		return "--no-page-reporting";
	if (o->kernel)
		return "--kernel";
	if (o->initramfs)
		return "--initramfs";
	return o->image ? "--image" : NULL;
}

/* Why the template, which is there, is out of date; NULL when it isn't. */
static const char *why_stale(struct run *run, bool *out_new_host)
{
	struct template_check check;
	struct failure ignored = { 0 };

	*out_new_host = false;
	if (!run->template.complete)
		return "its files don't belong together";
	check = template_compare(&run->template, &run->plan);
	if (check.changed)
		return check.changed;
	*out_new_host = check.new_host;
	/* Saves reading the images the next time. It's the same template if it can't be written. */
	if (check.restamped && !check.new_host)
		(void)template_write(&run->folder, run->template.name, run->template.object,
		                     &ignored);
	return NULL;
}

/* A template that was baked on another kernel: guests must run on this one, too. */
static int check_new_host(struct run *run, struct failure *failure)
{
	struct failure ignored = { 0 };

	if (plan_check_host(&run->plan, failure) < 0)
		return -1;
	(void)template_write(&run->folder, run->template.name, run->template.object, &ignored);
	return 0;
}

static int load(struct run *run, const char *name, struct failure *failure)
{
	template_finish(&run->template);
	return template_load(&run->folder, name, &run->template, failure);
}

/*
 * Bakes the template anew, unless another process has done so while we waited for it. A template that
 * is damaged beyond telling what it was becomes one of the default shape.
 */
static int bake_anew(struct run *run, const char *name, const char *why, struct failure *failure)
{
	cleanup_template_folder struct template_folder folder = TEMPLATE_FOLDER_INIT;
	cleanup_plan struct launch_plan plan = { 0 };
	struct bake_request request = { .inv = run->inv,
		                        .folder = &folder,
		                        .name = name,
		                        .plan = &plan,
		                        .signal_fd = run->signal_fd,
		                        .timeout_ms = BAKE_TIMEOUT_DEFAULT_MS };
	struct bake_result result;
	bool new_host;

	/* A descriptor of its own: the lock ends with it. */
	if (template_folder_open(true, &folder, failure) < 0 ||
	    bake_lock(run->inv, &folder, run->signal_fd, failure) < 0 ||
	    load(run, name, failure) < 0)
		return -1;
	if (!why_stale(run, &new_host))
		return 0;
	fprintf(stderr, "cloche: template '%s' is out of date (%s): baking it anew\n", name, why);
	if (run->template.memory_mib == 0) {
		run->template.memory_mib = PLAN_MEMORY_DEFAULT_MIB;
		run->template.cpus = 1;
		run->template.size = (struct geometry)PLAN_SIZE_DEFAULT;
	}
	if (bake_plan_again(&run->template, &run->plan, &plan, failure) < 0 ||
	    plan_check_host(&plan, failure) < 0)
		return -1;
	if (bake_template(&request, &result, failure) < 0) {
		char why_not[sizeof(failure->message)];

		snprintf(why_not, sizeof(why_not), "%s", failure->message);
		return failure_set(failure, failure->status, failure->code,
		                   "template '%s' can't be baked anew (--cold boots): %.380s", name,
		                   why_not);
	}
	return load(run, name, failure) == 0 ? 0 : -1;
}

/*
 * Looks for the template that the session can come from. 1: run->template is it, up to date; 0: the
 * session boots; -1: the one that was asked for can't be had.
 */
static int find_template(struct run *run, struct failure *failure)
{
	const char *name = run->options.template ? run->options.template : TEMPLATE_DEFAULT;
	const char *option = needs_boot(run);
	const char *why;
	char differs[80];
	bool new_host;
	int rc;

	if (option && run->options.template)
		return failure_set(failure, STATUS_USAGE, CODE_USAGE,
		                   "--template and %s exclude each other", option);
	if (option || run->options.cold)
		return 0;
	if (template_folder_open(false, &run->folder, failure) < 0)
		return -1;
	rc = load(run, name, failure);
	if (rc == 1 && run->options.template)
		return failure_set(failure, STATUS_FAILED, PROTO_ERR_NOT_FOUND,
		                   "there is no template '%s'; make it: cloche bake %s", name,
		                   name);
	if (rc != 0)
		return rc == 1 ? 0 : -1;
	/* A damaged one has no shape, and fits once it is baked anew. */
	if (template_shape_differs(&run->template, run->plan.memory_mib, run->plan.cpus,
	                           run->plan.size, differs, sizeof(differs))) {
		if (!run->options.template)
			return 0;
		return failure_set(failure, STATUS_USAGE, CODE_USAGE,
		                   "--template: '%s' does not fit: %s", name, differs);
	}
	why = why_stale(run, &new_host);
	if (why && bake_anew(run, name, why, failure) < 0)
		return -1;
	if (!why && new_host && check_new_host(run, failure) < 0)
		return -1;
	return 1;
}

/* --- the session --- */

static int plan_boot(struct launch_plan *plan, struct failure *failure)
{
	if (plan->memory_mib == 0)
		plan->memory_mib = PLAN_MEMORY_DEFAULT_MIB;
	if (plan->cpus == 0)
		plan->cpus = 1;
	if (plan->size.width == 0)
		plan->size = (struct geometry)PLAN_SIZE_DEFAULT;
	return plan_check_host(plan, failure);
}

static int run_session(struct run *run, const char *name, struct failure *failure)
{
	cleanup_start struct start start = START_INIT;
	int rc;

	if (session_check_name(name, failure) < 0 || make_plan(run, failure) < 0)
		return -1;
	rc = find_template(run, failure);
	if (rc == 1)
		rc = bake_plan_restore(&run->template, &run->plan, failure);
	else if (rc == 0)
		rc = plan_boot(&run->plan, failure);
	if (rc < 0)
		return -1;
	start.inv = run->inv;
	start.plan = &run->plan;
	start.signal_fd = run->signal_fd;
	start.deadline_ns = clock_now_ns() + run->options.wait_ms * NS_PER_MS;
	if (start_begin(&start, name, failure) < 0)
		return -1;
	start_keep(&start);
	start_print(&start);
	return STATUS_OK;
}

int command_run(struct invocation *inv, struct failure *failure)
{
	struct run run = { .inv = inv,
		           .options = { .ttl_ms = PLAN_TTL_DEFAULT_MS, .wait_ms = WAIT_DEFAULT_MS },
		           .folder = TEMPLATE_FOLDER_INIT,
		           .signal_fd = -1 };
	struct run_options *o = &run.options;
	struct launch_plan *p = &run.plan;
	const struct option options[] = {
		{ "template", 0, OPTION_STRING, &o->template, "NAME",
		  "start from this template (default: 'default', if there is one that fits)", 0,
		  0 },
		{ "cold", 0, OPTION_FLAG, &o->cold, NULL, "boot, whatever templates there are", 0,
		  0 },
		{ "mem", 0, OPTION_MEMORY, &p->memory_mib, "SIZE",
		  "guest memory (default: the template's, or 1G)", PLAN_MEMORY_MIN_MIB,
		  PLAN_MEMORY_MAX_MIB },
		{ "cpus", 0, OPTION_NUMBER, &p->cpus, "N",
		  "virtual CPUs, 1 to 8 (default: the template's, or 1)", 1, PLAN_CPUS_MAX },
		{ "size", 0, OPTION_GEOMETRY, &p->size, "WxH",
		  "screen (default: the template's, or 1280x800)", 0, 0 },
		{ "ttl", 0, OPTION_DURATION, &o->ttl_ms, "TIME", PLAN_HELP_TTL, 0,
		  PLAN_TTL_MAX_MS },
		{ "page", 0, OPTION_STRING, &o->page, "URL",
		  "open this page, and return when it has loaded", 0, 0 },
		{ "relay", 0, OPTION_LIST, &o->relays, "PORT:SOCKET", PLAN_HELP_RELAY, 0, 0 },
		{ "disk", 0, OPTION_LIST, &o->disks, "FILE[,ro]",
		  "a raw file is a disk of the guest; repeatable, up to 4", 0, 0 },
		{ "net", 0, OPTION_STRING, &o->net, "WHAT", PLAN_HELP_NET, 0, 0 },
		{ "mac", 0, OPTION_STRING, &p->mac, "ADDRESS",
		  "of the card (default: made from the name)", 0, 0 },
		{ "net-rate", 0, OPTION_STRING, &p->net_rate, "BYTES[:PACKETS]", PLAN_HELP_NET_RATE,
		  0, 0 },
		{ "guest-root", 0, OPTION_FLAG, &p->guest_root, NULL,
		  "let `cloche exec --root` be root in the guest", 0, 0 },
		{ "no-page-reporting", 0, OPTION_FLAG, &p->no_page_reporting, NULL,
		  "let the guest keep memory that it has freed", 0, 0 },
		{ "timeout", 0, OPTION_DURATION, &o->wait_ms, "TIME",
		  "give up when it isn't ready by then (default 3m)", 1, PROTO_TIMEOUT_MAX_MS },
		{ "kernel", 0, OPTION_STRING, &o->kernel, "FILE", "vmlinux or bzImage", 0, 0 },
		{ "initramfs", 0, OPTION_STRING, &o->initramfs, "FILE", "the initramfs", 0, 0 },
		{ "image", 0, OPTION_STRING, &o->image, "FILE", "the root image", 0, 0 },
		{ "append", 0, OPTION_STRING, &o->append, "ARGS",
		  "more for the guest kernel's command line", 0, 0 },
	};
	struct arguments arguments;
	int rc = options_parse(inv, options, sizeof(options) / sizeof(options[0]),
	                       (struct options_shape){ 1, 1, false }, &arguments, failure);

	if (rc != 0)
		return rc > 0 ? STATUS_OK : -1;
	if (o->cold && o->template)
		return failure_set(failure, STATUS_USAGE, CODE_USAGE,
		                   "--cold and --template exclude each other");
	rc = interrupt_watch(&run.signal_fd, failure);
	if (rc == 0)
		rc = run_session(&run, arguments.items[0], failure);
	if (rc < 0)
		interrupt_obey(run.signal_fd);
	run_finish(&run);
	return rc;
}
