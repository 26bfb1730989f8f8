/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_vmm_ioapic.c - redirection entries to MSI routes, and what a guest may write and read.
 */
#include "tests/unit/vmm_fake_kvm.h"

#include "tests/unit/unit.h"
#include "vmm/arch/x86_64/ioapic.h"

#define MASKED 0x10000u
#define LEVEL 0x8000u
#define LOGICAL 0x800u
#define DELIVERY(mode) ((mode) << 8)
#define REDIRECTION(pin) (IOAPIC_IND_REDIRECTION + 2 * (pin))

static void start(struct ioapic *ioapic)
{
	fake_kvm_reset();
	ioapic_init(ioapic, FAKE_VM_FD);
}

static uint32_t get(struct ioapic *ioapic, unsigned index)
{
	ioapic_write(ioapic, IOAPIC_REG_SELECT, 4, index);
	return (uint32_t)ioapic_read(ioapic, IOAPIC_REG_WINDOW, 4);
}

static void set(struct ioapic *ioapic, unsigned index, uint32_t value)
{
	ioapic_write(ioapic, IOAPIC_REG_SELECT, 4, index);
	ioapic_write(ioapic, IOAPIC_REG_WINDOW, 4, value);
}

static void set_pin(struct ioapic *ioapic, unsigned pin, uint32_t low, uint32_t high)
{
	set(ioapic, REDIRECTION(pin) + 1, high);
	set(ioapic, REDIRECTION(pin), low);
}

static void test_after_reset(void **state)
{
	struct ioapic ioapic;
	struct ioapic_routing routing;

	(void)state;
	start(&ioapic);
	assert_int_equal(get(&ioapic, IOAPIC_IND_ID), 0);
	assert_int_equal(get(&ioapic, IOAPIC_IND_VERSION), 0x00170011);
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		assert_int_equal(get(&ioapic, REDIRECTION(pin)), MASKED);
		assert_int_equal(get(&ioapic, REDIRECTION(pin) + 1), 0);
	}
	ioapic_routes(&ioapic, &routing);
	assert_int_equal(routing.header.nr, 0);
	assert_int_equal(fake_kvm.routings, 0);
	ioapic_finish(&ioapic);
}

