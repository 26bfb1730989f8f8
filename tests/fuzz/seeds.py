#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes the seeds of the fuzz targets: tests/fuzz/seeds/TARGET/NAME.

usage: seeds.py [--check]

A seed is an honest, small input that brings its target to the places that random bytes don't find.
The forms are those that the targets' heads describe. The seeds are checked in; --check only says
whether they are what this script writes.
"""
import glob
import os
import struct
import sys

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "seeds")
SEEDS = {}


def seed(target, name, *parts):
    SEEDS[os.path.join(target, name)] = b"".join(parts)


def u8(*values):
    return bytes(values)


def u16(value):
    return struct.pack("<H", value)


def u24(value):
    return struct.pack("<I", value)[:3]


def u32(value):
    return struct.pack("<I", value)


# --- rings.c: chains --------------------------------------------------------------------------

WRITABLE, HIGH, ROM, DATA, HUGE = 1, 2, 4, 8, 16
INDIRECT, HIDDEN, LOOP = 0x08, 0x10, 0x20


def readable(step, data, length=None):
    """A buffer that the driver has filled."""
    return u8(DATA, step) + u16(len(data) if length is None else length) + u8(len(data)) + data


def writable(step, length, flags=0):
    return u8(WRITABLE | flags, step) + u16(length)


def chain(*descriptors, flags=0):
    return u8((len(descriptors) - 1) | flags) + b"".join(descriptors)


# --- fuzz_queue.c -----------------------------------------------------------------------------

Q_OFFER, Q_POKE, Q_POP, Q_PUSH, Q_UNPOP, Q_ASK, Q_SKIP = range(7)
EVENT_IDX, ALLOW_INDIRECT, PLACED = 1, 2, 4


def queue_seeds():
    pair = chain(readable(0, b"request!"), writable(1, 64))
    turn = u8(Q_OFFER) + pair + u8(Q_POP, Q_PUSH, 0, Q_ASK)
    seed("queue", "turns", u8(4 << 4), turn * 4)
    seed("queue", "event-idx", u8(EVENT_IDX | 2 << 4), u8(Q_POP), turn * 6)
    table = u8(Q_OFFER) + chain(*[readable(i, b"part") for i in range(4)],
                                *[writable(i, 512) for i in range(4)], flags=INDIRECT)
    seed("queue", "indirect", u8(ALLOW_INDIRECT | 3 << 4), table, u8(Q_POP, Q_PUSH, 0) * 2)
    seed("queue", "unpop", u8(8 << 4), u8(Q_OFFER), pair, u8(Q_OFFER), pair,
         u8(Q_POP, Q_POP, Q_UNPOP, 2, Q_POP, Q_PUSH, 1))
    seed("queue", "wrap", u8(EVENT_IDX | 1 << 4), u8(Q_SKIP), u16(65534), u16(65535),
         u8(Q_POKE), u24(0x1002), u8(1), u16(65535), u8(Q_POP, Q_PUSH, 0), turn)
    seed("queue", "placed", u8(PLACED), u16(16), u24(0x3000), u24(0x5002), u24(0x6004),
         u8(Q_POKE), u24(0x3000), u8(15), struct.pack("<QIHH", 0x8000, 32, 2, 0),
         u8(Q_POKE), u24(0x5002), u8(5), u16(0), u16(1), u16(0), u8(Q_POP, Q_PUSH, 0))
    seed("queue", "loop", u8(4 << 4), u8(Q_OFFER),
         chain(readable(0, b"a"), readable(1, b"b"), flags=LOOP), u8(Q_POP))
    seed("queue", "huge", u8(4 << 4), u8(Q_OFFER),
         chain(*[u8(HUGE, 0) + u16(1)] * 8), u8(Q_POP, Q_PUSH, 0))
    seed("queue", "other-memory", u8(4 << 4), u8(Q_OFFER),
         chain(u8(ROM, 0) + u16(4096), u8(HIGH, 0) + u16(256), writable(0, 256, HIGH)),
         u8(Q_POP, Q_PUSH, 0, Q_OFFER), chain(writable(0, 16, ROM)), u8(Q_POP))


# --- driver.c ---------------------------------------------------------------------------------

START, OFFER, NOTIFY, LOOP_STEP, HOST, POKE, WRITE, READ, TIME, RESET = range(10)
STEPS = 10
NO_INDIRECT, NO_EVENT_IDX = 1 << 28, 1 << 29


def step(kind, how=0):
    return u8(kind + STEPS * how)


def start(refused=0, size=4):
    """Reset to DRIVER_OK; queues of 1 << size."""
    return step(START, size) + u32(refused)


def offer(queue, *descriptors, flags=0):
    return step(OFFER, queue) + chain(*descriptors, flags=flags)


def request(queue, *descriptors, flags=0):
    return offer(queue, *descriptors, flags=flags) + step(NOTIFY, queue)


def write_register(register, value, size=4):
    how = {4: 0, 1: 1, 2: 2, 8: 3}[size]
    if register >= 0x100:
        return (step(WRITE, how | 4 | 8) + u8(register - 0x100)
                + struct.pack("<Q", value)[:size])
    return step(WRITE, how) + u8(register // 4) + struct.pack("<Q", value)[:size]


def read_register(register, size=4):
    how = {4: 0, 1: 1, 2: 2, 8: 3}[size] | 4
    if register >= 0x100:
        return step(READ, how | 8) + u8(register - 0x100)
    return step(READ, how) + u8(register)


def by_hand():
    """A set-up register by register, with what a driver would look at on the way."""
    return b"".join((
        write_register(0x70, 0), read_register(0x00), read_register(0x04), read_register(0x08),
        write_register(0x70, 1), write_register(0x70, 3),
        write_register(0x14, 1), read_register(0x10), write_register(0x24, 1),
        write_register(0x20, 1), write_register(0x70, 11), read_register(0x70),
        write_register(0x30, 0), read_register(0x34), write_register(0x38, 8),
        write_register(0x80, 0x0000), write_register(0x84, 0),
        write_register(0x90, 0x1000), write_register(0x94, 0),
        write_register(0xa0, 0x1400), write_register(0xa4, 0),
        write_register(0x44, 1), read_register(0x44), write_register(0x70, 15),
        read_register(0xfc), read_register(0x60), write_register(0x64, 3),
        write_register(0x38, 4), write_register(0x44, 0)))


def transport_seeds(target, options=b""):
    """What each device's driver can do with its transport. @options: what the target reads first."""
    for name, parts in {
            "by-hand": (by_hand(), step(NOTIFY)),
            "reset-storm": (start(), step(RESET), start(NO_EVENT_IDX), step(RESET),
                            start(NO_INDIRECT | NO_EVENT_IDX, 1)),
            "misplaced": (by_hand()[:-20], step(RESET), write_register(0x70, 11),
                          write_register(0x38, 3), write_register(0x80, 8),
                          write_register(0x44, 1)),
            "needs-reset": (start(), step(POKE), u24(0x1002), u8(1), u16(999), step(NOTIFY),
                            read_register(0x70), step(RESET))}.items():
        seed(target, name, options, *parts)


