/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_vmm_cpuid.c - what is patched into KVM's CPUID, per vCPU, and what stays as it is; which guests of
 * other hosts this one can run. Wraps ioctl (vmm_fake_vcpu.h).
 */
#include "tests/unit/vmm_fake_vcpu.h"

#define ALL 0xffffffffu

static struct cpuid_table host_table(void)
{
	struct cpuid_table table = { .header.nent = 7 };
	static const struct kvm_cpuid_entry2 entries[] = {
		{ .function = 0x0, .eax = 0x1f, .ebx = 1, .ecx = 2, .edx = 3 },
		{ .function = 0x1,
		  .eax = 0x00a20f10,
		  .ebx = 0xff4008ff,
		  .ecx = 0x02000001,
		  .edx = 0x178bfbff },
		{ .function = 0x4,
		  .index = 0,
		  .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
		  .eax = 0xfc1fc121 },
		{ .function = 0x7, .eax = 1, .ebx = 0x219c97a9, .ecx = 0x40069c, .edx = 0x10 },
		{ .function = 0xb,
		  .index = 0,
		  .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
		  .eax = 1,
		  .ebx = 2,
		  .ecx = 0x100,
		  .edx = 0x55 },
		{ .function = 0x80000008, .eax = 0x3030, .ebx = 5, .ecx = 0x703f, .edx = 9 },
		{ .function = 0x8000001e, .eax = 0x55, .ebx = 0x101, .ecx = 3 },
	};

	memcpy(table.entries, entries, sizeof(entries));
	return table;
}

static const struct kvm_cpuid_entry2 *find(const struct cpuid_table *table, uint32_t function,
                                           uint32_t index)
{
	const struct kvm_cpuid_entry2 *found = NULL;

	for (unsigned i = 0; i < table->header.nent; i++)
		if (table->entries[i].function == function && table->entries[i].index == index) {
			assert_null(found); /* no leaf twice */
			found = &table->entries[i];
		}
	return found;
}

static void test_ids_agree(void **state)
{
	static const unsigned machines[] = { 1, 2, 3, 8 };
	static const unsigned bits[] = { 0, 1, 2, 3 };

	(void)state;
	for (size_t m = 0; m < ARRAY_SIZE(machines); m++)
		for (unsigned index = 0; index < machines[m]; index++) {
			struct cpuid_table t = host_table();
			unsigned cpus = machines[m];

			cpuid_patch(&t, index, cpus, true);
			assert_int_equal(find(&t, 1, 0)->ebx >> 24, index);
			assert_int_equal(find(&t, 1, 0)->ebx >> 16 & 0xff, cpus);
			assert_int_equal(find(&t, 1, 0)->ebx & 0xffff, 0x08ff);
			assert_int_equal(find(&t, 0xb, 0)->edx, index);
			assert_int_equal(find(&t, 0xb, 0)->ebx, 1);
			assert_int_equal(find(&t, 0xb, 0)->eax, 0);
			assert_int_equal(find(&t, 0xb, 0)->ecx, 0x100);
			assert_int_equal(find(&t, 0xb, 1)->edx, index);
			assert_int_equal(find(&t, 0xb, 1)->ebx, cpus);
			assert_int_equal(find(&t, 0xb, 1)->eax, bits[m]);
			assert_int_equal(find(&t, 0xb, 1)->ecx, 0x201);
			assert_int_equal(find(&t, 0x8000001e, 0)->eax, index);
			assert_int_equal(find(&t, 0x80000008, 0)->ecx, (cpus - 1) | bits[m] << 12);
			assert_int_equal(find(&t, 4, 0)->eax >> 26, cpus - 1);
			assert_int_equal(find(&t, 4, 0)->eax & 0x3fff, 0x0121);
		}
}

static void test_features(void **state)
{
	static const struct {
		const char *name;
		unsigned cpus;
		bool tsc_deadline;
		uint32_t ecx, edx;
	} rows[] = {
		{ "one, no deadline", 1, false, 0x82000001, 0x078bfbff },
		{ "one, deadline", 1, true, 0x83000001, 0x078bfbff },
		{ "two, no deadline", 2, false, 0x82000001, 0x178bfbff },
		{ "two, deadline", 2, true, 0x83000001, 0x178bfbff },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct cpuid_table t = host_table();

		cpuid_patch(&t, 0, rows[i].cpus, rows[i].tsc_deadline);
		assert_row(rows[i].name, find(&t, 1, 0)->ecx == rows[i].ecx);
		assert_row(rows[i].name, find(&t, 1, 0)->edx == rows[i].edx);
		assert_row(rows[i].name, find(&t, 1, 0)->eax == 0x00a20f10);
	}
}

/* Leaves that nobody asked to change. */
static void test_the_rest_stays(void **state)
{
	struct cpuid_table before = host_table(), after = host_table();

	(void)state;
	cpuid_patch(&after, 1, 2, true);
	assert_memory_equal(find(&after, 0, 0), find(&before, 0, 0),
	                    sizeof(struct kvm_cpuid_entry2));
	assert_memory_equal(find(&after, 7, 0), find(&before, 7, 0),
	                    sizeof(struct kvm_cpuid_entry2));
	assert_int_equal(find(&after, 0x80000008, 0)->eax, 0x3030);
	assert_int_equal(after.header.nent, before.header.nent + 1);
}

