# SPDX-License-Identifier: GPL-2.0-or-later
"""nested_net.py - TCP through network cards on taps: cloche's device against QEMU's, both moving
every frame themselves (vhost=off). The same program at both ends (inside/stream.c).

Each guest has a tap and a network of its own; what is sent goes no further than the host's kernel.
"""

import contextlib
import subprocess

from guests import INSIDE, STAGE_LIMIT_S, GuestFailed

BOTH = "net.tap_vs_qemu"
TO_HOST, TO_GUEST = f"{BOTH}.to_host", f"{BOTH}.to_guest"
IDS = (BOTH, TO_HOST, TO_GUEST)
PROCESSORS = 2
ROUNDS = 24
PORT = 9000
BYTES = 16 << 20
MIB = 1 << 20
TAPS = ("bench0", "bench1")
MASK = "255.255.255.0"


def address(side, last):
    return f"10.78.{side}.{last}"


@contextlib.contextmanager
def tap(side):
    name = TAPS[side]
    for words in (("tuntap", "add", name, "mode", "tap"),
                  ("address", "add", f"{address(side, 1)}/24", "dev", name),
                  ("link", "set", name, "up")):
        subprocess.run(["ip", *words], check=True)
    try:
        yield
    finally:
        subprocess.run(["ip", "link", "del", name], check=True)


def exchange(guest, side, port, host_job, guest_job):
    """Both ends of one stream; the nanoseconds that the guest saw go by."""
    place = f"tcp:{address(side, 1)}:{port}"
    host = subprocess.Popen([INSIDE / "stream", "listen", place, "1", host_job, str(BYTES)],
                            stdout=subprocess.DEVNULL)
    out = guest.run([guest.stream, "connect", place, "1", guest_job, BYTES])
    if host.wait(STAGE_LIMIT_S) != 0:
        raise GuestFailed("the host's end of the stream failed")
    return int(out.split()[2])


def measure_guest(bench, guest, side, port, counts):
    out_ns = exchange(guest, side, port, "drain", "pour")
    in_ns = exchange(guest, side, port + 1, "pour", "drain")
    if not counts:
        return
    bench.note(TO_HOST, side, BYTES / MIB / out_ns * 1e9)
    bench.note(TO_GUEST, side, BYTES / MIB / in_ns * 1e9)
    bench.note(BOTH, side, 2 * BYTES / MIB / (out_ns + in_ns) * 1e9)


def measure(bench):
    """Both guests are there all the time, idle when it is not their turn; the first round warms them up."""
    def append(side):
        return f"ip={address(side, 2)}::{address(side, 1)}:{MASK}::eth0:off"

    qemu = ("-netdev", f"tap,id=net,ifname={TAPS[1]},script=no,downscript=no,vhost=off",
            "-device", "virtio-net-device,netdev=net")
    with tap(0), tap(1), bench.guest(0, ("--net", f"tap:{TAPS[0]}"), append=append(0)) as cloche, \
            bench.guest(1, (), qemu, append=append(1)) as other:
        guests = (cloche, other)
        for guest in guests:
            guest.quiet()
            guest.stream = guest.put(INSIDE / "stream")
        before = [guest.cpu_ticks() for guest in guests]
        for index, side in bench.turns(ROUNDS + 1):
            measure_guest(bench, guests[side], side, PORT + 10 * index, index > 0)
        for guest, ticks in zip(guests, before):
            guest.print_cpu(BOTH, ticks)
