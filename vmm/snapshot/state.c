/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * state.c - order matters on both sides. Saving: devices before vCPUs, as bringing a device to rest may
 * still have sent an interrupt to a LAPIC. Restoring: vCPUs, then the IOAPIC's routes, then devices, whose
 * pending interrupts take those routes; last the generation, which the guest's kernel must find changed
 * when its first interrupt of all arrives.
 */
#include "vmm/snapshot/state.h"

#include <errno.h>

#include "vmm/screen.h"
#include "vmm/virtio/state.h"

/* Of the payloads; a reader takes all up to its own. */
#define VERSION_VM 1
#define VERSION_VCPU 1
#define VERSION_IOAPIC 1
#define VERSION_SERIAL 1
#define VERSION_VIRTIO 1
#define VERSION_SCREEN 1

/* --- saving -------------------------------------------------------------------------------------- */

static void save_devices(const struct vm *vm, struct sections_writer *out)
{
	for (unsigned i = 0; i < vm->virtio_count; i++) {
		virtio_device_save(vm->virtio[i],
		                   sections_begin(out, SECTION_VIRTIO, i, VERSION_VIRTIO, true));
		sections_end(out);
	}
	serial_save(&vm->serial, sections_begin(out, SECTION_SERIAL, 0, VERSION_SERIAL, true));
	sections_end(out);
	ioapic_save(&vm->ioapic, sections_begin(out, SECTION_IOAPIC, 0, VERSION_IOAPIC, true));
	sections_end(out);
	/* A guest whose screen isn't known is only looked at later. */
	screen_save(vm->screen, sections_begin(out, SECTION_SCREEN, 0, VERSION_SCREEN, false));
	sections_end(out);
}

static int save_cpus(const struct vm *vm, struct sections_writer *out, struct error *err)
{
	int ret = 0;

	for (unsigned i = 0; i < vm->vcpus.count && ret == 0; i++) {
		ret = arch_vcpu_save(vm->kvm.fd, vm->vcpus.cpus[i].fd,
		                     sections_begin(out, SECTION_VCPU, i, VERSION_VCPU, true), err);
		sections_end(out);
	}
	if (ret)
		return ret;
	ret = arch_vm_save(vm->kvm.vm_fd, vm->vcpus.cpus[0].fd,
	                   sections_begin(out, SECTION_VM, 0, VERSION_VM, true), err);
	sections_end(out);
	return ret;
}

int state_save(const struct vm *vm, struct sections_writer *out, struct error *err)
{
	save_devices(vm, out);
	int ret = save_cpus(vm, out, err);

	if (ret)
		return ret;
	return out->out.failed ? error_set(err, -ENOMEM, "no memory for the state of the guest")
	                       : 0;
}

/* --- restoring ----------------------------------------------------------------------------------- */

struct state {
	const uint8_t *data;
	size_t size;
};

static int find(const struct state *state, enum snapshot_section type, unsigned instance,
                uint16_t version, struct wire_reader *out_reader, struct error *err)
{
	uint16_t found;

	int ret = sections_find(state->data, state->size, type, instance, version, out_reader,
	                        &found, err);
	return ret == -ENOENT ? error_set(err, -EINVAL, "its state has no %s %u",
	                                  sections_name(type), instance)
	                      : ret;
}

static int restore_cpus(struct vm *vm, const struct state *state, bool foreign, struct error *err)
{
	struct wire_reader vm_in, in;

	int ret = find(state, SECTION_VM, 0, VERSION_VM, &vm_in, err);
	for (unsigned i = 0; i < vm->vcpus.count && ret == 0; i++) {
		int fd = vm->vcpus.cpus[i].fd;

		ret = find(state, SECTION_VCPU, i, VERSION_VCPU, &in, err);
		if (ret == 0)
			ret = arch_vm_restore_rate(fd, vm_in, err);
		if (ret == 0)
			ret = arch_vcpu_restore(vm->kvm.fd, fd, &in, foreign, err);
	}
	return ret ? ret : arch_vm_restore(vm->kvm.vm_fd, vm_in, err);
}

/* The one section that may be missing: then there is no screen until the agent tells of it. */
static int restore_screen(struct vm *vm, const struct state *state, struct error *err)
{
	struct wire_reader in;
	struct error why = { 0 };
	uint16_t version;

	int ret = sections_find(state->data, state->size, SECTION_SCREEN, 0, VERSION_SCREEN, &in,
	                        &version, &why);
	if (ret == -ENOENT)
		return 0;
	return ret ? error_set(err, ret, "%s", why.msg) : screen_restore(vm->screen, &in, err);
}

static int restore_devices(struct vm *vm, const struct state *state, struct error *err)
{
	struct wire_reader in;

	int ret = find(state, SECTION_IOAPIC, 0, VERSION_IOAPIC, &in, err);
	if (ret == 0)
		ret = ioapic_restore(&vm->ioapic, &in, err);
	for (unsigned i = 0; i < vm->virtio_count && ret == 0; i++) {
		ret = find(state, SECTION_VIRTIO, i, VERSION_VIRTIO, &in, err);
		if (ret == 0)
			ret = virtio_device_restore(vm->virtio[i], &in, err);
	}
	if (ret == 0)
		ret = find(state, SECTION_SERIAL, 0, VERSION_SERIAL, &in, err);
	if (ret == 0)
		ret = serial_restore(&vm->serial, &in, err);
	return ret ? ret : restore_screen(vm, state, err);
}

/* A part that the machine hasn't belongs to another one. */
static int check_instances(const struct vm *vm, const struct state *state, struct error *err)
{
	struct section section;
	size_t offset = 0;

	while (sections_next(state->data, state->size, &offset, &section)) {
		unsigned count = 1;

		if (section.type == SECTION_VCPU)
			count = vm->vcpus.count;
		else if (section.type == SECTION_VIRTIO)
			count = vm->virtio_count;
		if (section.instance >= count && section.required)
			return error_set(err, -EINVAL, "its state has a %s %u, its machine hasn't",
			                 sections_name(section.type), section.instance);
	}
	return 0;
}

int state_restore(struct vm *vm, const uint8_t *bytes, size_t size, bool foreign, struct error *err)
{
	const struct state state = { bytes, size };

	int ret = check_instances(vm, &state, err);
	if (ret == 0)
		ret = restore_cpus(vm, &state, foreign, err);
	if (ret == 0)
		ret = restore_devices(vm, &state, err);
	if (ret)
		return ret;
	for (unsigned i = 0; i < vm->virtio_count; i++)
		virtio_device_wake(vm->virtio[i]);
	/* An edge of a line that nothing acknowledges: the driver compares the id with the one it knows. */
	irq_line_raise(&vm->vmgenid_irq);
	irq_line_clear(&vm->vmgenid_irq);
	return 0;
}
