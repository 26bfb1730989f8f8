/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cpu_state.c - a vCPU's and the VM's state, saved and restored (arch.h).
 *
 * Saving: MP_STATE first, as reading it may still change the LAPIC; VCPU_EVENTS last. Restoring: CPUID
 * before all that depends on it; the LAPIC after SREGS, which carry its base; MSRs after the LAPIC,
 * whose timer they arm; VCPU_EVENTS last. The order is that of Firecracker, which paid for it.
 *
 * What comes back from a file is not trusted: counts and sizes are bounded here, values are KVM's to
 * refuse.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "lib/cleanup.h"
#include "vmm/arch/arch.h"
#include "vmm/arch/x86_64/cpuid.h"
#include "vmm/arch/x86_64/msrs.h"

#define XSAVE_MIN sizeof(struct kvm_xsave)
#define XSAVE_MAX (64u << 10)
/* KVM's own tolerance for a TSC that it takes as the same. */
#define TSC_PPM_MAX 250u

static int kvm_call(int fd, unsigned long request, void *argument, const char *name,
                    struct error *err)
{
	return ioctl(fd, request, argument) < 0
	               ? error_set(err, -errno, "%s: %s", name, strerror(errno))
	               : 0;
}

#define KVM_CALL(fd, request, argument, err) kvm_call(fd, request, argument, #request, err)

/* --- fields ------------------------------------------------------------------------------------ */

#define REGISTERS(X)                                                                               \
	X(rax), X(rbx), X(rcx), X(rdx), X(rsi), X(rdi), X(rsp), X(rbp), X(r8), X(r9), X(r10),      \
		X(r11), X(r12), X(r13), X(r14), X(r15), X(rip), X(rflags)

static void put_regs(struct wire_writer *out, const struct kvm_regs *regs)
{
#define PUT(name) wire_put_u64(out, regs->name)
	REGISTERS(PUT);
#undef PUT
}

static void get_regs(struct wire_reader *in, struct kvm_regs *regs)
{
#define GET(name) regs->name = wire_get_u64(in)
	REGISTERS(GET);
#undef GET
}

static void put_segment(struct wire_writer *out, const struct kvm_segment *s)
{
	wire_put_u64(out, s->base);
	wire_put_u32(out, s->limit);
	wire_put_u16(out, s->selector);
	wire_put_u8(out, s->type);
	wire_put_u8(out, s->present);
	wire_put_u8(out, s->dpl);
	wire_put_u8(out, s->db);
	wire_put_u8(out, s->s);
	wire_put_u8(out, s->l);
	wire_put_u8(out, s->g);
	wire_put_u8(out, s->avl);
	wire_put_u8(out, s->unusable);
}

static void get_segment(struct wire_reader *in, struct kvm_segment *s)
{
	*s = (struct kvm_segment){ 0 };
	s->base = wire_get_u64(in);
	s->limit = wire_get_u32(in);
	s->selector = wire_get_u16(in);
	s->type = wire_get_u8(in);
	s->present = wire_get_u8(in);
	s->dpl = wire_get_u8(in);
	s->db = wire_get_u8(in);
	s->s = wire_get_u8(in);
	s->l = wire_get_u8(in);
	s->g = wire_get_u8(in);
	s->avl = wire_get_u8(in);
	s->unusable = wire_get_u8(in);
}

#define SEGMENTS(X) X(cs), X(ds), X(es), X(fs), X(gs), X(ss), X(tr), X(ldt)
#define CONTROL_REGISTERS(X) X(cr0), X(cr2), X(cr3), X(cr4), X(cr8), X(efer), X(apic_base)

