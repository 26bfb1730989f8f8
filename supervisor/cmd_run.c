/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd_run.c - `cloche run`: a new session, up to the point where it can be used. Single thread.
 *
 *	look at the arguments, images and host      nothing exists yet: any failure just returns
 *	make the folder, start the VMM
 *	wait for the agent, join the relays         from here on a failure, or a signal, takes
 *	wait for the browser, open the page         everything back: see finish_failed()
 *	let go of it, print the timeline
 *
 * Signals are blocked for the whole command and read from a signalfd that every wait watches: an
 * interrupt is a failure like any other, and leaves as little behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/proto.h"
#include "supervisor/launch.h"
#include "supervisor/options.h"
#include "supervisor/output.h"
#include "supervisor/probe.h"
#include "supervisor/process.h"

#define MEMORY_DEFAULT_MIB 1024u
#define MEMORY_MIN_MIB 128u
#define MEMORY_MAX_MIB 65536u
#define CPUS_MAX 8u
#define TTL_DEFAULT_MS 3600000u
#define TTL_MAX_MS (30ull * 24 * 3600 * 1000)
#define WAIT_DEFAULT_MS 180000u
#define CONNECT_TIMEOUT_MS 10000u
#define RELAY_TIMEOUT_MS 10000u
#define CONSOLE_LINES_MAX 20u

/* What the command line says, as far as it isn't the plan's. */
struct run_options {
	const char *kernel, *initramfs, *image;
	const char *net;
	uint64_t ttl_ms, wait_ms;
	struct option_list relays, disks;
};

/* One start under way. */
struct run {
	struct invocation *inv;
	struct launch_plan plan;
	struct session session;
	struct launch launch;
	struct client client;
	int signal_fd;        /* owned */
	uint64_t deadline_ns; /* for all waits together */
	const char *waiting_for;
	json_t *status; /* owned: the VMM's, once it is ready */
	json_t *page;   /* owned: the browser's answer, when there is a page */
	uint64_t page_ms, total_ms;
};

static void run_finish(struct run *run)
{
	client_close(&run->client);
	session_finish(&run->session);
	launch_plan_finish(&run->plan);
	json_decref(run->status);
	json_decref(run->page);
	close_fd(&run->signal_fd);
}

static void show_waiting(void *arg)
{
	const struct run *run = arg;

	output_progress(run->inv, "waiting for the %s  %.1f s", run->waiting_for,
	                (double)(clock_now_ns() - run->launch.started_ns) / NS_PER_S);
}

/* Milliseconds of the waiting time that are left, at least one. */
static uint64_t time_left_ms(const struct run *run)
{
	uint64_t now = clock_now_ns();

	return now < run->deadline_ns ? (run->deadline_ns - now) / NS_PER_MS + 1 : 1;
}

static uint64_t elapsed_ms(const struct run *run)
{
	return (clock_now_ns() - run->launch.started_ns) / NS_PER_MS;
}

/* --- before anything exists --- */

static int plan_relays(const struct option_list *list, struct launch_plan *plan,
                       struct failure *failure)
{
	if (list->count > LAUNCH_RELAYS_MAX)
		return failure_set(failure, STATUS_USAGE, CODE_USAGE, "--relay: at most %d of them",
		                   LAUNCH_RELAYS_MAX);
	for (size_t i = 0; i < list->count; i++) {
		struct launch_relay *relay = &plan->relays[i];
		const char *socket;

		if (parse_relay(list->items[i], &relay->port, &socket, failure) < 0)
			return -1;
		relay->socket = realpath(socket, NULL);
		if (!relay->socket)
			return failure_set(failure, STATUS_USAGE, CODE_USAGE,
			                   "--relay: %.200s: %s; start its server first", socket,
			                   strerror(errno));
		plan->relay_count++;
	}
	return 0;
}