def balloon_seeds():
    transport_seeds("balloon", u8(0))
    handler = u8(1)
    target, ask, look = (step(HOST) + u8(act) for act in (0 + 3 * 20, 1, 2))
    pages = b"".join(u32(page) for page in (24, 25, 26, 19, 20, 25))
    seed("balloon", "inflate", handler, start(), target, request(0, readable(0, pages)),
         write_register(0x104, 5), request(1, readable(0, pages)), look,
         request(0, readable(0, u32(0x150))))
    seed("balloon", "long-list", handler, start(),
         request(0, *[readable(0, pages, 16384)] * 2), step(LOOP_STEP) * 9)
    stats = b"".join(struct.pack("<HQ", tag, 1000 * tag) for tag in (0, 4, 5, 10, 99))
    seed("balloon", "stats", handler, start(), request(2, readable(0, stats)), look, ask,
         request(2, readable(1, stats)), ask, step(RESET), ask, start(1 << 1), ask)
    seed("balloon", "two-stats", u8(0), start(), offer(2, readable(0, stats)),
         request(2, readable(1, stats)), ask, ask, step(LOOP_STEP))
    seed("balloon", "reports", handler, start(), request(3, writable(0, 4096), writable(32, 8192)),
         request(4, writable(16, 4096)), look, request(3, writable(1, 4096)))
    seed("balloon", "reports-without-stats", handler, start(1 << 1),
         request(2, writable(0, 4096)), request(4, writable(0, 4096, HIGH)))
    seed("balloon", "config", u8(0), read_register(0x100), read_register(0x104),
         write_register(0x104, 255, 1), write_register(0x100, 7), read_register(0x106, 2))


B_IN, B_OUT, B_FLUSH, B_GET_ID, B_DISCARD, B_ZEROES = 0, 1, 4, 8, 11, 13
STATUS = writable(0xf0, 1)


def blk(kind, *data, sector=0, flags=0, status=STATUS):
    header = readable(0xe0, struct.pack("<IIQ", kind, 0, sector))
    return request(0, header, *data, status, flags=flags)


def blk_range(sector, count, flags=0):
    return struct.pack("<QII", sector, count, flags)


def blk_seeds():
    transport_seeds("blk", u8(0))
    for name, option in (("writable", u8(0)), ("read-only", u8(1))):
        seed("blk", name, option, start(),
             blk(B_OUT, readable(0, b"data" * 16, 1024), sector=3),
             blk(B_IN, writable(8, 512), writable(16, 1024), sector=2, flags=INDIRECT),
             blk(B_FLUSH), blk(B_GET_ID, writable(0, 20)))
    seed("blk", "ranges", u8(0), start(),
         blk(B_DISCARD, readable(0, blk_range(8, 16))),
         blk(B_ZEROES, readable(0, blk_range(0, 8) + blk_range(60, 4, 1))),
         blk(B_ZEROES, readable(0, blk_range(63, 2))), blk(B_DISCARD, readable(0, b"short")))
    seed("blk", "outside", u8(0), start(), blk(B_IN, writable(0, 1024), sector=63),
         blk(B_OUT, readable(0, b"", 512), sector=2**55), blk(B_IN, writable(0, 500)), blk(99))
    seed("blk", "whole", u8(0), start(), blk(B_IN, writable(0, 32768)),
         blk(B_OUT, readable(0, b"", 32768)))
    seed("blk", "no-status", u8(0), start(),
         request(0, readable(0, struct.pack("<IIQ", B_FLUSH, 0, 0))))
    seed("blk", "no-header", u8(0), start(), request(0, readable(0, b"short"), STATUS))
    seed("blk", "cut", u8(0), start(),
         request(0, readable(0, u32(B_OUT)), readable(1, bytes(12) + b"x" * 200, 460),
                 readable(5, b"", 64), writable(0xf0, 2)))
    seed("blk", "write-through", u8(0), start(), write_register(0x120, 0, 1),
         blk(B_OUT, readable(0, b"", 512)), read_register(0x120, 1), read_register(0x100, 8))


def rng_seeds():
    transport_seeds("rng")
    seed("rng", "requests", start(), request(0, writable(0, 64)), request(0, writable(1, 4096)),
         request(0, writable(2, 7), writable(3, 9), flags=INDIRECT), step(TIME, 15))
    seed("rng", "readable", start(), request(0, readable(0, b"not for writing")))
    seed("rng", "many", start(NO_EVENT_IDX), offer(0, writable(0, 16)) * 12, step(NOTIFY),
         step(TIME, 12))


def pmem_seeds():
    transport_seeds("pmem")
    flush = (readable(0, u32(0)), writable(1, 4))
    seed("pmem", "flush", start(), request(0, *flush), request(0, *flush, flags=INDIRECT))
    seed("pmem", "unknown", start(), request(0, readable(0, u32(7)), writable(1, 4)),
         request(0, readable(0, b"\0"), writable(1, 4)), request(0, *flush[:1]))
    seed("pmem", "config", b"".join(read_register(0x100 + at, size)
                                    for at, size in ((0, 8), (8, 8), (12, 8), (3, 1), (15, 2))))


# --- fuzz_net*.c ------------------------------------------------------------------------------

(N_FRAME, N_ZEROS, N_RAW, N_RECEIVE, N_SHUT, N_CLOSE, N_ACCEPT) = range(7)
NET_HEADER = bytes(12)
ETHERNET = b"\xff" * 6 + b"\x52\x54\0\x12\x34\x56" + b"\x08\0"


def net_host(act):
    return step(HOST) + u8(act)


def net_frame(data=ETHERNET + b"payload"):
    return net_host(N_FRAME) + u8(len(data)) + data


def net_seeds():
    transport_seeds("net", u8(0))
    buffers = offer(0, writable(0x40, 2048)) * 4 + step(NOTIFY, 0)
    send = request(1, readable(0, NET_HEADER + ETHERNET + b"payload"))
    split = request(1, readable(0, NET_HEADER), readable(1, ETHERNET), readable(2, b"", 1486),
                    flags=INDIRECT)
    receive = net_host(N_RECEIVE) + u16(60000)
    big = request(1, readable(0, NET_HEADER), u8(0, 1) + u16(60000))
    mergeable_refused = 1 << 15
    seed("net", "both-ways", u8(0), start(), buffers, send, net_frame(), receive, split, receive,
         net_frame(), net_host(N_ZEROS), u16(1500))
    seed("net", "merged", u8(0), start(), offer(0, writable(0x40, 256)) * 16, step(NOTIFY, 0),
         net_host(N_ZEROS), u16(1500), net_host(N_ZEROS), u16(3000), buffers)
    seed("net", "not-merged", u8(0), start(mergeable_refused), buffers, net_frame(),
         net_host(N_ZEROS), u16(5000), buffers, net_frame())
    seed("net", "no-buffers", u8(0), start(), net_frame() * 3, buffers)
    seed("net", "peer-stalls", u8(0), start(), big * 6, receive * 8, send, receive)
    seed("net", "peer-leaves", u8(0), start(), buffers, send, net_host(N_CLOSE), send,
         step(TIME, 15), net_host(N_ACCEPT), net_frame(), send, receive)
    seed("net", "peer-lies", u8(0), start(), buffers, net_host(N_RAW), u8(4), b"\xff" * 4,
         step(TIME, 15), net_host(N_ACCEPT), net_host(N_RAW), u8(30), bytes(30), net_frame())
    seed("net", "half-a-frame", u8(0), start(), buffers, net_host(N_RAW), u8(10),
         b"\0\0\0\x40" + b"half..", net_host(N_SHUT), u8(1))
    seed("net", "limited", u8(1), start(), buffers, send * 4, net_frame() * 4, step(TIME, 14),
         receive, step(TIME, 14), receive)
    seed("net", "bad-header", u8(0), start(),
         request(1, readable(0, struct.pack("<BBHHHHH", 1, 1, 54, 1448, 34, 16, 0) + ETHERNET)))
    seed("net", "short", u8(0), start(), request(1, readable(0, NET_HEADER + b"short")))
    seed("net", "small-buffer", u8(0), start(), offer(0, writable(0, 11)), step(NOTIFY, 0))

    def framed(data):
        return struct.pack(">I", len(data)) + data

    frames = framed(ETHERNET) + framed(b"short") + framed(b"") + framed(ETHERNET + b"x" * 99)
    seed("net_framing", "whole", pieces(frames, 254))
    seed("net_framing", "bytes", pieces(frames, 1))
    seed("net_framing", "sevens", pieces(frames * 3, 7))
    seed("net_framing", "largest", pieces(struct.pack(">I", 65553), 4), u8(255, 7) * 4,
         pieces(frames, 50))
    seed("net_framing", "too-large", pieces(struct.pack(">I", 65554), 4), u8(255, 7) * 4)
    seed("net_framing", "zeros", u8(255, 0) * 4, pieces(frames, 50))
    features = struct.pack("<Q", 1 << 0 | 1 << 11 | 1 << 12)
    for name, fields in (("plain", (0, 0, 0, 0, 0, 0, 0)), ("checksum", (1, 0, 0, 0, 34, 16, 0)),
                         ("tso4", (1, 1, 54, 1448, 34, 16, 0)),
                         ("tso6", (1, 4, 74, 1428, 54, 16, 0)),
                         ("outside", (1, 0, 0, 0, 65000, 65000, 0)),
                         ("small", (1, 1, 54, 7, 34, 16, 0))):
        seed("net_header", name, struct.pack("<BBHHHHH", *fields), u32(9000), features)