static void put_sregs(struct wire_writer *out, const struct kvm_sregs *sregs)
{
#define PUT(name) put_segment(out, &sregs->name)
	SEGMENTS(PUT);
#undef PUT
	wire_put_u64(out, sregs->gdt.base);
	wire_put_u16(out, sregs->gdt.limit);
	wire_put_u64(out, sregs->idt.base);
	wire_put_u16(out, sregs->idt.limit);
#define PUT(name) wire_put_u64(out, sregs->name)
	CONTROL_REGISTERS(PUT);
#undef PUT
	for (size_t i = 0; i < sizeof(sregs->interrupt_bitmap) / 8; i++)
		wire_put_u64(out, sregs->interrupt_bitmap[i]);
}

static void get_sregs(struct wire_reader *in, struct kvm_sregs *sregs)
{
	*sregs = (struct kvm_sregs){ 0 };
#define GET(name) get_segment(in, &sregs->name)
	SEGMENTS(GET);
#undef GET
	sregs->gdt.base = wire_get_u64(in);
	sregs->gdt.limit = wire_get_u16(in);
	sregs->idt.base = wire_get_u64(in);
	sregs->idt.limit = wire_get_u16(in);
#define GET(name) sregs->name = wire_get_u64(in)
	CONTROL_REGISTERS(GET);
#undef GET
	for (size_t i = 0; i < sizeof(sregs->interrupt_bitmap) / 8; i++)
		sregs->interrupt_bitmap[i] = wire_get_u64(in);
}

static void put_xcrs(struct wire_writer *out, const struct kvm_xcrs *xcrs)
{
	wire_put_u32(out, xcrs->nr_xcrs);
	for (uint32_t i = 0; i < xcrs->nr_xcrs; i++) {
		wire_put_u32(out, xcrs->xcrs[i].xcr);
		wire_put_u64(out, xcrs->xcrs[i].value);
	}
}

static void get_xcrs(struct wire_reader *in, struct kvm_xcrs *xcrs)
{
	*xcrs = (struct kvm_xcrs){ .nr_xcrs = wire_get_u32(in) };
	if (xcrs->nr_xcrs > KVM_MAX_XCRS)
		in->failed = true;
	for (uint32_t i = 0; i < xcrs->nr_xcrs && !in->failed; i++) {
		xcrs->xcrs[i].xcr = wire_get_u32(in);
		xcrs->xcrs[i].value = wire_get_u64(in);
	}
}

static void put_debugregs(struct wire_writer *out, const struct kvm_debugregs *d)
{
	for (size_t i = 0; i < 4; i++)
		wire_put_u64(out, d->db[i]);
	wire_put_u64(out, d->dr6);
	wire_put_u64(out, d->dr7);
}

static void get_debugregs(struct wire_reader *in, struct kvm_debugregs *d)
{
	*d = (struct kvm_debugregs){ 0 };
	for (size_t i = 0; i < 4; i++)
		d->db[i] = wire_get_u64(in);
	d->dr6 = wire_get_u64(in);
	d->dr7 = wire_get_u64(in);
}

#define EVENT_BYTES(X)                                                                             \
	X(exception.injected), X(exception.nr), X(exception.has_error_code), X(exception.pending), \
		X(interrupt.injected), X(interrupt.nr), X(interrupt.soft), X(interrupt.shadow),    \
		X(nmi.injected), X(nmi.pending), X(nmi.masked), X(smi.smm), X(smi.pending),        \
		X(smi.smm_inside_nmi), X(smi.latched_init), X(exception_has_payload)

static void put_events(struct wire_writer *out, const struct kvm_vcpu_events *e)
{
#define PUT(name) wire_put_u8(out, e->name)
	EVENT_BYTES(PUT);
#undef PUT
	wire_put_u32(out, e->exception.error_code);
	wire_put_u32(out, e->sipi_vector);
	wire_put_u32(out, e->flags);
	wire_put_u64(out, e->exception_payload);
}

static void get_events(struct wire_reader *in, struct kvm_vcpu_events *e)
{
	*e = (struct kvm_vcpu_events){ 0 };
#define GET(name) e->name = wire_get_u8(in)
	EVENT_BYTES(GET);
#undef GET
	e->exception.error_code = wire_get_u32(in);
	e->sipi_vector = wire_get_u32(in);
	e->flags = wire_get_u32(in);
	e->exception_payload = wire_get_u64(in);
}