static int plan_disks(const struct option_list *list, struct launch_plan *plan,
                      struct failure *failure)
{
	if (list->count > LAUNCH_DISKS_MAX)
		return failure_set(failure, STATUS_USAGE, CODE_USAGE, "--disk: at most %d of them",
		                   LAUNCH_DISKS_MAX);
	for (size_t i = 0; i < list->count; i++) {
		struct launch_disk *disk = &plan->disks[i];
		cleanup_free char *file = NULL;

		if (parse_disk(list->items[i], &file, &disk->read_only, failure) < 0)
			return -1;
		/* The VMM starts elsewhere. What is wrong with the file otherwise, it says itself. */
		disk->path = realpath(file, NULL);
		if (!disk->path)
			return failure_set(
				failure, STATUS_USAGE, CODE_USAGE,
				"--disk: %.200s: %s; 'truncate --size=1G FILE' makes one", file,
				strerror(errno));
		plan->disk_count++;
	}
	return 0;
}

/* "stream:PATH": the VMM runs in another folder, so it gets a path that holds anywhere. */
static int plan_stream(const char *path, struct launch_plan *plan, struct failure *failure)
{
	cleanup_free char *absolute = realpath(path, NULL);

	if (!absolute)
		return failure_set(failure, STATUS_USAGE, CODE_USAGE,
		                   "--net: %.200s: %s; start its server first", path,
		                   strerror(errno));
	if (asprintf(&plan->net, "stream:%s", absolute) < 0)
		plan->net = NULL;
	return 0;
}

/* "tap-fd:N": the VMM inherits our descriptor under a number of its own. */
static int plan_tap_fd(const char *number, struct launch_plan *plan, struct failure *failure)
{
	uint64_t fd;

	if (parse_number("--net: tap-fd", number, 3, INT_MAX, &fd, failure) < 0)
		return -1;
	if (fcntl((int)fd, F_GETFD) < 0)
		return failure_set(failure, STATUS_USAGE, CODE_USAGE,
		                   "--net: descriptor %d is not open", (int)fd);
	plan->net_fd = (int)fd;
	if (asprintf(&plan->net, "tap-fd:%d", PROCESS_MORE_FD) < 0)
		plan->net = NULL;
	return 0;
}

/* What the words mean is the VMM's to judge. */
static int plan_net(const char *net, struct launch_plan *plan, struct failure *failure)
{
	static const char stream[] = "stream:", tap_fd[] = "tap-fd:";
	int rc = 0;

	if (!net)
		return 0;
	if (strncmp(net, stream, strlen(stream)) == 0)
		rc = plan_stream(net + strlen(stream), plan, failure);
	else if (strncmp(net, tap_fd, strlen(tap_fd)) == 0)
		rc = plan_tap_fd(net + strlen(tap_fd), plan, failure);
	else
		plan->net = strdup(net);
	if (rc == 0 && !plan->net)
		return failure_set(failure, STATUS_FAILED, CODE_HOST, "out of memory");
	return rc;
}

/* Fails with doctor's words where guests can't run. */
static int check_host(const struct launch_plan *plan, struct failure *failure)
{
	cleanup_probe struct probe probe = { 0 };
	char advice[320];

	if (probe_run(plan->vmm, &probe, failure) < 0)
		return -1;
	if (probe.guests_run)
		return 0;
	probe_advise(&probe, advice, sizeof(advice));
	return failure_set(failure, STATUS_FAILED, CODE_HOST,
	                   "guests can't run on this host: %.160s. What to do: %s",
	                   probe.interpreted ? "this KVM interprets guest kernel code"
	                                     : probe.message,
	                   advice);
}

static int make_plan(const struct run_options *options, struct launch_plan *plan,
                     struct failure *failure)
{
	const char *wrong = plan->page ? parse_url_problem(plan->page) : NULL;

	if (wrong)
		return failure_set(failure, STATUS_USAGE, CODE_USAGE, "--page: %s", wrong);
	/* The VMM counts whole seconds. */
	plan->ttl_s = (options->ttl_ms + 999) / 1000;
	if (plan_relays(&options->relays, plan, failure) < 0 ||
	    plan_disks(&options->disks, plan, failure) < 0 ||
	    plan_net(options->net, plan, failure) < 0 ||
	    images_find(options->kernel, options->initramfs, options->image, &plan->images,
	                failure) < 0 ||
	    images_find_vmm(&plan->vmm, failure) < 0)
		return -1;
	return 0;
}

