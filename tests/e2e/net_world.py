# SPDX-License-Identifier: GPL-2.0-or-later
"""net_world.py - what a guest with a network card finds at the other end: servers in a namespace.

Namespace OUTSIDE has the addresses SERVER and GATEWAY and is joined to ours by a veth pair. Servers
are threads of this process whose sockets were made in the namespace, and stay there.
"""
import ctypes
import hashlib
import os
import socket
import struct
import subprocess
import threading

from harness import PATIENCE

OUTSIDE = "cloche-outside"
HERE, GATEWAY, SERVER = "10.90.0.2", "10.90.0.1", "10.90.0.9"
NAME = "files.test"  # what SERVER is called there
SEND, TAKE = 8000, 8001
CLONE_NEWNET = 0x40000000

# Guests have Perl: one line with what arrived, by size and hash, or the answer to what was sent.
CLIENT = """
use Socket;
my ($host, $port, $size) = @ARGV;
socket(my $s, PF_INET, SOCK_STREAM, 0) or die "socket: $!";
connect($s, pack_sockaddr_in($port, inet_aton($host))) or die "connect: $!";
if ($size) {
    my $block = join("", map { pack("N", $_ * 2654435761 % 4294967296) } 1 .. 16384);
    open(my $sum, "|-", "sha256sum") or die "sha256sum: $!";
    for (my $left = $size; $left > 0; $left -= length $block) {
        $block = substr($block, 0, $left) if $left < length $block;
        for (my $at = 0; $at < length $block; ) {
            $at += syswrite($s, $block, length($block) - $at, $at) or die "write: $!";
        }
        print $sum $block;
    }
    shutdown($s, 1) or die "shutdown: $!";
    close($sum);
    # One line, and not to the stream's end: behind a half that the guest has closed, Debian 12's passt
    # forgets the end, and now and then sends what it had sent, under new sequence numbers.
    my $all = ""; 1 while $all !~ /\n/ && sysread($s, $all, 4096, length $all);
    print $all =~ /^(.*\n)/;
} else {
    open(my $sum, "|-", "sha256sum") or die "sha256sum: $!";
    my $got = 0;
    while (my $n = sysread($s, my $data, 262144)) { $got += $n; print $sum $data }
    close($sum);
    print "$got\\n";
}
"""


def command(*words):
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, words))}: {done.stderr.strip()}")


def in_namespace(path, function):
    """Runs function() in a thread of its own inside that network namespace; what it returned."""
    result = {}

    def inside():
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(fd, CLONE_NEWNET):
            result["error"] = OSError(ctypes.get_errno(), f"setns {path}")
        else:
            try:
                result["value"] = function()
            except OSError as error:
                result["error"] = error
        os.close(fd)

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    if "error" in result:
        raise result["error"]
    return result["value"]


class Servers:
    """One port that sends .data to whoever connects, one that takes bytes and answers size and hash."""

    def __init__(self, namespace, address, size):
        self.data = os.urandom(size)
        self.hash = hashlib.sha256(self.data).hexdigest()
        self.sockets = []
        for port, handle in ((SEND, self.send), (TAKE, self.take)):
            listener = in_namespace(namespace, lambda p=port: self.listen(address, p))
            self.sockets.append(listener)
            threading.Thread(target=self.serve, args=(listener, handle), daemon=True).start()

    @staticmethod
    def listen(address, port):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(16)
        return listener

    @staticmethod
    def serve(listener, handle):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=handle, args=(connection,), daemon=True).start()

    def send(self, connection):
        with connection:
            connection.settimeout(PATIENCE)
            try:
                connection.sendall(self.data)
            except OSError:
                pass

    @staticmethod
    def take(connection):
        total, digest = 0, hashlib.sha256()
        with connection:
            connection.settimeout(PATIENCE)
            try:
                while data := connection.recv(1 << 18):
                    total += len(data)
                    digest.update(data)
                connection.sendall(f"{digest.hexdigest()}  {total}\n".encode())
            except OSError:
                pass

    def close(self):
        for listener in self.sockets:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()


def answer_names(sock):
    """A name server that knows one name, and answers A questions alone."""
    question = b"".join(bytes([len(label)]) + label.encode() for label in NAME.split(".")) + b"\0"
    while True:
        try:
            packet, peer = sock.recvfrom(512)
        except OSError:
            return
        known = packet[12:12 + len(question)].lower() == question
        end = packet.index(b"\0", 12) + 5
        has_address = known and packet[end - 4:end] == b"\0\1\0\1"
        flags = 0x8580 | (0 if known else 3)
        answer = struct.pack("!2sHHHHH", packet[:2], flags, 1, int(has_address), 0, 0)
        answer += packet[12:end]
        if has_address:
            answer += struct.pack("!HHHIH4s", 0xc00c, 1, 1, 60, 4, socket.inet_aton(SERVER))
        sock.sendto(answer, peer)


class Outside:
    """The world behind this machine: a default route, a name server, the servers."""

    def __init__(self, size):
        command("ip", "netns", "add", OUTSIDE)
        command("ip", "link", "add", "here0", "type", "veth", "peer", "name", "there0", "netns", OUTSIDE)
        command("ip", "address", "add", f"{HERE}/24", "dev", "here0")
        command("ip", "link", "set", "here0", "up")
        for address in (GATEWAY, SERVER):
            command("ip", "-n", OUTSIDE, "address", "add", f"{address}/24", "dev", "there0")
        command("ip", "-n", OUTSIDE, "link", "set", "there0", "up")
        command("ip", "route", "add", "default", "via", GATEWAY)
        with open("/etc/resolv.conf", "w", encoding="ascii") as file:
            file.write(f"nameserver {SERVER}\n")
        path = f"/run/netns/{OUTSIDE}"
        self.names = in_namespace(path, self.name_socket)
        threading.Thread(target=answer_names, args=(self.names,), daemon=True).start()
        self.servers = Servers(path, SERVER, size)

    @staticmethod
    def name_socket():
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((SERVER, 53))
        return sock

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.servers.close()
        self.names.close()
        os.unlink("/etc/resolv.conf")
        command("ip", "link", "del", "here0")
        command("ip", "netns", "del", OUTSIDE)
