/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * main.c - cloche-vmm: one process, one guest. Read it as the boot sequence; vm.h has the contract.
 *
 * The only place that ends the process. Status: 0 the guest ended by itself or was asked to, 1 the
 * host failed, 2 bad input (nothing is left behind), 3 the guest crashed, 4 the TTL ran out.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "lib/log.h"
#include "vmm/options.h"
#include "vmm/probe.h"
#include "vmm/report.h"
#include "vmm/snapshot/clone.h"
#include "vmm/snapshot/examine.h"
#include "vmm/vm.h"

#define STATUS_BAD_INPUT 2

static struct vm vm;

static __attribute__((noreturn)) void die(const struct error *err)
{
	log_error("%s", err->msg);
	exit(STATUS_BAD_INPUT);
}

/* A guest may hold many vsock streams, each an fd of ours. */
static void raise_fd_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static int boot(const struct vm_config *config, struct error *err)
{
	int ret = vm_open(&vm, config, err);

	if (ret == 0)
		ret = vm_load_memory(&vm, err);
	if (ret == 0)
		ret = vm_add_devices(&vm, err);
	if (ret == 0)
		ret = vm_boot(&vm, err);
	if (ret == 0)
		ret = vm_serve(&vm, err);
	return ret;
}

static int restore(struct vm_config *config, struct error *err)
{
	int ret = vm_open_snapshot(&vm, config, err);

	if (ret == 0)
		ret = vm_open(&vm, config, err);
	if (ret == 0)
		ret = vm_restore_memory(&vm, err);
	if (ret == 0)
		ret = vm_add_devices(&vm, err);
	if (ret == 0)
		ret = vm_restore(&vm, err);
	if (ret == 0)
		ret = vm_serve(&vm, err);
	return ret;
}

/* In a process that was forked off a running VM's. */
static int become_clone(struct vm_config *config, const struct clone_plan *plan, struct error *err)
{
	int ret = clone_begin(&vm, config, plan, err);

	if (ret == 0)
		ret = vm_open(&vm, config, err);
	if (ret == 0)
		ret = vm_adopt(&vm, err);
	if (ret == 0)
		ret = vm_add_devices(&vm, err);
	if (ret == 0)
		ret = vm_restore(&vm, err);
	if (ret == 0)
		ret = vm_serve(&vm, err);
	return ret;
}

/* Runs the VM to its end, and every clone that this process becomes. The exit status. */
static int run(struct vm_config *config)
{
	const struct clone_plan *plan = NULL;
	struct error err = { 0 };

	do {
		int ret = plan ? become_clone(config, plan, &err) : 0;

		plan = NULL;
		if (ret == 0)
			ret = vm_run(&vm, &plan, &err);
		if (ret)
			vm_end(&vm, VM_HOST_ERROR, -1, 0, err.msg);
	} while (plan);
	int status = report_ending(&vm);
	vm_destroy(&vm);
	return status;
}

int main(int argc, char *argv[])
{
	struct vm_config config;
	enum options_mode mode;
	struct error err = { 0 };

	vm_reach(&vm, STAGE_STARTED);
	log_init("cloche-vmm", LOG_INFO);
	if (options_parse(argc, argv, &config, &mode, &err))
		die(&err);
	if (mode == OPTIONS_HELP) {
		options_print_help(stdout);
		return 0;
	}
	if (mode == OPTIONS_VERSION) {
		puts("cloche-vmm " CLOCHE_VERSION);
		return 0;
	}
	if (mode == OPTIONS_PROBE)
		return probe_host(stdout);
	if (mode == OPTIONS_INSPECT || mode == OPTIONS_VERIFY) {
		if (examine_snapshot(config.examine, mode == OPTIONS_VERIFY, stdout, &err))
			die(&err);
		return 0;
	}

	raise_fd_limit();
	if (config.restore ? restore(&config, &err) : boot(&config, &err)) {
		vm_destroy(&vm);
		die(&err);
	}
	return run(&config);
}