/* A host that lists the core level itself gets no second one; 0x1f is treated like 0xb. */
static void test_core_level(void **state)
{
	struct cpuid_table t = host_table();

	(void)state;
	t.entries[t.header.nent++] =
		(struct kvm_cpuid_entry2){ .function = 0xb, .index = 1, .edx = 7 };
	t.entries[t.header.nent++] = (struct kvm_cpuid_entry2){
		.function = 0xb, .index = 2, .eax = ALL, .ebx = ALL, .ecx = ALL, .edx = ALL
	};
	t.entries[t.header.nent++] = (struct kvm_cpuid_entry2){ .function = 0x1f, .edx = 7 };
	unsigned before = t.header.nent;
	cpuid_patch(&t, 3, 4, true);
	assert_int_equal(t.header.nent, before + 1);
	assert_int_equal(find(&t, 0xb, 1)->ebx, 4);
	assert_int_equal(find(&t, 0xb, 2)->ebx, 0);
	assert_int_equal(find(&t, 0xb, 2)->eax, 0);
	assert_int_equal(find(&t, 0xb, 2)->ecx, 2);
	assert_int_equal(find(&t, 0x1f, 0)->edx, 3);
	assert_int_equal(find(&t, 0x1f, 1)->ebx, 4);
}

static void test_full_table(void **state)
{
	static struct cpuid_table t;

	(void)state;
	t.header.nent = CPUID_ENTRIES_MAX;
	for (unsigned i = 0; i < CPUID_ENTRIES_MAX; i++)
		t.entries[i].function = 0x40000000 + i;
	t.entries[0].function = 0xb;
	cpuid_patch(&t, 0, 2, true);
	assert_int_equal(t.header.nent, CPUID_ENTRIES_MAX);
}

static void test_no_kvm(void **state)
{
	struct error err = { 0 };
	struct cpuid_table t;

	(void)state;
	assert_int_equal(cpuid_load_supported(-1, &t, &err), -EBADF);
	assert_string_equal(err.msg, "KVM_GET_SUPPORTED_CPUID: Bad file descriptor");
}

/* --- guests of other hosts ------------------------------------------------------------------- */

enum reg { EAX, EBX, ECX, EDX };

static uint32_t *reg_of(struct kvm_cpuid_entry2 *e, enum reg reg)
{
	uint32_t *const regs[] = { &e->eax, &e->ebx, &e->ecx, &e->edx };

	return regs[reg];
}

/* Each leaf that is compared, all of it zeros, and the vendor. */
static struct cpuid_table plain_table(void)
{
	static const struct kvm_cpuid_entry2 entries[] = {
		{ .function = 0, .ebx = 0x756e6547, .ecx = 0x6c65746e, .edx = 0x49656e69 },
		{ .function = 1 },
		{ .function = 7, .index = 0 },
		{ .function = 7, .index = 1 },
		{ .function = 0xd, .index = 0 },
		{ .function = 0xd, .index = 1 },
		{ .function = 0x80000001 },
		{ .function = 0x80000008 },
		{ .function = 0x40000000 },
	};
	struct cpuid_table table = { .header.nent = ARRAY_SIZE(entries) };

	memcpy(table.entries, entries, sizeof(entries));
	return table;
}

static struct kvm_cpuid_entry2 *leaf_of(struct cpuid_table *table, uint32_t function,
                                        uint32_t index)
{
	for (unsigned i = 0; i < table->header.nent; i++)
		if (table->entries[i].function == function && table->entries[i].index == index)
			return &table->entries[i];
	return NULL;
}

static int check(const struct cpuid_table *seen, struct error *err)
{
	*err = (struct error){ 0 };
	int ret = cpuid_check(FAKE_KVM_FD, FAKE_VCPU_FD, seen, err);
	assert_int_equal(ret, err->code);
	return ret;
}