# --- fuzz_vsock.c -----------------------------------------------------------------------------

RX, TX, EVENT = range(3)
V_REQUEST, V_RESPONSE, V_RST, V_SHUTDOWN, V_RW, V_UPDATE, V_ASK = range(1, 8)
(H_CONNECT, H_SAY, H_SEND, H_RECEIVE, H_SHUT, H_CLOSE, H_LISTEN, H_ACCEPT) = range(8)
FIRST_HOST_PORT = 0x40000000


def packet(op, host_port=1024, guest_port=5000, length=0, flags=0, credit=65536, forwarded=0,
           kind=1, source=3):
    return struct.pack("<QQIIIHHIII", source, 2, guest_port, host_port, length, kind, op, flags,
                       credit, forwarded)


def guest_says(op, data=b"", **fields):
    body = packet(op, length=len(data), **fields)
    parts = (readable(0, body), readable(1, data)) if data else (readable(0, body),)
    return request(TX, *parts)


def host(act, peer=0):
    return step(HOST) + u8(act + 8 * peer)


def rx_buffers(count=4, length=4096):
    return offer(RX, writable(0x40, length)) * count + step(NOTIFY, RX)


def vsock_seeds():
    transport_seeds("vsock")
    begin = start(size=4) + rx_buffers()
    seed("vsock", "service", begin, guest_says(V_REQUEST), guest_says(V_RW, b"hello"),
         host(H_RECEIVE), u16(100), host(H_SEND), u16(600), rx_buffers(2),
         guest_says(V_ASK), guest_says(V_UPDATE), guest_says(V_SHUTDOWN, flags=3))
    seed("vsock", "host-connects", begin, host(H_CONNECT), u16(80),
         guest_says(V_RESPONSE, host_port=FIRST_HOST_PORT, guest_port=80),
         host(H_RECEIVE), u16(64), host(H_SAY), u8(4), b"ping", rx_buffers(1),
         guest_says(V_RW, b"pong", host_port=FIRST_HOST_PORT, guest_port=80),
         host(H_SHUT), u8(1), host(H_CLOSE), rx_buffers(2),
         guest_says(V_RST, host_port=FIRST_HOST_PORT, guest_port=80))
    seed("vsock", "guest-connects", begin, host(H_LISTEN), guest_says(V_REQUEST, host_port=2000),
         host(H_ACCEPT), guest_says(V_RW, b"to a program", host_port=2000),
         host(H_SEND), u16(9000), rx_buffers(3), guest_says(V_SHUTDOWN, host_port=2000, flags=1),
         host(H_RECEIVE), u16(99), guest_says(V_SHUTDOWN, host_port=2000, flags=2))
    seed("vsock", "refused", begin, guest_says(V_REQUEST, host_port=9),
         guest_says(V_RW, b"nobody", host_port=10), guest_says(V_REQUEST, source=9),
         guest_says(V_REQUEST, kind=2), guest_says(99))
    big = readable(0, packet(V_RW, length=60000)), u8(0, 1) + u16(60000)
    receive = host(H_RECEIVE) + u16(60000)
    seed("vsock", "back-pressure", begin, guest_says(V_REQUEST), request(TX, *big) * 7,
         receive * 9, rx_buffers(1), guest_says(V_SHUTDOWN, flags=2), receive)
    full = begin + guest_says(V_REQUEST) + request(TX, *big) * 5
    seed("vsock", "drains", full, guest_says(V_RST), receive * 7)
    seed("vsock", "drains-closed", full, guest_says(V_RST), host(H_CLOSE), rx_buffers(1))
    seed("vsock", "drains-reused", full, guest_says(V_RST), guest_says(V_REQUEST),
         guest_says(V_RW, b"new"), receive * 7, host(H_RECEIVE, 1), u16(99))
    seed("vsock", "over-credit", begin, guest_says(V_REQUEST), request(TX, *big) * 9, receive)
    seed("vsock", "closed-under-load", begin, guest_says(V_REQUEST), request(TX, *big) * 6,
         host(H_CLOSE), request(TX, *big), rx_buffers(1))
    seed("vsock", "handshakes", begin, host(H_CONNECT), u16(0), host(H_SAY), u8(5), b"CONNE",
         host(H_SAY), u8(6), b"CT 77\n", host(H_CONNECT), u16(0), host(H_SAY, 1), u8(9),
         b"HELLO 77\n", host(H_CONNECT), u16(0), host(H_SAY, 2), u8(40), b"CONNECT " + b"1" * 32,
         host(H_CONNECT), u16(0), host(H_CLOSE, 3), host(H_CONNECT), u16(0), step(TIME, 17))
    # The same head two hundred times: more than a device works off in one turn.
    seed("vsock", "turns", start(size=8), guest_says(V_ASK), offer(RX, writable(0x40, 128)),
         step(POKE), u24(0x1002), u8(1), u16(250), step(POKE), u24(0x3002), u8(1), u16(200),
         step(NOTIFY, TX), step(LOOP_STEP) * 4)
    seed("vsock", "credit", begin, guest_says(V_REQUEST, credit=10), host(H_SEND), u16(100),
         guest_says(V_UPDATE, credit=200, forwarded=10), host(H_CLOSE), step(TIME, 18),
         rx_buffers(1))
    seed("vsock", "lies", begin, guest_says(V_REQUEST), guest_says(V_RW, b"x", forwarded=99999),
         request(TX, readable(0, packet(V_RW, length=4000))), rx_buffers(1))
    seed("vsock", "deadlines", begin, host(H_CONNECT), u16(81), step(TIME, 17), step(TIME, 17),
         host(H_CONNECT, 1), u16(82), step(TIME, 17), rx_buffers(1))
    seed("vsock", "reset", begin, guest_says(V_REQUEST), host(H_CONNECT), u16(7), step(RESET),
         step(LOOP_STEP), begin, guest_says(V_REQUEST), host(H_SEND), u16(10))
    seed("vsock", "small-buffers", start(), rx_buffers(2, 44), guest_says(V_REQUEST))


