/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_vmm_kvm.c - what is said when the host's KVM is missing, closed, old or out of something.
 *
 * Wraps open and ioctl, as no host has all of these faults; arch_vm_init() is the test's own.
 */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <linux/kvm.h>
#include <unistd.h>

#include "vmm/arch/arch.h"
#include "vmm/kvm.h"

#define MIB ((uint64_t)1 << 20)

static struct {
	int open_errno;         /* of /dev/kvm; 0: it opens */
	int api_version;        /* what it speaks */
	int run_size;           /* -1: EINVAL */
	long capability_gone;   /* -1: none */
	int create_errno;       /* of KVM_CREATE_VM, after .interruptions */
	unsigned interruptions; /* EINTRs before that */
	unsigned slots, slots_max;
	struct kvm_userspace_memory_region last_slot;
	int arch_result;
} host;

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);

/* /dev/null stands in for all that is opened and created. */
static int some_fd(void)
{
	return __real_open("/dev/null", O_RDWR | O_CLOEXEC);
}

static int fail_with(int code)
{
	errno = code;
	return -1;
}

int __wrap_open(const char *path, int flags, ...)
{
	if (strcmp(path, "/dev/kvm") != 0)
		return __real_open(path, flags, 0);
	assert_true(flags & O_CLOEXEC);
	return host.open_errno ? fail_with(host.open_errno) : some_fd();
}

static int create_vm(void)
{
	if (host.interruptions > 0) {
		host.interruptions--;
		return fail_with(EINTR);
	}
	return host.create_errno ? fail_with(host.create_errno) : some_fd();
}

static int set_slot(const struct kvm_userspace_memory_region *slot)
{
	if (host.slots == host.slots_max)
		return fail_with(ENOSPC);
	assert_int_equal(slot->slot, host.slots);
	host.last_slot = *slot;
	host.slots++;
	return 0;
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list args;

	assert_true(fd >= 0);
	va_start(args, request);
	void *arg = va_arg(args, void *);
	va_end(args);
	switch (request) {
	case KVM_GET_API_VERSION:
		return host.api_version;
	case KVM_GET_VCPU_MMAP_SIZE:
		return host.run_size < 0 ? fail_with(EINVAL) : host.run_size;
	case KVM_CHECK_EXTENSION:
		return (long)(intptr_t)arg != host.capability_gone;
	case KVM_CREATE_VM:
		return create_vm();
	case KVM_SET_USER_MEMORY_REGION:
		return set_slot(arg);
	default:
		fail_msg("an ioctl 0x%lx that nobody expects", request);
		return -1;
	}
}

int arch_vm_init(int vm_fd, struct error *err)
{
	assert_true(vm_fd >= 0);
	return host.arch_result ? error_set(err, host.arch_result, "no irqchip") : 0;
}

static int setup(void **state)
{
	(void)state;
	memset(&host, 0, sizeof(host));
	host.api_version = KVM_API_VERSION;
	host.run_size = 12288;
	host.capability_gone = -1;
	host.slots_max = 32;
	return 0;
}

static void test_opens(void **state)
{
	struct kvm kvm = KVM_INIT;
	struct error err = { 0 };

	(void)state;
	assert_int_equal(kvm_open(&kvm, &err), 0);
	assert_true(kvm.fd >= 0);
	assert_int_equal(kvm.run_size, 12288);
	assert_int_equal(kvm_create_vm(&kvm, &err), 0);
	assert_true(kvm.vm_fd >= 0);
	kvm_close(&kvm);
	assert_int_equal(kvm.fd, -1);
	assert_int_equal(kvm.vm_fd, -1);
	kvm_close(&kvm);
}

