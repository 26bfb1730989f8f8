/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cmd_doctor.c - `cloche doctor`: whether stock guests can run here, why not, and what to do.
 * Single thread.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "supervisor/images.h"
#include "supervisor/options.h"
#include "supervisor/output.h"
#include "supervisor/probe.h"
#include "supervisor/session.h"

#define CHECKS_MAX 8

struct check {
	const char *name;
	bool ok;
	char detail[600];
	char advice[320]; /* empty: none */
};

struct checks {
	struct check items[CHECKS_MAX];
	size_t count;
	bool failed;   /* some check */
	json_t *probe; /* owned; NULL when the VMM could not be asked */
};

static struct check *add_check(struct checks *checks, const char *name, bool ok)
{
	struct check *check = &checks->items[checks->count++];

	*check = (struct check){ .name = name, .ok = ok };
	checks->failed |= !ok;
	return check;
}

static void add_failure(struct checks *checks, const char *name, const struct failure *failure)
{
	struct check *check = add_check(checks, name, false);

	snprintf(check->detail, sizeof(check->detail), "%s", failure->message);
}

static void check_kvm(struct checks *checks, const struct probe *probe)
{
	struct check *check = add_check(checks, "/dev/kvm", probe->kvm == PROBE_KVM_OK);

	if (check->ok)
		snprintf(check->detail, sizeof(check->detail), "usable, API version %d",
		         probe->api);
	else
		snprintf(check->detail, sizeof(check->detail), "%s", probe->message);
	if (!check->ok && !*probe->missing)
		probe_advise(probe, check->advice, sizeof(check->advice));
}

static void check_capabilities(struct checks *checks, const struct probe *probe)
{
	struct check *check = add_check(checks, "capabilities", !*probe->missing);

	if (check->ok) {
		snprintf(check->detail, sizeof(check->detail), "all that the VMM needs");
		return;
	}
	snprintf(check->detail, sizeof(check->detail), "missing: %s", probe->missing);
	probe_advise(probe, check->advice, sizeof(check->advice));
}

static void check_ring0(struct checks *checks, const struct probe *probe)
{
	struct check *check = add_check(checks, "guest kernel", !probe->interpreted);

	if (check->ok) {
		snprintf(check->detail, sizeof(check->detail),
		         "runs on the processor (a loop in ring 0 took %ld µs)", probe->ring0_us);
		return;
	}
	snprintf(check->detail, sizeof(check->detail),
	         "this KVM interprets guest kernel code: a loop in ring 0 took %ld µs, a hundred "
	         "times and more what hardware takes",
	         probe->ring0_us);
	probe_advise(probe, check->advice, sizeof(check->advice));
}

static void check_host(struct checks *checks)
{
	struct failure failure = { 0 };
	cleanup_probe struct probe probe = { 0 };
	cleanup_free char *vmm = NULL;
	struct check *check;

	if (images_find_vmm(&vmm, &failure) < 0 || probe_run(vmm, &probe, &failure) < 0) {
		add_failure(checks, "cloche-vmm", &failure);
		return;
	}
	check = add_check(checks, "cloche-vmm", true);
	snprintf(check->detail, sizeof(check->detail), "%s", vmm);
	checks->probe = json_incref(probe.object);
	check_kvm(checks, &probe);
	if (probe.kvm == PROBE_KVM_MISSING || probe.kvm == PROBE_KVM_PERMISSION)
		return;
	check_capabilities(checks, &probe);
	if (probe.kvm == PROBE_KVM_OK && !*probe.missing)
		check_ring0(checks, &probe);
	/* Whatever the parts say, the VMM's verdict holds. */
	if (!probe.guests_run && !checks->failed) {
		check = add_check(checks, "verdict", false);
		snprintf(check->detail, sizeof(check->detail), "%s", probe.message);
	}
}

static unsigned long long file_mib(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? ((unsigned long long)st.st_size + (1 << 19)) >> 20 : 0;
}

static void check_images(struct checks *checks)
{
	struct failure failure = { 0 };
	cleanup_images struct images images = { 0 };
	struct check *check;

	if (images_find(NULL, NULL, NULL, &images, &failure) < 0) {
		add_failure(checks, "images", &failure);
		return;
	}
	check = add_check(checks, "images", true);
	snprintf(check->detail, sizeof(check->detail),
	         "kernel %llu MiB, initramfs %llu MiB, root image %llu MiB, in %.200s",
	         file_mib(images.kernel), file_mib(images.initramfs), file_mib(images.image),
	         images.folder ? images.folder : "?");
}

static void check_folder(struct checks *checks)
{
	struct failure failure = { 0 };
	cleanup_free char *path = NULL;
	cleanup_fd int fd = -1;
	struct check *check;

	if (session_open_root(true, &fd, &path, &failure) < 0) {
		add_failure(checks, "session folder", &failure);
		return;
	}
	check = add_check(checks, "session folder", true);
	snprintf(check->detail, sizeof(check->detail), "%s", path);
}

static void print_text(const struct checks *checks)
{
	const char *yes = output_is_utf8() ? "✓" : "ok  ";
	const char *no = output_is_utf8() ? "✗" : "FAIL";

	for (size_t i = 0; i < checks->count; i++) {
		const struct check *check = &checks->items[i];

		printf("%s %-14s  %s\n", check->ok ? yes : no, check->name, check->detail);
		if (*check->advice)
			printf("%*sdo: %s\n", output_is_utf8() ? 18 : 21, "", check->advice);
	}
	printf("%s\n", checks->failed ? "Stock guests can't run here as it is."
	                              : "Stock guests can run here.");
}

static void print_json(const struct checks *checks)
{
	json_t *answer = output_answer_new();
	json_t *list = json_array();

	for (size_t i = 0; i < checks->count; i++) {
		const struct check *check = &checks->items[i];

		json_array_append_new(list,
		                      json_pack("{s:s,s:b,s:s,s:s*}", "name", check->name, "ok",
		                                check->ok, "detail", check->detail, "advice",
		                                *check->advice ? check->advice : NULL));
	}
	json_object_set_new(answer, "guests_run", json_boolean(!checks->failed));
	json_object_set_new(answer, "checks", list);
	if (checks->probe)
		json_object_set(answer, "probe", checks->probe);
	output_answer(answer);
}

int command_doctor(struct invocation *inv, struct failure *failure)
{
	struct checks checks = { 0 };
	struct arguments arguments;
	int rc = options_parse(inv, NULL, 0, (struct options_shape){ 0, 0, false }, &arguments,
	                       failure);

	if (rc != 0)
		return rc > 0 ? STATUS_OK : -1;
	check_host(&checks);
	check_images(&checks);
	check_folder(&checks);
	if (inv->json)
		print_json(&checks);
	else
		print_text(&checks);
	json_decref(checks.probe);
	return checks.failed ? STATUS_FAILED : STATUS_OK;
}
