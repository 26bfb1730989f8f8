/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_vmm_state.c - a whole VM but for its RAM: brought to rest, saved as sections, and given to another.
 *
 * golden/state-v1.bin is a state whose sections are all of version 1: it can be restored for all time.
 * With CLOCHE_WRITE_GOLDEN in the environment it is written anew, which only a change that no snapshot of
 * anybody's has met gives a reason for. Run from the top of the tree.
 *
 * Real devices, with a real disk's thread, over guest memory; vCPUs and KVM are vmm_fake_vcpu.h's.
 */
#include "tests/unit/vmm_fake_vcpu.h"

#include <fcntl.h>
#include <linux/virtio_net.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "tests/native/guest/virtio_regs.h"
#include "tests/unit/vmm_ring.h"
#include "tests/unit/xwd_fixture.h"
#include "vmm/agent.h"
#include "vmm/control.h"
#include "vmm/screen.h"
#include "vmm/snapshot/config.h"
#include "vmm/snapshot/pause.h"
#include "vmm/snapshot/state.h"
#include "vmm/virtio/balloon.h"
#include "vmm/virtio/state.h"
#include "vmm/virtio/vsock_device.h"

#define GOLDEN "tests/unit/golden/state-v1.bin"
#define RAM (8u << 20)
#define CPUS 2
#define CID 42
#define DISK_SIZE (64u << 10)
#define RING_SIZE 16
#define AVAIL 7
#define SCREEN_PAGE 1024u
#define SCREEN_PAGES 5u
#define PIN_DEVICES 5u
#define EVENT_IDX (1u << 29)
#define PATIENCE_S 20 /* a test that waits longer fails */

enum device { PMEM, VSOCK, RNG, BALLOON, BLK, NET, DEVICES };

static struct {
	unsigned pauses, resumes, requests;
} machine;

/* --- the machine ----------------------------------------------------------------------------- */

void vcpu_group_pause(struct vcpu_group *group)
{
	(void)group;
	machine.pauses++;
}

void vcpu_group_resume(struct vcpu_group *group)
{
	(void)group;
	machine.resumes++;
}

void agent_request(struct agent *agent, json_t *request, const void *blob, size_t blob_size,
                   uint64_t timeout_ms, agent_done *done, void *arg)
{
	const uint64_t pages[SCREEN_PAGES] = { SCREEN_PAGE, SCREEN_PAGE + 1, SCREEN_PAGE + 2,
		                               SCREEN_PAGE + 3, SCREEN_PAGE + 4 };
	json_t *reply = json_pack("{s:b,s:i,s:i}", "ok", 1, "width", 64, "height", 64);

	(void)agent;
	(void)request;
	(void)blob;
	(void)blob_size;
	(void)timeout_ms;
	machine.requests++;
	done(arg, reply, pages, sizeof(pages));
	json_decref(reply);
}

void vm_reach(struct vm *vm, enum vm_stage stage)
{
	atomic_store(&vm->stages[stage], 1);
}

void control_notify(struct control *control)
{
	(void)control;
}

/* --- the bed --------------------------------------------------------------------------------- */

static const struct vm_config config = {
	.name = "golden",
	.image = "/images/root.erofs",
	.memory = RAM,
	.cpus = CPUS,
	.width = 640,
	.height = 480,
	.cid = CID,
	.guest_root = true,
	.disks = { { "/disks/data", true } },
	.disk_count = 1,
	.net = { .kind = NET_STREAM, .mac = { 2, 1, 2, 3, 4, 5 }, .rate_bytes = 1 << 20 },
};

struct bed {
	struct vm vm;
	int disk;
	char console[64];
	struct error err;
};

/* What a ring's index says that the driver has offered; and nothing is new there. */
static void fill_rings(struct bed *bed)
{
	for (unsigned i = 0; i < DEVICES * VIRTIO_QUEUES_MAX; i++) {
		struct ring ring;

		ring_init(&ring, &bed->vm.memory, 0x10000u * (i + 1), RING_SIZE);
		*ring.avail_idx = AVAIL;
	}
}

