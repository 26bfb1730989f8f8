/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_vmm_cpu_state.c - a vCPU and a VM, saved and given to others: all of it, in the order that KVM
 * wants, and what is refused.
 *
 * Wraps ioctl (vmm_fake_vcpu.h): the first vCPU is the original, the second a copy.
 */
#include "tests/unit/vmm_fake_vcpu.h"

#include "lib/cleanup.h"
#include "vmm/arch/arch.h"

#define COPY_FD (FAKE_VCPU_FD + 1)

static struct fake_vcpu *const original = &fake_host.vcpus[0];
static struct fake_vcpu *const copy = &fake_host.vcpus[1];
static struct error err;

static int setup(void **state)
{
	(void)state;
	fake_kvm_reset();
	fake_vcpu_reset();
	fake_vcpu_fill(original, 1);
	fake_vcpu_fill(copy, 2);
	fake_host.xsave_size = 4096;
	err = (struct error){ 0 };
	return 0;
}

static struct wire_writer save(int vcpu_fd)
{
	struct wire_writer out = WIRE_WRITER_INIT;

	if (arch_vcpu_save(FAKE_KVM_FD, vcpu_fd, &out, &err))
		fail_msg("%s", err.msg);
	return out;
}

static int restore(const uint8_t *data, size_t size, bool foreign)
{
	struct wire_reader in = wire_reader_over(data, size);

	err = (struct error){ 0 };
	fake_host.call_count = fake_host.set_msr_count = 0;
	int ret = arch_vcpu_restore(FAKE_KVM_FD, COPY_FD, &in, foreign, &err);
	assert_int_equal(ret, err.code);
	return ret;
}

/* The same bytes are saved of both. */
static void expect_equal(const struct wire_writer *saved, int vcpu_fd)
{
	struct wire_writer again = save(vcpu_fd);

	assert_int_equal(again.size, saved->size);
	assert_memory_equal(again.data, saved->data, saved->size);
	wire_writer_finish(&again);
}

/* --- a vCPU ---------------------------------------------------------------------------------- */

static void test_round_trip(void **state)
{
	struct wire_writer saved = save(FAKE_VCPU_FD);

	(void)state;
	assert_memory_not_equal(&copy->regs, &original->regs, sizeof(copy->regs));
	assert_int_equal(restore(saved.data, saved.size, false), 0);
	expect_equal(&saved, COPY_FD);
	/* And what has no padding is the same in memory, too. */
	assert_memory_equal(&copy->regs, &original->regs, sizeof(copy->regs));
	assert_memory_equal(&copy->lapic, &original->lapic, sizeof(copy->lapic));
	assert_memory_equal(copy->xsave, original->xsave, 4096);
	assert_int_equal(copy->mp_state.mp_state, original->mp_state.mp_state);
	assert_memory_equal(copy->sregs.interrupt_bitmap, original->sregs.interrupt_bitmap,
	                    sizeof(copy->sregs.interrupt_bitmap));
	assert_int_equal(copy->events.exception_payload, original->events.exception_payload);
	wire_writer_finish(&saved);
}