# --- fuzz_wire.c ------------------------------------------------------------------------------

def pieces(stream, size):
    return b"".join(u8(len(stream[i:i + size])) + stream[i:i + size]
                    for i in range(0, len(stream), size))


def wire_seeds():
    stream = (b'{"id":1,"verb":"file","path":"a.txt","blob":5}\nhello'
              b'{"id":2,"ok":true,"n":-3,"r":1.5e3,"l":[null,false,{}]}\n'
              b'{"event":"ready","s":"\\u00e9\\ud83d\\ude00\\n\xc3\xa9"}\n')
    seed("wire", "whole", pieces(stream, 249))
    seed("wire", "bytes", pieces(stream, 1))
    seed("wire", "sevens", pieces(stream, 7))
    seed("wire", "blob-lies", pieces(b'{"blob":1048577}\n', 99), pieces(b'{"blob":0}\n', 99))
    seed("wire", "big-blob", pieces(b'{"blob":900000}\n', 99), u8(250), b"\n" * 250)
    seed("wire", "long-line", pieces(b'{"a":"', 99), u8(250), b"x" * 250)
    seed("wire", "no-object", pieces(b"[1]\n", 99))
    seed("wire", "duplicate", pieces(b'{"a":1,"a":2}\n', 99))
    seed("wire", "deep", pieces(b'{"a":' + b"[" * 200, 249))


# --- fuzz_vnc.c -------------------------------------------------------------------------------

def vnc_encodings(*numbers):
    return struct.pack(">BBH", 2, 0, len(numbers)) + struct.pack(f">{len(numbers)}i", *numbers)


def vnc_request(incremental=1, x=0, y=0, width=100, height=70):
    return struct.pack(">BBHHHH", 3, incremental, x, y, width, height)


def vnc_format(bits=32, depth=24, big=0, true_colour=1, maxima=(255, 255, 255), shifts=(16, 8, 0)):
    return struct.pack(">B3xBBBBHHHBBB3x", 0, bits, depth, big, true_colour, *maxima, *shifts)


def vnc_seeds():
    hello = [b"RFB 003.008\n", b"\1", b"\1"]
    zrle, tight, hextile, zlib = 16, 7, 5, 6

    def talk(name, *said):
        seed("vnc", name, *[u8(len(part)) + part for part in said])

    for name, encodings in (("raw", (0,)), ("hextile", (hextile,)), ("zlib", (zlib, -251)),
                            ("zrle", (zrle, -223, -224)), ("tight", (tight, -26, -250, -224)),
                            ("cursor", (zrle, -239, -223))):
        talk(name, *hello, vnc_encodings(*encodings), vnc_request(0), vnc_request(), vnc_request())
    talk("old", b"RFB 003.003\n", b"\0", vnc_request(0))
    talk("seven", b"RFB 003.007\n", b"\1", b"\1", vnc_request(0))
    talk("pixels", *hello, vnc_format(16, 16, 1, 1, (31, 63, 31), (11, 5, 0)), vnc_request(0),
         vnc_format(8, 8, 0, 1, (7, 7, 3), (0, 3, 6)), vnc_request(0),
         vnc_format(8, 8, 0, 0), vnc_request(0))
    talk("acts", *hello, struct.pack(">BBHI", 4, 1, 0, 0xffe1), struct.pack(">BBHH", 5, 1, 99, 69),
         struct.pack(">B3xi", 6, 5) + b"hello", struct.pack(">B3xi", 6, -5) + b"hello",
         struct.pack(">BBHI", 4, 0, 0, 0xffe1))
    talk("beyond", *hello, vnc_request(0, 60000, 60000, 60000, 60000), vnc_request(1, 99, 69, 2, 2),
         vnc_request(0, 0, 0, 0, 0))
    talk("files", *hello, b"\7\1\0\0" + b"\0" * 8)


# --- fuzz_agent.c -----------------------------------------------------------------------------

(A_CONNECT, A_SAY, A_HELLO, A_REPLY, A_REQUEST, A_LISTEN, A_TIME, A_CLOSE) = range(8)


def agent_says(data):
    return u8(A_SAY, len(data)) + data


def agent_seeds():
    begin = u8(A_CONNECT, A_HELLO)
    ask = u8(A_REQUEST + 8 * 4, 0)
    seed("agent", "requests", begin, ask * 3,
         u8(A_LISTEN, A_REPLY + 8 * 2, A_REPLY + 8, A_REPLY + 8 * 9, A_REPLY + 8 * 3, A_CLOSE))
    copy = u8(A_CONNECT, A_HELLO + 8)
    seed("agent", "copy", copy, ask, u8(A_LISTEN, A_REPLY + 8, A_LISTEN), ask, u8(A_REPLY + 8 * 2))
    seed("agent", "copy-refuses", copy, ask,
         agent_says(b'{"id":1,"ok":false,"error":{"code":"failed","message":"no"}}\n'), u8(A_CLOSE),
         begin, u8(A_REPLY + 8 * 2, A_CLOSE), begin, u8(A_REPLY + 8 * 3), ask)
    seed("agent", "copy-is-silent", copy, u8(A_TIME + 8 * 21), begin, u8(A_HELLO, A_HELLO),
         u8(A_REPLY + 8 * 3, A_REPLY + 8 * 5), ask)
    seed("agent", "timeout", begin, u8(A_REQUEST + 8 * 2, 0) * 2, u8(A_TIME + 8 * 16, A_REPLY + 8))
    seed("agent", "two", begin, u8(A_CONNECT), ask, u8(A_CLOSE), begin)
    seed("agent", "old-version", u8(A_CONNECT), agent_says(b'{"event":"hello","protocol":0}\n'))
    seed("agent", "blob", begin, ask,
         agent_says(b'{"id":1,"ok":true,"blob":4}\nabcd'), agent_says(b'{"event":"died"}\n'))
    seed("agent", "garbage", begin, agent_says(b"\xff\0\n"), begin, agent_says(b"{}\n"))
    seed("agent", "asks-at-the-end", begin, u8(A_REQUEST, 0) * 3)
    seed("agent", "deaf", begin, u8(A_REQUEST + 8 * 4, 6) * 12, begin, u8(A_LISTEN), ask)
    seed("agent", "too-large", begin, u8(A_REQUEST + 8 * 4, 7), ask)


# --- fuzz_display.c ---------------------------------------------------------------------------

BARE, RUN, PICTURE = 1, 2, 4


def xwd(width, height, **changes):
    fields = {"header_size": 160, "version": 7, "format": 2, "depth": 24, "width": width,
              "height": height, "xoffset": 0, "byte_order": 0, "unit": 32, "bit_order": 0,
              "pad": 32, "bits": 32, "stride": 4 * width, "class": 4, "red": 0xff0000,
              "green": 0xff00, "blue": 0xff, "bits_rgb": 8, "entries": 256, "colors": 256}
    fields.update(changes)
    return struct.pack(">20I", *fields.values())


