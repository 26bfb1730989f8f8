# SPDX-License-Identifier: GPL-2.0-or-later
"""
cases.py - every case by the rule that it breaks, and what the VMM's log must say.

The guest (guest/) does the deed and looks at the device's state; here is what only the host sees.
A case says nothing, or exactly one line, or is a storm: then the lines are all alike, there is at
least one, and the limit of their rate holds.
"""
import re
import typing

RNG, VSOCK, PMEM, BLK, BALLOON, NET = "rng", "vsock", "pmem", "blk", "balloon", "net"


class Case(typing.NamedTuple):
    name: str
    section: str
    item: str
    says: typing.Optional[re.Pattern]  # the log line's message; None: silence
    device: str                        # whose log it is
    storm: bool                        # several lines, and the guest's luck decides how many
    loud: bool                         # a storm must say something
    setting: str                       # which machine: a key of run.py's SETTINGS


def said(device, text, storm=False, loud=True):
    return {"says": re.compile(text), "device": device, "storm": storm, "loud": loud}


def resets(device, text):
    return said(device, re.escape(text) + "; the device needs a reset")


def rng(rule):
    return resets(RNG, f"rng queue 0: {rule}")


def tx(rule):
    return resets(VSOCK, f"vsock queue 1: {rule}")


def tap(rule):
    return {**net(rule), "setting": "tap"}


def warns(device, text):
    return said(device, text)


def storm(device, rules, loud=True):
    """Lines of one of @rules, as many as the limit lets through."""
    return said(device, f"(?:{rules})" + r"; the device needs a reset(?: \(\d+ like it not shown\))?",
                True, loud)


LONG = "Q5: chain longer than the queue"
INDEX = "Q4: descriptor index beyond its table"
OUTSIDE = "Q6: buffer outside memory"
EMPTY = "Q6: buffer of no length"
OVER_USED = "Q6: buffer over the used ring"
ORDER = "Q7: readable buffer behind a writable one"
RAN_AWAY = "Q3: avail index ran away"
SIZE = "Q1: size is 0, no power of two, or too large"
MISALIGNED = "Q2: a ring is misaligned"
RING_OUTSIDE = "Q2: a ring lies outside RAM"
OVERLAP = "Q2: rings overlap"
TABLE_LENGTH = "Q9: indirect table that is empty or ends within a descriptor"
TABLE_LARGE = "Q9: indirect table larger than the queue"
TABLE_OUTSIDE = "Q9: indirect table outside memory"
NOT_RAM = "balloon: B1: a page that isn't RAM"
NOT_PAGES = "balloon: B2: a report of what isn't whole pages of RAM"
NO_HEADER = "vsock: packet without a whole header dropped"
REFUSED = r"vsock: packet of type %s, length %s refused"
NO_RECEIVING = "receive buffer that is readable, or too small for the header"
LINK_DOWN = r"net: /.*: %s; the link is down"
ANY_RING_RULE = r"rng queue 0: Q[0-9]: .*"


def stranger(source, destination):
    return warns(VSOCK, f"vsock: packet from CID {source} to {destination} dropped")


def refused(kind, length):
    return warns(VSOCK, REFUSED % (kind, length))


def net(rule):
    return resets(NET, f"net: {rule}")


SILENT = {"says": None, "device": "", "storm": False, "loud": False}

TAP = {**SILENT, "setting": "tap"}
ENDLESS = {**SILENT, "setting": "endless"}