static void draw_screen(struct bed *bed)
{
	uint8_t *at = bed->vm.memory.ram + SCREEN_PAGE * GUEST_PAGE_SIZE;

	memset(at, 0x20, SCREEN_PAGES * GUEST_PAGE_SIZE);
	xwd_fill_header(at, 64, 64);
	xwd_put_field(at, F_NCOLORS, 0);
}

static struct virtio_place place_of(struct bed *bed, enum device device)
{
	return (struct virtio_place){ .memory = &bed->vm.memory,
		                      .loop = bed->vm.loop,
		                      .vm_fd = FAKE_VM_FD,
		                      .base = GPA(0xd0000000u + device * VIRTIO_MMIO_SIZE),
		                      .pin = PIN_DEVICES + device };
}

static int create_device(struct bed *bed, enum device device)
{
	const struct virtio_place place = place_of(bed, device);
	struct virtio_device **dev = &bed->vm.virtio[device];
	const struct balloon_handlers nobody = { 0 };
	const struct net_config net = { .kind = NET_UNPLUGGED };
	char path[32];

	switch (device) {
	case PMEM:
		return virtio_pmem_create(&place, GPA(1ull << 32), 2u << 20, dev, &bed->err);
	case VSOCK:
		return virtio_vsock_create(&place, CID, NULL, dev, &bed->err);
	case RNG:
		return virtio_rng_create(&place, dev, &bed->err);
	case BALLOON:
		return virtio_balloon_create(&place, &nobody, true, dev, &bed->err);
	case BLK:
		snprintf(path, sizeof(path), "/proc/self/fd/%d", bed->disk);
		return virtio_blk_create(&place, path, true, 0, dev, &bed->err);
	case NET:
		return virtio_net_create(&place, &net, dev, &bed->err);
	case DEVICES:
		break;
	}
	return -1;
}

/* All devices as new, vCPUs without a state. */
static void create_machine(struct bed *bed)
{
	struct vm *vm = &bed->vm;

	fake_kvm_reset();
	fake_vcpu_reset();
	for (unsigned i = 0; i < CPUS; i++) {
		fake_vcpu_fill(&fake_host.vcpus[i], 100 + i);
		vm->vcpus.cpus[i].fd = FAKE_VCPU_FD + (int)i;
	}
	vm->config = &config;
	vm->kvm.fd = FAKE_KVM_FD;
	vm->kvm.vm_fd = FAKE_VM_FD;
	vm->vcpus.count = CPUS;
	ioapic_init(&vm->ioapic, FAKE_VM_FD);
	assert_int_equal(irq_line_init(&vm->serial_irq, FAKE_VM_FD, 4, &bed->err), 0);
	assert_int_equal(irq_line_init(&vm->vmgenid_irq, FAKE_VM_FD, 23, &bed->err), 0);
	assert_int_equal(
		serial_init(&vm->serial, vm->loop, &vm->serial_irq, bed->console, &bed->err), 0);
	assert_int_equal(screen_create(vm, &vm->screen), 0);
	for (enum device device = PMEM; device < DEVICES; device++) {
		if (create_device(bed, device))
			fail_msg("%s", bed->err.msg);
		ioapic_wire(&vm->ioapic, &vm->virtio[device]->irq);
	}
	ioapic_wire(&vm->ioapic, &vm->serial_irq);
	ioapic_wire(&vm->ioapic, &vm->vmgenid_irq);
	vm->virtio_count = DEVICES;
	fill_rings(bed);
	draw_screen(bed);
}

static void destroy_machine(struct bed *bed)
{
	struct vm *vm = &bed->vm;

	while (vm->virtio_count > 0)
		virtio_destroy(vm->virtio[--vm->virtio_count]);
	screen_destroy(vm->screen);
	serial_finish(&vm->serial);
	unlink(bed->console);
	irq_line_finish(&vm->vmgenid_irq);
	irq_line_finish(&vm->serial_irq);
	ioapic_finish(&vm->ioapic);
	memset(vm->stages, 0, sizeof(vm->stages));
}

