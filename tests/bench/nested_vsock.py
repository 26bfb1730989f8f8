# SPDX-License-Identifier: GPL-2.0-or-later
"""nested_vsock.py - byte streams between guest and host: cloche's device against vhost-vsock.

The same program at both ends (inside/stream.c); on the host it has a unix socket for cloche, an
AF_VSOCK one for QEMU.
"""

import subprocess

from guests import INSIDE, STAGE_LIMIT_S, GuestFailed

IDS = ("vsock.throughput_vs_vhost", "vsock.rtt_vs_vhost")
PROCESSORS = 2
ROUNDS = 12
PORT = 9000
BYTES = 16 << 20
PINGS = 200
PING_SIZE = 64
MIB = 1 << 20


def exchange(guest, side, port, host_job, guest_job):
    """Both ends of one stream; the nanoseconds that the guest saw go by."""
    address = f"unix:{guest.folder}/vsock_{port}" if side == 0 else f"vsock:{0xffffffff}:{port}"
    host = subprocess.Popen([INSIDE / "stream", "listen", address, "1", *map(str, host_job)],
                            stdout=subprocess.PIPE, text=True)
    out = guest.run([guest.stream, "connect", f"vsock:2:{port}", "1", *map(str, guest_job)])
    if host.wait(STAGE_LIMIT_S) != 0:
        raise GuestFailed("the host's end of the stream failed")
    return int(out.split()[2])


def measure_guest(bench, guest, side, port):
    if bench.wants("vsock.throughput_vs_vhost"):
        out_ns = exchange(guest, side, port, ("drain", BYTES), ("pour", BYTES))
        in_ns = exchange(guest, side, port + 1, ("pour", BYTES), ("drain", BYTES))
        print(f"  from the guest {BYTES / MIB / out_ns * 1e9:.1f} MiB/s, "
              f"to the guest {BYTES / MIB / in_ns * 1e9:.1f} MiB/s", flush=True)
        bench.note("vsock.throughput_vs_vhost", side, 2 * BYTES / MIB / (out_ns + in_ns) * 1e9)
    if bench.wants("vsock.rtt_vs_vhost"):
        spent_ns = exchange(guest, side, port + 2, ("echo",), ("ping", PING_SIZE, PINGS))
        bench.note("vsock.rtt_vs_vhost", side, spent_ns / PINGS / 1000)


def measure(bench):
    """Both guests are there all the time, at rest with the browser up, so that neither side has
    the quieter hours of the machine. QEMU's has no balloon; what cloche's gives back after each
    transfer would be counted as the streams' (in the test bed it doubles a round trip)."""
    with bench.guest(0, cloche=("--no-page-reporting",)) as cloche, bench.guest(1) as qemu:
        guests = (cloche, qemu)
        for guest in guests:
            guest.wait("browser")
            guest.stream = guest.put(INSIDE / "stream")
        for index, side in bench.turns(ROUNDS):
            measure_guest(bench, guests[side], side, PORT + 10 * index)
