/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vmm/kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "lib/cleanup.h"
#include "vmm/arch/arch.h"

#define KVM_DEVICE "/dev/kvm"

static const struct {
	int capability;
	const char *name;
} needed[] = {
	{ KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY" },
	{ KVM_CAP_READONLY_MEM, "KVM_CAP_READONLY_MEM" },
	{ KVM_CAP_IRQFD, "KVM_CAP_IRQFD" },
	{ KVM_CAP_IOEVENTFD, "KVM_CAP_IOEVENTFD" },
	{ KVM_CAP_IRQ_ROUTING, "KVM_CAP_IRQ_ROUTING" },
	{ KVM_CAP_SPLIT_IRQCHIP, "KVM_CAP_SPLIT_IRQCHIP" },
	{ KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT" },
	{ KVM_CAP_MP_STATE, "KVM_CAP_MP_STATE" },
};

static int explain_open(int code, struct error *err)
{
	struct stat st;

	if (code == -ENOENT)
		return error_set(err, code,
		                 KVM_DEVICE " is missing: load kvm_intel or kvm_amd, or turn on "
		                            "virtualisation in the firmware");
	if (code != -EACCES && code != -EPERM)
		return error_set(err, code, "cannot open " KVM_DEVICE ": %s", strerror(-code));

	const struct group *group = stat(KVM_DEVICE, &st) == 0 ? getgrgid(st.st_gid) : NULL;
	return error_set(err, code,
	                 "no permission for " KVM_DEVICE
	                 ": add yourself to group %s (usermod -aG %s $USER) and log in again",
	                 group ? group->gr_name : "kvm", group ? group->gr_name : "kvm");
}

int kvm_open(struct kvm *kvm, struct error *err)
{
	*kvm = (struct kvm)KVM_INIT;

	cleanup_fd int fd = open(KVM_DEVICE, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return explain_open(-errno, err);
	int version = ioctl(fd, KVM_GET_API_VERSION, 0);
	if (version != KVM_API_VERSION)
		return error_set(err, -ENOTSUP, KVM_DEVICE " speaks API version %d, %d is needed",
		                 version, KVM_API_VERSION);
	int run_size = ioctl(fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (run_size <= 0)
		return error_set(err, -errno, "KVM_GET_VCPU_MMAP_SIZE: %s", strerror(errno));
	kvm->run_size = (size_t)run_size;
	kvm->fd = steal_fd(&fd);
	return 0;
}

unsigned kvm_missing_capabilities(int kvm_fd, const char *out_names[], unsigned max)
{
	unsigned count = 0;

	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
		if (ioctl(kvm_fd, KVM_CHECK_EXTENSION, needed[i].capability) <= 0 && count < max)
			out_names[count++] = needed[i].name;
	return count;
}

int kvm_create_vm(struct kvm *kvm, struct error *err)
{
	const char *missing[1];

	if (kvm_missing_capabilities(kvm->fd, missing, 1))
		return error_set(err, -ENOTSUP,
		                 "this host's KVM has no %s: a newer kernel is needed (`cloche "
		                 "doctor` lists all)",
		                 missing[0]);
	do {
		kvm->vm_fd = ioctl(kvm->fd, KVM_CREATE_VM, 0);
	} while (kvm->vm_fd < 0 && errno == EINTR);
	if (kvm->vm_fd < 0)
		return error_set(err, -errno, "KVM_CREATE_VM: %s", strerror(errno));
	return arch_vm_init(kvm->vm_fd, err);
}

int kvm_add_memory(struct kvm *kvm, const struct guest_memory *memory, unsigned first,
                   struct error *err)
{
	for (unsigned i = first; i < memory->count; i++) {
		const struct guest_region *region = &memory->regions[i];
		struct kvm_userspace_memory_region slot = {
			.slot = kvm->slots,
			.flags = region->writable ? 0 : KVM_MEM_READONLY,
			.guest_phys_addr = region->base.value,
			.memory_size = region->size,
			.userspace_addr = (uintptr_t)region->host,
		};

		if (ioctl(kvm->vm_fd, KVM_SET_USER_MEMORY_REGION, &slot))
			return error_set(err, -errno, "KVM_SET_USER_MEMORY_REGION at 0x%llx: %s",
			                 (unsigned long long)region->base.value, strerror(errno));
		kvm->slots++;
	}
	return 0;
}

void kvm_close(struct kvm *kvm)
{
	close_fd(&kvm->vm_fd);
	close_fd(&kvm->fd);
}