static int setup(void **state)
{
	struct bed *bed = calloc(1, sizeof(*bed));

	memset(&machine, 0, sizeof(machine));
	if (!bed)
		return -1;
	snprintf(bed->console, sizeof(bed->console), "/tmp/cloche-unit-state-%d", getpid());
	unlink(bed->console);
	bed->disk = memfd_create("disk", MFD_CLOEXEC);
	if (bed->disk < 0 || ftruncate(bed->disk, DISK_SIZE) || loop_create(&bed->vm.loop) ||
	    guest_memory_init(&bed->vm.memory, RAM, GPA(3ull << 30), GPA(4ull << 30), &bed->err))
		return -1;
	create_machine(bed);
	*state = bed;
	return 0;
}

static int teardown(void **state)
{
	struct bed *bed = *state;

	destroy_machine(bed);
	guest_memory_finish(&bed->vm.memory);
	loop_destroy(bed->vm.loop);
	close_fd(&bed->disk);
	free(bed);
	return 0;
}

/* --- the original ---------------------------------------------------------------------------- */

static void set(struct virtio_device *dev, unsigned reg, uint32_t value)
{
	virtio_mmio_write(dev, reg, 4, value);
}

static uint32_t get(struct virtio_device *dev, unsigned reg)
{
	return (uint32_t)virtio_mmio_read(dev, reg, 4);
}

/* A driver that has worked for a while. */
static void start_driver(struct bed *bed, enum device device, uint32_t features)
{
	struct virtio_device *dev = bed->vm.virtio[device];

	set(dev, REG_STATUS, STATUS_ACKNOWLEDGE | STATUS_DRIVER);
	set(dev, REG_DRIVER_FEATURES, features);
	set(dev, REG_DRIVER_FEATURES_SEL, 1);
	set(dev, REG_DRIVER_FEATURES, 1);
	set(dev, REG_STATUS, STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK);
	for (unsigned i = 0; i < dev->ops->queue_count; i++) {
		uint32_t at = 0x10000u * (device * VIRTIO_QUEUES_MAX + i + 1);

		set(dev, REG_QUEUE_SEL, i);
		set(dev, REG_QUEUE_NUM, RING_SIZE);
		set(dev, REG_QUEUE_DESC, at);
		set(dev, REG_QUEUE_DRIVER, at + RING_SIZE * 16);
		set(dev, REG_QUEUE_DEVICE, at + RING_SIZE * 18 + 8);
		set(dev, REG_QUEUE_READY, 1);
		dev->queues[i].next_avail = AVAIL;
		dev->queues[i].next_used = AVAIL;
		dev->queues[i].signalled = AVAIL - 1;
	}
	set(dev, REG_STATUS, STATUS_RUNNING);
	assert_int_equal(get(dev, REG_STATUS), STATUS_RUNNING);
}

static void set_pin(struct vm *vm, unsigned pin, uint32_t low, uint32_t high)
{
	ioapic_write(&vm->ioapic, IOAPIC_REG_SELECT, 4, IOAPIC_IND_REDIRECTION + 2 * pin + 1);
	ioapic_write(&vm->ioapic, IOAPIC_REG_WINDOW, 4, high);
	ioapic_write(&vm->ioapic, IOAPIC_REG_SELECT, 4, IOAPIC_IND_REDIRECTION + 2 * pin);
	ioapic_write(&vm->ioapic, IOAPIC_REG_WINDOW, 4, low);
}

