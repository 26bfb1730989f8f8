/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rings.c - chains and tables that a driver shouldn't offer: the attack is the data.
 *
 * What a rule forbids must end in DEVICE_NEEDS_RESET with nothing used; what is merely odd must be
 * served. A writable chain goes to the rng, which fills at most 256 bytes; a readable one to
 * vsock's transmit queue.
 */
#include "tests/hostile/guest/hostile.h"

#define W DESC_WRITE
#define N DESC_NEXT
#define I DESC_INDIRECT
#define B AT(buffer)
#define TABLE AT(indirect_table)
#define ROW sizeof(struct vring_desc)
#define VSOCK_TX 1u

#define ATTACK(...) (&(const struct attack){ __VA_ARGS__ })
#define RNG_BREAKS(name_, ...)                                                                     \
	{                                                                                          \
		.name = name_, .device = DEVICE_RNG, .outcome = NEEDS_RESET,                       \
		.attack = ATTACK(__VA_ARGS__)                                                      \
	}
#define RNG_SERVES(name_, ...)                                                                     \
	{                                                                                          \
		.name = name_, .device = DEVICE_RNG, .outcome = SERVED,                            \
		.attack = ATTACK(__VA_ARGS__)                                                      \
	}
#define TX_BREAKS(name_, ...)                                                                      \
	{                                                                                          \
		.name = name_, .device = DEVICE_VSOCK, .outcome = NEEDS_RESET,                     \
		.attack = ATTACK(.queue = VSOCK_TX, __VA_ARGS__)                                   \
	}
#define TX_SERVES(name_, ...)                                                                      \
	{                                                                                          \
		.name = name_, .device = DEVICE_VSOCK, .outcome = SERVED,                          \
		.attack = ATTACK(.queue = VSOCK_TX, __VA_ARGS__)                                   \
	}

