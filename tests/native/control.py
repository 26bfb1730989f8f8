# SPDX-License-Identifier: GPL-2.0-or-later
"""
control.py - the control socket: what it says, and what it takes from those who abuse it.
"""
import array
import json
import os
import socket
import stat

from vmm import await_true, expect

CLIENTS_MAX = 32
LINE_MAX = 64 << 10


def ticking(bed):
    vmm = bed.start("tick", "--name", "abused", "--ttl", "600")
    vmm.await_console("ticking")
    return vmm


def open_fds(vmm):
    return len(os.listdir(f"/proc/{vmm.process.pid}/fd"))


def alive(vmm):
    """A new client is still served."""
    control = vmm.control()
    control.ok("status")
    control.close()


def test_status(bed):
    vmm = ticking(bed)
    status = vmm.control().ok("status")
    expect(status["name"] == "abused" and status["pid"] == vmm.process.pid, f"{status}")
    expect(status["state"] == "running" and status["cpus"] == 1, f"{status}")
    expect(status["memory_mib"] == 64 and 0 < status["ttl_ms"] <= 600000, f"{status}")
    expect(status["stages"]["first_exit_ms"] >= status["stages"]["entry_ms"] >= 0, f"{status}")
    expect("agent" not in status and "display" not in status and status["deaths"] == [], f"{status}")
    mode = stat.S_IMODE(os.stat(vmm.control_path).st_mode)
    expect(mode == 0o600, f"the socket's mode is {mode:o}")


def test_refused_requests(bed):
    """Each gets its answer, and the connection goes on."""
    control = ticking(bed).control()
    for line in ({"id": 0, "verb": "status"}, {"id": -1, "verb": "status"}, {"id": "1", "verb": "status"},
                 {"verb": "status"}, {"id": 5}, {"id": 5, "verb": 7}, {}):
        control.send(json.dumps(line).encode() + b"\n")
        reply = control.receive()
        expect(reply and reply["error"]["code"] == "bad_request", f"{line}: {reply}")
    expect(control.error("dance") == "unknown_verb", "an unknown verb")
    expect(control.error("") == "unknown_verb", "an empty verb")
    expect(control.error("wait") == "bad_request", "wait for nothing")
    expect(control.error("wait", **{"for": "godot"}) == "bad_request", "wait for godot")
    for bad in (0, -1, 3600001, "5", 1.5, None, 1 << 62):
        expect(control.error("wait", **{"for": "agent"}, timeout_ms=bad) == "bad_request", f"{bad}")
    expect(control.error("wait", **{"for": "agent"}, timeout_ms=1) == "timeout", "an agent that isn't")
    expect(control.error("screenshot", format="gif") == "bad_request", "a picture as GIF")
    expect(control.error("screenshot", format=1) == "bad_request", "a picture as 1")
    expect(control.error("screenshot") == "not_ready", "a picture of nothing")
    expect(control.error("agent") == "bad_request", "the agent without a request")
    expect(control.error("agent", request={}) == "bad_request", "the agent without a verb")
    expect(control.error("agent", request={"verb": "exec"}) == "not_ready", "an agent that isn't")
    control.ok("status", unknown={"members": ["are", "ignored"]})


def test_balloon_without_a_driver(bed):
    """The target is kept for when there is one; nobody is waited for."""
    control = ticking(bed).control()
    for bad in (-1, 65, 1 << 62, "5", 1.5, None):
        expect(control.error("balloon", target_mib=bad) == "bad_request", f"{bad}")
    reply = control.ok("balloon", target_mib=64, timeout_ms=3600000)
    expect(reply["driver"] is False and reply["target_mib"] == 64, f"{reply}")
    expect(reply["actual_mib"] == reply["inflated_mib"] == reply["reported_mib"] == 0, f"{reply}")
    expect("stats" not in reply, f"{reply}")
    expect(control.ok("status")["balloon"]["target_mib"] == 64, "status")


def test_many_requests_at_once(bed):
    control = ticking(bed).control()
    control.send(b"".join(b'{"id":%d,"verb":"status"}\n' % i for i in range(1, 201)))
    for i in range(1, 201):
        expect(control.receive()["id"] == i, f"answer {i}")


def test_a_byte_at_a_time(bed):
    control = ticking(bed).control()
    for byte in b'{"id":9,"verb":"status"}\n':
        control.send(bytes([byte]))
    expect(control.receive()["id"] == 9, "the answer")


def test_garbage_is_closed(bed):
    vmm = ticking(bed)
    for garbage in (b"GET / HTTP/1.1\r\n\r\n", b"\n", b"[]\n", b"null\n", b'"status"\n', b"\0" * 100 + b"\n",
                    b"\xff\xfe\n", b'{"id":1,"verb":"status"\n', b'{"id":1,"id":2,"verb":"status"}\n',
                    b"[" * 60000 + b"\n", b'{"id":1,"verb":"status","blob":0}\n',
                    b'{"id":1,"verb":"status","blob":-5}\n', b'{"id":1,"verb":"status","blob":"x"}\n',
                    b'{"id":1,"verb":"status","blob":4294967296}\n'):
        control = vmm.control()
        control.send(garbage)
        expect(control.closed(), f"{garbage[:40]} was taken")
    alive(vmm)


def test_endless_line_is_closed(bed):
    vmm = ticking(bed)
    control = vmm.control()
    try:
        for _ in range(64):
            control.send(b"x" * LINE_MAX)
    except (BrokenPipeError, ConnectionResetError):
        pass
    expect(control.closed(), "a line of 4 MiB was taken")
    alive(vmm)