/* The guest of the golden file, whose values the tests below know. */
static void start_guest(struct bed *bed)
{
	static const uint32_t features[] = {
		[PMEM] = 0,        [VSOCK] = 0,
		[RNG] = EVENT_IDX, [BALLOON] = 1u << 1 | 1u << 5,
		[BLK] = 1u << 9,   [NET] = 1u << VIRTIO_NET_F_MRG_RXBUF
	};
	struct vm *vm = &bed->vm;

	for (unsigned i = 0; i < CPUS; i++) {
		struct fake_vcpu *vcpu = &fake_host.vcpus[i];

		fake_vcpu_fill(vcpu, i);
		vcpu->regs.rip = 0xffffffff81000000 + i;
		vcpu->mp_state.mp_state = i;
		vcpu->msrs[0].value = 0x123456789a + i;
	}
	fake_host.clock = 987654321;
	for (enum device device = PMEM; device < DEVICES; device++) {
		start_driver(bed, device, features[device]);
		set_pin(vm, PIN_DEVICES + device, 0x30 + device, device << 24);
	}
	set_pin(vm, 4, 0x10024, 0);
	vsock_refuse(container_of(vm->virtio[VSOCK], struct vsock, dev), 80, 5000);
	assert_int_equal(virtio_balloon_set_target(vm->virtio[BALLOON], 2 << 20), 0);
	serial_write(&vm->serial, 1, 1, 2);
	serial_write(&vm->serial, 7, 1, 0x5a);
	screen_attach(vm->screen);
	/* The link, which goes down at once, and what the spurious first looks bring. */
	fake_kvm_rounds(vm->loop, 4);
	/* Whether a disk's own thread has looked already. */
	for (enum device device = PMEM; device < DEVICES; device++)
		atomic_store(&vm->virtio[device]->interrupt_status, device % 3);
}

static struct sections_writer save(struct bed *bed)
{
	struct sections_writer out = SECTIONS_WRITER_INIT;

	bed->vm.image_size = 2u << 20;
	bed->vm.image_identity = 0x1122334455667788;
	bed->vm.has_agent = true;
	pause_begin(&bed->vm);
	config_save(&bed->vm, &out);
	if (state_save(&bed->vm, &out, &bed->err))
		fail_msg("%s", bed->err.msg);
	pause_end(&bed->vm);
	assert_int_equal(sections_check(out.out.data, out.out.size, &bed->err), 0);
	return out;
}

static int restore(struct bed *bed, const uint8_t *data, size_t size, bool foreign)
{
	bed->err = (struct error){ 0 };
	destroy_machine(bed);
	create_machine(bed);
	int ret = state_restore(&bed->vm, data, size, foreign, &bed->err);
	assert_int_equal(ret, bed->err.code);
	return ret;
}

/* --- whole states ---------------------------------------------------------------------------- */

static void expect_same(struct bed *bed, const uint8_t *data, size_t size)
{
	struct sections_writer again = save(bed);

	assert_int_equal(again.out.size, size);
	assert_memory_equal(again.out.data, data, size);
	sections_writer_finish(&again);
}

static void test_round_trip(void **state)
{
	struct bed *bed = *state;

	start_guest(bed);
	struct sections_writer saved = save(bed);
	if (restore(bed, saved.out.data, saved.out.size, false))
		fail_msg("%s", bed->err.msg);
	expect_same(bed, saved.out.data, saved.out.size);
	sections_writer_finish(&saved);
}

static uint8_t *read_golden(size_t *out_size)
{
	cleanup_fd int fd = open(GOLDEN, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		fail_msg("cannot open " GOLDEN ": run from the top of the tree");
	assert_int_equal(fstat(fd, &st), 0);
	*out_size = (size_t)st.st_size;
	uint8_t *data = malloc(*out_size);
	assert_non_null(data);
	assert_int_equal(read(fd, data, *out_size), *out_size);
	return data;
}

static void write_golden(const struct sections_writer *saved)
{
	cleanup_fd int fd = open(GOLDEN, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, saved->out.data, saved->out.size), saved->out.size);
}

