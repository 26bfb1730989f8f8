/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_vmm_msrs.c - which MSRs are saved, and what of a saved state is set, in which order, or refused.
 *
 * Wraps ioctl (vmm_fake_vcpu.h): the first vCPU is the original, the second a copy.
 */
#include "tests/unit/vmm_fake_vcpu.h"

#include "lib/wire_fields.h"
#include "vmm/arch/x86_64/msrs.h"

#define TSC 0x10u
#define MISC_ENABLE 0x1a0u
#define PAT 0x277u
#define TSC_DEADLINE 0x6e0u
#define STAR 0xc0000081u
#define KERNEL_GS 0xc0000102u
#define PLATFORM_ID 0x17u /* no guest changes it */
#define VMX_BASIC 0x480u

static struct wire_writer out;
static struct error err;

static struct fake_vcpu *const original = &fake_host.vcpus[0];
static struct fake_vcpu *const copy = &fake_host.vcpus[1];

static int setup(void **state)
{
	(void)state;
	fake_vcpu_reset();
	out = (struct wire_writer)WIRE_WRITER_INIT;
	err = (struct error){ 0 };
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	wire_writer_finish(&out);
	return 0;
}

static int save(void)
{
	int ret = msrs_save(FAKE_KVM_FD, FAKE_VCPU_FD, &out, &err);

	assert_int_equal(ret, err.code);
	return ret;
}

static int restore(void)
{
	struct wire_reader in = wire_reader_over(out.data, out.size);

	err = (struct error){ 0 };
	int ret = msrs_restore(FAKE_VCPU_FD + 1, &in, &err);
	assert_int_equal(ret, err.code);
	if (ret == 0)
		assert_true(wire_reader_ended(&in));
	return ret;
}

/* A payload of @count MSRs: index, value. */
static void put(const uint64_t (*msrs)[2], uint32_t count)
{
	wire_writer_finish(&out);
	wire_put_u32(&out, count);
	for (uint32_t i = 0; i < count; i++) {
		wire_put_u32(&out, (uint32_t)msrs[i][0]);
		wire_put_u64(&out, msrs[i][1]);
	}
}

static bool is_saved(uint32_t index)
{
	struct wire_reader in = wire_reader_over(out.data, out.size);

	for (uint32_t count = wire_get_u32(&in); count > 0; count--) {
		bool found = wire_get_u32(&in) == index;

		wire_get_u64(&in);
		if (found)
			return true;
	}
	return false;
}

/* --- saving ---------------------------------------------------------------------------------- */