def test_half_a_request(bed):
    """Whoever stops in the middle, of a line or of a blob, stops nobody else."""
    vmm = ticking(bed)
    held = [vmm.control() for _ in range(3)]
    held[0].send(b'{"id":1,"ver')
    held[1].send(b'{"id":1,"verb":"status","blob":1000}\nonly this')
    alive(vmm)
    held[0].send(b'b":"status"}\n')
    expect(held[0].receive()["ok"], "the other half came too late")
    held[1].send(b"." * 991)
    expect(held[1].receive()["ok"], "a request with a blob nobody asked for")


def test_half_open(bed):
    """A client that sends no more still gets its answer."""
    vmm = ticking(bed)
    control = vmm.control()
    control.request("status")
    control.sock.shutdown(socket.SHUT_WR)
    expect(control.receive()["ok"], "no answer")
    expect(control.closed(), "still open")


def test_client_that_leaves(bed):
    """Gone while an answer is still to come: nothing hangs on it."""
    vmm = ticking(bed)
    before = open_fds(vmm)
    for _ in range(100):
        control = vmm.control()
        control.request("wait", **{"for": "agent"}, timeout_ms=200)
        control.request("status")
        control.close()
    await_true(lambda: open_fds(vmm) == before, "all clients are closed")
    alive(vmm)


def test_too_many_waits(bed):
    control = ticking(bed).control()
    for _ in range(33):
        control.request("wait", **{"for": "browser"}, timeout_ms=600000)
    reply = control.receive()
    expect(reply["id"] == 33 and reply["error"]["code"] == "busy", f"{reply}")
    control.ok("status")


def test_too_many_clients(bed):
    """Those above the limit are closed; as soon as others leave there is room again."""
    vmm = ticking(bed)
    before = open_fds(vmm)
    clients = []
    for _ in range(CLIENTS_MAX):
        clients.append(vmm.control())
        clients[-1].ok("status")
    for _ in range(8):
        extra = vmm.control()
        expect(extra.closed(), "one client too many was taken")
        extra.close()
    for client in clients:
        client.ok("status")
        client.close()
    await_true(lambda: open_fds(vmm) == before, "all clients are closed")
    alive(vmm)


def test_client_that_reads_nothing(bed):
    """It is closed once it leaves more unread than the VMM keeps; nobody else notices."""
    vmm = ticking(bed)
    control = vmm.control()
    lines = b'{"id":1,"verb":"status"}\n' * 1000
    try:
        for _ in range(1000):
            control.send(lines)
        raise AssertionError("a million answers were kept")
    except (BrokenPipeError, ConnectionResetError):
        pass
    alive(vmm)


def test_descriptors_that_come_along(bed):
    """No verb wants one, so none may stay open."""
    vmm = ticking(bed)
    before = open_fds(vmm)
    control = vmm.control()
    for _ in range(10):
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0]))]
        control.sock.sendmsg([b'{"id":1,"verb":"status"}\n'], rights)
        expect(control.receive()["ok"], "no answer")
    control.close()
    await_true(lambda: open_fds(vmm) == before, "no descriptor is left")


def test_quit_answers_those_who_wait(bed):
    vmm = ticking(bed)
    waiting, asking = vmm.control(), vmm.control()
    waiting.request("wait", **{"for": "agent"})
    asking.ok("status")
    asking.ok("quit")
    reply = waiting.receive()
    expect(reply and reply["error"]["code"] == "gone", f"{reply}")
    vmm.ends(0, "quit")


def test_viewers_of_no_screen(bed):
    """There is nothing to see, and nobody who could have control."""
    path = bed.path("vnc.sock")
    vmm = bed.start("tick", "--vnc", path)
    vmm.await_console("ticking")
    control = vmm.control()
    mode = stat.S_IMODE(os.stat(path).st_mode)
    expect(mode == 0o600, f"the socket's mode is {mode:o}")
    expect(control.ok("control", op="state")["viewers"] == [], "there are viewers")
    descriptors = open_fds(vmm)
    for _ in range(40):
        with socket.socket(socket.AF_UNIX) as viewer:
            viewer.settimeout(60)
            viewer.connect(path)
            expect(viewer.recv(1) == b"", "a viewer of no screen was greeted")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        control.request("viewer", fds=[theirs.fileno()], control=True)
        reply = control.receive()
        expect(reply["error"]["code"] == "not_ready", f"{reply}")
    expect(control.error("viewer") == "bad_request", "a viewer without a socket")
    reader, writer = os.pipe()
    control.request("viewer", fds=[writer])
    expect(not control.receive()["ok"], "a pipe is a viewer")
    os.close(reader)
    os.close(writer)
    expect(control.ok("control", op="state")["viewers"] == [], "there are viewers")
    expect(control.error("control", op="take") == "not_found", "nobody takes control")
    expect(control.error("control", op="hold") == "bad_request", "no such op")
    control.ok("control", op="release")
    await_true(lambda: open_fds(vmm) == descriptors, "no descriptor is left")
    control.ok("quit")
    vmm.ends(0, "quit")
    expect(not os.path.exists(path), "the viewers' socket stayed behind")


TESTS = [
    test_status, test_refused_requests, test_balloon_without_a_driver,
    test_many_requests_at_once, test_a_byte_at_a_time,
    test_garbage_is_closed, test_endless_line_is_closed, test_half_a_request, test_half_open,
    test_client_that_leaves, test_too_many_waits, test_too_many_clients,
    test_client_that_reads_nothing, test_descriptors_that_come_along,
    test_quit_answers_those_who_wait, test_viewers_of_no_screen,
]