/* What is saved today is what was saved then. */
static void test_golden_is_written(void **state)
{
	struct bed *bed = *state;
	size_t size;

	start_guest(bed);
	struct sections_writer saved = save(bed);
	if (getenv("CLOCHE_WRITE_GOLDEN"))
		write_golden(&saved);
	uint8_t *golden = read_golden(&size);
	assert_int_equal(saved.out.size, size);
	assert_memory_equal(saved.out.data, golden, size);
	free(golden);
	sections_writer_finish(&saved);
}

static void expect_golden_cpus(void)
{
	for (unsigned i = 0; i < CPUS; i++) {
		const struct fake_vcpu *vcpu = &fake_host.vcpus[i];

		assert_int_equal(vcpu->regs.rip, 0xffffffff81000000 + i);
		assert_int_equal(vcpu->mp_state.mp_state, i);
		assert_int_equal(fake_vcpu_msr(vcpu, 0x10), 0x123456789a + i);
		assert_int_equal(vcpu->tsc_khz, 2000000);
		assert_int_equal(vcpu->cpuid.header.nent, 5);
	}
	assert_int_equal(fake_host.clock, 987654321);
}

static void expect_golden_devices(struct bed *bed)
{
	struct vm *vm = &bed->vm;
	struct balloon_state balloon;
	unsigned width, height;

	for (enum device device = PMEM; device < DEVICES; device++) {
		struct virtio_device *dev = vm->virtio[device];

		assert_int_equal(get(dev, REG_STATUS), STATUS_RUNNING);
		assert_int_equal(get(dev, REG_INTERRUPT_STATUS), device % 3);
		for (unsigned i = 0; i < dev->ops->queue_count; i++) {
			struct virtqueue_state queue;

			virtqueue_save(&dev->queues[i], &queue);
			assert_true(queue.active && !queue.broken);
			assert_int_equal(queue.event_idx, device == RNG);
			assert_int_equal(queue.setup.size, RING_SIZE);
			assert_int_equal(queue.setup.descriptors.value,
			                 0x10000u * (device * VIRTIO_QUEUES_MAX + i + 1));
			assert_int_equal(queue.next_avail, AVAIL);
			assert_int_equal(queue.next_used, AVAIL);
		}
		/* A pending interrupt is sent again. */
		assert_int_equal(fake_kvm_edges(&dev->irq), device % 3 > 0);
	}
	virtio_balloon_read(vm->virtio[BALLOON], &balloon);
	assert_int_equal(balloon.target, 2 << 20);
	assert_int_equal(virtio_mmio_read(vm->virtio[NET], REG_CONFIG + 6, 2), 0);
	assert_int_equal(container_of(vm->virtio[VSOCK], struct vsock, dev)->reset_count, 1);
	assert_int_equal(serial_read(&vm->serial, 1, 1), 2);
	assert_int_equal(serial_read(&vm->serial, 7, 1), 0x5a);
	assert_int_equal(fake_kvm_edges(&vm->serial_irq), 1);
	assert_true(screen_size(vm->screen, &width, &height));
	assert_int_equal(width, 64);
	assert_true(atomic_load(&vm->stages[STAGE_DISPLAY]) > 0);
	assert_int_equal(fake_kvm.route_count, DEVICES);
	for (unsigned i = 0; i < DEVICES; i++) {
		assert_int_equal(fake_kvm.routes[i].gsi, PIN_DEVICES + i);
		assert_int_equal(fake_kvm.routes[i].u.msi.data, 0x30 + i);
	}
}

