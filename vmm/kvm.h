/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kvm.h - /dev/kvm opened, checked, and a VM made. Main thread, at start.
 */
#ifndef CLOCHE_VMM_KVM_H
#define CLOCHE_VMM_KVM_H

#include <stddef.h>

#include "lib/error.h"
#include "vmm/memory.h"

struct kvm {
	int fd;          /* owned: /dev/kvm */
	int vm_fd;       /* owned */
	size_t run_size; /* bytes of a vCPU's shared struct kvm_run */
	unsigned slots;  /* memory slots in use */
};

#define KVM_INIT                                                                                   \
	{                                                                                          \
		.fd = -1, .vm_fd = -1                                                              \
	}

/*
 * Opens /dev/kvm and checks the API version (KVM api.rst 4.1). The errors say what to do: no such
 * device, no permission (and which group has it), an unusable version. 0 or -errno.
 */
int kvm_open(struct kvm *kvm, struct error *err);

/* Names every capability that the VMM needs and this host lacks; NULL-terminated, constant. */
unsigned kvm_missing_capabilities(int kvm_fd, const char *out_names[], unsigned max);

/* Creates the VM and its interrupt controllers, after kvm_open(). 0 or -errno. */
int kvm_create_vm(struct kvm *kvm, struct error *err);

/* Gives every region of @memory from index @first on to the VM as memory slots. 0 or -errno. */
int kvm_add_memory(struct kvm *kvm, const struct guest_memory *memory, unsigned first,
                   struct error *err);

/* Closes both fds; takes KVM_INIT. */
void kvm_close(struct kvm *kvm);

#endif