static void test_which_are_saved(void **state)
{
	static const struct {
		uint32_t index;
		bool saved;
	} rows[] = {
		{ TSC, true },         { 0x3b, true },         { 0x48, true },
		{ 0x49, false },       { 0x173, false },       { 0x174, true },
		{ 0x176, true },       { 0x177, false },       { MISC_ENABLE, true },
		{ PAT, true },         { 0x1ff, false },       { 0x200, true },
		{ 0x21f, true },       { 0x220, false },       { TSC_DEADLINE, true },
		{ 0xda0, true },       { PLATFORM_ID, false }, { VMX_BASIC, false },
		{ 0x4b564cff, false }, { 0x4b564d00, true },   { 0x4b564dff, true },
		{ 0x4b564e00, false }, { 0xc0000080, false },  { STAR, true },
		{ 0xc0000084, true },  { 0xc0000100, true },   { KERNEL_GS, true },
		{ 0xc0000104, false }, { 0xc0010015, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		fake_vcpu_add_msr(original, rows[i].index, 1);
	assert_int_equal(save(), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char name[16];

		snprintf(name, sizeof(name), "0x%x", rows[i].index);
		assert_row(name, is_saved(rows[i].index) == rows[i].saved);
	}
}

/* What KVM doesn't list or this vCPU doesn't have is left out, wherever it stands. */
static void test_those_that_cannot_be_read(void **state)
{
	static const uint32_t indices[] = { TSC, 0x174, 0x175, 0x176, PAT, STAR, KERNEL_GS };

	(void)state;
	for (unsigned unreadable = 0; unreadable < 1u << ARRAY_SIZE(indices); unreadable++) {
		fake_vcpu_reset();
		wire_writer_finish(&out);
		for (size_t i = 0; i < ARRAY_SIZE(indices); i++)
			fake_vcpu_add_msr(original, indices[i], i)->unreadable =
				unreadable & 1u << i;
		fake_vcpu_add_msr(original, 0xda0, 5)->unlisted = true;
		assert_int_equal(save(), 0);
		for (size_t i = 0; i < ARRAY_SIZE(indices); i++)
			assert_int_equal(is_saved(indices[i]), !(unreadable & 1u << i));
		assert_false(is_saved(0xda0));
	}
}

static void test_no_msrs(void **state)
{
	(void)state;
	assert_int_equal(save(), 0);
	assert_int_equal(out.size, 4);
	assert_int_equal(restore(), 0);
	assert_int_equal(fake_host.set_msr_count, 0);
}

/* --- restoring ------------------------------------------------------------------------------- */

static void test_round_trip(void **state)
{
	static const uint32_t indices[] = { TSC, 0x174, MISC_ENABLE, PAT, TSC_DEADLINE, KERNEL_GS };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(indices); i++) {
		fake_vcpu_add_msr(original, indices[i], 0x1111111111111111u * (i + 1));
		fake_vcpu_add_msr(copy, indices[i], 0);
	}
	assert_int_equal(save(), 0);
	assert_int_equal(restore(), 0);
	for (size_t i = 0; i < ARRAY_SIZE(indices); i++)
		assert_int_equal(fake_vcpu_msr(copy, indices[i]), 0x1111111111111111u * (i + 1));
	assert_int_equal(fake_host.set_msr_count, ARRAY_SIZE(indices));
}

/* Its deadline counts in the TSC: it is armed when the TSC, and all else, is as it was. */
static void test_deadline_comes_last(void **state)
{
	static const struct {
		const char *name;
		uint64_t msrs[4][2];
		uint64_t deadline;
	} rows[] = {
		{ "armed",
		  { { TSC_DEADLINE, 5000 }, { PAT, 7 }, { TSC, 4000 }, { STAR, 8 } },
		  5000 },
		/* Disarmed, or expired with its interrupt still under way: it expires at once. */
		{ "expired",
		  { { TSC_DEADLINE, 0 }, { PAT, 7 }, { TSC, 4000 }, { STAR, 8 } },
		  4000 },
		{ "expired, the TSC first",
		  { { TSC, 4000 }, { TSC_DEADLINE, 0 }, { PAT, 7 }, { STAR, 8 } },
		  4000 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		fake_vcpu_reset();
		fake_vcpu_add_msr(copy, PAT, 0);
		fake_vcpu_add_msr(copy, STAR, 0);
		fake_vcpu_add_msr(copy, TSC, 0);
		fake_vcpu_add_msr(copy, TSC_DEADLINE, 0);
		put(rows[i].msrs, 4);
		assert_row(rows[i].name, restore() == 0);
		assert_row(rows[i].name, fake_host.set_msr_count == 4);
		assert_row(rows[i].name, fake_host.set_msrs[3] == TSC_DEADLINE);
		assert_row(rows[i].name, fake_vcpu_msr(copy, TSC_DEADLINE) == rows[i].deadline);
		assert_row(rows[i].name, fake_vcpu_msr(copy, TSC) == 4000);
	}
}

/* Some KVMs list what can't be set: that is fine as long as it needn't be. */
static void test_refused_by_kvm(void **state)
{
	static const struct {
		const char *name;
		uint32_t refused;
		uint64_t has;
		bool unreadable;
		int ret;
	} rows[] = {
		{ "none", 0, 0, false, 0 },
		{ "the first, another value", 0x174, 9, false, -EINVAL },
		{ "the first, the same", 0x174, 1, false, 0 },
		{ "in the midst, another value", PAT, 9, false, -EINVAL },
		{ "in the midst, the same", PAT, 2, false, 0 },
		{ "the last, another value", STAR, 9, false, -EINVAL },
		{ "the last, the same", STAR, 3, false, 0 },
		{ "not even readable", PAT, 2, true, -EINVAL },
		{ "the deadline, the same", TSC_DEADLINE, 4, false, 0 },
		{ "the deadline, another value", TSC_DEADLINE, 9, false, -EINVAL },
	};
	static const uint64_t msrs[][2] = {
		{ 0x174, 1 }, { PAT, 2 }, { STAR, 3 }, { TSC_DEADLINE, 4 }
	};

	(void)state;
	put(msrs, ARRAY_SIZE(msrs));
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char words[64] = "";

		fake_vcpu_reset();
		for (size_t j = 0; j < ARRAY_SIZE(msrs); j++) {
			uint32_t index = (uint32_t)msrs[j][0];
			struct fake_msr *msr = fake_vcpu_add_msr(copy, index, 0);

			if (index != rows[i].refused)
				continue;
			*msr = (struct fake_msr){ .index = index,
				                  .value = rows[i].has,
				                  .unreadable = rows[i].unreadable,
				                  .refuses = true };
			snprintf(words, sizeof(words), "MSR 0x%x to 0x%llx", index,
			         (unsigned long long)msrs[j][1]);
		}
		assert_row(rows[i].name, restore() == rows[i].ret);
		if (rows[i].ret) {
			assert_row(rows[i].name, strstr(err.msg, words));
			continue;
		}
		for (size_t j = 0; j < ARRAY_SIZE(msrs); j++)
			assert_row(rows[i].name,
			           fake_vcpu_msr(copy, (uint32_t)msrs[j][0]) == msrs[j][1]);
	}
}

/* A file can't set what isn't a guest's to change; then nothing at all is set. */
static void test_not_of_the_list(void **state)
{
	static const uint32_t rows[] = { PLATFORM_ID, VMX_BASIC, 0xc0000080, 0x1b, 0, UINT32_MAX };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const uint64_t msrs[][2] = { { PAT, 2 }, { rows[i], 1 } };
		char words[32];

		fake_vcpu_reset();
		fake_vcpu_add_msr(copy, PAT, 0);
		fake_vcpu_add_msr(copy, rows[i], 0);
		put(msrs, 2);
		snprintf(words, sizeof(words), "MSR 0x%x", rows[i]);
		assert_row(words, restore() == -EINVAL);
		assert_row(words, strstr(err.msg, words));
		assert_row(words, fake_host.set_msr_count == 0);
	}
}