def display_seeds():
    def bare(header, width, height, flags=0):
        return (u8(BARE | RUN | flags) + u24(0x4000) + u8(len(header)) + header + u16(width)
                + u16(height) + u8(4))

    seed("display", "run", bare(xwd(64, 64), 64, 64))
    seed("display", "picture", bare(xwd(96, 64), 96, 64, PICTURE))
    seed("display", "one-colour", bare(xwd(64, 64, colors=0, header_size=100), 64, 64))
    seed("display", "stride", bare(xwd(64, 64, stride=4 * 70), 70, 64))
    seed("display", "another-size", bare(xwd(64, 65), 64, 64))
    pages = [9, 5, 7, 0x100, 3]
    listed = b"".join(struct.pack("<Q", page) for page in pages)
    message = (b'{"id":1,"ok":true,"width":64,"height":64,"stride":256,"size":19616,"blob":'
               + str(len(listed)).encode() + b"}\n" + listed)
    place = u24(pages[0] << 12)
    seed("display", "wire", u8(0), place, u8(0), message)
    seed("display", "wire-picture", u8(PICTURE), place, u8(0), message)
    seed("display", "twice", u8(0), place, u8(0), message.replace(listed[:8], listed[8:16]))
    seed("display", "outside", u8(0), place, u8(0), message[:-8], struct.pack("<Q", 1 << 60))
    seed("display", "no-list", u8(0), place, u8(0), b'{"ok":true,"width":"64"}\n')


# --- fuzz_loader.c ----------------------------------------------------------------------------

INITRAMFS, LONGER = 1, 2


def elf(segments, entry=0x100000, count=None, **changes):
    fields = {"type": 2, "machine": 62, "offset": 64, "size": 56}
    fields.update(changes)
    head = b"\x7fELF" + u8(2, 1, 1) + bytes(9)
    head += struct.pack("<HHIQQQIHHHHHH", fields["type"], fields["machine"], 1, entry,
                        fields["offset"], 0, 0, 64, fields["size"],
                        len(segments) if count is None else count, 0, 0, 0)
    return (head + b"".join(segments)).ljust(0x206, b"\0")


def load(offset, address, in_file, in_memory):
    return struct.pack("<IIQQQQQQ", 1, 7, offset, address, address, in_file, in_memory, 4096)