static int watch_signals(struct run *run, struct failure *failure)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	run->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (run->signal_fd < 0)
		return failure_set(failure, STATUS_FAILED, CODE_HOST, "cannot watch signals: %s",
		                   strerror(errno));
	return 0;
}

/* --- the start --- */

static int wait_for(struct run *run, const char *stage, struct failure *failure)
{
	cleanup_message struct wire_message reply = WIRE_MESSAGE_INIT;

	run->waiting_for = stage;
	if (client_call(&run->client, json_pack("{s:s,s:s}", "verb", "wait", "for", stage), NULL, 0,
	                time_left_ms(run), &reply, failure) < 0)
		return -1;
	json_decref(run->status);
	run->status = json_incref(reply.object);
	return 0;
}

static int join_relays(struct run *run, struct failure *failure)
{
	for (size_t i = 0; i < run->plan.relay_count; i++) {
		cleanup_message struct wire_message reply = WIRE_MESSAGE_INIT;
		int port = run->plan.relays[i].port;

		if (client_call_agent(&run->client,
		                      json_pack("{s:s,s:i,s:i}", "verb", "relay", "port", port,
		                                "to", port),
		                      NULL, 0, RELAY_TIMEOUT_MS, &reply, failure) < 0)
			return -1;
	}
	return 0;
}

/*
 * The page is opened by us and not by the VMM's --page: then the relays are there before it, and a
 * page that can't be reached is an error with words.
 */
static int open_page(struct run *run, struct failure *failure)
{
	cleanup_message struct wire_message reply = WIRE_MESSAGE_INIT;

	if (wait_for(run, "browser", failure) < 0)
		return -1;
	run->waiting_for = "page";
	if (client_call_agent(&run->client,
	                      json_pack("{s:s,s:s,s:s}", "verb", "browser", "op", "navigate", "url",
	                                run->plan.page),
	                      NULL, 0, time_left_ms(run), &reply, failure) < 0)
		return -1;
	run->page_ms = elapsed_ms(run);
	run->page = json_incref(reply.object);
	return 0;
}

static int bring_up(struct run *run, struct failure *failure)
{
	if (launch_prepare(&run->session, &run->plan, failure) < 0 ||
	    launch_start(&run->session, &run->plan, &run->launch, failure) < 0)
		return -1;
	run->client.interrupt_fd = run->signal_fd;
	run->client.tick = show_waiting;
	run->client.tick_arg = run;
	if (launch_connect(&run->launch, &run->client, CONNECT_TIMEOUT_MS, failure) < 0 ||
	    wait_for(run, "agent", failure) < 0 || join_relays(run, failure) < 0)
		return -1;
	if (run->plan.page && open_page(run, failure) < 0)
		return -1;
	run->total_ms = elapsed_ms(run);
	return 0;
}

/* --- how it ended --- */

/* The guest's last words, for a person. Without a report there are none. */
static void print_console(const json_t *report)
{
	const json_t *lines = json_object_get(report, "console");
	size_t count = json_array_size(lines);

	if (count)
		fputs("the guest's last lines:\n", stderr);
	for (size_t i = count > CONSOLE_LINES_MAX ? count - CONSOLE_LINES_MAX : 0; i < count; i++) {
		const char *line = json_string_value(json_array_get(lines, i));
		cleanup_free char *copy = line ? strdup(line) : NULL;

		if (!copy)
			continue;
		text_clean(copy);
		fprintf(stderr, "  | %s\n", copy);
	}
}

/* Takes everything back and returns -1; a signal ends the program the way it would have. */
static int finish_failed(struct run *run, struct failure *failure)
{
	struct signalfd_siginfo signal_info;
	bool interrupted = read(run->signal_fd, &signal_info, sizeof(signal_info)) > 0;

	output_progress_clear(run->inv);
	if (!interrupted && failure->status == STATUS_DEAD)
		launch_explain(&run->launch, failure);
	client_close(&run->client);
	if (!run->launch.session)
		run->launch.session = &run->session;
	launch_abort(&run->launch);
	if (interrupted) {
		sigset_t set;

		signal((int)signal_info.ssi_signo, SIG_DFL);
		raise((int)signal_info.ssi_signo);
		sigfillset(&set);
		sigprocmask(SIG_UNBLOCK, &set, NULL);
	}
	if (!run->inv->json)
		print_console(failure->report);
	/* Nothing is left of the session, so nobody can be told that it is dead. */
	if (failure->status == STATUS_DEAD || failure->status == STATUS_TIMEOUT)
		failure->status = STATUS_FAILED;
	return -1;
}