# section, item of the list of what must be survived, and its cases
TABLE = [
    ("rings", "descriptor chain that loops", {
        "loop_self": rng(LONG),
        "loop_of_two": rng(LONG),
        "loop_into_middle": rng(LONG),
        "loop_in_queue_of_one": rng(LONG),
        "loop_readable": tx(LONG),
        "loop_in_largest_queue": tx(LONG),
        "indirect_loop": rng(LONG),
    }),
    ("rings", "chain longer than the queue", {
        "chain_of_queue_size": SILENT,
        "chain_longer_than_queue": rng(LONG),
    }),
    ("rings", "next or head index out of range", {
        "next_one_beyond": rng(INDEX),
        "next_65535": rng(INDEX),
        "next_beyond_configured_size": rng(INDEX),
        "next_garbage_unused": SILENT,
        "head_one_beyond": rng(INDEX),
        "head_65535": rng(INDEX),
        "head_beyond_configured_size": rng(INDEX),
        "head_beyond_after_good_one": rng(INDEX),
        "indirect_next_beyond_table": rng(INDEX),
    }),
    ("rings", "addr + len wraps", {
        "buffer_wraps": rng(OUTSIDE),
        "buffer_ends_at_2_64": rng(OUTSIDE),
        "buffer_not_canonical": rng(OUTSIDE),
        "buffer_beyond_52_bits": rng(OUTSIDE),
        "buffer_length_max": rng(OUTSIDE),
        "length_zero_outside": rng(EMPTY),
    }),
    ("rings", "total length overflows", {
        "chain_beyond_4_gib": tx("Q8: chain of more than 4 GiB"),
        "chain_of_512_mib": SILENT,
    }),
    ("rings", "buffer spans the end of RAM or a hole", {
        "buffer_spans_end_of_ram": rng(OUTSIDE),
        "buffer_touches_end_of_ram": SILENT,
        "buffer_behind_ram": rng(OUTSIDE),
        "buffer_in_hole": rng(OUTSIDE),
        "buffer_is_own_registers": rng(OUTSIDE),
        "buffer_is_ioapic": rng(OUTSIDE),
        "buffer_is_lapic": rng(OUTSIDE),
        "buffer_second_is_bad": rng(OUTSIDE),
        "buffer_in_read_only_image": rng(OUTSIDE),
        "buffer_spans_end_of_image": rng(OUTSIDE),
        "readable_in_image": stranger(0, 0),
        "readable_spans_end_of_image": tx(OUTSIDE),
        "readable_outside": tx(OUTSIDE),
        "hole_is_not_spanned": {**rng(OUTSIDE), "setting": "large"},
        "hole_is_not_jumped": {**rng(OUTSIDE), "setting": "large"},
        "hole_ends_are_ram": {**rng(OUTSIDE), "setting": "large"},
    }),
    ("rings", "buffer is the ring itself", {
        "buffer_over_used": rng(OVER_USED),
        "buffer_over_used_index": rng(OVER_USED),
        "buffer_over_avail_event": rng(OVER_USED),
        "buffer_into_used": rng(OVER_USED),
        "buffer_behind_used": SILENT,
        "buffer_over_descriptors": rng("Q9: indirect descriptor, not negotiated"),
        "buffer_over_avail": SILENT,
    }),
    ("rings", "avail index jumps, goes back, runs away", {
        "avail_jumps_by_one_too_many": rng(RAN_AWAY),
        "avail_jumps_half_way": rng(RAN_AWAY),
        "avail_jumps_to_full": SILENT,
        "avail_goes_back_from_start": rng(RAN_AWAY),
        "avail_goes_back": rng(RAN_AWAY),
        "avail_back_to_zero": rng(RAN_AWAY),
        "avail_runs_away": SILENT,
        "indices_wrap": SILENT,
        "used_index_is_ours": SILENT,
        "used_event_garbage": SILENT,
        "avail_flags_garbage": SILENT,
        "race_avail_index": storm(RNG, ANY_RING_RULE, loud=False),
    }),
    ("rings", "same head twice", {
        "head_twice": SILENT,
        "chains_share_a_tail": SILENT,
    }),
    ("rings", "descriptor changed after it was read", {
        "race_address": storm(RNG, ANY_RING_RULE, loud=False),
        "race_length": storm(RNG, ANY_RING_RULE, loud=False),
        "race_flags": storm(RNG, ANY_RING_RULE, loud=False),
        "race_next": storm(RNG, ANY_RING_RULE, loud=False),
        "race_head": storm(RNG, ANY_RING_RULE, loud=False),
        "race_indirect_length": storm(RNG, ANY_RING_RULE, loud=False),
        "race_indirect_row": storm(RNG, ANY_RING_RULE, loud=False),
        "race_used_event": SILENT,
        "race_packet_length": said(VSOCK, r"vsock: packet of type 1, length 4294967295 refused.*",
                                   storm=True, loud=False),
    }),
    ("rings", "indirect table nested, huge, misaligned, empty, not negotiated", {
        "indirect_not_negotiated": rng("Q9: indirect descriptor, not negotiated"),
        "indirect_good": SILENT,
        "indirect_marked_writable": SILENT,
        "indirect_behind_buffer": SILENT,
        "indirect_nested": rng("Q9: indirect descriptor in an indirect table"),
        "indirect_nested_deeper": rng("Q9: indirect descriptor in an indirect table"),
        "indirect_and_next": rng("Q9: indirect descriptor that isn't the last"),
        "indirect_empty": rng(TABLE_LENGTH),
        "indirect_ends_within_row": rng(TABLE_LENGTH),
        "indirect_shorter_than_row": rng(TABLE_LENGTH),
        "indirect_larger_than_queue": rng(TABLE_LARGE),
        "indirect_huge": rng(TABLE_LARGE),
        "indirect_outside": rng(TABLE_OUTSIDE),
        "indirect_spans_end_of_ram": rng(TABLE_OUTSIDE),
        "indirect_wraps": rng(TABLE_OUTSIDE),
        "indirect_misaligned": SILENT,
        "indirect_bad_buffer": rng(OUTSIDE),
        "indirect_order": rng(ORDER),
        "indirect_in_empty_image": rng(EMPTY),
    }),
    ("rings", "rings overlapping, misaligned, outside RAM", {
        "place_desc_misaligned": rng(MISALIGNED),
        "place_avail_misaligned": rng(MISALIGNED),
        "place_used_misaligned": rng(MISALIGNED),
        "place_desc_outside": rng(RING_OUTSIDE),
        "place_avail_outside": rng(RING_OUTSIDE),
        "place_used_outside": rng(RING_OUTSIDE),
        "place_desc_spans_end_of_ram": rng(RING_OUTSIDE),
        "place_avail_spans_end_of_ram": rng(RING_OUTSIDE),
        "place_used_spans_end_of_ram": rng(RING_OUTSIDE),
        "place_desc_wraps": rng(RING_OUTSIDE),
        "place_avail_wraps": rng(RING_OUTSIDE),
        "place_used_wraps": rng(RING_OUTSIDE),
        "place_used_in_image": rng(RING_OUTSIDE),
        "place_used_is_own_registers": rng(RING_OUTSIDE),
        "place_desc_over_avail": rng(OVERLAP),
        "place_desc_over_used": rng(OVERLAP),
        "place_avail_over_used": rng(OVERLAP),
        "place_avail_in_last_desc": rng(OVERLAP),
        "place_used_in_avail_event": rng(OVERLAP),
        "place_all_at_zero": rng(OVERLAP),
        "place_tight": SILENT,
    }),
    ("rings", "queue size 0, not a power of two, too large", {
        "place_size_zero": rng(SIZE),
        "place_size_three": rng(SIZE),
        "place_size_too_large": rng(SIZE),
        "place_size_beyond_16_bits": rng(SIZE),
        "place_size_max": rng(SIZE),
    }),
    ("rings", "read-only where writable is needed and the reverse", {
        "readable_where_writable_is_needed": SILENT,
        "readable_before_writable": SILENT,
        "readable_behind_writable": rng(ORDER),
        "writable_where_readable_is_needed": warns(VSOCK, NO_HEADER),
        "readable_behind_writable_tx": tx(ORDER),
        "reserved_flags": SILENT,
    }),
    ("rings", "zero-length buffers", {
        "length_zero": rng(EMPTY),
        "length_zero_in_chain": rng(EMPTY),
        "length_zero_readable": tx(EMPTY),
    }),

    ("transport", "register access of odd width or misaligned", {
        "read_odd_width": SILENT,
        "read_misaligned": SILENT,
        "write_odd_width": SILENT,
        "write_misaligned": SILENT,
        "notify_odd_width": SILENT,
        "cross_the_page": SILENT,
        "write_read_only": SILENT,
        "read_write_only": SILENT,
        "no_shared_memory": SILENT,
        "sweep_reads": SILENT,
        "sweep_writes": storm(RNG, ANY_RING_RULE, loud=False),
    }),
    ("transport", "config access past the end", {
        "config_read_past_end": SILENT,
        "config_write_past_end": SILENT,
        "config_of_none": SILENT,
    }),
    ("transport", "writes after DRIVER_OK", {
        "features_after_ok": rng("Q9: indirect descriptor, not negotiated"),
        "queue_ready_after_driver_ok": SILENT,
        "ready_twice": SILENT,
        "ready_taken_back": SILENT,
        "ready_garbage": SILENT,
    }),
    ("transport", "queue size or address changed after activation", {
        "frozen_size": SILENT,
        "frozen_addresses": SILENT,
    }),
    ("transport", "queue select and notify out of range", {
        "queue_select_out_of_range": SILENT,
        "notify_out_of_range": SILENT,
    }),
    ("transport", "features not offered", {
        "features_not_offered": SILENT,
        "features_without_version_1": SILENT,
        "feature_select_out_of_range": SILENT,
    }),
    ("transport", "status bits out of order", {
        "driver_ok_first": SILENT,
        "driver_ok_without_queues": SILENT,
        "queue_before_features": SILENT,
        "status_bits_taken_back": SILENT,
        "status_reserved_bits": SILENT,
        "status_needs_reset_by_driver": SILENT,
        "status_all_at_once": SILENT,
        "status_failed": SILENT,
        "ack_garbage": SILENT,
    }),
    ("transport", "reset during I/O", {
        "reset_during_io": SILENT,
        "notify_after_reset": SILENT,
    }),
    ("transport", "a storm of resets", {
        "reset_storm": SILENT,
        "reset_storm_running": SILENT,
        "reset_storm_vsock": SILENT,
        "violation_storm": storm(RNG, f"rng queue 0: {INDEX}"),
        "activation_storm": storm(RNG, f"rng queue 0: {SIZE}"),
    }),
    ("transport", "notify before DRIVER_OK", {
        "notify_before_driver_ok": SILENT,
        "notify_storm": SILENT,
        "notify_storm_while_broken": rng(INDEX),
    }),

    ("devices", "rng: huge request", {
        "rng_huge_request": SILENT,
        "rng_flood": SILENT,
    }),
    ("devices", "blk: header only", {
        "blk_header_only": resets(BLK, "blk: a request without room for its status"),
        "blk_header_short": resets(BLK, "blk: a request without a whole header"),
        "blk_no_header": resets(BLK, "blk: a request without a whole header"),
        "blk_header_in_pieces": SILENT,
        "blk_status_alone": SILENT,
    }),
    ("devices", "blk: LBA past the end, overflowing sector count", {
        "blk_lba_past_end": SILENT,
        "blk_sectors_overflow": SILENT,
        "blk_odd_length": SILENT,
        "blk_same_buffer_many_times": SILENT,
        "blk_data_in_image": resets(BLK, f"blk queue 0: {OUTSIDE}"),
        "blk_discard_past_end": SILENT,
        "blk_discard_second_is_bad": SILENT,
        "blk_discard_lists": SILENT,
        "blk_discard_unknown_flags": SILENT,
    }),
    ("devices", "blk: status byte not writable", {
        "blk_status_not_writable": resets(BLK, "blk: a request without room for its status"),
        "blk_status_in_image": resets(BLK, f"blk queue 0: {OUTSIDE}"),
    }),
    ("devices", "blk: other requests", {
        "blk_unknown_type": SILENT,
        "blk_write_with_writable_data": SILENT,
        "blk_get_id_short": SILENT,
        "blk_flush_flood": SILENT,
        "blk_config_written": SILENT,
        "blk_reset_during_io": SILENT,
        "blk_read_only": SILENT,
    }),
    ("devices", "balloon: bad PFN", {
        "balloon_page_behind_ram": resets(BALLOON, NOT_RAM),
        "balloon_page_in_hole": resets(BALLOON, NOT_RAM),
        "balloon_page_is_device": resets(BALLOON, NOT_RAM),
        "balloon_page_in_image": resets(BALLOON, NOT_RAM),
        "balloon_page_max": resets(BALLOON, NOT_RAM),
        "balloon_pages_twice": SILENT,
        "balloon_list_cut_short": SILENT,
        "balloon_list_writable": SILENT,
        "balloon_deflate_garbage": SILENT,
    }),
    ("devices", "balloon: huge list", {
        "balloon_huge_list": SILENT,
        "balloon_list_flood": SILENT,
        "balloon_reset_during_list": SILENT,
    }),
    ("devices", "balloon: stats flood", {
        "balloon_stats_flood": SILENT,
        "balloon_stats_garbage": SILENT,
    }),
    ("devices", "balloon: inflate all", {
        "balloon_inflate_all": SILENT,
        "balloon_list_gives_itself": SILENT,
        "balloon_gives_its_descriptors": resets(BALLOON, f"balloon queue 0: {EMPTY}"),
        "balloon_gives_its_used_ring": SILENT,
    }),
    ("devices", "balloon: reports", {
        "balloon_report_misaligned": resets(BALLOON, NOT_PAGES),
        "balloon_report_part_of_page": resets(BALLOON, NOT_PAGES),
        "balloon_report_in_image": resets(BALLOON, f"balloon queue 4: {OUTSIDE}"),
        "balloon_report_readable": SILENT,
        "balloon_report_flood": SILENT,
        "balloon_config_written": SILENT,
        "balloon_queues_not_negotiated": SILENT,
    }),
    ("devices", "pmem: flush flood", {
        "pmem_flush_flood": SILENT,
        "pmem_unknown_type": SILENT,
        "pmem_short_type": SILENT,
        "pmem_no_answer": SILENT,
        "pmem_short_answer": SILENT,
        "pmem_answer_alone": SILENT,
        "pmem_answer_in_image": resets(PMEM, f"pmem queue 0: {OUTSIDE}"),
        "pmem_image_written": SILENT,
    }),
    ("devices", "vsock: spoofed source CID", {
        "vsock_spoofed_source": stranger(4, 2),
        "vsock_source_is_host": stranger(2, 2),
        "vsock_source_beyond_32_bits": stranger(4294967299, 2),
        "vsock_to_another_guest": stranger(3, 4),
        "vsock_to_itself": stranger(3, 3),
        "vsock_to_anybody": stranger(3, 4294967295),
    }),
    ("devices", "vsock: credit lies", {
        "vsock_sends_beyond_credit": SILENT,
        "vsock_no_credit_for_host": SILENT,
        "vsock_forwarded_too_much": SILENT,
        "vsock_credit_4_gib": SILENT,
        "vsock_credit_taken_back": SILENT,
        "vsock_credit_request_flood": SILENT,
    }),
    ("devices", "vsock: length lies", {
        "vsock_header_short": warns(VSOCK, NO_HEADER),
        "vsock_header_in_pieces": SILENT,
        "vsock_length_one_too_many": refused(1, 65),
        "vsock_length_4_gib": refused(1, 4294967295),
        "vsock_length_without_data": refused(1, 1),
        "vsock_length_less_than_data": SILENT,
        "vsock_length_on_request": refused(1, 4294967295),
        "vsock_type_seqpacket": refused(2, 0),
        "vsock_zero_length_data": SILENT,
    }),
    ("devices", "vsock: connect flood", {
        "vsock_connect_flood": said(VSOCK, r"vsock: 1024 connections, no more are taken.*",
                                    storm=True),
        "vsock_connect_flood_no_buffers": SILENT,
    }),
    ("devices", "vsock: data before response", {
        "vsock_data_before_response": SILENT,
        "vsock_shutdown_before_response": SILENT,
        "vsock_answer_from_other_port": SILENT,
        "vsock_data_without_stream": SILENT,
        "vsock_response_without_request": SILENT,
        "vsock_shutdown_without_stream": SILENT,
        "vsock_reset_without_stream": SILENT,
        "vsock_operation_zero": SILENT,
        "vsock_operation_unknown": SILENT,
        "vsock_response_twice": SILENT,
    }),
    ("devices", "vsock: port reuse", {
        "vsock_port_reuse": SILENT,
        "vsock_port_reuse_storm": SILENT,
    }),
    ("devices", "vsock: shutdown twice", {
        "vsock_shutdown_twice": SILENT,
        "vsock_shutdown_unknown_flags": SILENT,
        "vsock_data_after_shutdown": SILENT,
        "vsock_host_closes": SILENT,
    }),
    ("devices", "vsock: queues", {
        "vsock_receive_buffer_tiny": warns(VSOCK, "vsock: receive buffer of 44 bytes can't hold "
                                                  "header and data; the device needs a reset"),
        "vsock_receive_buffer_readable": warns(VSOCK, "vsock: receive buffer of 0 bytes can't hold "
                                                      "header and data; the device needs a reset"),
        "vsock_broken_while_streams_run": tx(INDEX),
        "vsock_reset_while_streams_run": SILENT,
        "vsock_event_queue_kicked": SILENT,
    }),
    ("devices", "net: bad vnet header", {
        "net_header_alone": net("N1: frame too short or too long"),
        "net_header_short": net("N1: frame too short or too long"),
        "net_header_in_pieces": SILENT,
        "net_checksum_not_negotiated": net("N2: checksum to be filled in, not negotiated"),
        "net_checksum_outside": net("N2: checksum to be filled in, not negotiated"),
        "net_header_garbage": SILENT,
    }),
    ("devices", "net: oversized frame", {
        "net_frame_too_short": net("N1: frame too short or too long"),
        "net_frame_too_long": net("N1: frame too short or too long"),
        "net_frame_huge": net("N1: frame too short or too long"),
        "net_frame_largest": SILENT,
        "net_frame_writable": net("writable buffer in a transmitted frame"),
        "net_frame_many_times": SILENT,
    }),
    ("devices", "net: TSO lies", {
        "net_segments_not_negotiated": net("N3: segmentation of a type not negotiated"),
        "net_segments_of_one_byte": net("N2: checksum to be filled in, not negotiated"),
        "net_segments_of_no_type": net("N3: segmentation of a type not negotiated"),
        "net_offloads_not_offered": SILENT,
        "tap_segments_good": TAP,
        "tap_segments_of_garbage": TAP,
        "tap_segments_of_one_byte": tap("N3: segments too small"),
        "tap_segments_without_checksum": tap("N3: segmentation without a checksum to be filled in"),
        "tap_segments_headers_beyond": tap("N3: headers beyond the frame"),
        "tap_segments_of_no_type": tap("N3: segmentation of a type not negotiated"),
        "tap_checksum_outside": tap("N2: checksum outside the frame"),
        "tap_checksum_before": tap("N2: checksum outside the frame"),
    }),
    ("devices", "net: RX starvation", {
        "net_no_buffers": SILENT,
        "net_too_few_buffers": SILENT,
        "net_buffers_too_small": warns(NET, "net: frame of 20000 bytes dropped, as all receive "
                                            "buffers together are smaller"),
        "net_buffer_offered_twice": SILENT,
        "net_buffer_without_header": net(NO_RECEIVING),
        "net_buffer_readable": net(NO_RECEIVING),
        "net_reset_storm": warns(NET, LINK_DOWN % "the peer has closed"),
    }),
    ("devices", "net: stream peer that stalls, closes, or sends a length of 4 GiB", {
        "net_peer_closes": warns(NET, LINK_DOWN % "the peer has closed"),
        "net_peer_closes_within_a_frame": warns(NET, LINK_DOWN % "the peer has closed"),
        "net_peer_says_4_gib": warns(NET, LINK_DOWN % "a frame of more bytes than frames have"),
        "net_peer_says_one_too_many": warns(NET,
                                            LINK_DOWN % "a frame of more bytes than frames have"),
        "net_peer_sends_runts": SILENT,
        "net_peer_sends_byte_by_byte": SILENT,
        "net_peer_stalls": SILENT,
        "net_reset_while_stalled": SILENT,
    }),
    ("devices", "IOAPIC: pin out of range, reserved bits, storm", {
        "ioapic_pin_out_of_range": SILENT,
        "ioapic_index_is_a_byte": SILENT,
        "ioapic_reserved_bits": SILENT,
        "ioapic_strange_routes": SILENT,
        "ioapic_storm": SILENT,
        "ioapic_odd_access": SILENT,
        "ioapic_storm_while_raised": SILENT,
    }),
    ("devices", "serial: a flood", {
        "serial_odd_access": SILENT,
        "serial_registers": SILENT,
        "serial_control_bytes": SILENT,
        "serial_interrupt_storm": SILENT,
        "serial_flood": {**SILENT, "setting": "unread"},
    }),

    ("storms", "that never end: the control socket is served all the time", {
        "endless_resets": ENDLESS,
        "endless_resets_vsock": ENDLESS,
        "endless_notifications": ENDLESS,
        "endless_violations": {**storm(RNG, f"rng queue 0: {INDEX}"), "setting": "endless"},
        "endless_ring": ENDLESS,
        "endless_requests": ENDLESS,
        "endless_lists": ENDLESS,
        "endless_routes": ENDLESS,
        "endless_console": ENDLESS,
    }),
]

CASES = [Case(name, section, item, **{"setting": "plain", **expected})
         for section, item, cases in TABLE for name, expected in cases.items()]