static void test_routes(void **state)
{
	static const struct {
		const char *name;
		uint32_t low, high;
		bool routed;
		uint32_t address, data;
	} rows[] = {
		{ "fixed", 0x40, 0, true, 0xfee00000, 0x40 },
		{ "to CPU 3", 0x41, 3u << 24, true, 0xfee03000, 0x41 },
		{ "to all", 0x42, 0xffu << 24, true, 0xfeeff000, 0x42 },
		{ "lowest priority", 0x43 | DELIVERY(1u), 0, true, 0xfee00008, 0x143 },
		{ "logical", 0x44 | LOGICAL, 1u << 24, true, 0xfee01004, 0x44 },
		{ "lowest, logical", 0x45 | LOGICAL | DELIVERY(1u), 3u << 24, true, 0xfee0300c,
		  0x145 },
		{ "level goes as an edge", 0x46 | LEVEL, 0, true, 0xfee00000, 0x46 },
		{ "polarity is nobody's business", 0x47 | 0x2000, 0, true, 0xfee00000, 0x47 },
		{ "reserved bits of the destination", 0x48, 0x01ffffff, true, 0xfee01000, 0x48 },
		{ "least vector", 16, 0, true, 0xfee00000, 16 },
		{ "greatest vector", 255, 0, true, 0xfee00000, 255 },
		{ "vector 15", 15, 0, false, 0, 0 },
		{ "vector 0", 0, 0, false, 0, 0 },
		{ "masked", 0x49 | MASKED, 0, false, 0, 0 },
		{ "SMI", 0x4a | DELIVERY(2u), 0, false, 0, 0 },
		{ "reserved mode 3", 0x4b | DELIVERY(3u), 0, false, 0, 0 },
		{ "NMI", 0x4c | DELIVERY(4u), 0, false, 0, 0 },
		{ "INIT", 0x4d | DELIVERY(5u), 0, false, 0, 0 },
		{ "reserved mode 6", 0x4e | DELIVERY(6u), 0, false, 0, 0 },
		{ "ExtINT", 0x4f | DELIVERY(7u), 0, false, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		for (unsigned pin = 0; pin < IOAPIC_PINS; pin += IOAPIC_PINS - 1) {
			struct ioapic ioapic;

			start(&ioapic);
			set_pin(&ioapic, pin, rows[i].low, rows[i].high);
			assert_row(rows[i].name, fake_kvm.route_count == rows[i].routed);
			if (rows[i].routed) {
				const struct kvm_irq_routing_entry *route = &fake_kvm.routes[0];

				assert_row(rows[i].name, route->gsi == pin);
				assert_row(rows[i].name, route->type == KVM_IRQ_ROUTING_MSI);
				assert_row(rows[i].name,
				           route->u.msi.address_lo == rows[i].address);
				assert_row(rows[i].name, route->u.msi.address_hi == 0);
				assert_row(rows[i].name, route->u.msi.data == rows[i].data);
			}
			ioapic_finish(&ioapic);
		}
	}
}

/* Whatever is written, the status bits and the reserved ones read as 0. */
static void test_reserved_bits(void **state)
{
	struct ioapic ioapic;

	(void)state;
	start(&ioapic);
	set_pin(&ioapic, 7, UINT32_MAX, UINT32_MAX);
	assert_int_equal(get(&ioapic, REDIRECTION(7u)), 0x1afff);
	assert_int_equal(get(&ioapic, REDIRECTION(7u) + 1), 0xff000000);
	set(&ioapic, IOAPIC_IND_ID, UINT32_MAX);
	assert_int_equal(get(&ioapic, IOAPIC_IND_ID), 0x0f000000);
	set(&ioapic, IOAPIC_IND_VERSION, UINT32_MAX);
	assert_int_equal(get(&ioapic, IOAPIC_IND_VERSION), 0x00170011);
	ioapic_finish(&ioapic);
}

static void test_all_pins_at_once(void **state)
{
	struct ioapic ioapic;

	(void)state;
	start(&ioapic);
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		set_pin(&ioapic, pin, 0x20 + pin, pin << 24);
	assert_int_equal(fake_kvm.route_count, IOAPIC_PINS);
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		assert_int_equal(fake_kvm.routes[pin].gsi, pin);
		assert_int_equal(fake_kvm.routes[pin].u.msi.data, 0x20 + pin);
	}
	ioapic_finish(&ioapic);
}

/* Registers that don't exist and accesses of other shapes change and say nothing. */
static void test_odd_accesses(void **state)
{
	struct ioapic ioapic;

	(void)state;
	start(&ioapic);
	set_pin(&ioapic, 1, 0x40, 0);
	unsigned before = fake_kvm.routings;
	for (unsigned index = 0; index <= 0xff; index++) {
		if (index == IOAPIC_IND_ID ||
		    (index >= IOAPIC_IND_REDIRECTION && index < REDIRECTION(IOAPIC_PINS)))
			continue;
		set(&ioapic, index, 0x41);
		assert_int_equal(get(&ioapic, index), index == IOAPIC_IND_VERSION ? 0x00170011 : 0);
	}
	ioapic_write(&ioapic, IOAPIC_REG_SELECT, 4, REDIRECTION(1u));
	for (unsigned size = 1; size <= 8; size *= 2)
		for (uint64_t offset = 0; offset + size <= IOAPIC_SIZE; offset += 3) {
			if (size == 4 &&
			    (offset == IOAPIC_REG_SELECT || offset == IOAPIC_REG_WINDOW))
				continue;
			ioapic_write(&ioapic, offset, size, 0x42);
			assert_int_equal(ioapic_read(&ioapic, offset, size), 0);
		}
	assert_int_equal(ioapic_read(&ioapic, IOAPIC_REG_WINDOW, 4), 0x40);
	assert_int_equal(fake_kvm.routings, before);
	/* Only the low byte selects. */
	ioapic_write(&ioapic, IOAPIC_REG_SELECT, 4, 0xabcdef00 | REDIRECTION(1u));
	assert_int_equal(ioapic_read(&ioapic, IOAPIC_REG_SELECT, 4), REDIRECTION(1u));
	ioapic_finish(&ioapic);
}