static void test_features_that_guests_use(void **state)
{
	static const struct {
		const char *name; /* of the leaf in the message; NULL: not compared */
		uint32_t function, index;
		enum reg reg;
		uint32_t ignored;
	} rows[] = {
		{ "leaf 1,", 1, 0, ECX, 1u << 24 | 1u << 27 | 1u << 31 },
		{ "leaf 1,", 1, 0, EDX, 1u << 28 },
		{ NULL, 1, 0, EAX, 0 }, /* model */
		{ NULL, 1, 0, EBX, 0 }, /* topology */
		{ "leaf 7,", 7, 0, EBX, 0 },
		{ "leaf 7,", 7, 0, ECX, 1u << 4 },
		{ "leaf 7,", 7, 0, EDX, 0 },
		{ NULL, 7, 0, EAX, 0 }, /* a count */
		{ "leaf 7, subleaf 1,", 7, 1, EAX, 0 },
		{ "leaf 0xd (extended state),", 0xd, 0, EAX, 0 },
		{ NULL, 0xd, 0, EBX, 0 }, /* a size */
		{ "leaf 0xd, subleaf 1,", 0xd, 1, EAX, 0 },
		{ "leaf 0x80000001,", 0x80000001, 0, ECX, 0 },
		{ "leaf 0x80000001,", 0x80000001, 0, EDX, 0 },
		{ "leaf 0x80000008,", 0x80000008, 0, EBX, 0 },
		{ NULL, 0x80000008, 0, EAX, 0 }, /* sizes of addresses */
		{ NULL, 0x40000000, 0, EAX, 0 },
	};
	struct error err;
	char words[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		for (unsigned bit = 0; bit < 32; bit++) {
			struct cpuid_table seen = plain_table();
			bool matters = rows[i].name && !(rows[i].ignored & 1u << bit);

			fake_vcpu_reset();
			fake_host.supported = plain_table();
			snprintf(words, sizeof(words), "CPUID %s bits 0x%x",
			         rows[i].name ? rows[i].name : "", 1u << bit);
			/* The host has it and the guest hasn't used it, has used it, has it alone. */
			*reg_of(leaf_of(&fake_host.supported, rows[i].function, rows[i].index),
			        rows[i].reg) = 1u << bit;
			assert_row(words, check(&seen, &err) == 0);
			*reg_of(leaf_of(&seen, rows[i].function, rows[i].index), rows[i].reg) =
				1u << bit;
			assert_row(words, check(&seen, &err) == 0);
			*reg_of(leaf_of(&fake_host.supported, rows[i].function, rows[i].index),
			        rows[i].reg) = ~(1u << bit);
			assert_row(words, check(&seen, &err) == (matters ? -ENOTSUP : 0));
			assert_row(words, !matters || strstr(err.msg, words));
		}
}

static void test_leaves_that_are_missing(void **state)
{
	struct cpuid_table seen = plain_table();
	struct error err;

	(void)state;
	fake_vcpu_reset();
	fake_host.supported = plain_table();
	fake_host.supported.header.nent = 3;
	/* What the guest saw there was nothing. */
	assert_int_equal(check(&seen, &err), 0);
	leaf_of(&seen, 0xd, 1)->eax = 8;
	assert_int_equal(check(&seen, &err), -ENOTSUP);
	/* A guest that saw fewer leaves. */
	seen = plain_table();
	seen.header.nent = 2;
	assert_int_equal(check(&seen, &err), 0);
}

static void test_vendors(void **state)
{
	struct error err;

	(void)state;
	fake_vcpu_reset();
	fake_host.supported = plain_table();
	for (enum reg reg = EBX; reg <= EDX; reg++) {
		struct cpuid_table seen = plain_table();

		*reg_of(leaf_of(&seen, 0, 0), reg) ^= 1;
		assert_int_equal(check(&seen, &err), -ENOTSUP);
		assert_non_null(strstr(err.msg, "another vendor"));
	}
	struct cpuid_table none = plain_table();
	none.header.nent = 0;
	assert_int_equal(check(&none, &err), -ENOTSUP);
	fake_host.supported = none;
	none = plain_table();
	assert_int_equal(check(&none, &err), -ENOTSUP);
}

/* What a guest sees here is what the vCPU says, not what KVM was given. */
static void test_host_that_adds(void **state)
{
	struct cpuid_table seen = plain_table();
	struct error err;

	(void)state;
	fake_vcpu_reset();
	fake_host.supported = plain_table();
	fake_host.supported.header.nent--; /* without 0x40000000 */
	leaf_of(&fake_host.supported, 0x80000008, 0)->function = 0x4fffffff;
	leaf_of(&seen, 0x80000008, 0)->ebx = 1u << 12;
	assert_int_equal(check(&seen, &err), -ENOTSUP);
	fake_host.added = (struct kvm_cpuid_entry2){ .function = 0x80000008, .ebx = 1u << 12 };
	if (check(&seen, &err))
		fail_msg("%s", err.msg);
}

static void test_kvm_says_no(void **state)
{
	static const struct {
		unsigned long request;
		const char *name;
	} rows[] = { { KVM_GET_SUPPORTED_CPUID, "KVM_GET_SUPPORTED_CPUID" },
		     { KVM_SET_CPUID2, "KVM_SET_CPUID2" },
		     { KVM_GET_CPUID2, "KVM_GET_CPUID2" } };
	struct cpuid_table seen = plain_table();
	struct error err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		fake_vcpu_reset();
		fake_host.supported = plain_table();
		fake_host.refused = rows[i].request;
		assert_row(rows[i].name, check(&seen, &err) == -EINVAL);
		assert_row(rows[i].name, strstr(err.msg, rows[i].name) == err.msg);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_features_that_guests_use),
		cmocka_unit_test(test_leaves_that_are_missing),
		cmocka_unit_test(test_vendors),
		cmocka_unit_test(test_host_that_adds),
		cmocka_unit_test(test_kvm_says_no),
		cmocka_unit_test(test_ids_agree),
		cmocka_unit_test(test_features),
		cmocka_unit_test(test_the_rest_stays),
		cmocka_unit_test(test_core_level),
		cmocka_unit_test(test_full_table),
		cmocka_unit_test(test_no_kvm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
