/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bake.c - see bake.h. Single thread.
 *
 *	note what it will depend on                  hashes of images and VMM
 *	boot, open the page, wait until it is idle   a session of a name of its own
 *	make it small                                caches dropped; the balloon takes all and gives it back
 *	save it                                      .NAME.new.snap
 *	restore it lazily, three times               .NAME.new.touch: each adds to the order of the last
 *	restore it as `run` will                     makes its resident form, proves it
 *	put the three files in their places          the json last
 *
 * All that is temporary is named after the template and hidden: the next bake overwrites what one that
 * was killed has left. Its sessions end by their time to live.
 */
#include "supervisor/bake.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/proto.h"
#include "supervisor/facts.h"
#include "supervisor/fingerprint.h"
#include "supervisor/interrupt.h"
#include "supervisor/output.h"
#include "supervisor/process.h"
#include "supervisor/residents.h"
#include "supervisor/shot.h"
#include "supervisor/start.h"
#include "supervisor/warm.h"

#define LOCK_STEP_MS 100u
#define TRIALS 3
#define TTL_SPARE_S 60u
#define QUIT_TIMEOUT_MS 2000u
#define QUIT_WAIT_MS 30000u
#define CHUNK_BYTES ((uint64_t)64 << 10)
/* What a guest is asked to show in a trial: the pages that a navigation touches are in the order. */
#define TRIAL_PAGE "data:text/html,<title>cloche</title><p>cloche"

/* The bake under way. */
struct bake {
	const struct bake_request *request;
	struct residents residents;
	char session[SESSION_NAME_MAX + 1];
	char *snapshot, *touch; /* owned: temporary paths */
	json_t *dependencies;   /* owned */
	uint64_t begun_ns, deadline_ns;
	bool has_touch;
	struct bake_result result;
};

int bake_lock(const struct invocation *inv, const struct template_folder *folder, int signal_fd,
              struct failure *failure)
{
	while (flock(folder->fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return failure_set(failure, STATUS_FAILED, CODE_HOST,
			                   "cannot lock %.300s: %s", folder->path, strerror(errno));
		output_progress(inv, "waiting for another bake");
		if (interrupt_sleep(signal_fd, LOCK_STEP_MS, failure) < 0)
			return -1;
	}
	output_progress_clear(inv);
	return 0;
}

/* --- plans --- */

/* @text may be NULL. False without memory. */
static bool copy(const char *text, char **out_copy)
{
	*out_copy = text ? strdup(text) : NULL;
	return !text || *out_copy;
}

static bool copy_relays(const struct launch_plan *from, struct launch_plan *plan)
{
	for (size_t i = 0; i < from->relay_count; i++) {
		plan->relays[i].port = from->relays[i].port;
		if (!copy(from->relays[i].socket, &plan->relays[i].socket))
			return false;
		plan->relay_count++;
	}
	return true;
}

/* A plan to boot the same guest for no longer than @ttl_s. */
static int copy_boot(const struct launch_plan *from, uint64_t ttl_s, struct launch_plan *out_plan,
                     struct failure *failure)
{
	struct launch_plan *plan = out_plan;

	*plan = (struct launch_plan){ .memory_mib = from->memory_mib,
		                      .cpus = from->cpus,
		                      .size = from->size,
		                      .ttl_s = ttl_s };
	if (copy(from->vmm, &plan->vmm) && copy(from->page, &plan->page) &&
	    copy(from->images.kernel, &plan->images.kernel) &&
	    copy(from->images.initramfs, &plan->images.initramfs) &&
	    copy(from->images.image, &plan->images.image) && copy_relays(from, plan))
		return 0;
	launch_plan_finish(plan);
	return failure_set_nomem(failure);
}

int bake_plan_again(const struct template *template, const struct launch_plan *plan,
                    struct launch_plan *out_plan, struct failure *failure)
{
	const char *page = client_string(template->object, "page");
	const struct launch_plan from = { .vmm = plan->vmm,
		                          .images = plan->images,
		                          .memory_mib = template->memory_mib,
		                          .cpus = template->cpus,
		                          .size = template->size,
		                          .page = *page ? (char *)page : NULL };