#define STAGES_MAX 6
#define STAGE_AT_MAX ((json_int_t)1 << 32)

/* Stages in their order; "at" is milliseconds since the VMM was started. */
struct stage {
	const char *name, *key;
	json_int_t at;
};

static size_t collect_stages(const struct run *run, struct stage out_stages[STAGES_MAX])
{
	static const char *const known[][2] = {
		{ "kernel", "entry_ms" },
		{ "agent", "agent_ms" },
		{ "display", "display_ms" },
		{ "browser", "browser_ms" },
	};
	const json_t *stages = json_object_get(run->status, "stages");
	json_int_t launched = (json_int_t)run->launch.started_ns;
	json_int_t began = client_integer(run->status, "started_ns", launched, INT64_MAX, launched);
	/* What passed between our fork and the VMM's own first look at the clock. */
	json_int_t offset = (began - launched) / (json_int_t)NS_PER_MS;
	size_t count = 0;

	out_stages[count++] = (struct stage){ "vmm", "vmm_ms", offset };
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		json_int_t at = client_integer(stages, known[i][1], 0, STAGE_AT_MAX, -1);

		if (at >= 0)
			out_stages[count++] =
				(struct stage){ known[i][0], known[i][1], at + offset };
	}
	if (run->page)
		out_stages[count++] = (struct stage){ "page", "page_ms", (json_int_t)run->page_ms };
	return count;
}

static void print_text(const struct run *run, const struct stage *stages, size_t count)
{
	json_int_t before = 0;

	printf("session %s is ready (pid %d)\n", run->session.name, (int)run->client.peer);
	for (size_t i = 0; i < count; i++) {
		printf("  %-8s %8lld ms  %+8lld\n", stages[i].name, (long long)stages[i].at,
		       (long long)(stages[i].at - before));
		before = stages[i].at;
	}
	if (run->page) {
		cleanup_free char *title = strdup(client_string(run->page, "title"));
		cleanup_free char *url = strdup(client_string(run->page, "url"));

		if (title && url) {
			text_clean(title);
			text_clean(url);
			printf("  showing %s%s%s%s\n", url, *title ? " (" : "", title,
			       *title ? ")" : "");
		}
	}
}

static void print_json(const struct run *run, const struct stage *stages, size_t count)
{
	json_t *answer = output_answer_new();
	json_t *times = json_object();

	for (size_t i = 0; i < count; i++)
		json_object_set_new(times, stages[i].key, json_integer(stages[i].at));
	json_object_update_new(answer,
	                       json_pack("{s:s,s:I,s:s,s:o,s:I}", "name", run->session.name, "pid",
	                                 (json_int_t)run->client.peer, "folder", run->session.path,
	                                 "stages", times, "total_ms", (json_int_t)run->total_ms));
	if (run->page)
		json_object_set_new(answer, "page",
		                    json_pack("{s:s,s:s}", "url", client_string(run->page, "url"),
		                              "title", client_string(run->page, "title")));
	output_answer(answer);
}

static int start_session(struct run *run, const char *name, struct failure *failure)
{
	struct stage stages[STAGES_MAX];
	size_t count;

	if (check_host(&run->plan, failure) < 0 || watch_signals(run, failure) < 0 ||
	    session_create(name, &run->session, failure) < 0)
		return -1;
	if (bring_up(run, failure) < 0)
		return finish_failed(run, failure);
	output_progress_clear(run->inv);
	count = collect_stages(run, stages);
	launch_release(&run->launch);
	if (run->inv->json)
		print_json(run, stages, count);
	else
		print_text(run, stages, count);
	return STATUS_OK;
}

