/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vm_restore.c - the steps of a guest that was running before: from a file, or forked (vm.h).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "vmm/control.h"
#include "vmm/options.h"
#include "vmm/report.h"
#include "vmm/screen.h"
#include "vmm/snapshot/config.h"
#include "vmm/snapshot/copy.h"
#include "vmm/snapshot/file.h"
#include "vmm/snapshot/gate.h"
#include "vmm/snapshot/info.h"
#include "vmm/snapshot/pager.h"
#include "vmm/snapshot/state.h"
#include "vmm/vm.h"

int vm_open_snapshot(struct vm *vm, struct vm_config *config, struct error *err)
{
	struct saved_origin *machine = calloc(1, sizeof(*machine));

	vm->machine = machine;
	if (!machine)
		return error_set(err, -ENOMEM, "no memory for a snapshot");
	int ret = snapshot_file_open_head(config->restore, &vm->file, err);
	if (ret)
		return ret;
	vm->saved.state = snapshot_file_state(vm->file, &vm->saved.size);
	ret = config_restore(vm->saved.state, vm->saved.size, config, machine, err);
	vm->has_agent = machine->has_agent;
	if (ret == 0 && snapshot_file_ram_size(vm->file) != config->memory)
		ret = error_set(err, -EINVAL, "it has %llu bytes of RAM, its machine has %llu",
		                (unsigned long long)snapshot_file_ram_size(vm->file),
		                (unsigned long long)config->memory);
	if (ret)
		return error_prefix(err, ret, "%s", config->restore);
	struct stat st;
	if (ret == 0 && stat(config->restore, &st) == 0) {
		vm->origin_device = st.st_dev;
		vm->origin_inode = st.st_ino;
	}
	if (!config->image && machine->image[0])
		config->image = machine->image;
	vm->origin.kind = ORIGIN_RESTORE;
	snapshot_id_to_hex(snapshot_file_id(vm->file), vm->origin.of);
	return options_finish_net(&config->net, config->name, config->cid, err);
}

/* The root image must be the one that the guest has been running on. */
static int check_image(struct vm *vm, struct error *err)
{
	const char *path = vm->config->image;

	vm->image_identity = image_identity(vm->image_host, vm->image_size);
	if (vm->image_size == vm->machine->image_size &&
	    vm->image_identity == vm->machine->image_identity)
		return 0;
	return error_set(err, -EINVAL,
	                 "%s is another root image than the one that the snapshot was taken on "
	                 "(%s): name that one with --image",
	                 path, vm->machine->image);
}

/*
 * On a thread of the pager's. vCPUs, and maybe the I/O thread, stand before a page that will never come:
 * nobody can be waited for.
 */
static void on_load_failed(void *arg, const char *message)
{
	struct vm *vm = arg;

	vm_end(vm, VM_HOST_ERROR, -1, 0, message);
	int status = report_at_once(vm);
	if (vm->config->control)
		unlink(vm->config->control);
	if (vm->config->vsock)
		unlink(vm->config->vsock);
	if (vm->config->vnc)
		unlink(vm->config->vnc);
	_exit(status);
}

/* On a thread of the pager's. */
static void on_load_finished(void *arg)
{
	const struct vm *vm = arg;
	uint64_t one = 1;

	if (write(vm->loaded_fd, &one, sizeof(one)) < 0)
		ASSERT(errno == EAGAIN);
}

static void note_loaded(struct vm *vm)
{
	pager_finish(vm->pager);
	vm->pager = NULL;
	snapshot_file_close(vm->file);
	vm->file = NULL;
	vm->loaded = true;
	control_notify(vm->control);
	copies_go_on(vm);
}

static void on_loaded(struct loop_watch *watch, uint32_t events)
{
	(void)events;
	struct vm *vm = container_of(watch, struct vm, loaded_watch);

	loop_watch_remove(vm->loop, watch);
	note_loaded(vm);
}

static int start_pager(struct vm *vm, struct error *err)
{
	const struct pager_handlers handlers = { vm, on_load_failed, on_load_finished };

	vm->loaded_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (vm->loaded_fd < 0)
		return error_set(err, -errno, "eventfd: %s", strerror(errno));
	int ret = loop_watch_add(vm->loop, &vm->loaded_watch, vm->loaded_fd, EPOLLIN, on_loaded);
	if (ret)
		return error_set(err, ret, "cannot watch an eventfd: %s", strerror(-ret));
	return pager_start(vm->pager, &handlers, err);
}

int vm_restore_memory(struct vm *vm, struct error *err)
{
	int ret = restore_memory(&vm->memory, vm->file, &vm->config->restore_config,
	                         GPA(LAYOUT_HOLE_START), GPA(LAYOUT_HOLE_END), &vm->origin.mode,
	                         &vm->pager, err);

	if (ret == 0 && vm->config->image)
		ret = vm_map_image(vm, err);
	if (ret == 0 && vm->config->image)
		ret = check_image(vm, err);
	if (ret == 0 && vm->pager)
		ret = start_pager(vm, err);
	vm->loaded = !vm->pager;
	return ret ? ret : kvm_add_memory(&vm->kvm, &vm->memory, 0, err);
}

int vm_adopt(struct vm *vm, struct error *err)
{
	return kvm_add_memory(&vm->kvm, &vm->memory, 0, err);
}

int vm_restore(struct vm *vm, struct error *err)
{
	const struct vcpu_handlers handlers = vm_vcpu_handlers(vm);
	int ret = vcpu_group_init(&vm->vcpus, &vm->kvm, vm->config->cpus, &vm->memory, NULL,
	                          &vm->bus, &handlers, err);
	unsigned width, height;

	if (ret)
		return ret;
	gate_shut(vm);
	bool foreign = vm->origin.kind == ORIGIN_RESTORE &&
	               !info_is_of_this_boot(vm->saved.state, vm->saved.size);
	ret = state_restore(vm, vm->saved.state, vm->saved.size, foreign, err);
	if (ret)
		return vm->config->restore ? error_prefix(err, ret, "%s", vm->config->restore)
		                           : ret;
	if (screen_size(vm->screen, &width, &height))
		vm_reach(vm, STAGE_DISPLAY);
	vm->saved = (struct vm_saved){ 0 };
	if (!vm->pager) {
		snapshot_file_close(vm->file);
		vm->file = NULL;
	}
	return 0;
}