	if (copy_boot(&from, 0, out_plan, failure) < 0)
		return -1;
	if (facts_read_relays(template->object, out_plan) < 0) {
		launch_plan_finish(out_plan);
		return failure_set_nomem(failure);
	}
	return 0;
}

/* The way of restoring that suits the snapshot @id: resident if there is room, else what the VMM likes. */
static const char *suitable_mode(const struct residents *residents, const char *id, uint64_t bytes)
{
	return residents_can_hold(residents, id, bytes) ? "template" : NULL;
}

int bake_plan_restore(const struct template *template, struct launch_plan *plan,
                      struct failure *failure)
{
	cleanup_residents struct residents residents = RESIDENTS_INIT;

	if (residents_open(&residents, failure) < 0)
		return -1;
	plan->memory_mib = template->memory_mib;
	plan->cpus = template->cpus;
	plan->size = template->size;
	plan->restore.mode = suitable_mode(&residents, template->id, template->resident_bytes);
	plan->origin = json_pack("{s:s,s:s,s:s,s:s}", "kind", "restore", "of", template->id, "file",
	                         template->snapshot, "template", template->name);
	if (!plan->origin || !copy(template->snapshot, &plan->restore.file) ||
	    !copy(template->touch, &plan->restore.touch))
		return failure_set_nomem(failure);
	plan->restore.templates = steal_pointer(&residents.path);
	return 0;
}

static uint64_t ttl_s(const struct bake *bake)
{
	return bake->request->timeout_ms / 1000 + TTL_SPARE_S;
}

static void set_start(const struct bake *bake, const struct launch_plan *plan, struct start *start)
{
	start->inv = bake->request->inv;
	start->plan = plan;
	start->signal_fd = bake->request->signal_fd;
	start->deadline_ns = bake->deadline_ns;
}

/* --- the snapshot --- */

static int warm_and_save(struct bake *bake, struct start *start, struct failure *failure)
{
	const struct bake_request *request = bake->request;

	if (start_wait(start, "browser", failure) < 0)
		return -1;
	start->client.tick = NULL;
	if (warm_wait_until_idle(request->inv, &start->client, request->signal_fd, failure) < 0 ||
	    warm_shrink(request->inv, &start->client, failure) < 0)
		return -1;
	return writer_save(request->inv, &start->client, bake->snapshot, NULL, request->signal_fd,
	                   &bake->result.saved, failure);
}

static int boot_and_save(struct bake *bake, struct failure *failure)
{
	cleanup_plan struct launch_plan plan = { 0 };
	cleanup_start struct start start = START_INIT;

	if (copy_boot(bake->request->plan, ttl_s(bake), &plan, failure) < 0)
		return -1;
	set_start(bake, &plan, &start);
	if (start_begin(&start, bake->session, failure) < 0)
		return -1;
	bake->result.boot_ms = start.total_ms;
	if (warm_and_save(bake, &start, failure) == 0)
		return 0;
	if (failure->status == STATUS_DEAD)
		launch_explain(&start.launch, failure);
	return -1;
}

/* --- trial restores --- */

static int plan_trial(const struct bake *bake, const char *mode, struct launch_plan *plan,
                      struct failure *failure)
{
	const struct launch_plan *boot = bake->request->plan;