/* --- CPUID --------------------------------------------------------------------------------------- */

static int save_cpuid(int vcpu_fd, struct wire_writer *out, struct error *err)
{
	struct cpuid_table table = { .header.nent = CPUID_ENTRIES_MAX };
	int ret = KVM_CALL(vcpu_fd, KVM_GET_CPUID2, &table.header, err);

	if (ret)
		return ret;
	wire_put_u32(out, table.header.nent);
	for (uint32_t i = 0; i < table.header.nent; i++) {
		const struct kvm_cpuid_entry2 *e = &table.entries[i];

		wire_put_u32(out, e->function);
		wire_put_u32(out, e->index);
		wire_put_u32(out, e->flags);
		wire_put_u32(out, e->eax);
		wire_put_u32(out, e->ebx);
		wire_put_u32(out, e->ecx);
		wire_put_u32(out, e->edx);
	}
	return 0;
}

static int read_cpuid(struct wire_reader *in, struct cpuid_table *out_table, struct error *err)
{
	memset(out_table, 0, sizeof(*out_table));
	out_table->header.nent = wire_get_u32(in);
	if (in->failed || out_table->header.nent > CPUID_ENTRIES_MAX)
		return error_set(err, -EINVAL, "a vCPU's state has %u CPUID entries",
		                 out_table->header.nent);
	for (uint32_t i = 0; i < out_table->header.nent; i++) {
		struct kvm_cpuid_entry2 *e = &out_table->entries[i];

		e->function = wire_get_u32(in);
		e->index = wire_get_u32(in);
		e->flags = wire_get_u32(in);
		e->eax = wire_get_u32(in);
		e->ebx = wire_get_u32(in);
		e->ecx = wire_get_u32(in);
		e->edx = wire_get_u32(in);
	}
	return 0;
}

/* --- the extended state (SDM vol. 1, 13.4): bytes whose layout is the processor's ----------------- */

static int xsave_size(int kvm_fd, size_t *out_size, struct error *err)
{
	int size = ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_XSAVE2);

	*out_size = size > (int)XSAVE_MIN ? (size_t)size : XSAVE_MIN;
	if (*out_size > XSAVE_MAX)
		return error_set(err, -E2BIG, "this processor's extended state has %zu bytes",
		                 *out_size);
	return 0;
}

static int save_xsave(int kvm_fd, int vcpu_fd, struct wire_writer *out, struct error *err)
{
	size_t size = 0;
	int ret = xsave_size(kvm_fd, &size, err);

	if (ret)
		return ret;
	cleanup_free void *xsave = calloc(1, size);
	if (!xsave)
		return error_set(err, -ENOMEM, "no memory for a vCPU's state");
	ret = size > XSAVE_MIN ? KVM_CALL(vcpu_fd, KVM_GET_XSAVE2, xsave, err)
	                       : KVM_CALL(vcpu_fd, KVM_GET_XSAVE, xsave, err);
	if (ret == 0)
		wire_put_blob(out, xsave, size);
	return ret;
}

static int restore_xsave(int kvm_fd, int vcpu_fd, struct wire_reader *in, struct error *err)
{
	size_t room = 0, size = 0;
	int ret = xsave_size(kvm_fd, &room, err);

	if (ret)
		return ret;
	const uint8_t *saved = wire_get_blob(in, XSAVE_MAX, &size);
	if (!saved || size < XSAVE_MIN || size > room)
		return error_set(err, -EINVAL,
		                 "a vCPU's extended state has %zu bytes, this host's has %zu", size,
		                 room);
	/* KVM reads as much as this host's state has. */
	cleanup_free uint8_t *xsave = calloc(1, room);
	if (!xsave)
		return error_set(err, -ENOMEM, "no memory for a vCPU's state");
	memcpy(xsave, saved, size);
	return KVM_CALL(vcpu_fd, KVM_SET_XSAVE, xsave, err);
}

