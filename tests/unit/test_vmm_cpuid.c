/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_vmm_cpuid.c - what is patched into KVM's CPUID, per vCPU, and what stays as it is.
 */
#include "tests/unit/unit.h"

#include "vmm/arch/x86_64/cpuid.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ids_agree),      cmocka_unit_test(test_features),
		cmocka_unit_test(test_the_rest_stays), cmocka_unit_test(test_core_level),
		cmocka_unit_test(test_full_table),     cmocka_unit_test(test_no_kvm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
