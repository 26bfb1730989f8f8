/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * devices.c - the one list of what a guest finds on its bus.
 *
 * Platform devices have an address and a pin of their own (layout.h). Virtio devices take the next
 * page and the next pin in the order of their table.
 */
#include "vmm/devices.h"

#include <errno.h>
#include <string.h>

#include "lib/log.h"
#include "lib/proto.h"
#include "vmm/agent.h"
#include "vmm/control.h"
#include "vmm/virtio/balloon.h"
#include "vmm/virtio/vsock.h"

struct platform_row {
	const char *node, *compatible;
	uint64_t base, size;
	int pin;
	uint64_t (*read)(void *, uint64_t, unsigned);
	void (*write)(void *, uint64_t, unsigned, uint64_t);
	bool is_serial;
};

static const struct platform_row platform_table[] = {
	{ "serial", "ns16550a", LAYOUT_SERIAL, SERIAL_SIZE, LAYOUT_PIN_SERIAL, serial_read,
	  serial_write, true },
	{ "vmgenid", "microsoft,vmgenid", LAYOUT_VMGENID, VMGENID_SIZE, LAYOUT_PIN_VMGENID,
	  vmgenid_read, vmgenid_write, false },
	{ "pvpanic", "qemu,pvpanic-mmio", LAYOUT_PVPANIC, PVPANIC_SIZE, -1, pvpanic_read,
	  pvpanic_write, false },
	{ "power", "syscon", LAYOUT_POWER, POWER_SIZE, -1, power_read, power_write, false },
};

static int create_pmem(struct vm *vm, const struct virtio_place *place,
                       struct virtio_device **out_dev, struct error *err)
{
	return virtio_pmem_create(place, vm->image_base, vm->image_size, out_dev, err);
}

static int create_vsock(struct vm *vm, const struct virtio_place *place,
                        struct virtio_device **out_dev, struct error *err)
{
	int ret = virtio_vsock_create(place, vm->config->cid, vm->config->vsock, out_dev, err);

	if (ret)
		return ret;
	vm->vsock = *out_dev;
	ret = virtio_vsock_serve(*out_dev, PROTO_PORT_AGENT, agent_accept, vm->agent);
	ASSERT(ret == 0); /* a fresh vsock has room for a service */
	return 0;
}

static int create_rng(struct vm *vm, const struct virtio_place *place,
                      struct virtio_device **out_dev, struct error *err)
{
	(void)vm;
	return virtio_rng_create(place, out_dev, err);
}

static void on_stats_came(void *arg)
{
	struct vm *vm = arg;

	control_notify_stats(vm->control);
}

static int create_balloon(struct vm *vm, const struct virtio_place *place,
                          struct virtio_device **out_dev, struct error *err)
{
	const struct balloon_handlers handlers = { vm, on_stats_came };
	int ret = virtio_balloon_create(place, &handlers, !vm->config->no_page_reporting, out_dev,
	                                err);

	if (ret == 0)
		vm->balloon = *out_dev;
	return ret;
}

static int create_net(struct vm *vm, const struct virtio_place *place,
                      struct virtio_device **out_dev, struct error *err)
{
	int ret = virtio_net_create(place, &vm->config->net, out_dev, err);

	if (ret == 0)
		vm->net = *out_dev;
	return ret;
}

static int create_disk(struct vm *vm, const struct virtio_place *place,
                       struct virtio_device **out_dev, struct error *err)
{
	const struct vm_disk *disk = &vm->config->disks[vm->disk_count];
	int ret =
		virtio_blk_create(place, disk->path, disk->read_only, vm->disk_count, out_dev, err);

	if (ret == 0)
		vm->disk_count++;
	return ret;
}

static bool has_more_disks(const struct vm *vm)
{
	return vm->disk_count < vm->config->disk_count;
}

static bool has_image(const struct vm *vm)
{
	return vm->image_size > 0;
}

static bool has_net(const struct vm *vm)
{
	return vm->config->net.kind != NET_NONE;
}

static bool always(const struct vm *vm)
{
	(void)vm;
	return true;
}

static const struct {
	bool (*wanted)(const struct vm *vm);
	int (*create)(struct vm *vm, const struct virtio_place *place,
	              struct virtio_device **out_dev, struct error *err);
} virtio_table[] = {
	{ has_image, create_pmem },
	{ always, create_vsock },
	{ always, create_rng },
	{ always, create_balloon }, /* it costs nothing, and every session gives memory back */
	/* One row a disk that there may be (VM_DISKS_MAX). */
	{ has_more_disks, create_disk },
	{ has_more_disks, create_disk },
	{ has_more_disks, create_disk },
	{ has_more_disks, create_disk },
	{ has_net, create_net },
};

static void on_panicked(void *arg)
{
	uint64_t pc;
	int vcpu = vcpu_current(&pc);

	vm_end(arg, VM_PANIC, vcpu, pc, "the guest kernel panicked");
}