/* For all time. */
static void test_golden_is_read(void **state)
{
	struct bed *bed = *state;
	struct saved_origin *origin = calloc(1, sizeof(*origin));
	struct vm_config copy = { 0 };
	size_t size;
	uint8_t *golden = read_golden(&size);

	assert_non_null(origin);
	assert_int_equal(sections_check(golden, size, &bed->err), 0);
	assert_int_equal(config_restore(golden, size, &copy, origin, &bed->err), 0);
	assert_string_equal(origin->name, "golden");
	assert_string_equal(origin->image, "/images/root.erofs");
	assert_int_equal(origin->image_size, 2u << 20);
	assert_int_equal(origin->image_identity, 0x1122334455667788);
	assert_true(origin->has_agent);
	assert_int_equal(copy.memory, RAM);
	assert_int_equal(copy.cpus, CPUS);
	assert_int_equal(copy.width, 640);
	assert_int_equal(copy.cid, CID);
	assert_true(copy.guest_root && !copy.no_page_reporting && !copy.ring3);
	assert_string_equal(copy.disks[0].path, "/disks/data");
	assert_int_equal(copy.net.rate_bytes, 1 << 20);
	if (restore(bed, golden, size, false))
		fail_msg("%s", bed->err.msg);
	expect_golden_cpus();
	expect_golden_devices(bed);
	/* The driver of VMGenID hears that the id isn't the one it knows. */
	assert_int_equal(fake_kvm_edges(&bed->vm.vmgenid_irq), 1);
	assert_false(atomic_load(&bed->vm.vmgenid_irq.asserted));
	assert_int_equal(machine.requests, 0);
	free(golden);
	free(origin);
}

/* --- states that lack something -------------------------------------------------------------- */

/* @state without the section of that type and instance, or with another version of it. */
static struct sections_writer change(const struct sections_writer *state, uint32_t type,
                                     uint32_t instance, uint16_t version)
{
	struct sections_writer out = SECTIONS_WRITER_INIT;
	struct section s;
	size_t offset = 0;

	while (sections_next(state->out.data, state->out.size, &offset, &s)) {
		bool is_it = s.type == type && s.instance == instance;

		if (is_it && version == 0)
			continue;
		wire_put_bytes(sections_begin(&out, (enum snapshot_section)s.type, s.instance,
		                              is_it ? version : s.version, s.required),
		               s.payload, s.size);
		sections_end(&out);
	}
	return out;
}

static void test_sections_that_are_missing(void **state)
{
	static const struct {
		const char *name;
		enum snapshot_section type;
		uint32_t instance;
		bool may_be_missing;
	} rows[] = {
		{ "vcpu 0", SECTION_VCPU, 0, false },     { "vcpu 1", SECTION_VCPU, 1, false },
		{ "vm 0", SECTION_VM, 0, false },         { "ioapic 0", SECTION_IOAPIC, 0, false },
		{ "virtio 0", SECTION_VIRTIO, 0, false }, { "virtio 5", SECTION_VIRTIO, 5, false },
		{ "serial 0", SECTION_SERIAL, 0, false }, { "screen 0", SECTION_SCREEN, 0, true },
	};
	struct bed *bed = *state;
	unsigned width, height;

	start_guest(bed);
	struct sections_writer saved = save(bed);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct sections_writer lacks = change(&saved, rows[i].type, rows[i].instance, 0);
		struct sections_writer newer = change(&saved, rows[i].type, rows[i].instance, 2);

		assert_row(rows[i].name, restore(bed, lacks.out.data, lacks.out.size, false) ==
		                                 (rows[i].may_be_missing ? 0 : -EINVAL));
		assert_row(rows[i].name, rows[i].may_be_missing
		                                 ? !screen_size(bed->vm.screen, &width, &height)
		                                 : strstr(bed->err.msg, rows[i].name) != NULL);
		assert_row(rows[i].name,
		           restore(bed, newer.out.data, newer.out.size, false) == -ENOTSUP);
		assert_row(rows[i].name, strstr(bed->err.msg, rows[i].name));
		sections_writer_finish(&lacks);
		sections_writer_finish(&newer);
	}
	sections_writer_finish(&saved);
}

