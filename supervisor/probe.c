/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * probe.c - see probe.h. No state, single thread.
 */
#include "supervisor/probe.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "supervisor/client.h"
#include "supervisor/process.h"

#define PROBE_TIMEOUT_MS 20000u
#define PROBE_TEXT_MAX 16384

static const struct {
	const char *word;
	enum probe_kvm kvm;
} kvm_words[] = {
	{ "ok", PROBE_KVM_OK },
	{ "missing", PROBE_KVM_MISSING },
	{ "permission", PROBE_KVM_PERMISSION },
	{ "unusable", PROBE_KVM_UNUSABLE },
};

void probe_finish(struct probe *probe)
{
	json_decref(probe->object);
	*probe = (struct probe){ 0 };
}

static void copy_string(const json_t *object, const char *key, char *out_text, size_t size)
{
	snprintf(out_text, size, "%s", client_string(object, key));
	text_clean(out_text);
}

static void join_missing(const json_t *list, char *out_text, size_t size)
{
	size_t used = 0;
	size_t i;
	const json_t *item;

	out_text[0] = '\0';
	json_array_foreach(list, i, item)
	{
		int n = snprintf(out_text + used, size - used, "%s%s", used ? ", " : "",
		                 json_is_string(item) ? json_string_value(item) : "?");

		if (n < 0 || (size_t)n >= size - used)
			break;
		used += (size_t)n;
	}
	text_clean(out_text);
}

int probe_parse(const char *text, bool guests_run, struct probe *out_probe, struct failure *failure)
{
	cleanup_probe struct probe probe = { .guests_run = guests_run };
	const char *kvm;
	size_t i = 0;

	probe.object = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	kvm = client_string(probe.object, "kvm");
	while (i < sizeof(kvm_words) / sizeof(kvm_words[0]) && strcmp(kvm, kvm_words[i].word) != 0)
		i++;
	if (i == sizeof(kvm_words) / sizeof(kvm_words[0]))
		return failure_set(failure, STATUS_FAILED, CODE_HOST,
		                   "cloche-vmm --probe gave no answer that cloche understands; are "
		                   "both of the same version?");
	probe.kvm = kvm_words[i].kvm;
	probe.api = (int)client_integer(probe.object, "api", 0, 1000, 0);
	probe.ring0_us = (long)client_integer(probe.object, "ring0_loop_us", 0, 1ll << 40, 0);
	probe.interpreted = json_is_true(json_object_get(probe.object, "interpreted"));
	join_missing(json_object_get(probe.object, "missing_capabilities"), probe.missing,
	             sizeof(probe.missing));
	copy_string(probe.object, "group", probe.group, sizeof(probe.group));
	copy_string(probe.object, "message", probe.message, sizeof(probe.message));
	*out_probe = probe;
	probe = (struct probe){ 0 };
	return 0;
}

int probe_run(const char *vmm, struct probe *out_probe, struct failure *failure)
{
	char *const argv[] = { (char *)vmm, (char *)"--probe", NULL };
	struct error err = { 0 };
	char text[PROBE_TEXT_MAX];
	int status;

	if (process_capture(argv, PROBE_TIMEOUT_MS, text, sizeof(text), &status, &err) < 0)
		return failure_set_error(failure, STATUS_FAILED, CODE_HOST, NULL, &err);
	if (WIFSIGNALED(status))
		return failure_set(failure, STATUS_FAILED, CODE_HOST,
		                   "%.200s --probe was killed by signal %d", vmm, WTERMSIG(status));
	return probe_parse(text, WEXITSTATUS(status) == 0, out_probe, failure);
}

/* True if one of /proc/cpuinfo's flags is @flag. */
static bool cpu_has(const char *flag)
{
	cleanup_file FILE *f = fopen("/proc/cpuinfo", "re");
	char line[8192];
	char word[32];

	snprintf(word, sizeof(word), " %s ", flag);
	while (f && fgets(line, sizeof(line), f)) {
		char *end = strchr(line, '\n');

		if (strncmp(line, "flags", 5) != 0)
			continue;
		if (end)
			*end = ' ';
		return strstr(line, word) != NULL;
	}
	return false;
}

static const char *advise_missing(void)
{
	if (cpu_has("vmx"))
		return "load KVM's module: sudo modprobe kvm_intel";
	if (cpu_has("svm"))
		return "load KVM's module: sudo modprobe kvm_amd";
	if (cpu_has("hypervisor"))
		return "this is a virtual machine: turn on nested virtualisation where it is "
		       "defined, "
		       "or take an instance type that has it; scripts/testbed works without";
	return "turn on virtualisation (VT-x, AMD-V, SVM) in the machine's firmware set-up; "
	       "scripts/testbed works without";
}

void probe_advise(const struct probe *probe, char *out_text, size_t size)
{
	const char *group = probe->group;

	if (probe->kvm == PROBE_KVM_MISSING) {
		snprintf(out_text, size, "%s", advise_missing());
	} else if (probe->kvm == PROBE_KVM_PERMISSION && *group && strcmp(group, "root") != 0) {
		snprintf(
			out_text, size,
			"join the group that owns it: sudo usermod -aG %s $USER, then log in again",
			group);
	} else if (probe->kvm == PROBE_KVM_PERMISSION) {
		snprintf(out_text, size,
		         "give it to a group and join that: sudo chgrp kvm /dev/kvm && sudo chmod "
		         "660 "
		         "/dev/kvm && sudo usermod -aG kvm $USER, then log in again");
	} else if (probe->interpreted) {
		snprintf(out_text, size,
		         "take a host with hardware virtualisation; on this one, run guests in the "
		         "nested test bed: scripts/testbed (`make demo` uses it by itself)");
	} else if (*probe->missing) {
		snprintf(out_text, size, "take a newer host kernel: this KVM lacks %s",
		         probe->missing);
	} else {
		snprintf(out_text, size,
		         "see what the host's kernel says (dmesg | grep -i kvm); scripts/testbed "
		         "works "
		         "without KVM");
	}
}
