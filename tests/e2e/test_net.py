# SPDX-License-Identifier: GPL-2.0-or-later
"""A network card: a tap in a namespace, passt, limits, and what happens when the other end goes."""
import fcntl
import hashlib
import json
import os
import signal
import socket
import struct
import time

import net_world
import programs
from net_world import CLIENT, SEND, TAKE, Outside, Servers, command
from programs import Session, run
from harness import PATIENCE, check, contains, equal, test, wait_until

MIB = 1 << 20
# linux/if_tun.h
TUNSETIFF = 0x400454ca
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 2, 0x1000, 0x4000
TAP_HOST, TAP_GUEST = "10.77.0.1", "10.77.0.2"


def script(name, *arguments, status=0):
    result = run([os.path.join(programs.TREE, "scripts", name), *map(str, arguments)])
    equal(result.status, status, f"the status of {name} ({result})")
    return result


def download(session, servers, host, port=SEND):
    digest, total = session.perl(CLIENT, host, port, "0").out.decode().replace("-", "").split()
    equal((digest, int(total)), (servers.hash, len(servers.data)), "what the guest received")


def pattern(size):
    block = b"".join(struct.pack("!I", n * 2654435761 % (1 << 32)) for n in range(1, 16385))
    return (block * (size // len(block) + 1))[:size]


def upload(session, host, size, port=TAKE):
    """The guest's sum of what it sent, the server's of what it took, and what it should be."""
    words = session.perl(CLIENT, host, port, size).out.decode().replace(" -", "").split()
    wanted = hashlib.sha256(pattern(size)).hexdigest()
    equal(sorted(words), sorted([wanted, wanted, str(size)]), "hashes of both ends, and the size")


def carrier(session):
    return session.shell("cat /sys/class/net/eth0/carrier").strip()


def has_offload(session, feature):
    """Bits of virtio as sysfs has them: one character a feature, from 0 on."""
    return session.shell("cat /sys/class/net/eth0/device/features")[feature] == "1"


class TapSession:
    """A session started by scripts/net-tap, and servers in its namespace."""

    def __init__(self, name, size, *options):
        self.session = Session(name)
        script("net-tap", name, *options)
        self.namespace = f"/proc/{self.session.facts()['pid']}/ns/net"
        self.servers = Servers(self.namespace, TAP_HOST, size)

    def __enter__(self):
        return self.session, self.servers

    def __exit__(self, *error):
        self.servers.close()
        self.session.kill()


@test
def net_tap_carries_both_ways():
    """Through scripts/net-tap, with segmentation and checksums left to the host's kernel."""
    with TapSession("tapped", 32 * MIB, "--append", "loglevel=4") as (session, servers):
        for feature in (0, 1, 7, 8, 11, 12, 15):
            check(has_offload(session, feature), f"virtio-net feature {feature} is off")
        download(session, servers, TAP_HOST)
        upload(session, TAP_HOST, 32 * MIB)
        mac = session.shell("cat /sys/class/net/eth0/address").strip()
        check(mac.startswith("02:"), f"the address {mac} is not a local one")
        contains(session.shell("cat /proc/cmdline"), "loglevel=4", "the command line")
        check(not os.path.exists("/sys/class/net/cloche0"), "the tap is in our own namespace")


@test
def net_tap_without_offloads():
    """Every segment a frame of its own, checksums by the guest; an address of our choice."""
    with TapSession("plain", 8 * MIB, "--mac", "02:00:00:00:ca:fe", "--append",
                    "virtio_net.gso=0 virtio_net.csum=0") as (session, servers):
        equal(session.shell("cat /sys/class/net/eth0/address").strip(), "02:00:00:00:ca:fe", "its MAC")
        command("nsenter", f"--net=/proc/{session.facts()['pid']}/ns/net", "ip", "link", "set",
                "cloche0", "gso_max_size", "1514")
        download(session, servers, TAP_HOST)
        upload(session, TAP_HOST, 8 * MIB)


@test
def net_rate_holds():
    """Never faster than it should be; how much slower is the machine's affair."""
    rate, size = MIB, 3 * MIB
    with TapSession("limited", size, "--net-rate", "1M") as (session, servers):
        for transfer in (lambda: download(session, servers, TAP_HOST),
                         lambda: upload(session, TAP_HOST, size)):
            start = time.monotonic()
            transfer()
            took = time.monotonic() - start
            # A tenth of a second's worth and one frame may come at once.
            least = (size - rate / 10 - 65536) / rate
            check(took >= least, f"{size} bytes in {took:.2f} s, at least {least:.2f} s wanted")


def udp_socket():
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(PATIENCE)
    sock.bind((TAP_HOST, 9000))
    return sock


@test
def net_packet_rate_holds():
    """Frames out of the guest, counted where they arrive."""
    count, rate = 60, 20
    with TapSession("counted", 1, "--net-rate", f"0:{rate}") as (session, _):
        sock = net_world.in_namespace(f"/proc/{session.facts()['pid']}/ns/net", udp_socket)
        start = time.monotonic()
        session.perl("""
            use Socket;
            socket(my $s, PF_INET, SOCK_DGRAM, 0) or die "socket: $!";
            my $to = pack_sockaddr_in(9000, inet_aton($ARGV[0]));
            send($s, "x", 0, $to) for 1 .. $ARGV[1];
        """, TAP_HOST, count)
        for _ in range(count):
            sock.recv(10)
        took = time.monotonic() - start
        sock.close()
    least = (count - 1 - rate / 10) / rate
    check(took >= least, f"{count} frames in {took:.2f} s, at least {least:.2f} s wanted")


def own_tap(name):
    command("ip", "tuntap", "add", name, "mode", "tap")
    command("ip", "link", "set", name, "up")


@test
def net_of_forks():
    """A copy's card is another one, and has no link unless it is given its own."""
    session, alone, plugged = Session("carded"), Session("alone"), Session("plugged")
    for name in ("carded0", "plugged0"):
        own_tap(name)
    command("ip", "address", "add", f"{TAP_HOST}/24", "dev", "carded0")
    servers = Servers("/proc/self/ns/net", TAP_HOST, MIB)
    try:
        session.start("--net", "tap:carded0", "--append",
                      f"ip={TAP_GUEST}::{TAP_HOST}:255.255.255.0::eth0:off")
        download(session, servers, TAP_HOST)
        programs.cloche("fork", "carded", "alone", "--timeout", PATIENCE, status=0, limit=2 * PATIENCE)
        programs.cloche("fork", "carded", "plugged", "--net", "tap:plugged0", "--timeout", PATIENCE, status=0,
                        limit=2 * PATIENCE)
        equal([carrier(each) for each in (session, alone, plugged)], ["1", "0", "1"], "links")
        macs = {each.shell("cat /sys/class/net/eth0/address") for each in (session, alone, plugged)}
        equal(len(macs), 3, f"the number of addresses in {macs}")
        download(session, servers, TAP_HOST)
        # The same address, now behind the copy's tap.
        programs.cloche("freeze", "carded", status=0)
        command("ip", "address", "del", f"{TAP_HOST}/24", "dev", "carded0")
        command("ip", "address", "add", f"{TAP_HOST}/24", "dev", "plugged0")
        download(plugged, servers, TAP_HOST)
        upload(plugged, TAP_HOST, MIB)
        result = programs.cloche("fork", "plugged", "both", "--net", "tap:plugged0", status=None)
        check(result.status != 0, "a tap is two sessions'")
    finally:
        servers.close()
        for each in (session, alone, plugged):
            each.kill()
        for name in ("carded0", "plugged0"):
            command("ip", "link", "del", name)


def passt_processes():
    """Zombies left out: passt is a daemon, and we inherit it."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii") as file:
                name, state = file.read().split("(", 1)[1].rsplit(")", 1)
        except (OSError, UnicodeDecodeError):
            continue
        if name.startswith("passt") and state.split()[0] != "Z":
            found.append(int(pid))
    return found


@test
def net_passt_reaches_the_world():
    """Through scripts/net-passt: an address and a name server by DHCP, both ways; then it goes."""
    session = Session("passed")
    with Outside(8 * MIB) as world:
        before = set(os.listdir("/tmp")) | set(os.listdir(programs.RUNTIME))
        try:
            script("net-passt", "passed")
            after = set(os.listdir("/tmp")) | set(os.listdir(programs.RUNTIME))
            equal({name for name in after - before if "passt" in name}, set(), "what is left of it")
            contains(session.shell("ip -4 address show eth0"), net_world.HERE, "the address")
            contains(session.shell("cat /etc/resolv.conf"), f"nameserver {net_world.SERVER}",
                     "resolv.conf")
            contains(session.shell(f"getent ahostsv4 {net_world.NAME}"), net_world.SERVER, "the name")
            download(session, world.servers, net_world.NAME)
            upload(session, net_world.SERVER, 8 * MIB)
            equal(carrier(session), "1", "the link")
            for pid in passt_processes():
                os.kill(pid, signal.SIGKILL)
            wait_until(lambda: carrier(session) == "0", "the end of the link", PATIENCE)
            contains(open(session.path("vmm.log"), encoding="utf-8").read(), "the link is down",
                     "the log")
            equal(session.shell("echo alive"), "alive\n", "the guest")
        finally:
            session.kill()
        wait_until(lambda: not passt_processes(), "the end of passt")


@test
def net_tap_fd_is_handed_over():
    """A tap that we have opened: the VMM inherits it, and nothing else of ours."""
    session = Session("handed")
    fd = os.open("/dev/net/tun", os.O_RDWR)
    try:
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", b"handed0", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
        command("ip", "address", "add", f"{TAP_HOST}/24", "dev", "handed0")
        command("ip", "link", "set", "handed0", "up")
        servers = Servers("/proc/self/ns/net", TAP_HOST, MIB)
        try:
            session.start("--net", f"tap-fd:{fd}", "--append",
                          f"ip={TAP_GUEST}::{TAP_HOST}:255.255.255.0::eth0:off", pass_fds=(fd,))
            os.close(fd)
            fd = None
            download(session, servers, TAP_HOST)
            upload(session, TAP_HOST, MIB)
        finally:
            servers.close()
            session.kill()
    finally:
        if fd is not None:
            os.close(fd)
    # It was ours until then, and goes with the last who has it.
    wait_until(lambda: not os.path.exists("/sys/class/net/handed0"), "the end of the tap")


NOBODY = 65534


@test
def net_without_root():
    """Both scripts for a user who may use KVM and nothing else."""
    mode = os.stat("/dev/kvm").st_mode & 0o777
    folder = os.path.join(programs.RUNTIME, "nobody")
    os.mkdir(folder, 0o700)
    os.chown(folder, NOBODY, NOBODY)
    user = {"user": NOBODY, "group": NOBODY, "extra_groups": [],
            "env": {"XDG_RUNTIME_DIR": folder, "HOME": folder}}
    os.chmod("/dev/kvm", 0o666)
    os.chmod("/dev/net/tun", 0o666)
    try:
        with Outside(MIB) as world:
            for name, address in (("net-passt", net_world.SERVER), ("net-tap", TAP_HOST)):
                result = run([os.path.join(programs.TREE, "scripts", name), "mine"], **user)
                equal(result.status, 0, f"the status of {name} ({result})")
                servers = world.servers
                try:
                    if name == "net-tap":
                        with open(os.path.join(folder, "cloche/mine/session.json"), "rb") as file:
                            pid = json.load(file)["pid"]
                        servers = Servers(f"/proc/{pid}/ns/net", address, MIB)
                    out = run([programs.CLOCHE, "exec", "mine", "--", "perl", "-e", CLIENT, address,
                               str(SEND), "0"], **user).out.decode()
                    equal(out.split()[0], servers.hash, f"the hash of what came through {name}")
                finally:
                    if servers != world.servers:
                        servers.close()
                    run([programs.CLOCHE, "kill", "mine"], **user)
    finally:
        os.chmod("/dev/kvm", mode)
    wait_until(lambda: not passt_processes(), "the end of passt")


@test
def net_bad_input():
    """One line that says what to do, status 2, and no session."""
    session = Session("nonet")
    for options, words in ((("--net", "bridge:br0"), "--net must be"),
                           (("--net", "tap:nosuchtap"), "ip tuntap add nosuchtap"),
                           (("--net", "tap-fd:77"), "descriptor 77 is not open"),
                           (("--net", "stream:/nowhere/at/all"), "start its server first"),
                           (("--mac", "02:00:00:00:00:01"), "needs a card"),
                           (("--net-rate", "fast"), "--net-rate must be"),
                           (("--net", "tap:lo"), "cannot take lo")):
        result = programs.cloche("run", "nonet", *options, status=2)
        contains(result.error, words, f"what {options} says")
        check(not os.path.exists(session.folder), f"{options} left a session")
