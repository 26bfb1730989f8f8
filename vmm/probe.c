/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * probe.c - asks the host's KVM what it can do, then times it.
 *
 * Some KVMs run a guest's ring 3 natively but interpret its ring 0 (PVM does): a stock kernel then
 * crawls and dies at the first instruction the interpreter doesn't know. No capability says so,
 * but a loop in ring 0 does: it takes well under a millisecond on hardware, also nested, and a
 * thousand times as long when interpreted.
 */
#include "vmm/probe.h"

#include <errno.h>
#include <grp.h>
#include <jansson.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "vmm/kvm.h"

#define LOOP_ITERATIONS 100000u
#define INTERPRETED_NS (30 * NS_PER_MS)
#define ATTEMPTS 3
#define MISSING_MAX 16
#define PAGE 4096

/* 16-bit real mode: mov ecx, ITERATIONS; 1: dec ecx; jnz 1b; hlt */
static const uint8_t loop_code[] = {
	0x66,
	0xb9,
	LOOP_ITERATIONS & 0xff,
	LOOP_ITERATIONS >> 8 & 0xff,
	LOOP_ITERATIONS >> 16 & 0xff,
	0,
	0x66,
	0x49,
	0x75,
	0xfc,
	0xf4,
};

struct loop_vm {
	int vm_fd, vcpu_fd;
	uint8_t *page;
	struct kvm_run *run;
	size_t run_size;
};

static void loop_vm_finish(struct loop_vm *vm)
{
	if (vm->run)
		munmap(vm->run, vm->run_size);
	if (vm->page)
		munmap(vm->page, PAGE);
	close_fd(&vm->vcpu_fd);
	close_fd(&vm->vm_fd);
}

static int set_real_mode_start(int vcpu_fd)
{
	struct kvm_regs regs = { .rflags = 2 };
	struct kvm_sregs sregs;

	if (ioctl(vcpu_fd, KVM_GET_SREGS, &sregs))
		return -errno;
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	if (ioctl(vcpu_fd, KVM_SET_SREGS, &sregs) || ioctl(vcpu_fd, KVM_SET_REGS, &regs))
		return -errno;
	return 0;
}

static int loop_vm_init(struct loop_vm *vm, const struct kvm *kvm)
{
	*vm = (struct loop_vm){ .vm_fd = -1, .vcpu_fd = -1, .run_size = kvm->run_size };
	void *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		return -errno;
	vm->page = page;
	memcpy(vm->page, loop_code, sizeof(loop_code));

	struct kvm_userspace_memory_region slot = { .memory_size = PAGE,
		                                    .userspace_addr = (uintptr_t)page };
	vm->vm_fd = ioctl(kvm->fd, KVM_CREATE_VM, 0);
	if (vm->vm_fd < 0 || ioctl(vm->vm_fd, KVM_SET_USER_MEMORY_REGION, &slot))
		return -errno;
	vm->vcpu_fd = ioctl(vm->vm_fd, KVM_CREATE_VCPU, 0);
	if (vm->vcpu_fd < 0)
		return -errno;
	void *run = mmap(NULL, vm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vm->vcpu_fd, 0);
	if (run == MAP_FAILED)
		return -errno;
	vm->run = run;
	return 0;
}

/* Nanoseconds that the loop takes, or -errno. */
static int64_t time_loop(const struct kvm *kvm)
{
	struct loop_vm vm;
	int64_t result = loop_vm_init(&vm, kvm);

	if (result == 0)
		result = set_real_mode_start(vm.vcpu_fd);
	if (result == 0) {
		uint64_t start = clock_now_ns();
		int ret;

		do {
			ret = ioctl(vm.vcpu_fd, KVM_RUN, 0);
		} while (ret < 0 && errno == EINTR);
		if (ret < 0)
			result = -errno;
		else if (vm.run->exit_reason != KVM_EXIT_HLT)
			result = -EPROTO;
		else
			result = (int64_t)(clock_now_ns() - start);
	}
	loop_vm_finish(&vm);
	return result;
}

/* The best of a few: a busy host must not look like an interpreting one. */
static int64_t time_ring0(const struct kvm *kvm)
{
	int64_t best = INT64_MAX;

	for (int i = 0; i < ATTEMPTS; i++) {
		int64_t ns = time_loop(kvm);

		if (ns < 0)
			return ns;
		if (ns < best)
			best = ns;
	}
	return best;
}

static void put_group(json_t *result)
{
	struct stat st;
	const struct group *group = stat("/dev/kvm", &st) == 0 ? getgrgid(st.st_gid) : NULL;

	if (group)
		json_object_set_new(result, "group", json_string(group->gr_name));
}

static json_t *list_missing(const struct kvm *kvm)
{
	const char *names[MISSING_MAX];
	unsigned count = kvm_missing_capabilities(kvm->fd, names, MISSING_MAX);
	json_t *list = json_array();

	for (unsigned i = 0; i < count; i++)
		json_array_append_new(list, json_string(names[i]));
	return list;
}

static void finish(json_t *result, const char *state, const char *message)
{
	json_object_set_new(result, "kvm", json_string(state));
	json_object_set_new(result, "message", json_string(message));
}

/* Fills @result and says whether guests can run. */
static bool examine(json_t *result)
{
	struct error err = { 0 };
	struct kvm kvm;
	char message[256];

	put_group(result);
	int ret = kvm_open(&kvm, &err);
	if (ret) {
		finish(result,
		       ret == -ENOENT                    ? "missing"
		       : ret == -EACCES || ret == -EPERM ? "permission"
		                                         : "unusable",
		       err.msg);
		return false;
	}
	json_object_set_new(result, "api", json_integer(KVM_API_VERSION));
	json_t *missing = list_missing(&kvm);
	json_object_set_new(result, "missing_capabilities", missing);
	int64_t ns = time_ring0(&kvm);
	kvm_close(&kvm);

	if (json_array_size(missing) > 0) {
		finish(result, "unusable",
		       "this host's KVM lacks capabilities that cloche-vmm needs: use a newer "
		       "kernel");
		return false;
	}
	if (ns < 0) {
		snprintf(message, sizeof(message), "a trial guest did not run: %s",
		         strerror((int)-ns));
		finish(result, "unusable", message);
		return false;
	}
	bool interpreted = ns > (int64_t)INTERPRETED_NS;
	json_object_set_new(result, "interpreted", json_boolean(interpreted));
	json_object_set_new(result, "ring0_loop_us", json_integer(ns / 1000));
	finish(result, "ok",
	       interpreted ? "this KVM interprets guest kernel code: stock guests can't run here; "
	                     "use scripts/testbed, an emulated machine"
	                   : "guests can run on this host");
	return !interpreted;
}

int probe_host(FILE *out)
{
	json_t *result = json_object();
	bool can_run = examine(result);

	json_dumpf(result, out, JSON_COMPACT);
	fputc('\n', out);
	json_decref(result);
	return can_run ? 0 : 1;
}