int command_run(struct invocation *inv, struct failure *failure)
{
	struct run run = {
		.inv = inv,
		.session = SESSION_INIT,
		.launch = LAUNCH_INIT,
		.client = CLIENT_INIT,
		.signal_fd = -1,
		.waiting_for = "VMM",
		.plan = { .memory_mib = MEMORY_DEFAULT_MIB, .cpus = 1, .size = { 1280, 800 } }
	};
	struct run_options o = { .ttl_ms = TTL_DEFAULT_MS, .wait_ms = WAIT_DEFAULT_MS };
	struct launch_plan *p = &run.plan;
	const struct option options[] = {
		{ "mem", 0, OPTION_MEMORY, &p->memory_mib, "SIZE", "guest memory (default 1G)",
		  MEMORY_MIN_MIB, MEMORY_MAX_MIB },
		{ "cpus", 0, OPTION_NUMBER, &p->cpus, "N", "virtual CPUs, 1 to 8 (default 1)", 1,
		  CPUS_MAX },
		{ "size", 0, OPTION_GEOMETRY, &p->size, "WxH", "screen (default 1280x800)", 0, 0 },
		{ "ttl", 0, OPTION_DURATION, &o.ttl_ms, "TIME",
		  "end it after this time, whatever happens (default 1h; 0: never)", 0,
		  TTL_MAX_MS },
		{ "page", 0, OPTION_STRING, &p->page, "URL",
		  "open this page, and return when it has loaded", 0, 0 },
		{ "relay", 0, OPTION_LIST, &o.relays, "PORT:SOCKET",
		  "the guest's 127.0.0.1:PORT is the host's unix socket SOCKET; repeatable", 0, 0 },
		{ "disk", 0, OPTION_LIST, &o.disks, "FILE[,ro]",
		  "a raw file is a disk of the guest; repeatable, up to 4", 0, 0 },
		{ "net", 0, OPTION_STRING, &o.net, "WHAT",
		  "a network card: tap:IFNAME, tap-fd:N or stream:PATH (default: none)", 0, 0 },
		{ "mac", 0, OPTION_STRING, &p->mac, "ADDRESS",
		  "of the card (default: made from the name)", 0, 0 },
		{ "net-rate", 0, OPTION_STRING, &p->net_rate, "BYTES[:PACKETS]",
		  "the card's limit a second, each way: 10M, 10M:5000, 0:5000", 0, 0 },
		{ "guest-root", 0, OPTION_FLAG, &p->guest_root, NULL,
		  "let `cloche exec --root` be root in the guest", 0, 0 },
		{ "no-page-reporting", 0, OPTION_FLAG, &p->no_page_reporting, NULL,
		  "let the guest keep memory that it has freed", 0, 0 },
		{ "timeout", 0, OPTION_DURATION, &o.wait_ms, "TIME",
		  "give up when it isn't ready by then (default 3m)", 1, PROTO_TIMEOUT_MAX_MS },
		{ "kernel", 0, OPTION_STRING, &o.kernel, "FILE", "vmlinux or bzImage", 0, 0 },
		{ "initramfs", 0, OPTION_STRING, &o.initramfs, "FILE", "the initramfs", 0, 0 },
		{ "image", 0, OPTION_STRING, &o.image, "FILE", "the root image", 0, 0 },
		{ "append", 0, OPTION_STRING, &p->append, "ARGS",
		  "more for the guest kernel's command line", 0, 0 },
	};
	struct arguments arguments;
	int rc = options_parse(inv, options, sizeof(options) / sizeof(options[0]),
	                       (struct options_shape){ 1, 1, false }, &arguments, failure);

	if (rc != 0)
		return rc > 0 ? STATUS_OK : -1;
	run.deadline_ns = clock_now_ns() + o.wait_ms * NS_PER_MS;
	rc = session_check_name(arguments.items[0], failure);
	if (rc == 0)
		rc = make_plan(&o, p, failure);
	if (rc == 0)
		rc = start_session(&run, arguments.items[0], failure);
	run_finish(&run);
	return rc;
}
