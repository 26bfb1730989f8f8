/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/snapshot/pause.h"

#include "lib/log.h"
#include "vmm/virtio/state.h"
#include "vmm/vm.h"

/* The one way from a state to the next. */
static void go(struct vm *vm, enum vm_pause from, enum vm_pause to)
{
	ASSERT(vm->pause == from);
	vm->pause = to;
}

void pause_begin(struct vm *vm)
{
	go(vm, PAUSE_RUNNING, PAUSE_PAUSING);
	vcpu_group_pause(&vm->vcpus);
	for (unsigned i = 0; i < vm->virtio_count; i++)
		virtio_device_quiesce(vm->virtio[i]);
	go(vm, PAUSE_PAUSING, PAUSE_QUIESCED);
}

void pause_copy(struct vm *vm)
{
	go(vm, PAUSE_QUIESCED, PAUSE_COPYING);
}

void pause_end(struct vm *vm)
{
	ASSERT(vm->pause == PAUSE_QUIESCED || vm->pause == PAUSE_COPYING);
	vm->pause = PAUSE_RUNNING;
	for (unsigned i = vm->virtio_count; i > 0; i--)
		virtio_device_unquiesce(vm->virtio[i - 1]);
	if (!vm->paused)
		vcpu_group_resume(&vm->vcpus);
}
