/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_state.c - what a snapshot's sections hold, restored from any bytes: virtio devices, which are then
 * woken and driven on, console, interrupt controller, screen, vCPU.
 *
 *	u8     which (enum part)
 *	then   of a virtio device: u16 size, the payload, and a driver's steps (driver.c), in which the
 *	       host may copy the device once more, shut and open it; of all others: the payload
 *
 * What is taken is saved again, and that is taken by another and saved the same: a copy can be copied.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "tests/fuzz/driver.h"
#include "tests/fuzz/guest_ram.h"
#include "tests/unit/vmm_fake_vcpu.h"
#include "vmm/agent.h"
#include "vmm/arch/arch.h"
#include "vmm/arch/x86_64/ioapic.h"
#include "vmm/control.h"
#include "vmm/screen.h"
#include "vmm/serial.h"
#include "vmm/virtio/balloon.h"
#include "vmm/virtio/net.h"
#include "vmm/virtio/state.h"
#include "vmm/virtio/vsock.h"
#include "vmm/vm.h"

#define CID 3
#define DISK_SIZE (32 << 10)
/* Refusals that a vsock device keeps at most (vsock_device.h): states with more aren't kept whole. */
#define REFUSALS_MAX 256
#define AT_REFUSALS (46 + 3 * 36 + 8)

enum part {
	PMEM,
	VSOCK,
	RNG,
	BALLOON,
	BLK,
	NET,
	SERIAL,
	IOAPIC,
	SCREEN,
	VCPU,
	FOREIGN_VCPU,
	PARTS
};
enum act { COPY, SHUT, OPEN, ACTS };

static enum part part;
static int disk = -1;
static struct virtio_device *device;
static struct virtio_place device_place;

void fuzz_init(void)
{
	disk = memfd_create("disk", MFD_CLOEXEC);
	CHECK(disk >= 0 && ftruncate(disk, DISK_SIZE) == 0);
}

/* --- virtio ---------------------------------------------------------------------------------- */

static struct virtio_device *make(void)
{
	const struct balloon_handlers nobody = { 0 };
	const struct net_config card = { .kind = NET_UNPLUGGED };
	const struct virtio_place *place = &device_place;
	struct virtio_device *dev = NULL;
	struct error err = { 0 };
	char path[32];
	int ret = -1;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", disk);
	if (part == PMEM)
		ret = virtio_pmem_create(place, GPA(ROM), ROM_SIZE, &dev, &err);
	else if (part == VSOCK)
		ret = virtio_vsock_create(place, CID, NULL, &dev, &err);
	else if (part == RNG)
		ret = virtio_rng_create(place, &dev, &err);
	else if (part == BALLOON)
		ret = virtio_balloon_create(place, &nobody, true, &dev, &err);
	else if (part == BLK)
		ret = virtio_blk_create(place, path, true, 0, &dev, &err);
	else if (part == NET)
		ret = virtio_net_create(place, &card, &dev, &err);
	CHECK(ret == 0);
	return dev;
}

static struct wire_writer save_device(struct virtio_device *dev)
{
	struct wire_writer out = WIRE_WRITER_INIT;

	virtio_device_quiesce(dev);
	virtio_device_save(dev, &out);
	virtio_device_unquiesce(dev);
	CHECK(!out.failed);
	return out;
}

static bool restore_device(struct virtio_device *dev, const uint8_t *data, size_t size)
{
	struct wire_reader in = wire_reader_over(data, size);
	struct error err = { 0 };
	int ret = virtio_device_restore(dev, &in, &err);

	CHECK(ret == err.code && (ret == 0 || ret == -EINVAL));
	return ret == 0;
}

/* The state of a device that lives is one that another takes, and it has the same then. */
static void copy_device(void)
{
	unsigned ioeventfds = fake_kvm.ioeventfds;
	struct wire_writer saved = save_device(device);

	if (part == VSOCK &&
	    saved.data[AT_REFUSALS] + saved.data[AT_REFUSALS + 1] * 256 > REFUSALS_MAX) {
		wire_writer_finish(&saved);
		return;
	}
	struct virtio_device *copy = make();
	CHECK(restore_device(copy, saved.data, saved.size));
	struct wire_writer again = save_device(copy);
	CHECK(again.size == saved.size && memcmp(again.data, saved.data, saved.size) == 0);
	wire_writer_finish(&again);
	wire_writer_finish(&saved);
	virtio_destroy(copy);
	fake_kvm.ioeventfds = ioeventfds;
}

static struct virtio_device *create(const struct virtio_place *place, struct input *in)
{
	const uint8_t *payload;
	size_t size = input_bytes(in, input_u16(in), &payload);

	device_place = *place;
	device = make();
	if (restore_device(device, payload, size)) {
		copy_device();
		virtio_device_wake(device);
		return device;
	}
	virtio_destroy(device);
	fake_kvm_reset();
	device = make();
	return device;
}

static void host(struct input *in)
{
	switch ((enum act)(input_u8(in) % ACTS)) {
	case COPY:
		copy_device();
		break;
	case SHUT:
		if (part == VSOCK)
			virtio_vsock_shut(device);
		else if (part == NET)
			virtio_net_shut(device);
		break;
	case OPEN:
		if (part == VSOCK)
			virtio_vsock_open(device);
		else if (part == NET)
			virtio_net_open(device);
		break;
	case ACTS:
		break;
	}
}