/* Each call costs the kernel a grace period. */
static void test_publishes_changes_only(void **state)
{
	static const struct {
		const char *name;
		uint32_t low, high;
		bool published;
	} steps[] = {
		{ "unmask without a vector", 0, 0, false },
		{ "destination of no route", 0, 1u << 24, false },
		{ "vector", 0x40, 1u << 24, true },
		{ "the same again", 0x40, 1u << 24, false },
		{ "destination", 0x40, 2u << 24, true },
		{ "mask", 0x40 | MASKED, 2u << 24, true },
		{ "vector while masked", 0x41 | MASKED, 2u << 24, false },
		{ "unmask", 0x41, 2u << 24, true },
		{ "status bits", 0x41 | 0x5000, 2u << 24, false },
	};
	struct ioapic ioapic;

	(void)state;
	start(&ioapic);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		unsigned before = fake_kvm.routings;

		set_pin(&ioapic, 5, steps[i].low, steps[i].high);
		assert_row(steps[i].name, fake_kvm.routings == before + steps[i].published);
	}
	ioapic_finish(&ioapic);
}

static void test_resend_on_unmask(void **state)
{
	struct error err = { 0 };
	struct irq_line line;
	struct ioapic ioapic;

	(void)state;
	start(&ioapic);
	assert_int_equal(irq_line_init(&line, FAKE_VM_FD, 9, &err), 0);
	ioapic_wire(&ioapic, &line);

	set_pin(&ioapic, 9, 0x40, 0);
	assert_int_equal(fake_kvm_edges(&line), 0);
	irq_line_raise(&line);
	assert_int_equal(fake_kvm_edges(&line), 1);
	/* Still asserted; a new vector alone is no unmasking. */
	set_pin(&ioapic, 9, 0x41, 0);
	assert_int_equal(fake_kvm_edges(&line), 0);
	set_pin(&ioapic, 9, 0x41 | MASKED, 0);
	assert_int_equal(fake_kvm_edges(&line), 0);
	set_pin(&ioapic, 8, 0x41, 0);
	assert_int_equal(fake_kvm_edges(&line), 0);
	set_pin(&ioapic, 9, 0x41, 0);
	assert_int_equal(fake_kvm_edges(&line), 1);
	/* Acknowledged: nothing to send again. */
	irq_line_clear(&line);
	set_pin(&ioapic, 9, 0x41 | MASKED, 0);
	set_pin(&ioapic, 9, 0x41, 0);
	assert_int_equal(fake_kvm_edges(&line), 0);
	irq_line_resend(&line);
	assert_int_equal(fake_kvm_edges(&line), 0);

	irq_line_finish(&line);
	irq_line_finish(&line);
	ioapic_finish(&ioapic);
}

static void test_kvm_says_no(void **state)
{
	struct error err = { 0 };
	struct irq_line line;
	struct ioapic ioapic;

	(void)state;
	start(&ioapic);
	fake_kvm.refused = KVM_SET_GSI_ROUTING;
	set_pin(&ioapic, 3, 0x40, 0);
	assert_int_equal(get(&ioapic, REDIRECTION(3u)), 0x40);
	fake_kvm.refused = KVM_IRQFD;
	assert_int_equal(irq_line_init(&line, FAKE_VM_FD, 3, &err), -ENOSPC);
	assert_string_equal(err.msg, "KVM_IRQFD for pin 3: No space left on device");
	assert_int_equal(line.fd, -1);
	irq_line_finish(&line);
	ioapic_finish(&ioapic);
}

/* --- state ----------------------------------------------------------------------------------- */

#define STATE_BYTES (2 + 8 * IOAPIC_PINS)

static void save(const struct ioapic *ioapic, uint8_t out[STATE_BYTES])
{
	struct wire_writer writer = WIRE_WRITER_INIT;

	ioapic_save(ioapic, &writer);
	assert_false(writer.failed);
	assert_int_equal(writer.size, STATE_BYTES);
	memcpy(out, writer.data, STATE_BYTES);
	wire_writer_finish(&writer);
}

static int restore(struct ioapic *ioapic, const void *data, size_t size)
{
	struct wire_reader in = wire_reader_over(data, size);
	struct error err = { 0 };
	int ret = ioapic_restore(ioapic, &in, &err);

	assert_int_equal(ret, err.code);
	return ret;
}