/* --- a vCPU ---------------------------------------------------------------------------------------- */

int arch_vcpu_save(int kvm_fd, int vcpu_fd, struct wire_writer *out, struct error *err)
{
	struct kvm_mp_state mp_state;
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_xcrs xcrs = { 0 };
	struct kvm_debugregs debugregs;
	struct kvm_lapic_state lapic;
	struct kvm_vcpu_events events;

	int ret = KVM_CALL(vcpu_fd, KVM_GET_MP_STATE, &mp_state, err);
	if (ret == 0)
		ret = KVM_CALL(vcpu_fd, KVM_GET_REGS, &regs, err);
	if (ret == 0)
		ret = KVM_CALL(vcpu_fd, KVM_GET_SREGS, &sregs, err);
	if (ret == 0)
		ret = KVM_CALL(vcpu_fd, KVM_GET_XCRS, &xcrs, err);
	if (ret == 0)
		ret = KVM_CALL(vcpu_fd, KVM_GET_DEBUGREGS, &debugregs, err);
	if (ret == 0)
		ret = KVM_CALL(vcpu_fd, KVM_GET_LAPIC, &lapic, err);
	if (ret == 0)
		ret = save_cpuid(vcpu_fd, out, err);
	if (ret)
		return ret;
	wire_put_u32(out, mp_state.mp_state);
	put_regs(out, &regs);
	put_sregs(out, &sregs);
	ret = save_xsave(kvm_fd, vcpu_fd, out, err);
	if (ret)
		return ret;
	put_xcrs(out, &xcrs);
	put_debugregs(out, &debugregs);
	wire_put_bytes(out, lapic.regs, sizeof(lapic.regs));
	ret = msrs_save(kvm_fd, vcpu_fd, out, err);
	if (ret == 0)
		ret = KVM_CALL(vcpu_fd, KVM_GET_VCPU_EVENTS, &events, err);
	if (ret)
		return ret;
	put_events(out, &events);
	return out->failed ? error_set(err, -ENOMEM, "no memory for a vCPU's state") : 0;
}

static int restore_control(int vcpu_fd, struct wire_reader *in, struct error *err)
{
	struct kvm_mp_state mp_state = { .mp_state = wire_get_u32(in) };
	struct kvm_regs regs;
	struct kvm_sregs sregs;

	get_regs(in, &regs);
	get_sregs(in, &sregs);
	int ret = in->failed ? error_set(err, -EINVAL, "a vCPU's state is too short")
	                     : KVM_CALL(vcpu_fd, KVM_SET_MP_STATE, &mp_state, err);
	if (ret == 0)
		ret = KVM_CALL(vcpu_fd, KVM_SET_REGS, &regs, err);
	if (ret == 0)
		ret = KVM_CALL(vcpu_fd, KVM_SET_SREGS, &sregs, err);
	return ret;
}

static int restore_rest(int vcpu_fd, struct wire_reader *in, struct error *err)
{
	struct kvm_xcrs xcrs;
	struct kvm_debugregs debugregs;
	struct kvm_lapic_state lapic;
	struct kvm_vcpu_events events;

	get_xcrs(in, &xcrs);
	get_debugregs(in, &debugregs);
	wire_get_bytes(in, lapic.regs, sizeof(lapic.regs));
	int ret = in->failed ? error_set(err, -EINVAL, "a vCPU's state is too short")
	                     : KVM_CALL(vcpu_fd, KVM_SET_XCRS, &xcrs, err);
	if (ret == 0)
		ret = KVM_CALL(vcpu_fd, KVM_SET_DEBUGREGS, &debugregs, err);
	if (ret == 0)
		ret = KVM_CALL(vcpu_fd, KVM_SET_LAPIC, &lapic, err);
	if (ret == 0)
		ret = msrs_restore(vcpu_fd, in, err);
	if (ret)
		return ret;
	get_events(in, &events);
	if (!wire_reader_ended(in))
		return error_set(err, -EINVAL, "a vCPU's state has not the length it should");
	ret = KVM_CALL(vcpu_fd, KVM_SET_VCPU_EVENTS, &events, err);
	/* Tells a guest with KVM's clock that it was paused; EINVAL: it has none (KVM api.rst 4.70). */
	if (ret == 0 && ioctl(vcpu_fd, KVM_KVMCLOCK_CTRL, 0) && errno != EINVAL)
		ret = error_set(err, -errno, "KVM_KVMCLOCK_CTRL: %s", strerror(errno));
	return ret;
}