	plan->memory_mib = boot->memory_mib;
	plan->cpus = boot->cpus;
	plan->size = boot->size;
	plan->ttl_s = ttl_s(bake);
	plan->restore.mode = mode;
	plan->origin = json_pack("{s:s,s:s,s:s}", "kind", "restore", "of", bake->result.saved.id,
	                         "file", bake->snapshot);
	if (!plan->origin || !copy(boot->vmm, &plan->vmm) ||
	    !copy(boot->images.image, &plan->images.image) ||
	    !copy(bake->snapshot, &plan->restore.file) ||
	    !copy(bake->residents.path, &plan->restore.templates))
		return failure_set_nomem(failure);
	return 0;
}

/* What a session is used for first. */
static int use(struct start *start, struct failure *failure)
{
	cleanup_message struct wire_message reply = WIRE_MESSAGE_INIT;
	const struct shot_wish wish = { 0 };
	cleanup_shot struct shot first = { 0 };
	cleanup_shot struct shot second = { 0 };

	if (shot_take(&start->client, &wish, &first, failure) < 0 ||
	    start_wait(start, "browser", failure) < 0 ||
	    client_call_agent(&start->client,
	                      json_pack("{s:s,s:s,s:s}", "verb", "browser", "op", "navigate", "url",
	                                TRIAL_PAGE),
	                      NULL, 0, start_left_ms(start), &reply, failure) < 0)
		return -1;
	return shot_take(&start->client, &wish, &second, failure);
}

/* Lets the VMM end in order: then it writes what it has recorded. */
static int quit(struct start *start, struct failure *failure)
{
	cleanup_message struct wire_message reply = WIRE_MESSAGE_INIT;

	if (client_call(&start->client, json_pack("{s:s}", "verb", "quit"), NULL, 0,
	                QUIT_TIMEOUT_MS, &reply, failure) < 0)
		return -1;
	if (!process_wait_ended(start->launch.pidfd, QUIT_WAIT_MS))
		return failure_set(failure, STATUS_FAILED, PROTO_ERR_TIMEOUT,
		                   "the VMM of a trial restore has not ended");
	return 0;
}

/* One lazy restore, which adds to the order. */
static int try_lazily(struct bake *bake, struct failure *failure)
{
	cleanup_plan struct launch_plan plan = { 0 };
	cleanup_start struct start start = START_INIT;
	struct stat st;

	if (plan_trial(bake, "lazy", &plan, failure) < 0 ||
	    !copy(bake->touch, &plan.restore.record) ||
	    (bake->has_touch && !copy(bake->touch, &plan.restore.touch)))
		return failure->status ? -1 : failure_set_nomem(failure);
	set_start(bake, &plan, &start);
	if (start_begin(&start, bake->session, failure) < 0 || use(&start, failure) < 0 ||
	    quit(&start, failure) < 0)
		return -1;
	bake->has_touch = lstat(bake->touch, &st) == 0 && S_ISREG(st.st_mode);
	return 0;
}

/*
 * An order makes lazy restores faster; where there is no lazy restoring (no userfaultfd), it has no use,
 * and the template is none the worse. That restoring works at all, the last trial shows.
 */
static int record_order(struct bake *bake, struct failure *failure)
{
	for (int i = 0; i < TRIALS; i++) {
		struct failure trial = { 0 };

		output_progress(bake->request->inv, "trial restore %d of %d", i + 1, TRIALS);
		if (try_lazily(bake, &trial) == 0)
			continue;
		json_decref(trial.report);
		trial.report = NULL;
		if (!interrupt_has_come(bake->request->signal_fd) && i == 0) {
			log_warn("template '%s' has no first-touch order: %s", bake->request->name,
			         trial.message);
			return 0;
		}
		*failure = trial;
		return -1;
	}
	return 0;
}

static uint64_t resident_bytes(const struct writer_result *saved)
{
	return (saved->lz4 + saved->raw) * CHUNK_BYTES;
}

static int try_as_run_will(struct bake *bake, struct failure *failure)
{
	cleanup_plan struct launch_plan plan = { 0 };
	struct bake_result *result = &bake->result;

	result->mode =
		suitable_mode(&bake->residents, result->saved.id, resident_bytes(&result->saved));
	if (plan_trial(bake, result->mode, &plan, failure) < 0)
		return -1;
	/* The first one makes the resident form, the second has it. */
	for (int i = 0; i < 2; i++) {
		cleanup_start struct start start = START_INIT;

		set_start(bake, &plan, &start);
		if (start_begin(&start, bake->session, failure) < 0)
			return -1;
		result->restore_ms = start.total_ms;
	}
	return 0;
}

/* --- publishing --- */

static json_t *describe(const struct bake *bake, const struct stat *st)
{
	const struct launch_plan *plan = bake->request->plan;
	const struct writer_result *saved = &bake->result.saved;
	json_t *relays = json_array();
	json_t *object;
	char size[32];

	snprintf(size, sizeof(size), "%ux%u", plan->size.width, plan->size.height);
	for (size_t i = 0; i < plan->relay_count; i++)
		json_array_append_new(relays,
		                      json_pack("{s:i,s:s}", "port", (int)plan->relays[i].port,
		                                "socket", plan->relays[i].socket));
	object = json_pack("{s:i,s:s,s:s,s:I,s:I,s:I,s:s,s:s*,s:o,s:o,s:I,s:I,s:I}", "version", 1,
	                   "name", bake->request->name, "id", saved->id, "made_at",
	                   (json_int_t)time(NULL), "memory_mib", (json_int_t)plan->memory_mib,
	                   "cpus", (json_int_t)plan->cpus, "size", size, "page", plan->page,
	                   "relays", relays, "snapshot", fingerprint_of_look(st), "file_bytes",
	                   (json_int_t)saved->file_bytes, "ram_bytes", (json_int_t)saved->ram_bytes,
	                   "resident_bytes", (json_int_t)resident_bytes(saved));
	if (object && json_object_update(object, bake->dependencies) < 0) {
		json_decref(object);
		object = NULL;
	}
	return object;
}

/* Puts a temporary file in its place. With @source NULL there is none to be there. */
static int place(const struct bake *bake, const char *source, const char *suffix,
                 struct failure *failure)
{
	cleanup_free char *path = NULL;
	int rc;

