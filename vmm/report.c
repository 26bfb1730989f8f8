/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/report.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/log.h"

#define CONSOLE_LINES 24
#define CONSOLE_BYTES 4096
#define PATH_BYTES 4096
#define PANIC_WORDS "Kernel panic - not syncing"

static json_t *split_lines(char *text)
{
	json_t *lines = json_array();
	char *save = NULL;

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		json_array_append_new(lines, json_string(line));
	return lines;
}

static json_t *describe(struct vm *vm, const struct vm_ending *ending, char *console)
{
	char pc[24];
	json_t *report = json_pack("{s:s,s:i,s:s,s:s}", "reason", vm_reason_name(ending->reason),
	                           "status", vm_reason_status(ending->reason), "detail",
	                           ending->detail, "name", vm->config->name);

	if (ending->pc) {
		snprintf(pc, sizeof(pc), "0x%llx", (unsigned long long)ending->pc);
		json_object_set_new(report, "rip", json_string(pc));
	}
	if (ending->vcpu >= 0)
		json_object_set_new(report, "vcpu", json_integer(ending->vcpu));
	json_object_set_new(report, "started_ns",
	                    json_integer((json_int_t)vm->stages[STAGE_STARTED]));
	json_object_set_new(report, "first_exit_ns",
	                    json_integer((json_int_t)vm->stages[STAGE_FIRST_EXIT]));
	json_object_set_new(report, "console", split_lines(console));
	return report;
}

static int write_report(const char *path, const json_t *report)
{
	char temporary[PATH_BYTES];
	int length = snprintf(temporary, sizeof(temporary), "%s.tmp", path);

	if (length < 0 || (size_t)length >= sizeof(temporary))
		return -ENAMETOOLONG;
	cleanup_fd int fd =
		open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (json_dumpfd(report, fd, JSON_INDENT(1)) || rename(temporary, path)) {
		int ret = -errno;

		unlink(temporary);
		return ret ? ret : -EIO;
	}
	return 0;
}

static void log_ending(const struct vm_ending *ending, const char *console)
{
	int status = vm_reason_status(ending->reason);

	if (status == 0 || ending->reason == VM_TTL) {
		log_info("ended: %s: %s", vm_reason_name(ending->reason), ending->detail);
		return;
	}
	log_error("the guest ended: %s: %s", vm_reason_name(ending->reason), ending->detail);
	if (ending->pc)
		log_error("RIP 0x%llx on vCPU %d", (unsigned long long)ending->pc, ending->vcpu);
	if (console[0])
		log_error("last console lines:");
	for (size_t n; *console; console += n + (console[n] == '\n')) {
		n = strcspn(console, "\n");
		log_error("| %.*s", (int)n, console);
	}
}

/*
 * What the kernel said when it panicked becomes the detail. A panic before the pvpanic driver is up
 * shows as a reset alone: its last words tell it from a reboot.
 */
static void name_panic(struct vm_ending *ending, const char *console)
{
	const char *words = strstr(console, PANIC_WORDS);

	if (!words || (ending->reason != VM_PANIC && ending->reason != VM_REBOOT))
		return;
	ending->reason = VM_PANIC;
	snprintf(ending->detail, sizeof(ending->detail), "%.*s", (int)strcspn(words, "\n"), words);
}

int report_ending(struct vm *vm)
{
	/* What the guest still prints belongs to its last words; then it stands still. */
	vm_pause(vm);
	return report_at_once(vm);
}

int report_at_once(struct vm *vm)
{
	struct vm_ending *ending = &vm->ending;
	char console[CONSOLE_BYTES];

	serial_tail(&vm->serial, CONSOLE_LINES, console, sizeof(console));
	name_panic(ending, console);
	log_ending(ending, console);
	if (vm->config->report) {
		json_t *report = describe(vm, ending, console);
		int ret = write_report(vm->config->report, report);

		if (ret)
			log_error("cannot write %s: %s", vm->config->report, strerror(-ret));
		json_decref(report);
	}
	return vm_reason_status(ending->reason);
}