/* clang-format off: a chain a line, or a chain and its table */
const struct hostile_case ring_cases[] = {
	/* loops */
	RNG_BREAKS("loop_self", .desc = { { B, 8, W | N, 0 } }),
	RNG_BREAKS("loop_of_two", .desc = { { B, 8, W | N, 1 }, { B, 8, W | N, 0 } }),
	RNG_BREAKS("loop_into_middle",
	           .desc = { { B, 8, W | N, 1 }, { B, 8, W | N, 2 }, { B, 8, W | N, 1 } }),
	RNG_BREAKS("loop_in_queue_of_one", .size = 1, .desc = { { B, 8, W | N, 0 } }),
	TX_BREAKS("loop_readable", .desc = { { B, 64, N, 1 }, { B, 64, N, 0 } }),
	TX_BREAKS("loop_in_largest_queue", .size = 256, .desc = { { B, 64, N, 0 } }),

	/* indices */
	RNG_BREAKS("next_one_beyond", .desc = { { B, 8, W | N, 16 } }),
	RNG_BREAKS("next_65535", .desc = { { B, 8, W | N, 65535 } }),
	RNG_BREAKS("next_beyond_configured_size", .size = 2,
	           .desc = { { B, 8, W | N, 2 }, { 0 }, { B, 8, W, 0 } }),
	RNG_SERVES("next_garbage_unused", .desc = { { B, 8, W, 65535 } }, .used_len = 8),
	RNG_BREAKS("head_one_beyond", .heads = { 16 }),
	RNG_BREAKS("head_65535", .heads = { 65535 }),
	RNG_BREAKS("head_beyond_configured_size", .size = 2, .heads = { 2 },
	           .desc = { { 0 }, { 0 }, { B, 8, W, 0 } }),
	RNG_BREAKS("head_beyond_after_good_one", .heads = { 0, 16 }, .head_count = 2,
	           .desc = { { B, 8, W, 0 } }),

	/* addresses */
	RNG_BREAKS("buffer_wraps", .desc = { { ~0ull - 7, 64, W, 0 } }),
	RNG_BREAKS("buffer_ends_at_2_64", .desc = { { ~0ull - 63, 64, W, 0 } }),
	RNG_BREAKS("buffer_not_canonical", .desc = { { 1ull << 63, 64, W, 0 } }),
	RNG_BREAKS("buffer_beyond_52_bits", .desc = { { B + (1ull << 52), 64, W, 0 } }),
	RNG_BREAKS("buffer_spans_end_of_ram", .desc = { { RAM_END - 8, 9, W, 0 } }),
	RNG_SERVES("buffer_touches_end_of_ram", .desc = { { RAM_END - 8, 8, W, 0 } },
	           .used_len = 8),
	RNG_BREAKS("buffer_behind_ram", .desc = { { RAM_END, 8, W, 0 } }),
	RNG_BREAKS("buffer_in_hole", .desc = { { LAYOUT_HOLE_START, 64, W, 0 } }),
	RNG_BREAKS("buffer_is_own_registers", .desc = { { LAYOUT_VIRTIO + REG_STATUS, 4, W, 0 } }),
	RNG_BREAKS("buffer_is_ioapic", .desc = { { LAYOUT_IOAPIC, 32, W, 0 } }),
	RNG_BREAKS("buffer_is_lapic", .desc = { { LAYOUT_LAPIC, 1024, W, 0 } }),
	RNG_BREAKS("buffer_length_max", .desc = { { B, 0xffffffff, W, 0 } }),
	RNG_BREAKS("buffer_second_is_bad", .desc = { { B, 8, W | N, 1 }, { RAM_END, 8, W, 0 } }),
	RNG_BREAKS("buffer_in_read_only_image", .desc = { { IMAGE_START, 64, W, 0 } }),
	RNG_BREAKS("buffer_spans_end_of_image",
	           .desc = { { IMAGE_START + (2u << 20) - 8, 64, W, 0 } }),
	TX_SERVES("readable_in_image", .desc = { { IMAGE_START, 64, 0, 0 } }),
	TX_BREAKS("readable_spans_end_of_image",
	          .desc = { { IMAGE_START + (2u << 20) - 8, 64, 0, 0 } }),
	TX_BREAKS("readable_outside", .desc = { { LAYOUT_HOLE_START, 64, 0, 0 } }),

	/* lengths */
	RNG_BREAKS("length_zero", .desc = { { B, 0, W, 0 } }),
	RNG_BREAKS("length_zero_in_chain",
	           .desc = { { B, 8, W | N, 1 }, { B, 0, W | N, 2 }, { B, 8, W, 0 } }),
	RNG_BREAKS("length_zero_outside", .desc = { { ~0ull, 0, W, 0 } }),
	TX_BREAKS("length_zero_readable", .desc = { { B, 0, 0, 0 } }),

	/* directions */
	RNG_SERVES("readable_where_writable_is_needed", .desc = { { B, 64, 0, 0 } }),
	RNG_SERVES("readable_before_writable", .desc = { { B, 64, N, 1 }, { B, 8, W, 0 } },
	           .used_len = 8),
	RNG_BREAKS("readable_behind_writable", .desc = { { B, 8, W | N, 1 }, { B, 64, 0, 0 } }),
	TX_SERVES("writable_where_readable_is_needed", .desc = { { B, 64, W, 0 } }),
	TX_BREAKS("readable_behind_writable_tx", .desc = { { B, 64, W | N, 1 }, { B, 64, 0, 0 } }),
	RNG_SERVES("reserved_flags", .desc = { { B, 8, 0xfff8 | W, 0 } }, .used_len = 8),

	/* the same head twice */
	RNG_SERVES("head_twice", .heads = { 0, 0 }, .head_count = 2, .desc = { { B, 8, W, 0 } },
	           .used_len = 8),
	RNG_SERVES("chains_share_a_tail", .heads = { 0, 1 }, .head_count = 2,
	           .desc = { { B, 8, W | N, 2 }, { B, 16, W | N, 2 }, { B, 32, W, 0 } },
	           .used_len = 48),

	/* indirect tables */
	RNG_BREAKS("indirect_not_negotiated", .desc = { { TABLE, ROW, I, 0 } },
	           .table = { { B, 8, W, 0 } }),
	RNG_SERVES("indirect_good", .features = F_INDIRECT, .desc = { { TABLE, 2 * ROW, I, 0 } },
	           .table = { { B, 8, W | N, 1 }, { B, 24, W, 0 } }, .used_len = 32),
	RNG_SERVES("indirect_marked_writable", .features = F_INDIRECT,
	           .desc = { { TABLE, ROW, I | W, 0 } }, .table = { { B, 8, W, 0 } },
	           .used_len = 8),
	RNG_SERVES("indirect_behind_buffer", .features = F_INDIRECT,
	           .desc = { { B, 8, W | N, 1 }, { TABLE, ROW, I, 0 } },
	           .table = { { B, 24, W, 0 } }, .used_len = 32),
	RNG_BREAKS("indirect_nested", .features = F_INDIRECT, .desc = { { TABLE, ROW, I, 0 } },
	           .table = { { TABLE, ROW, I, 0 } }),
	RNG_BREAKS("indirect_nested_deeper", .features = F_INDIRECT,
	           .desc = { { TABLE, 2 * ROW, I, 0 } },
	           .table = { { B, 8, W | N, 1 }, { TABLE, ROW, I, 0 } }),
	RNG_BREAKS("indirect_and_next", .features = F_INDIRECT,
	           .desc = { { TABLE, ROW, I | N, 1 }, { B, 8, W, 0 } },
	           .table = { { B, 8, W, 0 } }),
	RNG_BREAKS("indirect_empty", .features = F_INDIRECT, .desc = { { TABLE, 0, I, 0 } }),
	RNG_BREAKS("indirect_ends_within_row", .features = F_INDIRECT,
	           .desc = { { TABLE, ROW + 8, I, 0 } }, .table = { { B, 8, W, 0 } }),
	RNG_BREAKS("indirect_shorter_than_row", .features = F_INDIRECT,
	           .desc = { { TABLE, 15, I, 0 } }, .table = { { B, 8, W, 0 } }),
	RNG_BREAKS("indirect_larger_than_queue", .features = F_INDIRECT,
	           .desc = { { TABLE, 17 * ROW, I, 0 } }, .table = { { B, 8, W, 0 } }),
	RNG_BREAKS("indirect_huge", .features = F_INDIRECT, .desc = { { TABLE, 0xfffffff0, I, 0 } },
	           .table = { { B, 8, W, 0 } }),
	RNG_BREAKS("indirect_outside", .features = F_INDIRECT,
	           .desc = { { LAYOUT_HOLE_START, ROW, I, 0 } }),
	RNG_BREAKS("indirect_spans_end_of_ram", .features = F_INDIRECT,
	           .desc = { { RAM_END - ROW, 2 * ROW, I, 0 } }),
	RNG_BREAKS("indirect_wraps", .features = F_INDIRECT,
	           .desc = { { ~0ull - 15, 2 * ROW, I, 0 } }),
	RNG_SERVES("indirect_misaligned", .features = F_INDIRECT,
	           .desc = { { TABLE + 1, ROW, I, 0 } },
	           /* the row, one byte further: address, length and flags shifted by 8 bits */
	           .table = { { (RAM_END - 8ull) << 8, 8u << 8, W << 8, 0 } }, .used_len = 8),
	RNG_BREAKS("indirect_loop", .features = F_INDIRECT, .desc = { { TABLE, 2 * ROW, I, 0 } },
	           .table = { { B, 8, W | N, 1 }, { B, 8, W | N, 0 } }),
	RNG_BREAKS("indirect_next_beyond_table", .features = F_INDIRECT,
	           .desc = { { TABLE, 2 * ROW, I, 0 } },
	           .table = { { B, 8, W | N, 2 }, { B, 8, W, 0 }, { B, 8, W, 0 } }),
	RNG_BREAKS("indirect_bad_buffer", .features = F_INDIRECT, .desc = { { TABLE, ROW, I, 0 } },
	           .table = { { RAM_END, 8, W, 0 } }),
	RNG_BREAKS("indirect_order", .features = F_INDIRECT, .desc = { { TABLE, 2 * ROW, I, 0 } },
	           .table = { { B, 8, W | N, 1 }, { B, 8, 0, 0 } }),
	RNG_BREAKS("indirect_in_empty_image", .features = F_INDIRECT,
	           .desc = { { IMAGE_START, ROW, I, 0 } }),
	{ 0 },
};
/* clang-format on */