int arch_vcpu_restore(int kvm_fd, int vcpu_fd, struct wire_reader *in, bool foreign,
                      struct error *err)
{
	struct cpuid_table table;

	int ret = read_cpuid(in, &table, err);
	if (ret == 0 && foreign)
		ret = cpuid_check(kvm_fd, vcpu_fd, &table, err);
	if (ret == 0)
		ret = KVM_CALL(vcpu_fd, KVM_SET_CPUID2, &table.header, err);
	if (ret == 0)
		ret = restore_control(vcpu_fd, in, err);
	if (ret == 0)
		ret = restore_xsave(kvm_fd, vcpu_fd, in, err);
	if (ret == 0)
		ret = restore_rest(vcpu_fd, in, err);
	return ret;
}

/* --- the VM ---------------------------------------------------------------------------------------- */

int arch_vm_save(int vm_fd, int vcpu_fd, struct wire_writer *out, struct error *err)
{
	struct kvm_clock_data clock = { 0 };
	int khz = ioctl(vcpu_fd, KVM_GET_TSC_KHZ, 0);

	if (khz < 0)
		return error_set(err, -errno, "KVM_GET_TSC_KHZ: %s", strerror(errno));
	int ret = KVM_CALL(vm_fd, KVM_GET_CLOCK, &clock, err);
	if (ret)
		return ret;
	wire_put_u32(out, (uint32_t)khz);
	wire_put_u64(out, clock.clock);
	return 0;
}

/* A guest counts time in ticks of the TSC that it has once measured. */
static int restore_tsc_rate(int vcpu_fd, uint32_t khz, struct error *err)
{
	int host = ioctl(vcpu_fd, KVM_GET_TSC_KHZ, 0);

	if (host < 0)
		return error_set(err, -errno, "KVM_GET_TSC_KHZ: %s", strerror(errno));
	uint64_t apart = khz > (uint32_t)host ? khz - (uint32_t)host : (uint32_t)host - khz;
	if (apart * 1000000 <= (uint64_t)TSC_PPM_MAX * (uint32_t)host)
		return 0;
	if (ioctl(vcpu_fd, KVM_SET_TSC_KHZ, khz) == 0)
		return 0;
	return error_set(
		err, -ENOTSUP,
		"its time stamp counter ran at %u kHz, this host's runs at %d and can't be "
		"scaled",
		khz, host);
}

int arch_vm_restore_rate(int vcpu_fd, struct wire_reader in, struct error *err)
{
	uint32_t khz = wire_get_u32(&in);

	if (in.failed)
		return error_set(err, -EINVAL, "the VM's state is too short");
	return restore_tsc_rate(vcpu_fd, khz, err);
}

int arch_vm_restore(int vm_fd, struct wire_reader in, struct error *err)
{
	wire_get_u32(&in); /* the rate */
	/* Without KVM_CLOCK_REALTIME: the guest's agent sets the time of day. */
	struct kvm_clock_data clock = { .clock = wire_get_u64(&in) };

	if (!wire_reader_ended(&in))
		return error_set(err, -EINVAL, "the VM's state has not the length it should");
	return KVM_CALL(vm_fd, KVM_SET_CLOCK, &clock, err);
}