/* --- the others ------------------------------------------------------------------------------ */

void agent_request(struct agent *agent, json_t *request, const void *blob, size_t blob_size,
                   uint64_t timeout_ms, agent_done *done, void *arg)
{
	(void)agent;
	(void)request;
	(void)blob;
	(void)blob_size;
	(void)timeout_ms;
	(void)done;
	(void)arg;
	CHECK(false); /* nobody is asked for what was saved */
}

void vm_reach(struct vm *vm, enum vm_stage stage)
{
	(void)vm;
	CHECK(stage == STAGE_DISPLAY);
}

void control_notify(struct control *control)
{
	(void)control;
}

/* A whole payload of @part in @in; what is made of it goes to @out. False: it was refused. */
static bool try_serial(struct loop *loop, struct wire_reader *in, struct wire_writer *out)
{
	static struct serial serial;
	struct irq_line line;
	struct error err = { 0 };

	CHECK(irq_line_init(&line, FAKE_VM_FD, 4, &err) == 0);
	CHECK(serial_init(&serial, loop, &line, "/dev/null", &err) == 0);
	bool taken = serial_restore(&serial, in, &err) == 0;
	for (unsigned reg = 0; taken && reg < SERIAL_SIZE; reg++)
		serial_read(&serial, reg, 1);
	if (taken)
		serial_save(&serial, out);
	serial_finish(&serial);
	irq_line_finish(&line);
	return taken;
}

static bool try_ioapic(struct wire_reader *in, struct wire_writer *out)
{
	struct ioapic ioapic;
	struct error err = { 0 };

	ioapic_init(&ioapic, FAKE_VM_FD);
	bool taken = ioapic_restore(&ioapic, in, &err) == 0;
	for (unsigned i = 0; taken && i < fake_kvm.route_count; i++)
		CHECK(fake_kvm.routes[i].gsi < IOAPIC_PINS &&
		      (fake_kvm.routes[i].u.msi.data & 0xff) >= 16);
	if (taken)
		ioapic_save(&ioapic, out);
	ioapic_finish(&ioapic);
	return taken;
}

static bool try_screen(struct loop *loop, struct wire_reader *in, struct wire_writer *out)
{
	static struct vm vm;
	struct screen *screen = NULL;
	struct error err = { 0 };
	unsigned width, height;

	vm = (struct vm){ .loop = loop, .memory = *guest_ram_reset() };
	CHECK(screen_create(&vm, &screen) == 0);
	bool taken = screen_restore(screen, in, &err) == 0;
	CHECK(taken || err.code == -EINVAL);
	CHECK(!screen_size(screen, &width, &height)); /* RAM is empty: there is no header */
	if (taken)
		screen_save(screen, out);
	screen_destroy(screen);
	return taken;
}

static bool try_vcpu(struct wire_reader *in, struct wire_writer *out)
{
	static const struct kvm_cpuid_entry2 host_leaves[] = {
		{ .function = 0, .ebx = 1, .ecx = 1, .edx = 1 },
		{ .function = 7, .ebx = 0xffff, .ecx = 0xffff, .edx = 0xffff },
	};
	struct error err = { 0 };

	fake_vcpu_reset();
	fake_vcpu_fill(&fake_host.vcpus[0], 1);
	fake_host.supported.header.nent = 2;
	memcpy(fake_host.supported.entries, host_leaves, sizeof(host_leaves));
	fake_host.xsave_size = 4096;
	int ret = arch_vcpu_restore(FAKE_KVM_FD, FAKE_VCPU_FD, in, part == FOREIGN_VCPU, &err);
	CHECK(ret == err.code);
	if (ret == 0)
		CHECK(arch_vcpu_save(FAKE_KVM_FD, FAKE_VCPU_FD, out, &err) == 0);
	return ret == 0;
}

static bool try(struct loop *loop, const uint8_t *data, size_t size, struct wire_writer *out)
{
	struct wire_reader in = wire_reader_over(data, size);

	if (part == SERIAL)
		return try_serial(loop, &in, out);
	if (part == IOAPIC)
		return try_ioapic(&in, out);
	if (part == SCREEN)
		return try_screen(loop, &in, out);
	return try_vcpu(&in, out);
}

static void try_part(struct input *in)
{
	struct wire_writer saved = WIRE_WRITER_INIT, again = WIRE_WRITER_INIT;
	struct loop *loop;

	fake_kvm_reset();
	CHECK(loop_create(&loop) == 0);
	if (try(loop, in->data, in->size, &saved)) {
		CHECK(try(loop, saved.data, saved.size, &again));
		CHECK(again.size == saved.size);
		/* Reading a register may have taken an interrupt away. */
		CHECK(part == SERIAL || memcmp(again.data, saved.data, saved.size) == 0);
	}
	wire_writer_finish(&saved);
	wire_writer_finish(&again);
	loop_destroy(loop);
}

void fuzz_one(struct input *in)
{
	static const struct driver_device driven = { .create = create, .host = host };

	part = (enum part)(input_u8(in) % PARTS);
	fake_kvm_more = NULL;
	if (part <= NET)
		driver_run(&driven, in);
	else
		try_part(in);
}
