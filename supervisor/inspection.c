/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * inspection.c - see inspection.h. No state, single thread.
 */
#include "supervisor/inspection.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "lib/cleanup.h"
#include "lib/proto.h"
#include "supervisor/client.h"
#include "supervisor/process.h"

#define INSPECT_TIMEOUT_MS 60000u
#define VERIFY_TIMEOUT_MS 3600000u
#define TEXT_SIZE ((size_t)1 << 20)
#define ERRORS_SIZE 4096

/* The VMM has said that it is no sound snapshot, or something went wrong with itself. */
static int refused(int status, char *errors, struct failure *failure)
{
	const char *why = text_last_words(errors);
	bool bad_input = WIFEXITED(status) && WEXITSTATUS(status) == 2;

	if (WIFSIGNALED(status))
		return failure_set(failure, STATUS_FAILED, CODE_HOST,
		                   "cloche-vmm was killed by signal %d", WTERMSIG(status));
	return failure_set(failure, bad_input ? STATUS_USAGE : STATUS_FAILED,
	                   bad_input ? CODE_USAGE : CODE_HOST, "%s",
	                   *why ? why : "cloche-vmm failed without a word");
}

int inspection_ask(const char *vmm, const char *path, bool verify, int signal_fd,
                   json_t **out_object, struct failure *failure)
{
	char *const argv[] = { (char *)vmm, (char *)(verify ? "--verify" : "--inspect"),
		               (char *)path, NULL };
	cleanup_free char *text = malloc(TEXT_SIZE);
	char errors[ERRORS_SIZE];
	const struct capture capture = { .timeout_ms =
		                                 verify ? VERIFY_TIMEOUT_MS : INSPECT_TIMEOUT_MS,
		                         .interrupt_fd = signal_fd,
		                         .text = text,
		                         .size = TEXT_SIZE,
		                         .errors = errors,
		                         .errors_size = sizeof(errors) };
	struct error err = { 0 };
	json_t *object;
	int status;
	int rc;

	if (!text)
		return failure_set_nomem(failure);
	rc = process_capture_all(argv, &capture, &status, &err);
	if (rc == -EINTR)
		return failure_set(failure, STATUS_FAILED, CODE_INTERRUPTED, "interrupted");
	if (rc < 0)
		return failure_set_error(failure, STATUS_FAILED, CODE_HOST, NULL, &err);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return refused(status, errors, failure);
	object = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(object)) {
		json_decref(object);
		return failure_set(failure, STATUS_FAILED, CODE_HOST,
		                   "cloche-vmm gave no answer that cloche understands; are both of "
		                   "the same version?");
	}
	*out_object = object;
	return 0;
}

static int read_disks(const json_t *list, struct launch_plan *plan)
{
	const json_t *item;
	size_t i;

	json_array_foreach(list, i, item)
	{
		const char *path = json_string_value(item);

		if (!path || plan->disk_count == LAUNCH_DISKS_MAX)
			continue;
		/* Others can't be part of a snapshot. */
		plan->disks[plan->disk_count].read_only = true;
		plan->disks[plan->disk_count].path = strdup(path);
		if (!plan->disks[plan->disk_count].path)
			return -ENOMEM;
		plan->disk_count++;
	}
	return 0;
}

int inspection_read_machine(const json_t *object, struct launch_plan *plan, struct failure *failure)
{
	const json_t *config = json_object_get(object, "config");
	const char *image = client_string(json_object_get(config, "image"), "file");

	plan->memory_mib = (uint64_t)client_integer(config, "memory_mib", 0, 1 << 20, 0);
	plan->cpus = (uint64_t)client_integer(config, "cpus", 0, 1024, 0);
	plan->size.width = (uint32_t)client_integer(config, "width", 0, PROTO_DISPLAY_SIDE_MAX, 0);
	plan->size.height =
		(uint32_t)client_integer(config, "height", 0, PROTO_DISPLAY_SIDE_MAX, 0);
	plan->guest_root = json_is_true(json_object_get(config, "guest_root"));
	plan->no_page_reporting = json_is_false(json_object_get(config, "page_reporting"));
	if (!plan->images.image && *image) {
		plan->images.image = strdup(image);
		if (!plan->images.image)
			return failure_set_nomem(failure);
	}
	if (read_disks(json_object_get(config, "disks"), plan) < 0)
		return failure_set_nomem(failure);
	return 0;
}
