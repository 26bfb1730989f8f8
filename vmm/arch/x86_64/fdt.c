/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fdt.c - the machine as a device tree, which Linux reads on x86 too (arch/x86/kernel/devicetree.c).
 *
 * What the kernel takes from it: the CPUs and their APIC ids, the interrupt controllers by their
 * "intel,ce4100" names (the only ones it knows on x86), and every device with its registers and
 * pin. Memory and command line come from boot_params, so that nothing is said twice.
 */
#include <errno.h>
#include <libfdt.h>
#include <stdio.h>
#include <string.h>

#include "vmm/arch/arch.h"

#define PHANDLE_IOAPIC 1
#define PHANDLE_POWER 2
#define IOAPIC_EDGE_RISING 3 /* index into of_ioapic_type[] of devicetree.c */
#define SERIAL_CLOCK_HZ 1843200

/*
 * libfdt's sequential-write calls fail for one reason here: no space left. After the first failure
 * the rest is skipped, and fdt_finish() decides.
 */
struct tree {
	void *blob;
	int failed;
};

static void note(struct tree *t, int ret)
{
	if (ret < 0 && t->failed == 0)
		t->failed = ret;
}

static void begin(struct tree *t, const char *name)
{
	note(t, fdt_begin_node(t->blob, name));
}

static void end(struct tree *t)
{
	note(t, fdt_end_node(t->blob));
}

static void put_u32(struct tree *t, const char *name, uint32_t value)
{
	note(t, fdt_property_u32(t->blob, name, value));
}

static void put_string(struct tree *t, const char *name, const char *value)
{
	note(t, fdt_property(t->blob, name, value, (int)strlen(value) + 1));
}

static void put_flag(struct tree *t, const char *name)
{
	note(t, fdt_property(t->blob, name, NULL, 0));
}

static void put_reg(struct tree *t, uint64_t base, uint64_t size)
{
	fdt64_t reg[2] = { cpu_to_fdt64(base), cpu_to_fdt64(size) };

	note(t, fdt_property(t->blob, "reg", reg, sizeof(reg)));
}

static void put_cells(struct tree *t, unsigned address, unsigned size)
{
	put_u32(t, "#address-cells", address);
	put_u32(t, "#size-cells", size);
}

static void put_cpus(struct tree *t, unsigned cpus)
{
	begin(t, "cpus");
	put_cells(t, 1, 0);
	for (unsigned i = 0; i < cpus; i++) {
		char name[16];

		snprintf(name, sizeof(name), "cpu@%x", i);
		begin(t, name);
		put_string(t, "device_type", "cpu");
		put_string(t, "compatible", "intel,ce4100");
		put_u32(t, "reg", i);
		end(t);
	}
	end(t);
}

static void put_interrupt_controllers(struct tree *t)
{
	char name[40];

	snprintf(name, sizeof(name), "interrupt-controller@%x", LAYOUT_LAPIC);
	begin(t, name);
	put_string(t, "compatible", "intel,ce4100-lapic");
	put_reg(t, LAYOUT_LAPIC, 0x1000);
	/* No IMCR, no PIC: the LAPIC's LINT pins are wired to nothing. */
	put_flag(t, "intel,virtual-wire-mode");
	end(t);

	snprintf(name, sizeof(name), "interrupt-controller@%x", LAYOUT_IOAPIC);
	begin(t, name);
	put_string(t, "compatible", "intel,ce4100-ioapic");
	put_reg(t, LAYOUT_IOAPIC, 0x1000);
	put_flag(t, "interrupt-controller");
	put_u32(t, "#interrupt-cells", 2);
	put_u32(t, "phandle", PHANDLE_IOAPIC);
	end(t);
}

/* What a binding wants beyond compatible, reg and interrupts. */
static void put_binding(struct tree *t, const struct arch_fdt_device *device)
{
	if (strcmp(device->compatible, "ns16550a") == 0) {
		put_u32(t, "clock-frequency", SERIAL_CLOCK_HZ);
		put_u32(t, "current-speed", 115200);
	} else if (strcmp(device->compatible, "virtio,mmio") == 0) {
		put_flag(t, "dma-coherent");
	} else if (strcmp(device->compatible, "syscon") == 0) {
		put_u32(t, "phandle", PHANDLE_POWER);
		put_u32(t, "reg-io-width", 4);
	}
}

static void put_device(struct tree *t, const struct arch_fdt_device *device)
{
	char name[48];

	snprintf(name, sizeof(name), "%s@%llx", device->node,
	         (unsigned long long)device->base.value);
	begin(t, name);
	put_string(t, "compatible", device->compatible);
	put_reg(t, device->base.value, device->size);
	if (device->pin >= 0) {
		fdt32_t cells[2] = { cpu_to_fdt32((uint32_t)device->pin),
			             cpu_to_fdt32(IOAPIC_EDGE_RISING) };

		put_u32(t, "interrupt-parent", PHANDLE_IOAPIC);
		note(t, fdt_property(t->blob, "interrupts", cells, sizeof(cells)));
	}
	put_binding(t, device);
	end(t);
}

/* The power register's meaning: one value that ends the guest (syscon-poweroff binding). */
static void put_poweroff(struct tree *t)
{
	begin(t, "poweroff");
	put_string(t, "compatible", "syscon-poweroff");
	put_u32(t, "regmap", PHANDLE_POWER);
	put_u32(t, "offset", 0);
	put_u32(t, "value", ARCH_POWER_OFF);
	end(t);
}

static void put_aliases(struct tree *t, const struct arch_fdt_machine *machine)
{
	for (unsigned i = 0; i < machine->device_count; i++) {
		const struct arch_fdt_device *device = &machine->devices[i];
		char path[64];

		if (strcmp(device->compatible, "ns16550a") != 0)
			continue;
		snprintf(path, sizeof(path), "/soc/%s@%llx", device->node,
		         (unsigned long long)device->base.value);
		begin(t, "aliases");
		put_string(t, "serial0", path);
		end(t);
		return;
	}
}

int arch_fdt_build(const struct arch_fdt_machine *machine, void *buffer, size_t size,
                   struct error *err)
{
	struct tree tree = { .blob = buffer };
	struct tree *t = &tree;

	note(t, fdt_create(buffer, (int)size));
	note(t, fdt_finish_reservemap(buffer));
	begin(t, "");
	put_string(t, "compatible", "cloche,microvm");
	put_string(t, "model", "cloche");
	put_cells(t, 2, 2);
	put_u32(t, "interrupt-parent", PHANDLE_IOAPIC);
	put_aliases(t, machine);
	put_cpus(t, machine->cpus);
	begin(t, "soc");
	put_string(t, "compatible", "simple-bus");
	put_cells(t, 2, 2);
	put_flag(t, "ranges");
	put_interrupt_controllers(t);
	for (unsigned i = 0; i < machine->device_count; i++)
		put_device(t, &machine->devices[i]);
	end(t);
	put_poweroff(t);
	end(t);
	note(t, fdt_finish(buffer));
	if (t->failed)
		return error_set(err, -ENOSPC, "the device tree doesn't fit: %s",
		                 fdt_strerror(t->failed));
	return 0;
}