static void test_too_many(void **state)
{
	static uint64_t msrs[514][2];

	(void)state;
	fake_vcpu_add_msr(copy, PAT, 0);
	for (size_t i = 0; i < ARRAY_SIZE(msrs); i++)
		msrs[i][0] = PAT;
	copy->msrs[0].refuses = true; /* all the same value: nothing is set, all are looked at */
	put((const uint64_t(*)[2])msrs, 200);
	assert_int_equal(restore(), 0);
	put((const uint64_t(*)[2])msrs, 513);
	assert_int_equal(restore(), -EINVAL);
	assert_non_null(strstr(err.msg, "513 MSRs"));
	wire_writer_finish(&out);
	wire_put_u32(&out, UINT32_MAX);
	assert_int_equal(restore(), -EINVAL);
}

static void test_cut_at_every_byte(void **state)
{
	static const uint64_t msrs[][2] = { { TSC, 1 }, { PAT, 2 }, { TSC_DEADLINE, 3 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(msrs); i++)
		fake_vcpu_add_msr(copy, (uint32_t)msrs[i][0], 0);
	put(msrs, ARRAY_SIZE(msrs));
	for (size_t whole = out.size; out.size > 0;) {
		out.size--;
		assert_int_equal(restore(), -EINVAL);
		assert_int_equal(fake_host.set_msr_count, 0);
		assert_true(out.size < whole);
	}
}

static void test_kvm_says_no(void **state)
{
	static const struct {
		unsigned long request;
		const char *name;
		bool restoring;
	} rows[] = { { KVM_GET_MSR_INDEX_LIST, "KVM_GET_MSR_INDEX_LIST", false },
		     { KVM_GET_MSRS, "KVM_GET_MSRS", false },
		     { KVM_SET_MSRS, "KVM_SET_MSRS", true } };

	(void)state;
	fake_vcpu_add_msr(original, PAT, 1);
	fake_vcpu_add_msr(copy, PAT, 0);
	assert_int_equal(save(), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		err = (struct error){ 0 };
		fake_host.refused = rows[i].request;
		assert_row(rows[i].name, (rows[i].restoring ? restore() : save()) == -EINVAL);
		assert_row(rows[i].name, strstr(err.msg, rows[i].name) == err.msg);
	}
}

int main(void)
{
#define MSRS_TEST(name_) cmocka_unit_test_setup_teardown(name_, setup, teardown)
	const struct CMUnitTest tests[] = {
		MSRS_TEST(test_which_are_saved),
		MSRS_TEST(test_those_that_cannot_be_read),
		MSRS_TEST(test_no_msrs),
		MSRS_TEST(test_round_trip),
		MSRS_TEST(test_deadline_comes_last),
		MSRS_TEST(test_refused_by_kvm),
		MSRS_TEST(test_not_of_the_list),
		MSRS_TEST(test_too_many),
		MSRS_TEST(test_cut_at_every_byte),
		MSRS_TEST(test_kvm_says_no),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
