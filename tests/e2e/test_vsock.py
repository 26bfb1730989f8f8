# SPDX-License-Identifier: GPL-2.0-or-later
"""vsock as the host and the guest see it; a relay on top of it."""
import hashlib
import os
import socket
import socketserver
import threading

from harness import PATIENCE, check, contains, equal, test

STREAMS = 64

# sockaddr_vm: family, reserved, port, cid, flags and zeros.
PERL_VSOCK = """
use Socket;
sub vsock { socket(my $s, 40, SOCK_STREAM, 0) or die "socket: $!"; return $s }
sub address { return pack("S S L L x4", 40, 0, @_) }
"""


def host_connect(guest):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(PATIENCE)
    sock.connect(guest.path("vsock.sock"))
    return sock


def read_all(sock):
    data = b""
    while piece := sock.recv(1 << 16):
        data += piece
    return data


class Listener:
    """Serves one host port of a guest: each connection gets a thread that runs handle(sock)."""

    def __init__(self, guest, port, handle):
        self.path = guest.path(f"vsock.sock_{port}")

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                self.request.settimeout(PATIENCE)
                handle(self.request)

        class Server(socketserver.ThreadingUnixStreamServer):
            daemon_threads = True
            request_queue_size = 128

        self.server = Server(self.path, Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.server.shutdown()
        self.server.server_close()
        os.unlink(self.path)


@test(guest="main")
def host_to_guest_handshake(guest):
    """CONNECT to a port where somebody listens: OK, then bytes both ways and half-close."""
    listener = PERL_VSOCK + """
    my $l = vsock();
    bind($l, address(7000, 0xffffffff)) or die "bind: $!";
    listen($l, 1) or die "listen: $!";
    open(my $mark, ">", "/tmp/listening"); close($mark);
    accept(my $c, $l) or die "accept: $!";
    my $all = ""; 1 while sysread($c, $all, 65536, length $all);
    my $back = reverse $all;
    for (my $at = 0; $at < length $back; ) { $at += syswrite($c, $back, 65536, $at) or die "$!" }
    """
    data = os.urandom(300000)
    reply = {}
    thread = threading.Thread(target=lambda: reply.update(done=guest.perl(listener, status=None)))
    thread.start()
    guest.shell("while [ ! -e /tmp/listening ]; do sleep 0.2; done; rm /tmp/listening")
    with host_connect(guest) as sock:
        sock.sendall(b"CONNECT 7000\n")
        line = b""
        while not line.endswith(b"\n"):
            piece = sock.recv(1)
            check(piece, "closed instead of OK")
            line += piece
        word, port = line.split()
        check(word == b"OK" and int(port) > 0, f"the answer is {line}")
        sender = threading.Thread(target=lambda: (sock.sendall(data),
                                                  sock.shutdown(socket.SHUT_WR)))
        sender.start()
        equal(read_all(sock) == data[::-1], True, "that it came back reversed")
        sender.join()
    thread.join()
    equal(reply["done"].status, 0, f"the listener's status ({reply['done'].err})")


@test(guest="main")
def host_to_guest_refused(guest):
    for line in (b"CONNECT 4321\n", b"CONNECT \n", b"CONNECT 99999999999\n", b"connect 1\n",
                 b"GET / HTTP/1.1\r\n\r\n", b"\n", b"x" * 4096):
        with host_connect(guest) as sock:
            try:
                sock.sendall(line)
                equal(read_all(sock), b"", f"the answer to {line[:20]}")
            except (BrokenPipeError, ConnectionResetError):
                pass
    guest.shell("true")


@test(guest="main")
def guest_to_host_where_nobody_listens(guest):
    script = PERL_VSOCK + """
    connect(vsock(), address($ARGV[0], $ARGV[1])) and die "connected";
    print "refused\\n";
    """
    for port, cid in ((9999, 2), (1, 2), (9999, 1), (9999, 77)):
        equal(guest.perl(script, str(port), str(cid), status=0).out, b"refused\n",
              f"port {port} of {cid}")


@test(guest="main")
def agent_port_is_taken(guest):
    """A process that poses as the agent is turned away, and the agent doesn't notice."""
    hello = guest.status()["agent"]
    script = PERL_VSOCK + """
    for (1 .. 20) {
        my $s = vsock();
        connect($s, address(1024, 2)) or next;
        local $SIG{PIPE} = "IGNORE";
        syswrite($s, qq({"event":"hello","protocol":1,"agent":"fake","root":true}\\n));
        syswrite($s, qq({"event":"died","process":"browser","signal":9}\\n));
        my $n = sysread($s, my $b, 10);
        die "it was answered" if $n;
    }
    print "turned away\\n";
    """
    equal(guest.perl(script, status=0).out, b"turned away\n", "what the impostor got")
    status = guest.status()
    equal(status["agent"], hello, "the agent's hello")
    equal(status["deaths"], [], "the list of deaths")
    equal(guest.shell("echo here"), "here\n", "what the agent says")


@test(guest="main")
def relay_carries_both_ways_with_half_close(guest):
    got = {}

    def handle(sock):
        data = read_all(sock)
        got["data"] = data
        sock.sendall(hashlib.sha256(data).hexdigest().encode() + data)

    client = """
    use Socket;
    socket(my $s, PF_INET, SOCK_STREAM, 0) or die "socket: $!";
    connect($s, pack_sockaddr_in(9000, inet_aton("127.0.0.1"))) or die "connect: $!";
    my $data = "0123456789abcdef" x 20000;
    for (my $at = 0; $at < length $data; ) { $at += syswrite($s, $data, 65536, $at) or die "$!" }
    shutdown($s, 1) or die "shutdown: $!";
    my $all = ""; 1 while sysread($s, $all, 65536, length $all);
    print substr($all, 0, 64), " ", substr($all, 64) eq $data ? "same" : length($all), "\\n";
    """
    wanted = b"0123456789abcdef" * 20000
    with Listener(guest, 9100, handle):
        guest.agent("relay", port=9000, to=9100)
        out = guest.perl(client, status=0).out.split()
    equal(got["data"] == wanted, True, "that all arrived at the host")
    equal(out, [hashlib.sha256(wanted).hexdigest().encode(), b"same"], "what came back")


@test(guest="main")
def relay_to_nobody_closes(guest):
    guest.agent("relay", port=9001, to=9101)
    script = """
    use Socket;
    socket(my $s, PF_INET, SOCK_STREAM, 0) or die "socket: $!";
    connect($s, pack_sockaddr_in(9001, inet_aton("127.0.0.1"))) or die "connect: $!";
    my $n = sysread($s, my $b, 10);
    print $n ? "answered" : "closed";
    """
    equal(guest.perl(script, status=0).out, b"closed", "the connection")
    with guest.control() as control:
        for wrong in ({"port": 0, "to": 1}, {"port": 70000, "to": 1}, {"port": 9001}):
            equal(control.agent("relay", **wrong)["error"]["code"], "bad_request", f"{wrong}")


@test(guest="main")
def many_streams_at_once(guest):
    seen = set()
    lock = threading.Lock()
    all_here = threading.Barrier(STREAMS)

    def handle(sock):
        data = read_all(sock)
        with lock:
            seen.add(data[:4])
        all_here.wait(PATIENCE)
        sock.sendall(data[::-1])

    script = PERL_VSOCK + """
    my @s;
    for my $i (0 .. $ARGV[0] - 1) {
        $s[$i] = vsock();
        connect($s[$i], address(9200, 2)) or die "connect $i: $!";
    }
    for my $i (0 .. $#s) {
        my $data = sprintf("%04d", $i) x 8192;
        for (my $at = 0; $at < length $data; ) {
            $at += syswrite($s[$i], $data, 65536, $at) or die "write $i: $!";
        }
        shutdown($s[$i], 1);
    }
    my $good = 0;
    for my $i (0 .. $#s) {
        my $all = ""; 1 while sysread($s[$i], $all, 65536, length $all);
        $good++ if reverse($all) eq sprintf("%04d", $i) x 8192;
    }
    print "$good\\n";
    """
    with Listener(guest, 9200, handle):
        result = guest.perl(script, str(STREAMS), status=0)
    equal(result.out, b"%d\n" % STREAMS, "the number of streams that came back whole")
    equal(len(seen), STREAMS, "the number of streams that arrived")


@test(guest="main")
def requests_that_make_no_sense(guest):
    """The control socket and the agent refuse, each with its code, and go on."""
    with guest.control() as control:
        for members, code in (({"verb": "dance"}, "unknown_verb"),
                              ({"verb": "wait", "for": "rain"}, "bad_request"),
                              ({"verb": "wait", "for": "agent", "timeout_ms": 0}, "bad_request"),
                              ({"verb": "screenshot", "format": "gif"}, "bad_request"),
                              ({"verb": "agent"}, "bad_request")):
            members = dict(members)
            equal(control.call(members.pop("verb"), **members)["error"]["code"], code,
                  f"the code for {members}")
        for verb, members, code in (("dance", {}, "unknown_verb"), ("exec", {}, "bad_request"),
                                    ("exec", {"argv": []}, "bad_request"),
                                    ("input", {"steps": [{"fly": 1}]}, "bad_request"),
                                    ("input", {"steps": [{"move": [9999, 0]}]}, "bad_request"),
                                    ("browser", {"op": "fly"}, "bad_request"),
                                    ("file", {"op": "read"}, "bad_request")):
            equal(control.agent(verb, **members)["error"]["code"], code, f"{verb} {members}")
        control.sock.sendall(b"this is no JSON\n")
        contains((b"", None), control.sock.recv(100), "what a babbler hears")
    guest.shell("true")