/* Each payload shorter by a byte: whoever reads it says so. */
static void test_sections_that_are_short(void **state)
{
	struct bed *bed = *state;
	struct section cut;
	size_t offset = 0;

	start_guest(bed);
	struct sections_writer saved = save(bed);
	while (sections_next(saved.out.data, saved.out.size, &offset, &cut)) {
		struct sections_writer out = SECTIONS_WRITER_INIT;
		struct section s;
		size_t at = 0;

		if (cut.type == SECTION_CONFIG)
			continue;
		while (sections_next(saved.out.data, saved.out.size, &at, &s)) {
			size_t size = s.payload == cut.payload ? s.size - 1 : s.size;

			wire_put_bytes(sections_begin(&out, (enum snapshot_section)s.type,
			                              s.instance, s.version, s.required),
			               s.payload, size);
			sections_end(&out);
		}
		assert_row(sections_name(cut.type),
		           restore(bed, out.out.data, out.out.size, false) == -EINVAL);
		sections_writer_finish(&out);
	}
	sections_writer_finish(&saved);
}

/* A file's guest is compared with this host, a fork's isn't. */
static void test_foreign_guest(void **state)
{
	struct bed *bed = *state;

	start_guest(bed);
	struct sections_writer saved = save(bed);
	assert_int_equal(restore(bed, saved.out.data, saved.out.size, true), -ENOTSUP);
	assert_non_null(strstr(bed->err.msg, "vendor"));
	sections_writer_finish(&saved);
}

static void test_kvm_says_no(void **state)
{
	struct bed *bed = *state;
	struct sections_writer out = SECTIONS_WRITER_INIT;

	start_guest(bed);
	fake_host.refused = KVM_GET_LAPIC;
	pause_begin(&bed->vm);
	assert_int_equal(state_save(&bed->vm, &out, &bed->err), -EINVAL);
	pause_end(&bed->vm);
	sections_writer_finish(&out);
	fake_host.refused = KVM_GET_CLOCK;
	pause_begin(&bed->vm);
	assert_int_equal(state_save(&bed->vm, &out, &bed->err), -EINVAL);
	pause_end(&bed->vm);
	sections_writer_finish(&out);
}

/* --- coming to rest -------------------------------------------------------------------------- */

/* A device's own thread may have a lock that is free otherwise, for a moment: that is waited for. */
static bool is_locked(struct virtio_device *dev, bool for_good)
{
	struct timespec limit;

	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += for_good ? 0 : PATIENCE_S;
	if (pthread_mutex_timedlock(&dev->lock, &limit))
		return true;
	pthread_mutex_unlock(&dev->lock);
	return false;
}

static void expect_locked(const struct bed *bed, bool locked)
{
	for (unsigned i = 0; i < DEVICES; i++)
		assert_int_equal(is_locked(bed->vm.virtio[i], locked), locked);
}

/* vCPUs are parked before devices rest; a session that its owner has frozen stays so. */
static void test_pause(void **state)
{
	struct bed *bed = *state;
	struct vm *vm = &bed->vm;

	start_guest(bed);
	for (unsigned frozen = 0; frozen < 2; frozen++) {
		memset(&machine, 0, sizeof(machine));
		vm->paused = frozen;
		pause_begin(vm);
		assert_int_equal(vm->pause, PAUSE_QUIESCED);
		assert_int_equal(machine.pauses, 1);
		assert_int_equal(machine.resumes, 0);
		expect_locked(bed, true);
		if (frozen) {
			pause_copy(vm);
			assert_int_equal(vm->pause, PAUSE_COPYING);
			expect_locked(bed, true);
		}
		pause_end(vm);
		assert_int_equal(vm->pause, PAUSE_RUNNING);
		assert_int_equal(machine.resumes, !frozen);
		expect_locked(bed, false);
	}
}

int main(void)
{
#define STATE_TEST(name_) cmocka_unit_test_setup_teardown(name_, setup, teardown)
	const struct CMUnitTest tests[] = {
		STATE_TEST(test_round_trip),
		STATE_TEST(test_golden_is_written),
		STATE_TEST(test_golden_is_read),
		STATE_TEST(test_sections_that_are_missing),
		STATE_TEST(test_sections_that_are_short),
		STATE_TEST(test_foreign_guest),
		STATE_TEST(test_kvm_says_no),
		STATE_TEST(test_pause),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
