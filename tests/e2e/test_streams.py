# SPDX-License-Identifier: GPL-2.0-or-later
"""vsock in full flow: much data, many streams, slow readers, halves that close."""
import socket

from harness import check, equal, test, wait_until
from streams import bring_in, guest_connects, host_connects
from test_vsock import PERL_VSOCK, Listener

GIB = 1 << 30
MIB = 1 << 20
MANY = 64
THOUSAND = 1000
ENDLESS = 1 << 50


def say_rate(host, inside):
    print(f"  {GIB / MIB / (max(host.ns, inside.ns) / 1e9):.1f} MiB/s", flush=True)


def gib_to_host(guest, port, count):
    share = GIB // count
    host, inside = guest_connects(guest, port, count, ("receive", share), ("send", share))
    sent, got = inside.outcome(), host.outcome()
    equal(got.bytes, GIB, "the number of bytes that came")
    equal(got.hash, sent.hash, "their hash")
    say_rate(got, sent)


def gib_to_guest(guest, port, count):
    share = GIB // count
    host, inside = host_connects(guest, port, count, ("send", share), ("receive", share))
    got, sent = inside.outcome(), host.outcome()
    equal(got.bytes, GIB, "the number of bytes that came")
    equal(got.hash, sent.hash, "their hash")
    say_rate(sent, got)


@test(guest="main")
def vsock_gib_to_host_in_one_stream(guest):
    gib_to_host(guest, 9300, 1)


@test(guest="main")
def vsock_gib_to_host_in_64_streams(guest):
    gib_to_host(guest, 9301, MANY)


@test(guest="main")
def vsock_gib_to_guest_in_one_stream(guest):
    gib_to_guest(guest, 9302, 1)


@test(guest="main")
def vsock_gib_to_guest_in_64_streams(guest):
    gib_to_guest(guest, 9303, MANY)


@test(guest="main")
def vsock_thousand_streams_at_once(guest):
    """All are open before the first byte; then each says 256 bytes and hears them again."""
    for connects, port in ((guest_connects, 9304), (host_connects, 9305)):
        asks, answers = ("exchange", 256), ("echo",)
        jobs = (answers, asks) if connects is guest_connects else (asks, answers)
        host, inside = connects(guest, port, THOUSAND, *jobs)
        for end in (inside, host):
            equal(end.outcome().bytes, THOUSAND * 256, "the bytes that an end got")
    guest.shell("true")


@test(guest="main")
def vsock_greedy_streams_starve_nobody(guest):
    """Eight that never stop, in either direction; beside them a small one gets its turns."""
    for port, host_job, guest_job in ((9306, "drain", "pour"), (9307, "pour", "drain")):
        host, inside = guest_connects(guest, port, 8, (host_job, ENDLESS), (guest_job, ENDLESS))
        try:
            echo, ping = guest_connects(guest, port + 10, 1, ("echo",), ("ping", 64, 100))
            equal(ping.outcome().bytes, 100, "the number of round trips")
            echo.outcome()
            share, small = guest_connects(guest, port + 20, 1, ("exchange", MIB), ("echo",))
            equal(share.outcome().bytes, MIB, "the bytes of one with little")
            small.outcome()
            check(host.running(), "the greedy ones have ended meanwhile")
            check(inside.result is None, f"the greedy ones have ended meanwhile: {inside.result}")
        finally:
            host.end()
        inside.join()


@test(guest="main")
def vsock_host_that_does_not_read(guest):
    """It stops its own stream; another goes on; and nothing is lost when it reads at last."""
    go_on = []
    counts = []

    def handle(sock):
        wait_until(lambda: go_on, "the reader's turn")
        total = 0
        while piece := sock.recv(1 << 16):
            total += len(piece)
        counts.append(total)

    bring_in(guest)
    with Listener(guest, 9340, handle):
        script = PERL_VSOCK + """
        my $s = vsock();
        connect($s, address(9340, 2)) or die "connect: $!";
        my $data = "0123456789abcdef" x 65536;
        for (my $at = 0; $at < length $data; ) {
            $at += syswrite($s, $data, 65536, $at) or die "write: $!";
            open(my $mark, ">", "/tmp/written"); print $mark $at; close $mark;
        }
        close($s);
        """
        writer = guest.exec("sh", "-c", 'rm -f /tmp/written; perl -e "$1" >/dev/null 2>&1 &',
                            "sh", script)
        equal(writer.status, 0, "the writer's start")
        wait_until(lambda: guest.shell("cat /tmp/written 2>/dev/null || true"), "the first bytes")
        echo, ping = guest_connects(guest, 9341, 1, ("echo",), ("ping", 64, 50))
        equal(ping.outcome().bytes, 50, "the round trips of another")
        echo.outcome()
        go_on.append(True)
        wait_until(lambda: counts, "the end of the slow one")
    equal(counts, [MIB], "the bytes of the slow one")


@test(guest="main")
def vsock_halves_close_one_by_one(guest):
    """Who stops receiving is no longer sent to, at either end; the other direction goes on."""
    heard = {}

    def handle(sock):
        check(sock.recv(5) == b"begin", "no begin")
        sock.sendall(b"ready")

        def refused():
            try:
                sock.sendall(b"x")
            except BrokenPipeError:
                return True
            return False
        wait_until(refused, "the end of receiving")
        heard["rest"] = sock.recv(100)
        sock.shutdown(socket.SHUT_RD)
        while sock.recv(1 << 16):  # what had come before
            pass
        wait_until(lambda: "done" in heard, "the guest's word")

    script = PERL_VSOCK + """
    $SIG{PIPE} = "IGNORE";
    my $s = vsock();
    connect($s, address(9350, 2)) or die "connect: $!";
    syswrite($s, "begin"); my $b = "";
    1 while length $b < 5 && sysread($s, $b, 5 - length $b, length $b);
    die "heard $b" if $b ne "ready";
    shutdown($s, 0) or die "shutdown: $!";
    syswrite($s, "rest") or die "write: $!";
    1 while syswrite($s, "is anybody there");
    print "$!\n";
    """
    with Listener(guest, 9350, handle):
        out = guest.perl(script, status=0).out
        heard["done"] = True
    equal(heard["rest"][:4], b"rest", "what the guest sent after that")
    equal(out, b"Broken pipe\n", "what its write said at last")