static void test_doesnt_open(void **state)
{
	static const struct {
		const char *name;
		int open_errno, api_version, run_size;
		int code;
		const char *says;
	} rows[] = {
		{ "no device", ENOENT, 12, 1, -ENOENT, "load kvm_intel or kvm_amd" },
		{ "no permission", EACCES, 12, 1, -EACCES, "usermod -aG" },
		{ "forbidden", EPERM, 12, 1, -EPERM, "usermod -aG" },
		{ "no more fds", EMFILE, 12, 1, -EMFILE, "cannot open /dev/kvm: Too many" },
		{ "an old one", 0, 11, 1, -ENOTSUP, "speaks API version 11, 12 is needed" },
		{ "none at all", 0, -1, 1, -ENOTSUP, "speaks API version -1" },
		{ "no size", 0, 12, -1, -EINVAL, "KVM_GET_VCPU_MMAP_SIZE" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct kvm kvm = KVM_INIT;
		struct error err = { 0 };

		host.open_errno = rows[i].open_errno;
		host.api_version = rows[i].api_version;
		host.run_size = rows[i].run_size;
		assert_row(rows[i].name, kvm_open(&kvm, &err) == rows[i].code);
		assert_row(rows[i].name, err.code == rows[i].code);
		assert_row(rows[i].name, strstr(err.msg, rows[i].says));
		assert_row(rows[i].name, kvm.fd == -1 && kvm.vm_fd == -1);
		kvm_close(&kvm);
	}
}

static void test_capabilities(void **state)
{
	const char *names[16];
	struct kvm kvm = KVM_INIT;
	struct error err = { 0 };

	(void)state;
	assert_int_equal(kvm_open(&kvm, &err), 0);
	assert_int_equal(kvm_missing_capabilities(kvm.fd, names, 16), 0);
	host.capability_gone = KVM_CAP_SPLIT_IRQCHIP;
	assert_int_equal(kvm_missing_capabilities(kvm.fd, names, 16), 1);
	assert_string_equal(names[0], "KVM_CAP_SPLIT_IRQCHIP");
	assert_int_equal(kvm_missing_capabilities(kvm.fd, names, 0), 0);
	assert_int_equal(kvm_create_vm(&kvm, &err), -ENOTSUP);
	assert_non_null(strstr(err.msg, "no KVM_CAP_SPLIT_IRQCHIP"));
	assert_non_null(strstr(err.msg, "doctor"));
	assert_int_equal(kvm.vm_fd, -1);
	kvm_close(&kvm);
}

static void test_vm_isnt_created(void **state)
{
	struct kvm kvm = KVM_INIT;
	struct error err = { 0 };

	(void)state;
	assert_int_equal(kvm_open(&kvm, &err), 0);
	host.interruptions = 3;
	host.create_errno = ENOMEM;
	assert_int_equal(kvm_create_vm(&kvm, &err), -ENOMEM);
	assert_int_equal(host.interruptions, 0);
	assert_non_null(strstr(err.msg, "KVM_CREATE_VM: "));
	host.interruptions = 3;
	host.create_errno = 0;
	host.arch_result = -EEXIST;
	assert_int_equal(kvm_create_vm(&kvm, &err), -EEXIST);
	assert_string_equal(err.msg, "no irqchip");
	kvm_close(&kvm); /* whatever was made of it is closed */
	assert_int_equal(kvm.vm_fd, -1);
}

static void test_memory_slots(void **state)
{
	struct guest_memory memory = { 0 };
	struct kvm kvm = KVM_INIT;
	struct error err = { 0 };
	uint8_t image;

	(void)state;
	assert_int_equal(guest_memory_init(&memory, 4 * MIB, GPA(2 * MIB), GPA(8 * MIB), &err), 0);
	assert_int_equal(guest_memory_add(&memory, GPA(64 * MIB), MIB, &image, false), 0);
	assert_int_equal(kvm_open(&kvm, &err), 0);
	assert_int_equal(kvm_create_vm(&kvm, &err), 0);
	assert_int_equal(kvm_add_memory(&kvm, &memory, 0, &err), 0);
	assert_int_equal(kvm.slots, 3);
	assert_int_equal(host.last_slot.flags, KVM_MEM_READONLY);
	assert_int_equal(host.last_slot.guest_phys_addr, 64 * MIB);
	assert_int_equal(host.last_slot.userspace_addr, (uintptr_t)&image);
	/* From the last region on, and there is no slot left: where is said. */
	host.slots_max = 3;
	assert_int_equal(kvm_add_memory(&kvm, &memory, 2, &err), -ENOSPC);
	assert_non_null(strstr(err.msg, "KVM_SET_USER_MEMORY_REGION at 0x4000000"));
	assert_int_equal(kvm.slots, 3);
	kvm_close(&kvm);
	guest_memory_finish(&memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_opens, setup),
		cmocka_unit_test_setup(test_doesnt_open, setup),
		cmocka_unit_test_setup(test_capabilities, setup),
		cmocka_unit_test_setup(test_vm_isnt_created, setup),
		cmocka_unit_test_setup(test_memory_slots, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
