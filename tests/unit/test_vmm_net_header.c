/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_vmm_net_header.c - what a guest may say before a frame: table-driven, with the numbers of
 * virtio 1.2 §5.1.6 written down here once more.
 */
#include "tests/unit/unit.h"

#include "vmm/virtio/net_header.h"

#define CSUM 1u
#define TCPV4 1u
#define UDP 3u
#define TCPV6 4u
#define ECN 0x80u
#define F_CSUM (1ull << 0)
#define F_TSO4 (1ull << 11)
#define F_TSO6 (1ull << 12)
#define F_ALL (F_CSUM | F_TSO4 | F_TSO6)

struct row {
	const char *name;
	uint8_t flags, gso_type;
	uint16_t hdr_len, gso_size, csum_start, csum_offset;
	uint64_t frame_size, features;
	const char *rule; /* how the answer begins; NULL: it may pass */
};

static void encode(const struct row *row, uint8_t out[NET_HEADER_SIZE])
{
	const uint16_t words[] = { row->hdr_len, row->gso_size, row->csum_start, row->csum_offset,
		                   0xabcd };

	out[0] = row->flags;
	out[1] = row->gso_type;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		out[2 + 2 * i] = (uint8_t)words[i];
		out[3 + 2 * i] = (uint8_t)(words[i] >> 8);
	}
}

static void test_rows(void **state)
{
	static const struct row rows[] = {
		{ "plain", 0, 0, 0, 0, 0, 0, 60, 0, NULL },
		{ "smallest", 0, 0, 0, 0, 0, 0, 14, F_ALL, NULL },
		{ "largest", 0, 0, 0, 0, 0, 0, 65553, F_ALL, NULL },
		{ "empty", 0, 0, 0, 0, 0, 0, 0, F_ALL, "N1" },
		{ "too short", 0, 0, 0, 0, 0, 0, 13, F_ALL, "N1" },
		{ "too long", 0, 0, 0, 0, 0, 0, 65554, F_ALL, "N1" },
		{ "4 GiB", 0, 0, 0, 0, 0, 0, UINT32_MAX, F_ALL, "N1" },
		{ "checksum", CSUM, 0, 0, 0, 34, 16, 60, F_CSUM, NULL },
		{ "checksum in the last bytes", CSUM, 0, 0, 0, 34, 24, 60, F_CSUM, NULL },
		{ "checksum one byte beyond", CSUM, 0, 0, 0, 34, 25, 60, F_CSUM, "N2" },
		{ "checksum far beyond", CSUM, 0, 0, 0, 65535, 65535, 60, F_CSUM, "N2" },
		{ "sums that wrap in 16 bits", CSUM, 0, 0, 0, 65530, 20, 60, F_CSUM, "N2" },
		{ "checksum in the Ethernet header", CSUM, 0, 0, 0, 13, 16, 60, F_CSUM, "N2" },
		{ "checksum not negotiated", CSUM, 0, 0, 0, 34, 16, 60, F_TSO4, "N2" },
		{ "TSO4", CSUM, TCPV4, 54, 1448, 34, 16, 60000, F_ALL, NULL },
		{ "TSO6", CSUM, TCPV6, 74, 1428, 54, 16, 60000, F_ALL, NULL },
		{ "TSO4 not negotiated", CSUM, TCPV4, 54, 1448, 34, 16, 60000, F_CSUM | F_TSO6,
		  "N3" },
		{ "TSO6 not negotiated", CSUM, TCPV6, 74, 1428, 54, 16, 60000, F_CSUM | F_TSO4,
		  "N3" },
		{ "TSO without checksum", 0, TCPV4, 54, 1448, 34, 16, 60000, F_ALL, "N3" },
		{ "UFO", CSUM, UDP, 42, 1472, 34, 6, 60000, F_ALL, "N3" },
		{ "ECN", CSUM, TCPV4 | ECN, 54, 1448, 34, 16, 60000, F_ALL, "N3" },
		{ "type of no standard", CSUM, 77, 54, 1448, 34, 16, 60000, F_ALL, "N3" },
		{ "segments of nothing", CSUM, TCPV4, 54, 0, 34, 16, 60000, F_ALL, "N3" },
		{ "segments of 7", CSUM, TCPV4, 54, 7, 34, 16, 60000, F_ALL, "N3" },
		{ "segments of 8", CSUM, TCPV4, 54, 8, 34, 16, 60000, F_ALL, NULL },
		{ "headers beyond", CSUM, TCPV4, 61, 1448, 34, 16, 60, F_ALL, "N3" },
		{ "headers alone", CSUM, TCPV4, 60, 1448, 34, 16, 60, F_ALL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint8_t raw[NET_HEADER_SIZE], out[NET_HEADER_SIZE], before[NET_HEADER_SIZE];

		encode(&rows[i], raw);
		memset(out, 0xee, sizeof(out));
		memset(before, 0xee, sizeof(before));
		const char *rule = net_header_check(raw, rows[i].frame_size, rows[i].features, out);
		if (!rows[i].rule) {
			assert_row(rows[i].name, !rule);
			/* All of these fields count, but for the buffers of receiving. */
			assert_row(rows[i].name, memcmp(out, raw, 10) == 0);
			assert_row(rows[i].name, out[10] == 0 && out[11] == 0);
			continue;
		}
		assert_row(rows[i].name, rule && strncmp(rule, rows[i].rule, 2) == 0);
		assert_row(rows[i].name, memcmp(out, before, sizeof(out)) == 0);
	}
}

/* Fields that mean nothing without their flag, and flags that are the device's: none gets through. */
static void test_only_what_was_checked_passes(void **state)
{
	static const struct row row = { "", 0xfe, 0, 99, 99, 99, 99, 60, F_ALL, NULL };
	static const uint8_t zeros[NET_HEADER_SIZE];
	uint8_t raw[NET_HEADER_SIZE], out[NET_HEADER_SIZE];

	(void)state;
	encode(&row, raw);
	assert_null(net_header_check(raw, row.frame_size, row.features, out));
	assert_memory_equal(out, zeros, sizeof(out));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_only_what_was_checked_passes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