/* Every value that is saved comes back: none is another's. */
static void test_every_bit(void **state)
{
	static const struct {
		const char *name;
		size_t offset, size;
	} rows[] = {
#define FIELD(member) { #member, offsetof(struct fake_vcpu, member), sizeof(original->member) }
		FIELD(mp_state.mp_state),
		FIELD(regs),
		FIELD(sregs.cs.base),
		FIELD(sregs.ss.limit),
		FIELD(sregs.tr.selector),
		FIELD(sregs.ldt.unusable),
		FIELD(sregs.gs.g),
		FIELD(sregs.gdt.base),
		FIELD(sregs.idt.limit),
		FIELD(sregs.cr0),
		FIELD(sregs.cr4),
		FIELD(sregs.efer),
		FIELD(sregs.apic_base),
		FIELD(sregs.interrupt_bitmap),
		FIELD(xcrs.xcrs[0].value),
		FIELD(xcrs.xcrs[1].xcr),
		FIELD(debugregs.db),
		FIELD(debugregs.dr6),
		FIELD(debugregs.dr7),
		FIELD(lapic),
		FIELD(events.exception.nr),
		FIELD(events.exception.error_code),
		FIELD(events.interrupt.shadow),
		FIELD(events.nmi.masked),
		FIELD(events.sipi_vector),
		FIELD(events.flags),
		FIELD(events.smi.latched_init),
		FIELD(events.exception_has_payload),
		FIELD(events.exception_payload),
		FIELD(cpuid.entries[4].edx),
#undef FIELD
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		for (size_t at = 0; at < rows[i].size; at++) {
			uint8_t *from = (uint8_t *)original + rows[i].offset + at;
			const uint8_t *to = (uint8_t *)copy + rows[i].offset + at;

			*from = (uint8_t)(*from ^ 1u << at % 8);
			struct wire_writer saved = save(FAKE_VCPU_FD);
			assert_int_equal(restore(saved.data, saved.size, false), 0);
			assert_row(rows[i].name, *to == *from);
			wire_writer_finish(&saved);
		}
}

static void test_order(void **state)
{
	static const unsigned long order[] = { KVM_SET_CPUID2,   KVM_SET_MP_STATE,
		                               KVM_SET_SREGS,    KVM_SET_LAPIC,
		                               KVM_SET_MSRS,     KVM_SET_VCPU_EVENTS,
		                               KVM_KVMCLOCK_CTRL };
	struct wire_writer saved = save(FAKE_VCPU_FD);

	(void)state;
	assert_int_equal(fake_vcpu_call(KVM_GET_MP_STATE), 0);
	assert_int_equal(fake_host.calls[fake_host.call_count - 1], KVM_GET_VCPU_EVENTS);
	assert_int_equal(restore(saved.data, saved.size, false), 0);
	for (size_t i = 1; i < ARRAY_SIZE(order); i++)
		assert_true(fake_vcpu_call(order[i - 1]) < fake_vcpu_call(order[i]));
	assert_int_equal(copy->clock_ctrls, 1);
	wire_writer_finish(&saved);
}

static void test_extended_state(void **state)
{
	static const struct {
		const char *name;
		int saved, host; /* bytes; 0: its KVM is too old to say */
		int ret;
	} rows[] = {
		{ "old", 0, 0, 0 },
		{ "the same", 4096, 4096, 0 },
		{ "the same, large", 8192, 8192, 0 },
		{ "a host that has more", 4096, 8192, 0 },
		{ "an old one, and one that has more", 0, 12288, 0 },
		{ "a host that has less", 8192, 4096, -EINVAL },
		{ "an old host", 8192, 0, -EINVAL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t size = rows[i].saved > 4096 ? (size_t)rows[i].saved : 4096;

		setup(state);
		fake_host.xsave_size = rows[i].saved;
		struct wire_writer saved = save(FAKE_VCPU_FD);
		fake_host.xsave_size = rows[i].host;
		memset(copy->xsave, 0xee, sizeof(copy->xsave));
		assert_row(rows[i].name, restore(saved.data, saved.size, false) == rows[i].ret);
		wire_writer_finish(&saved);
		if (rows[i].ret) {
			assert_row(rows[i].name, strstr(err.msg, "extended state has 8192 bytes"));
			continue;
		}
		assert_memory_equal(copy->xsave, original->xsave, size);
		for (size_t at = size; at < (size_t)rows[i].host; at++)
			assert_row(rows[i].name, copy->xsave[at] == 0);
	}
	fake_host.xsave_size = 65537;
	struct wire_writer out = WIRE_WRITER_INIT;
	assert_int_equal(arch_vcpu_save(FAKE_KVM_FD, FAKE_VCPU_FD, &out, &err), -E2BIG);
	wire_writer_finish(&out);
}

/* Where the counts are, with the five leaves of CPUID that the original has. */
#define AT_LEAVES 0
#define AT_XSAVE_SIZE (4 + 5 * 28 + 4 + 18 * 8 + 8 * 23 + 2 * 10 + 7 * 8 + 4 * 8)
#define AT_XCRS (AT_XSAVE_SIZE + 4 + 4096)

static void test_counts_that_lie(void **state)
{
	static const struct {
		const char *name;
		size_t offset;
		uint32_t before, value;
	} rows[] = {
		{ "CPUID leaves", AT_LEAVES, 5, CPUID_ENTRIES_MAX + 1 },
		{ "CPUID leaves without end", AT_LEAVES, 5, UINT32_MAX },
		{ "a small extended state", AT_XSAVE_SIZE, 4096, 4095 },
		{ "a large extended state", AT_XSAVE_SIZE, 4096, 65537 },
		{ "extended state without end", AT_XSAVE_SIZE, 4096, UINT32_MAX },
		{ "XCRs", AT_XCRS, 2, KVM_MAX_XCRS + 1 },
		{ "XCRs without end", AT_XCRS, 2, UINT32_MAX },
	};
	struct wire_writer saved = save(FAKE_VCPU_FD);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint8_t *at = saved.data + rows[i].offset;

		for (unsigned byte = 0; byte < 4; byte++) {
			assert_row(rows[i].name,
			           at[byte] == (uint8_t)(rows[i].before >> (8 * byte)));
			at[byte] = (uint8_t)(rows[i].value >> (8 * byte));
		}
		assert_row(rows[i].name, restore(saved.data, saved.size, false) == -EINVAL);
		for (unsigned byte = 0; byte < 4; byte++)
			at[byte] = (uint8_t)(rows[i].before >> (8 * byte));
	}
	assert_int_equal(restore(saved.data, saved.size, false), 0);
	wire_writer_finish(&saved);
}

static void test_cut_at_every_byte(void **state)
{
	struct wire_writer saved = save(FAKE_VCPU_FD);
	size_t whole = saved.size;

	(void)state;
	wire_put_u8(&saved, 0);
	for (size_t size = 0; size <= saved.size; size++) {
		/* Behind its own end the allocation has none: sanitizers see a byte too many. */
		cleanup_free uint8_t *cut = malloc(size ? size : 1);

		assert_non_null(cut);
		memcpy(cut, saved.data, size);
		if (restore(cut, size, false) != (size == whole ? 0 : -EINVAL))
			fail_msg("%zu bytes: %s", size, err.msg);
	}
	wire_writer_finish(&saved);
}

/* Only what may come from another host is compared with this one, and then before anything is set. */
static void test_another_host(void **state)
{
	(void)state;
	fake_host.supported = original->cpuid;
	fake_host.supported.header.nent = 2;
	original->cpuid.header.nent = 2;
	original->cpuid.entries[0].function = original->cpuid.entries[0].index = 0;
	original->cpuid.entries[1].function = 7;
	original->cpuid.entries[1].index = 0;
	memcpy(fake_host.supported.entries, original->cpuid.entries,
	       sizeof(original->cpuid.entries));
	struct wire_writer saved = save(FAKE_VCPU_FD);
	assert_int_equal(restore(saved.data, saved.size, true), 0);
	expect_equal(&saved, COPY_FD);

	fake_host.supported.entries[1].ebx = 0;
	assert_int_equal(restore(saved.data, saved.size, true), -ENOTSUP);
	assert_non_null(strstr(err.msg, "leaf 7"));
	for (unsigned i = 0; i < fake_host.call_count; i++)
		assert_int_not_equal(fake_host.calls[i], KVM_SET_MP_STATE);
	assert_int_equal(restore(saved.data, saved.size, false), 0);
	wire_writer_finish(&saved);
}

static void test_kvm_says_no(void **state)
{
	static const struct {
		unsigned long request;
		const char *name;
		bool restoring;
	} rows[] = {
#define GET(name_) { KVM_GET_##name_, "KVM_GET_" #name_, false }
#define SET(name_)                                                                                 \
	{                                                                                          \
		KVM_SET_##name_, "KVM_SET_" #name_, true                                           \
	}
		GET(MP_STATE), GET(REGS),      GET(SREGS), GET(XCRS),  GET(DEBUGREGS),
		GET(LAPIC),    GET(CPUID2),    GET(XSAVE), GET(MSRS),  GET(VCPU_EVENTS),
		SET(CPUID2),   SET(MP_STATE),  SET(REGS),  SET(SREGS), SET(XSAVE),
		SET(XCRS),     SET(DEBUGREGS), SET(LAPIC), SET(MSRS),  SET(VCPU_EVENTS),
#undef GET
#undef SET
	};
	struct wire_writer saved = save(FAKE_VCPU_FD);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct wire_writer out = WIRE_WRITER_INIT;

		err = (struct error){ 0 };
		fake_host.refused = rows[i].request;
		int ret = rows[i].restoring ? restore(saved.data, saved.size, false)
		                            : arch_vcpu_save(FAKE_KVM_FD, FAKE_VCPU_FD, &out, &err);
		assert_row(rows[i].name, ret == -EINVAL);
		assert_row(rows[i].name, strstr(err.msg, rows[i].name) == err.msg);
		wire_writer_finish(&out);
	}
	/* A guest without KVM's clock can't be told of its pause, and needn't. */
	fake_host.refused = KVM_KVMCLOCK_CTRL;
	assert_int_equal(restore(saved.data, saved.size, false), 0);
	wire_writer_finish(&saved);
}