/* Registers as they were, and all routes, published at once. */
static void test_copy(void **state)
{
	uint8_t saved[STATE_BYTES], again[STATE_BYTES];
	struct ioapic ioapic, copy;

	(void)state;
	start(&ioapic);
	set(&ioapic, IOAPIC_IND_ID, 5u << 24);
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		set_pin(&ioapic, pin,
		        (0x40 + pin) | (pin % 3 ? 0 : MASKED) | (pin % 2 ? LOGICAL : 0), pin << 24);
	ioapic_write(&ioapic, IOAPIC_REG_SELECT, 4, REDIRECTION(3u));
	save(&ioapic, saved);
	const struct fake_kvm before = fake_kvm;

	start(&copy);
	assert_int_equal(restore(&copy, saved, sizeof(saved)), 0);
	assert_int_equal(fake_kvm.routings, 1);
	assert_int_equal(fake_kvm.route_count, IOAPIC_PINS - IOAPIC_PINS / 3);
	assert_int_equal(fake_kvm.route_count, before.route_count);
	assert_memory_equal(fake_kvm.routes, before.routes, sizeof(before.routes));
	save(&copy, again);
	assert_memory_equal(again, saved, sizeof(saved));
	assert_int_equal(ioapic_read(&copy, IOAPIC_REG_SELECT, 4), REDIRECTION(3u));
	for (unsigned i = 0; i < IOAPIC_IND_REDIRECTION + 2 * IOAPIC_PINS; i++)
		assert_int_equal(get(&copy, i), get(&ioapic, i));
	ioapic_finish(&copy);
	ioapic_finish(&ioapic);
}

/* A device of the copy asserts its line while the pin is masked: it is sent when the guest unmasks it. */
static void test_copy_with_an_interrupt_pending(void **state)
{
	uint8_t saved[STATE_BYTES];
	struct error err = { 0 };
	struct ioapic ioapic, copy;
	struct irq_line line;

	(void)state;
	start(&ioapic);
	set_pin(&ioapic, 9, 0x40 | MASKED, 0);
	save(&ioapic, saved);
	start(&copy);
	assert_int_equal(irq_line_init(&line, FAKE_VM_FD, 9, &err), 0);
	ioapic_wire(&copy, &line);
	assert_int_equal(restore(&copy, saved, sizeof(saved)), 0);
	irq_line_raise(&line);
	fake_kvm_edges(&line); /* which a masked pin doesn't deliver */
	set_pin(&copy, 9, 0x40, 0);
	assert_int_equal(fake_kvm_edges(&line), 1);
	irq_line_finish(&line);
	ioapic_finish(&copy);
	ioapic_finish(&ioapic);
}

/* Bits that no guest could have written are cut off; a state that isn't all there is none. */
static void test_states_that_lie(void **state)
{
	uint8_t lie[STATE_BYTES + 1];
	struct ioapic copy;

	(void)state;
	memset(lie, 0xff, sizeof(lie));
	start(&copy);
	assert_int_equal(restore(&copy, lie, STATE_BYTES), 0);
	assert_int_equal(fake_kvm.route_count, 0); /* all are masked */
	assert_int_equal(get(&copy, REDIRECTION(7u)), 0x1afff);
	assert_int_equal(get(&copy, REDIRECTION(7u) + 1), 0xff000000);
	assert_int_equal(get(&copy, IOAPIC_IND_ID), 0x0f000000);
	for (size_t size = 0; size <= sizeof(lie); size++)
		assert_int_equal(restore(&copy, lie, size), size == STATE_BYTES ? 0 : -EINVAL);
	ioapic_finish(&copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_after_reset),
		cmocka_unit_test(test_routes),
		cmocka_unit_test(test_reserved_bits),
		cmocka_unit_test(test_all_pins_at_once),
		cmocka_unit_test(test_odd_accesses),
		cmocka_unit_test(test_publishes_changes_only),
		cmocka_unit_test(test_resend_on_unmask),
		cmocka_unit_test(test_kvm_says_no),
		cmocka_unit_test(test_copy),
		cmocka_unit_test(test_copy_with_an_interrupt_pending),
		cmocka_unit_test(test_states_that_lie),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
