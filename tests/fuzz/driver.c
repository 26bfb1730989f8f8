/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * driver.c - see driver.h. An input is the device's options, then steps: a byte says which (and with
 * its upper bits how), its arguments follow.
 */
#include "tests/fuzz/driver.h"

#include "tests/fuzz/clock.h"
#include "tests/fuzz/rings.h"
#include "tests/native/guest/virtio_regs.h"
#include "tests/unit/vmm_fake_kvm.h"

#define STEPS_MAX 300

enum step { START, OFFER, NOTIFY, LOOP, HOST, POKE, WRITE, READ, TIME, RESET, STEPS };

static struct {
	struct virtio_device *dev;
	struct loop *loop;
	struct rings rings;
} bed;

static void set(unsigned reg, uint32_t value)
{
	virtio_mmio_write(bed.dev, reg, 4, value);
}

static uint32_t get(unsigned reg)
{
	return (uint32_t)virtio_mmio_read(bed.dev, reg, 4);
}

/* What an honest driver does up to DRIVER_OK, with some of the features and queues of some size. */
static void start(uint32_t refused_features, uint8_t size)
{
	set(REG_STATUS, 0);
	set(REG_STATUS, STATUS_ACKNOWLEDGE | STATUS_DRIVER);
	for (unsigned i = 0; i < 2; i++) {
		set(REG_DEVICE_FEATURES_SEL, i);
		set(REG_DRIVER_FEATURES_SEL, i);
		/* The upper half is VERSION_1, without which there is no driver. */
		set(REG_DRIVER_FEATURES,
		    get(REG_DEVICE_FEATURES) & ~(i == 0 ? refused_features : 0));
	}
	set(REG_STATUS, STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK);
	bed.rings.tampered = false;
	for (unsigned i = 0; i < bed.dev->ops->queue_count; i++) {
		uint16_t wanted = (uint16_t)(1u << size % 9), most = bed.dev->ops->queue_size;
		struct virtqueue_setup setup =
			rings_start(&bed.rings, i, wanted < most ? wanted : most);

		set(REG_QUEUE_SEL, i);
		set(REG_QUEUE_NUM, setup.size);
		set(REG_QUEUE_DESC, (uint32_t)setup.descriptors.value);
		set(REG_QUEUE_DRIVER, (uint32_t)setup.driver.value);
		set(REG_QUEUE_DEVICE, (uint32_t)setup.device.value);
		set(REG_QUEUE_READY, 1);
	}
	set(REG_STATUS, STATUS_RUNNING);
}

static unsigned queue_of(uint8_t how)
{
	return how % bed.dev->ops->queue_count;
}

/* Registers that matter lie below 0x100; from there on it is configuration space. */
static uint64_t take_register(struct input *in, uint8_t how, unsigned *out_size)
{
	static const uint8_t sizes[] = { 4, 1, 2, 8 };
	uint64_t reg = input_u8(in);

	*out_size = sizes[how % 4];
	reg = how & 4 ? reg : reg % 0x40 * 4;
	return (how & 8 ? REG_CONFIG : 0) + reg;
}

static void check_rings(void)
{
	for (unsigned i = 0; i < bed.dev->ops->queue_count; i++)
		rings_check(&bed.rings, i);
}

void driver_loop(void)
{
	fake_kvm_rounds(bed.loop, 1);
	check_rings();
}

struct loop *driver_loop_of_bed(void)
{
	return bed.loop;
}

static void take_step(const struct driver_device *device, struct input *in)
{
	uint8_t byte = input_u8(in), how = byte / STEPS;
	uint64_t reg;
	unsigned size;

	switch ((enum step)(byte % STEPS)) {
	case START:
		start(input_u32(in), how);
		break;
	case OFFER:
		rings_offer(&bed.rings, queue_of(how), in);
		break;
	case NOTIFY:
		fake_kvm_notify(DRIVER_BASE + REG_QUEUE_NOTIFY, queue_of(how));
		driver_loop();
		break;
	case LOOP:
		driver_loop();
		break;
	case HOST:
		if (device->host)
			device->host(in);
		break;
	case POKE:
		rings_poke(&bed.rings, in);
		break;
	case WRITE:
		reg = take_register(in, how, &size);
		/* What is said of rings by hand is no longer what rings_start() said. */
		bed.rings.tampered = true;
		virtio_mmio_write(bed.dev, reg, size, input_number(in, size));
		break;
	case READ:
		reg = take_register(in, how, &size);
		virtio_mmio_read(bed.dev, reg, size);
		break;
	case TIME:
		fuzz_clock_advance((uint64_t)1 << (how + 16));
		driver_loop();
		break;
	case RESET:
		set(REG_STATUS, 0);
		bed.rings.tampered = true;
		break;
	case STEPS:
		break;
	}
}

/* Whatever came before: a reset makes the device as good as new. */
static void check_alive(void)
{
	start(0, 4);
	driver_loop();
	CHECK(get(REG_STATUS) == STATUS_RUNNING);
}

void driver_run(const struct driver_device *device, struct input *in)
{
	fake_kvm_reset();
	fuzz_clock_reset();
	CHECK(loop_create(&bed.loop) == 0);
	rings_init(&bed.rings, guest_ram_reset());
	struct virtio_place place = { .memory = bed.rings.memory,
		                      .loop = bed.loop,
		                      .vm_fd = FAKE_VM_FD,
		                      .base = GPA(DRIVER_BASE),
		                      .pin = 5 };
	bed.dev = device->create(&place, in);
	for (unsigned i = 0; i < STEPS_MAX && in->size > 0; i++)
		take_step(device, in);
	check_alive();
	if (device->close)
		device->close();
	virtio_destroy(bed.dev);
	if (device->destroyed)
		device->destroyed();
	loop_destroy(bed.loop);
}