/* --- the VM ---------------------------------------------------------------------------------- */

static struct wire_writer save_vm(void)
{
	struct wire_writer out = WIRE_WRITER_INIT;

	if (arch_vm_save(FAKE_VM_FD, FAKE_VCPU_FD, &out, &err))
		fail_msg("%s", err.msg);
	return out;
}

static void test_clock(void **state)
{
	(void)state;
	fake_host.clock = 0x1122334455667788;
	struct wire_writer saved = save_vm();
	fake_host.clock = 0;
	assert_int_equal(
		arch_vm_restore(FAKE_VM_FD, wire_reader_over(saved.data, saved.size), &err), 0);
	assert_int_equal(fake_host.clock, 0x1122334455667788);
	wire_put_u8(&saved, 0);
	for (size_t size = 0; size <= saved.size; size++)
		if (size != saved.size - 1)
			assert_int_equal(arch_vm_restore(FAKE_VM_FD,
			                                 wire_reader_over(saved.data, size), &err),
			                 -EINVAL);
	wire_writer_finish(&saved);
}

/* A guest counts on the rate that it has once measured, to KVM's own tolerance. */
static void test_rate(void **state)
{
	static const struct {
		const char *name;
		uint32_t saved, host;
		bool scales;
		uint32_t then; /* what the vCPU has afterwards; 0: refused */
	} rows[] = {
		{ "the same", 2000000, 2000000, false, 2000000 },
		{ "250 ppm more", 2000500, 2000000, false, 2000000 },
		{ "250 ppm less", 1999500, 2000000, false, 2000000 },
		{ "a little more than that", 2000501, 2000000, false, 0 },
		{ "a little less than that", 1999499, 2000000, false, 0 },
		{ "scaled", 2000501, 2000000, true, 2000501 },
		{ "scaled down", 1000000, 4000000, true, 1000000 },
		{ "another host", 3000000, 2000000, false, 0 },
		{ "none", 0, 2000000, false, 0 },
		{ "beyond measure", UINT32_MAX, 2000000, false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct wire_writer saved = WIRE_WRITER_INIT;

		err = (struct error){ 0 };
		wire_put_u32(&saved, rows[i].saved);
		copy->tsc_khz = rows[i].host;
		fake_host.no_scaling = !rows[i].scales;
		int ret = arch_vm_restore_rate(COPY_FD, wire_reader_over(saved.data, saved.size),
		                               &err);
		assert_row(rows[i].name, ret == (rows[i].then ? 0 : -ENOTSUP));
		assert_row(rows[i].name,
		           copy->tsc_khz == (rows[i].then ? rows[i].then : rows[i].host));
		for (size_t size = 0; size < saved.size; size++)
			assert_int_equal(arch_vm_restore_rate(
						 COPY_FD, wire_reader_over(saved.data, size), &err),
			                 -EINVAL);
		wire_writer_finish(&saved);
	}
}

static void test_vm_that_kvm_refuses(void **state)
{
	struct wire_writer saved = save_vm(), out = WIRE_WRITER_INIT;
	const struct wire_reader in = wire_reader_over(saved.data, saved.size);

	(void)state;
	fake_host.refused = KVM_GET_CLOCK;
	assert_int_equal(arch_vm_save(FAKE_VM_FD, FAKE_VCPU_FD, &out, &err), -EINVAL);
	fake_host.refused = KVM_SET_CLOCK;
	assert_int_equal(arch_vm_restore(FAKE_VM_FD, in, &err), -EINVAL);
	fake_host.refused = KVM_GET_TSC_KHZ;
	assert_int_equal(arch_vm_save(FAKE_VM_FD, FAKE_VCPU_FD, &out, &err), -EINVAL);
	assert_int_equal(arch_vm_restore_rate(COPY_FD, in, &err), -EINVAL);
	assert_string_equal(err.msg, "KVM_GET_TSC_KHZ: Invalid argument");
	wire_writer_finish(&saved);
	wire_writer_finish(&out);
}

int main(void)
{
#define CPU_TEST(name_) cmocka_unit_test_setup(name_, setup)
	const struct CMUnitTest tests[] = {
		CPU_TEST(test_round_trip),
		CPU_TEST(test_every_bit),
		CPU_TEST(test_order),
		CPU_TEST(test_extended_state),
		CPU_TEST(test_counts_that_lie),
		CPU_TEST(test_cut_at_every_byte),
		CPU_TEST(test_another_host),
		CPU_TEST(test_kvm_says_no),
		CPU_TEST(test_clock),
		CPU_TEST(test_rate),
		CPU_TEST(test_vm_that_kvm_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