def bzimage(version=0x20f, flags=1, sectors=1, address=0x100000, init_size=0x4000):
    header = bytearray(0x268)
    header[0x1f1] = sectors
    header[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", header, 0x206, version)
    struct.pack_into("<H", header, 0x236, flags)
    struct.pack_into("<QI", header, 0x258, address, init_size)
    return bytes(header)


def loader_seeds():
    def kernel(file, flags=LONGER, cmdline=b"console=ttyS0", initramfs=0):
        return u8(flags, len(cmdline)) + cmdline + u16(initramfs) + file

    good = load(0x200, 0x100000, 0x800, 0x1000)
    seed("loader", "elf", kernel(elf([good])))
    seed("loader", "elf-two", kernel(elf([good, load(0, 0x300000, 64, 64)])))
    seed("loader", "elf-initramfs", kernel(elf([good]), LONGER | INITRAMFS, initramfs=17))
    seed("loader", "elf-outside", kernel(elf([load(0, 0x3ff000, 64, 0x2000)])))
    seed("loader", "elf-wraps", kernel(elf([load(0, 2**64 - 4096, 0, 8192)])))
    seed("loader", "elf-low", kernel(elf([load(0, 0x8000, 64, 64)])))
    seed("loader", "elf-no-entry", kernel(elf([good], entry=0x200000)))
    seed("loader", "bzimage", kernel(bzimage()))
    seed("loader", "bzimage-initramfs", kernel(bzimage(), LONGER | INITRAMFS, initramfs=9000))
    seed("loader", "bzimage-old", kernel(bzimage(version=0x20b)))
    seed("loader", "bzimage-short", kernel(bzimage(sectors=200)))
    seed("loader", "bzimage-high", kernel(bzimage(address=2**64 - 0x1000)))
    seed("loader", "no-kernel", kernel(b"#!/bin/sh\n".ljust(600, b"\0")))


# --- fuzz_snapshot.c --------------------------------------------------------------------------

SEALED, WITH_PARENT = 1, 2
CHUNK, PAGE = 65536, 4096
ZERO, RAW, LZ4, OF_PARENT = range(4)
GOLDEN = os.path.join(HERE, "..", "..", "unit", "golden")


def u64(value):
    return struct.pack("<Q", value)


def section(kind, payload=b"", instance=0, version=1, flags=1, length=None):
    """Its hash is the target's to fill in, as all are."""
    return (u32(kind) + u32(instance) + u16(version) + u16(flags) + u32(0)
            + u64(len(payload) if length is None else length) + u64(0) + payload)


def lz4_run(byte, size):
    """A block that expands to @size times the same byte, at least 40."""
    extra = size - 6 - 4 - 15
    return (u8(0x1f, byte, 1, 0) + b"\xff" * (extra // 255) + u8(extra % 255)
            + u8(0x50) + u8(byte) * 5)


def snapshot(state, chunks, ram, ident=b"seed", parent=b"", **fields):
    """@chunks: kind, stored bytes, hash."""
    data = b"".join(stored for _, stored, _ in chunks)
    index = b"".join(u8(kind) + u32(len(stored)) + u32(0) + u64(hashed)
                     for kind, stored, hashed in chunks) + u64(0)
    sizes = {"ram": ram, "state": len(state), "data": len(data), "index": len(index),
             "file": 128 + len(state) + len(data) + len(index), **fields}
    return (b"CLOCHE\x1a\n" + u32(1) + u32(128) + ident.ljust(16, b"\0") + parent.ljust(16, b"\0")
            + u64(sizes["ram"]) + u32(CHUNK) + u32(0)
            + b"".join(u64(sizes[name]) for name in ("state", "data", "index", "file"))
            + bytes(32) + state + data + index)


def snapshot_seeds():
    config, vcpu, info, place = 1, 3, 10, 9
    run = lz4_run(ord("x"), PAGE)

    def one(name, state, chunks, ram, flags=SEALED, **fields):
        seed("snapshot", name, u8(flags), snapshot(state, chunks, ram, **fields))

    one("zero", b"", [(ZERO, b"", 0)], PAGE)
    one("lz4", section(info, b"who"), [(LZ4, run, 1)], PAGE)
    one("raw", section(info), [(RAW, b"r" * PAGE, 7)], PAGE)
    one("mixed", section(vcpu, b"a") + section(vcpu, b"b", instance=1) + section(300, flags=0),
        [(LZ4, lz4_run(0, CHUNK), 1), (ZERO, b"", 0), (LZ4, run, 2)], 2 * CHUNK + PAGE)
    one("bomb", b"", [(LZ4, lz4_run(1, 40 * CHUNK), 1)], CHUNK)
    one("short-block", b"", [(LZ4, lz4_run(1, 4000), 1)], PAGE)
    one("unknown-required", section(99), [(ZERO, b"", 0)], PAGE)
    one("section-too-long", section(vcpu, b"abc", length=4), [(ZERO, b"", 0)], PAGE)
    one("section-twice", section(vcpu) * 2, [(ZERO, b"", 0)], PAGE)
    one("sum-off", b"", [(LZ4, run, 1)], PAGE, data=len(run) - 1, index=26)
    one("parent-missing", section(place, u32(5) + b"/none"), [(OF_PARENT, b"", 3)], PAGE,
        parent=b"other")
    one("config", section(config, u32(4) + b"demo" + u64(1 << 28) + u32(2) + u32(640) + u32(480)
                          + u32(3) + u32(0) + u32(2) + b"/i" + u64(PAGE) + u64(9) + u32(1)
                          + u32(2) + b"/d" + u8(1) + bytes(6) + u64(0) + u64(0)),
        [(ZERO, b"", 0)], PAGE)

    one("info", section(info, u32(5) + b"0.1.0" + u64(1 << 30) + u32(36) + b"6" * 36),
        [(ZERO, b"", 0)], PAGE)

    parent = snapshot(b"", [(LZ4, run, 5), (ZERO, b"", 0)], CHUNK + PAGE, ident=b"base")
    child = snapshot(section(place, u32(5) + b"/base"), [(OF_PARENT, b"", 5), (LZ4, run, 6)],
                     CHUNK + PAGE, parent=b"base")
    seed("snapshot", "child", u8(SEALED | WITH_PARENT), u24(len(parent)), parent, child)

    def golden(name):
        with open(os.path.join(GOLDEN, name), "rb") as file:
            return file.read()

    parent, child = golden("snapshot-v1.snap"), golden("snapshot-v1-child.snap")
    seed("snapshot", "golden", u8(0), parent)
    seed("snapshot", "golden-child", u8(WITH_PARENT), u24(len(parent)), parent, child)
    seed("snapshot", "cut-off", u8(0), parent[:-1])


# --- fuzz_restore.c ---------------------------------------------------------------------------

ORDER, FITTING = 1, 2
SEED_ID = b"seed".ljust(16, b"\0")


def trailer(ram, blocks, size=None, ident=SEED_ID):
    bits = bytes(blocks)
    return (b"CLOCHET\x1a" + u32(1) + u32(2 << 20) + ident + u64(ram)
            + u32(len(bits) if size is None else size) + u32(0) + bits + u64(0))


def touch_order(chunks, order, count=None):
    return (b"CLOCHEO\x1a" + u32(1) + u32(CHUNK) + SEED_ID + u64(chunks)
            + u32(len(order) if count is None else count) + b"".join(u32(n) for n in order) + u64(0))


def restore_seeds():
    def one(name, flags, pages, data):
        seed("restore", name, u8(flags), u24(pages - 1), data)

    one("trailer", FITTING, 2560, trailer(2560 * PAGE, [0x15]))
    one("trailer-wrong-hash", 0, 2560, trailer(2560 * PAGE, [0x15]))
    one("trailer-of-more", FITTING, 2560, trailer(2560 * PAGE, [0x35]))
    one("trailer-large", FITTING, 1 << 23, trailer(1 << 35, [0xaa] * 2048))
    one("trailer-size-off", FITTING, 8192, trailer(8192 * PAGE, [1, 2], size=3))
    one("trailer-other-id", FITTING, 512, trailer(512 * PAGE, [1], ident=bytes(16)))
    one("order", ORDER | FITTING, 256, touch_order(16, [3, 15, 0, 7]))
    one("order-empty", ORDER | FITTING, 256, touch_order(16, []))
    one("order-twice", ORDER | FITTING, 256, touch_order(16, [3, 3]))
    one("order-beyond", ORDER | FITTING, 256, touch_order(16, [16]))
    one("order-long", ORDER | FITTING, 256, touch_order(16, [1], count=1 << 30))
    one("order-wrong-hash", ORDER, 256, touch_order(16, [3, 15]))


# --- fuzz_state.c -----------------------------------------------------------------------------

(S_PMEM, S_VSOCK, S_RNG, S_BALLOON, S_BLK, S_NET, S_SERIAL, S_IOAPIC, S_SCREEN, S_VCPU,
 S_FOREIGN_VCPU) = range(11)
S_COPY, S_SHUT, S_OPEN = range(3)


def queue_state(index, size=16, event=0, indirect=0, active=1, broken=0, at=0):
    """A queue whose ring lies where rings.c has its ring @index; @at: all of its positions."""
    base = index * 0x2000
    return (u16(size) + u64(base) + u64(base + 0x1000) + u64(base + 0x1400)
            + u8(event, indirect, active, broken) + u16(at) * 3)


def virtio_state(device, queues, own=b"", features=0, offered=0, status=15, pending=0):
    return (u32(device) + u32(status) + u32(0) * 3 + u64(offered) + u64(features | 1 << 32)
            + u32(pending) + u32(0) + u8(0, len(queues)) + b"".join(queues) + own)


def restored(part, state, *steps):
    return u8(part) + u16(len(state)) + state + b"".join(steps)


def poke(where, data):
    return b"".join(step(POKE) + u24(where + i) + u8(len(data[i:i + 32]) - 1) + data[i:i + 32]
                    for i in range(0, len(data), 32))


def offered_chains(queue, *chains, at=0):
    """Chains of (address, length, flags), put into memory before the device looks."""
    base, steps, index = queue * 0x2000, b"", 0
    ring = b""
    for descriptors in chains:
        ring += u16(index)
        for i, (address, length, flags) in enumerate(descriptors):
            more = i + 1 < len(descriptors)
            steps += poke(base + index * 16, struct.pack("<QIHH", address, length, flags | more,
                                                         index + 1 if more else 0))
            index += 1
    return (steps + poke(base + 0x1004 + 2 * at, ring) + poke(base + 0x1002, u16(at + len(chains))))


def state_seeds():
    def host_does(act):
        return step(HOST) + u8(act)

    turns, again = step(LOOP_STEP) * 3, host_does(S_COPY)
    buffers = [(0x10000 + 0x100 * i, 0x100, 2) for i in range(4)]
    rng = virtio_state(4, [queue_state(0)], pending=1)
    seed("state", "rng", restored(S_RNG, rng, offered_chains(0, buffers[:1], buffers[1:3]), turns,
                                  again, request(0, writable(0, 16)), start(), again))
    seed("state", "rng-wrapped", restored(S_RNG, virtio_state(4, [queue_state(0, event=1, at=65535)]),
                                          poke(0x1002, u16(65535)), turns, again))
    seed("state", "rng-runs-away", restored(S_RNG, rng, poke(0x1002, u16(99)), turns, again))
    seed("state", "pmem", restored(S_PMEM, virtio_state(27, [queue_state(0, indirect=1)]),
                                   offered_chains(0, [(0x10000, 4, 0), (0x10100, 4, 2)]), turns,
                                   again))
    vsock = virtio_state(19, [queue_state(i) for i in range(3)],
                         u64(3) + u32(2) + (u32(80) + u32(5000)) * 2)
    events = offered_chains(2, [(0x12000, 8, 2)], [(0x12100, 8, 2)])
    receive = offered_chains(0, *[[buffer] for buffer in buffers])
    seed("state", "vsock", restored(S_VSOCK, vsock, events, receive, turns, again,
                                    poke(2 * 0x2000 + 0x1008, u16(0)),
                                    poke(2 * 0x2000 + 0x1002, u16(3)), step(NOTIFY, 2), turns, again))
    begin = start(size=4) + rx_buffers()
    asks = guest_says(V_REQUEST, host_port=80) + guest_says(V_REQUEST, host_port=81)
    seed("state", "vsock-held", restored(S_VSOCK, vsock, host_does(S_SHUT), begin, asks, again,
                                         guest_says(V_RST, host_port=80), host_does(S_OPEN), turns,
                                         again))
    seed("state", "vsock-owed", restored(S_VSOCK, b"", start(size=4), asks, again, rx_buffers(1)))
    seed("state", "vsock-other-cid", restored(S_VSOCK, vsock.replace(u64(3) + u32(2), u64(4) + u32(2)),
                                              turns))
    seed("state", "vsock-many", restored(S_VSOCK, virtio_state(
        19, [queue_state(i) for i in range(3)],
        u64(3) + u32(300) + b"".join(u32(80) + u32(n) for n in range(300))), turns, again))
    pages = poke(0x10000, b"".join(u32(page) for page in (20, 21, 25)))
    balloon = virtio_state(5, [queue_state(i) for i in range(4)] + [queue_state(4, active=0)],
                           u8(1) + u32(7) + u32(3), features=0x22)
    seed("state", "balloon", restored(S_BALLOON, balloon, pages,
                                      offered_chains(0, [(0x10000, 12, 0)]),
                                      offered_chains(2, [(0x10000, 12, 0)]), turns, again))
    seed("state", "balloon-too-large", restored(S_BALLOON, balloon.replace(u32(7), u32(33)), turns))
    blk = virtio_state(2, [queue_state(0)], u64(32 << 10) + u8(1, 1, 1), features=1 << 5 | 1 << 9)
    seed("state", "blk", restored(S_BLK, blk, poke(0x10000, bytes(16)), offered_chains(
        0, [(0x10000, 16, 0), (0x10100, 512, 2), (0x10400, 1, 2)]), turns, again))
    net = virtio_state(1, [queue_state(0), queue_state(1)], u8(1) + u16(1) + u16(0), features=1 << 15)
    seed("state", "net", restored(S_NET, net, receive,
                                  offered_chains(1, [(0x11000, 12, 0), (0x11100, 60, 0)]), turns,
                                  again, host_does(S_SHUT), again, host_does(S_OPEN)))
    seed("state", "not-negotiated", restored(S_RNG, virtio_state(4, [queue_state(0)], status=7), turns))
    seed("state", "outside", restored(S_RNG, virtio_state(4, [queue_state(200)]), turns))
    seed("state", "cut", restored(S_RNG, rng[:-1], turns))
    seed("state", "long", restored(S_RNG, rng + b"x", turns))

    seed("state", "serial", u8(S_SERIAL), u8(2, 3, 0x0b, 0x5a, 1, 0, 1, 1))
    pins = b"".join(u64(0x30 + pin | (pin % 3 == 0) << 16 | pin << 56) for pin in range(24))
    seed("state", "ioapic", u8(S_IOAPIC), u8(0x16, 5), pins)
    listed = b"".join(u64(page) for page in (9, 5, 7, 0x100, 3))
    seed("state", "screen", u8(S_SCREEN), u32(64), u32(64), u32(len(listed)), listed)
    seed("state", "no-screen", u8(S_SCREEN), u32(0), u32(0), u32(0))
    leaves = u32(2) + (u32(0) * 3 + u32(1) * 4) + (u32(7) + u32(0) * 6)
    msrs = u32(3) + b"".join(u32(msr) + u64(msr) for msr in (0x6e0, 0x10, 0x277))
    vcpu = (leaves + u32(0) + u64(1) * 18 + bytes(8 * 23) + bytes(20) + u64(0) * 7 + u64(0) * 4
            + u32(4096) + bytes(4096) + u32(1) + u32(0) + u64(1) + u64(0) * 6 + bytes(1024) + msrs
            + bytes(16) + u32(0) * 3 + u64(0))
    seed("state", "vcpu", u8(S_VCPU), vcpu)
    seed("state", "vcpu-foreign", u8(S_FOREIGN_VCPU), vcpu)


# --- fuzz_registers.c -------------------------------------------------------------------------

SERIAL, VMGENID, PVPANIC, POWER, IOAPIC = range(5)
ROUND = u8(15)


def bus_access(device, offset, size, value=None):
    how = {1: 0, 2: 1, 4: 2, 8: 3}[size] | (4 if value is None else 0)
    return (u8(device | how << 4) + u8(offset)
            + (b"" if value is None else struct.pack("<Q", value)[:size]))


def registers_seeds():
    text = b"".join(bus_access(SERIAL, 0, 1, byte) for byte in b"Linux\r\n\x1b[31m")
    seed("registers", "serial", bus_access(SERIAL, 1, 1, 2), text, ROUND,
         bus_access(SERIAL, 2, 1), bus_access(SERIAL, 5, 1), u8(3))
    seed("registers", "serial-setup", bus_access(SERIAL, 3, 1, 0x83), bus_access(SERIAL, 0, 1, 1),
         bus_access(SERIAL, 1, 1, 0), bus_access(SERIAL, 0, 1), bus_access(SERIAL, 3, 1, 3),
         bus_access(SERIAL, 4, 1, 0x1b), bus_access(SERIAL, 6, 1), bus_access(SERIAL, 7, 1, 9),
         bus_access(SERIAL, 2, 1, 1), bus_access(SERIAL, 2, 4))

    seed("registers", "flood", u8(14, 70), ROUND, u8(14, 1), ROUND, u8(14, 2))

    def pin(number, low, high):
        return b"".join((bus_access(IOAPIC, 0, 4, 0x11 + 2 * number),
                         bus_access(IOAPIC, 16, 4, high),
                         bus_access(IOAPIC, 0, 4, 0x10 + 2 * number),
                         bus_access(IOAPIC, 16, 4, low), bus_access(IOAPIC, 16, 4)))

    seed("registers", "ioapic", pin(4, 0x31, 0), pin(5, 0x932, 0xff000000), pin(23, 0x10033, 0),
         bus_access(SERIAL, 1, 1, 2), pin(4, 0x10031, 0), text, pin(4, 0x31, 0))
    seed("registers", "ioapic-odd", pin(24, 0x31, 0), pin(3, 0x08, 0), pin(3, 0x731, 0),
         bus_access(IOAPIC, 0, 4, 0), bus_access(IOAPIC, 16, 4, 0xffffffff),
         bus_access(IOAPIC, 16, 8, 5), bus_access(IOAPIC, 17, 4), bus_access(IOAPIC, 0, 4, 1),
         bus_access(IOAPIC, 16, 4))
    seed("registers", "platform", bus_access(VMGENID, 0, 8), bus_access(VMGENID, 15, 1),
         bus_access(VMGENID, 12, 8), bus_access(PVPANIC, 0, 1), bus_access(PVPANIC, 0, 1, 1),
         bus_access(PVPANIC, 1, 1, 1), bus_access(POWER, 0, 4, 0x34), bus_access(POWER, 0, 4))


# --- fuzz_recording.c, fuzz_frames.c -----------------------------------------------------------

CHECKS_FIT = 1


def rec_record(kind, *payload):
    """Its checks are made to fit by the target."""
    payload = b"".join(payload)
    return u32(kind) + u32(len(payload)) + bytes(12) + payload


def recording_seeds():
    with open(os.path.join(GOLDEN, "recording-v1.rec"), "rb") as file:
        golden = file.read()
    head = golden[:96]
    second = 10 ** 9

    def screen(width, height, time=0):
        return rec_record(1, u64(time), u32(width), u32(height))

    def frame(places, tiles=(), palettes=(), rows=(), first=(0, 0), time=0):
        """Its block is stored as it is. A tile is (first, rows) runs, a row (palette, bytes)."""
        block = b"".join(u8(len(runs) - 1) + b"".join(u32(at << 5 | count - 1) for at, count in runs)
                         for runs in tiles)
        if tiles:
            block += u8(len(palettes)) + b"".join(u8(len(p) // 3 - 1) + p for p in palettes)
            block += bytes(kind for kind, _ in rows) + b"".join(data for _, data in rows)
        return rec_record(2, u64(time), u64(7), u16(len(places)), u16(len(tiles)), u32(len(rows)),
                      u32(first[0]), u32(first[1]), u32(len(block)),
                      b"".join(u16(place) + u32(tile) for place, tile in places), block)

    white = (0, bytes(64))
    end = rec_record(4, u64(5 * second), u64(1), u64(1))
    seed("recording", "golden", u8(0), golden)
    seed("recording", "golden-fitting", u8(CHECKS_FIT), golden)
    seed("recording", "cut-off", u8(0), golden[:-30])
    seed("recording", "empty", u8(CHECKS_FIT), head, end)
    one = frame([(0, 0)], [[(0, 1)] * 32], [b"\xff\xff\xff\x00\x40\x80"],
                [(0, bytes(i & 1 for i in range(64)))])
    seed("recording", "small", u8(CHECKS_FIT), head, screen(64, 32), one,
         rec_record(3, u64(second), b'{"event":"action","verb":"input","steps":[{"text":"x"}]}'), end)
    seed("recording", "rgb", u8(CHECKS_FIT), head, screen(100, 40),
         frame([(0, 0), (1, 0), (2, 1), (3, 1)], [[(0, 2)] * 16, [(0, 2), (2, 1), (0, 1), (1, 1), (0, 2), (1, 1)]], [b"\xff\xff\xff"],
               [white, (255, bytes(range(192))), white]), end)
    seed("recording", "again", u8(CHECKS_FIT), head, screen(64, 32), one, screen(64, 64, second),
         frame([(0, 0)], time=second), frame([(0, 1), (1, 0)], [[(0, 1)] * 32], first=(1, 1),
                                             palettes=[b"\0\0\0"], rows=[white], time=second), end)
    seed("recording", "optional", u8(CHECKS_FIT), head, rec_record(1 << 16, b"later"), end)


def frames_seeds():
    def frame(width, height, tiles):
        return b"CLFR" + u32(len(tiles)) + u64(7) + u64(10 ** 18) + u32(width) + u32(height) + \
            b"".join(tiles)

    def tile(index, width, height, colour):
        return u32(index) + u64(0) + u32(colour) * (width * height)

    whole = frame(70, 33, [tile(0, 64, 32, 1), tile(1, 6, 32, 2), tile(2, 64, 1, 3),
                           tile(3, 6, 1, 4)])
    seed("frames", "frames", u8(CHECKS_FIT, 13), whole, frame(70, 33, [tile(2, 64, 1, 0xffffff)]))
    seed("frames", "size", u8(CHECKS_FIT, 0), whole, frame(1, 1, [tile(0, 1, 1, 5)]), whole)
    seed("frames", "backwards", u8(CHECKS_FIT, 1), whole,
         frame(70, 33, [tile(3, 6, 1, 1), tile(1, 6, 32, 2)]))
    seed("frames", "unfit", u8(0, 7), whole)


# --- fuzz_actions.c ---------------------------------------------------------------------------

def actions_seeds():
    def actions(name, text, width=1280, height=800):
        seed("actions", name, u16(width - 64), u16(height - 64), text.encode())

    actions("click", '{"action":"left_click","coordinate":[640,400],"text":"ctrl+shift"}')
    actions("drag", '{"action":"left_click_drag","start_coordinate":[1,2],"coordinate":[1279,799]}')
    actions("scroll", '{"action":"scroll","coordinate":[3,4],"scroll_direction":"up","scroll_amount":9}')
    actions("keys", '[{"action":"key","text":"ctrl+a Delete","repeat":3},'
                    '{"action":"hold_key","text":"shift a","duration":61.5},{"action":"type","text":"\u00e9"}]')
    actions("zoom", '{"action":"zoom","region":[5,6,70,80],"max_width":9,"frame":"a-1@64x40/128x80+3+7"}', 640, 480)
    actions("navigate", '{"action":"navigate","url":"http://a/"}')
    actions("others", '[{"action":"screenshot","max_pixels":100},{"action":"cursor_position"},'
                      '{"action":"left_mouse_down"},{"action":"left_mouse_up"},{"action":"wait","duration":1}]')
    actions("openai-click", '{"type":"click","x":63,"y":63,"button":"wheel","keys":["CTRL","SHIFT"]}', 64, 64)
    actions("openai-drag", '{"type":"drag","path":[{"x":1,"y":2},{"x":3,"y":4},{"x":5,"y":6}],"keys":["ALT"]}')
    actions("openai-scroll", '{"type":"scroll","x":1,"y":2,"scroll_x":-12000,"scroll_y":12000}')
    actions("openai-keys", '[{"type":"keypress","keys":["CTRL","A"]},{"type":"type","text":"x"},{"type":"wait"}]')
    actions("openai-move", '[{"type":"move","x":9,"y":9},{"type":"double_click","x":9,"y":9},'
                           '{"type":"screenshot"}]')
    actions("expect", '{"type":"wait","frame":"0badcafe-12","if_unchanged":true,"expect":{"settled":true,'
                      '"quiet_ms":9,"timeout_ms":99,"changed":[1,2,3,4],"unchanged":true,'
                      '"url":{"matches":"^h.t$"},"title":"A title"}}')
    actions("far", '{"type":"move","x":4095,"y":4095,"frame":"a-1@4096x4096/1x1+4095+4095"}', 4096, 4096)


def main():
    for make in (actions_seeds, recording_seeds, frames_seeds,
                 queue_seeds, balloon_seeds, blk_seeds, rng_seeds, pmem_seeds, net_seeds, vsock_seeds,
                 wire_seeds, vnc_seeds, agent_seeds,
                 display_seeds, loader_seeds, snapshot_seeds, restore_seeds, state_seeds,
                 registers_seeds):
        make()
    there = {os.path.relpath(path, HERE) for path in glob.glob(os.path.join(HERE, "*", "*"))}
    if sys.argv[1:] == ["--check"]:
        wrong = [name for name, data in SEEDS.items()
                 if name not in there or open(os.path.join(HERE, name), "rb").read() != data]
        wrong += sorted(there - set(SEEDS))
        for name in wrong:
            print(f"FAIL {name}: not what seeds.py writes: run it")
        print(f"{len(SEEDS) - len(wrong)} passed, {len(wrong)} failed")
        return 1 if wrong else 0
    if sys.argv[1:]:
        print(__doc__.strip())
        return 2
    for name in there - set(SEEDS):
        os.unlink(os.path.join(HERE, name))
    for name, data in SEEDS.items():
        path = os.path.join(HERE, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)
    return 0


if __name__ == "__main__":
    sys.exit(main())