static void on_powered_off(void *arg)
{
	uint64_t pc;
	int vcpu = vcpu_current(&pc);

	vm_end(arg, VM_SHUTDOWN, vcpu, pc, "the guest powered off");
}

static void add_node(struct vm *vm, const char *node, const char *compatible, struct gpa base,
                     uint64_t size, int pin)
{
	vm->nodes[vm->node_count++] = (struct arch_fdt_device){
		.node = node, .compatible = compatible, .base = base, .size = size, .pin = pin
	};
}

static int put_on_bus(struct vm *vm, const struct bus_region *region, struct error *err)
{
	int ret = bus_add(&vm->bus, region);

	return ret ? error_set(err, ret, "no place on the bus for %s", region->name) : 0;
}

static int create_ioapic(struct vm *vm, struct error *err)
{
	ioapic_init(&vm->ioapic, vm->kvm.vm_fd);
	return put_on_bus(vm,
	                  &(struct bus_region){ .name = "ioapic",
	                                        .base = GPA(LAYOUT_IOAPIC),
	                                        .size = IOAPIC_SIZE,
	                                        .lock = &vm->ioapic.lock,
	                                        .device = &vm->ioapic,
	                                        .read = ioapic_read,
	                                        .write = ioapic_write },
	                  err);
}

static int create_platform(struct vm *vm, struct error *err)
{
	const struct platform_handlers handlers = { vm, on_panicked, on_powered_off };

	int ret = irq_line_init(&vm->serial_irq, vm->kvm.vm_fd, LAYOUT_PIN_SERIAL, err);
	if (ret == 0)
		ret = irq_line_init(&vm->vmgenid_irq, vm->kvm.vm_fd, LAYOUT_PIN_VMGENID, err);
	if (ret == 0)
		ret = serial_init(&vm->serial, vm->loop, &vm->serial_irq, vm->config->console, err);
	if (ret == 0)
		ret = platform_init(&vm->platform, &handlers, err);
	if (ret)
		return ret;
	ioapic_wire(&vm->ioapic, &vm->serial_irq);
	ioapic_wire(&vm->ioapic, &vm->vmgenid_irq);

	for (size_t i = 0; i < sizeof(platform_table) / sizeof(platform_table[0]) && ret == 0;
	     i++) {
		const struct platform_row *row = &platform_table[i];
		struct bus_region region = {
			.name = row->node,
			.base = GPA(row->base),
			.size = row->size,
			.lock = row->is_serial ? &vm->serial.lock : &vm->platform.lock,
			.device = row->is_serial ? (void *)&vm->serial : (void *)&vm->platform,
			.read = row->read,
			.write = row->write,
		};

		ret = put_on_bus(vm, &region, err);
		add_node(vm, row->node, row->compatible, region.base, region.size, row->pin);
	}
	return ret;
}

static int create_virtio(struct vm *vm, struct error *err)
{
	int ret = 0;

	for (size_t i = 0; i < sizeof(virtio_table) / sizeof(virtio_table[0]) && ret == 0; i++) {
		unsigned n = vm->virtio_count;
		struct virtio_place place = {
			.memory = &vm->memory,
			.loop = vm->loop,
			.vm_fd = vm->kvm.vm_fd,
			.base = GPA(LAYOUT_VIRTIO + n * VIRTIO_MMIO_SIZE),
			.pin = LAYOUT_PIN_VIRTIO + n,
		};

		if (!virtio_table[i].wanted(vm))
			continue;
		ret = virtio_table[i].create(vm, &place, &vm->virtio[n], err);
		if (ret)
			break;
		struct virtio_device *dev = vm->virtio[n];
		vm->virtio_count++;
		ioapic_wire(&vm->ioapic, &dev->irq);
		add_node(vm, "virtio", "virtio,mmio", place.base, VIRTIO_MMIO_SIZE, (int)place.pin);
		ret = put_on_bus(vm,
		                 &(struct bus_region){ .name = dev->ops->name,
		                                       .base = place.base,
		                                       .size = VIRTIO_MMIO_SIZE,
		                                       .device = dev,
		                                       .read = virtio_mmio_read,
		                                       .write = virtio_mmio_write },
		                 err);
	}
	return ret;
}

int devices_create(struct vm *vm, struct error *err)
{
	int ret = create_ioapic(vm, err);

	if (ret == 0)
		ret = create_platform(vm, err);
	if (ret == 0)
		ret = create_virtio(vm, err);
	return ret;
}

void devices_destroy(struct vm *vm)
{
	while (vm->virtio_count > 0)
		virtio_destroy(vm->virtio[--vm->virtio_count]);
	serial_finish(&vm->serial);
	irq_line_finish(&vm->vmgenid_irq);
	irq_line_finish(&vm->serial_irq);
}