	if (asprintf(&path, "%s/%s%s", bake->request->folder->path, bake->request->name, suffix) <
	    0) {
		path = NULL;
		return failure_set_nomem(failure);
	}
	rc = source ? rename(source, path) : unlink(path);
	if (rc < 0 && (source || errno != ENOENT))
		return failure_set(failure, STATUS_FAILED, CODE_HOST, "cannot write %.300s: %s",
		                   path, strerror(errno));
	return 0;
}

static int publish(struct bake *bake, struct failure *failure)
{
	const struct bake_request *request = bake->request;
	json_auto_t *object = NULL;
	struct stat st;

	if (lstat(bake->snapshot, &st) < 0)
		return failure_set(failure, STATUS_FAILED, CODE_HOST, "cannot look at %.300s: %s",
		                   bake->snapshot, strerror(errno));
	object = describe(bake, &st);
	if (!object)
		return failure_set_nomem(failure);
	if (place(bake, bake->snapshot, ".snap", failure) < 0 ||
	    place(bake, bake->has_touch ? bake->touch : NULL, ".touch", failure) < 0 ||
	    template_write(request->folder, request->name, object, failure) < 0)
		return -1;
	residents_prune(&bake->residents, request->folder);
	return 0;
}

static int prepare(struct bake *bake, struct failure *failure)
{
	const struct bake_request *request = bake->request;

	snprintf(bake->session, sizeof(bake->session), "bake-%d", (int)getpid());
	if (asprintf(&bake->snapshot, "%s/.%s.new.snap", request->folder->path, request->name) <
	    0) {
		bake->snapshot = NULL;
		return failure_set_nomem(failure);
	}
	if (asprintf(&bake->touch, "%s/.%s.new.touch", request->folder->path, request->name) < 0) {
		bake->touch = NULL;
		return failure_set_nomem(failure);
	}
	unlink(bake->touch);
	output_progress(request->inv, "noting the images");
	bake->dependencies = template_dependencies(request->plan, failure);
	return bake->dependencies ? residents_open(&bake->residents, failure) : -1;
}

int bake_template(const struct bake_request *request, struct bake_result *out_result,
                  struct failure *failure)
{
	struct bake bake = { .request = request,
		             .residents = RESIDENTS_INIT,
		             .begun_ns = clock_now_ns() };
	int rc;

	bake.deadline_ns = bake.begun_ns + request->timeout_ms * NS_PER_MS;
	rc = prepare(&bake, failure);
	if (rc == 0)
		rc = boot_and_save(&bake, failure);
	if (rc == 0)
		rc = record_order(&bake, failure);
	if (rc == 0)
		rc = try_as_run_will(&bake, failure);
	if (rc == 0)
		rc = publish(&bake, failure);
	output_progress_clear(request->inv);
	if (rc < 0) {
		/* What was resident of the new snapshot is no template's. */
		if (bake.residents.fd >= 0)
			residents_prune(&bake.residents, request->folder);
		if (bake.snapshot)
			unlink(bake.snapshot);
		if (bake.touch)
			unlink(bake.touch);
		/* Nothing is left of its session, so nobody can be told that it is dead. */
		if (failure->status == STATUS_DEAD || failure->status == STATUS_TIMEOUT)
			failure->status = STATUS_FAILED;
	}
	bake.result.total_ms = (clock_now_ns() - bake.begun_ns) / NS_PER_MS;
	if (rc == 0)
		*out_result = bake.result;
	residents_close(&bake.residents);
	json_decref(bake.dependencies);
	free(bake.snapshot);
	free(bake.touch);
	return rc;
}
