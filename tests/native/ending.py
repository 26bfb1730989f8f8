# SPDX-License-Identifier: GPL-2.0-or-later
"""
ending.py - the ways in which a guest stops and ends, and what is left of it.
"""
import fcntl
import os
import signal
import subprocess

from vmm import GUEST, await_true, expect, words

RING_SIZE = 64 << 10
LINE = "a flood of lines that nobody reads, each of them quite short\n"
F_SETPIPE_SZ = 1031


def exits(control):
    return control.ok("status")["exits"]["pio"]


def test_power_off(bed):
    report = bed.start("hello").ends(0, "shutdown")
    expect(report["console"][0] == "hello from ring 3", f"{report}")
    expect(0 < report["started_ns"] < report["first_exit_ns"], f"{report}")


def test_reset_line(bed):
    bed.start("reset").ends(0, "reboot")


def test_triple_fault(bed):
    """The report has the address of the instruction and the last that the guest said."""
    vmm = bed.start("fault")
    report = vmm.ends(3, "triple_fault")
    place = dict(words(vmm.console()))["faulting at"]
    expect(int(report["rip"], 16) == place, f"RIP {report['rip']}, not {place:#x}")
    expect(report["vcpu"] == 0, f"{report}")
    expect(report["console"] == [f"faulting at {place:016x}"], f"{report}")
    expect(f"RIP {place:#x} on vCPU 0" in vmm.stderr(), vmm.stderr())
    expect(f"faulting at {place:016x}" in vmm.stderr(), vmm.stderr())


def test_internal_error(bed):
    """KVM can't fetch an instruction from a device's registers."""
    vmm = bed.start("fetch")
    report = vmm.ends(3, "internal_error")
    place = dict(words(vmm.console()))["jumping to"]
    expect(int(report["rip"], 16) == place, f"RIP {report['rip']}, not {place:#x}")
    expect("KVM_EXIT_INTERNAL_ERROR suberror" in report["detail"], f"{report}")


def test_panic(bed):
    vmm = bed.start("panic")
    report = vmm.ends(3, "panic")
    place = dict(words(vmm.console()))["panicking at"]
    expect(place <= int(report["rip"], 16) <= place + 3, f"RIP {report['rip']}, about {place:#x}")
    expect(report["detail"] == "Kernel panic - not syncing: the test wants it", f"{report}")


def test_ttl(bed):
    """Nobody is connected and the guest never leaves by itself: it ends all the same."""
    bed.start("spin", "--ttl", "1").ends(4, "ttl")


def test_ttl_while_paused(bed):
    bed.start("spin", "--ttl", "1", "--paused", "--cpus", "2").ends(4, "ttl")


def test_quit(bed):
    vmm = bed.start("spin", "--cpus", "4")
    vmm.await_console("spinning")
    control = vmm.control()
    control.ok("quit")
    vmm.ends(0, "quit")


def test_signals_end_it(bed):
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        vmm = bed.start("spin")
        vmm.await_console("spinning")
        vmm.process.send_signal(number)
        vmm.ends(0, "quit")


def test_killed(bed):
    """Sockets stay, as their owner is gone; whoever comes next isn't told otherwise."""
    vsock = bed.path("vsock.sock")
    vmm = bed.start("tick", "--vsock", vsock)
    vmm.await_console("ticking")
    vmm.control().ok("status")
    vmm.process.kill()
    expect(vmm.wait() == -signal.SIGKILL, "not killed")
    expect(not os.path.exists(vmm.path("report.json")), "a report of something that never ended")
    bed.refuses(["--kernel", GUEST, "--control", vmm.control_path], "exists already")
    os.unlink(vmm.control_path)
    os.unlink(vsock)
    bed.start("hello", "--vsock", vsock).passes()
    expect(not os.path.exists(vsock), "the vsock socket stayed behind")


def test_pause_and_resume(bed):
    vmm = bed.start("tick", "--cpus", "2")
    vmm.await_console("ticking")
    control = vmm.control()
    for _ in range(20):
        control.ok("pause")
        before = exits(control)
        expect(control.ok("status")["state"] == "paused", "the state isn't 'paused'")
        control.ok("pause")
        expect(exits(control) == before, "a paused guest has left the guest")
        control.ok("resume")
        control.ok("resume")
        expect(control.ok("status")["state"] == "running", "the state isn't 'running'")
        await_true(lambda: exits(control) > before, "the guest goes on")
    control.ok("pause")
    control.ok("quit")
    vmm.ends(0, "quit")


def test_pause_takes_a_spinning_guest_out(bed):
    vmm = bed.start("spin")
    vmm.await_console("spinning")
    control = vmm.control()
    control.ok("pause")
    expect(control.ok("status")["state"] == "paused", "the state isn't 'paused'")
    control.ok("resume")
    control.ok("quit")
    vmm.ends(0, "quit")


def switches(vmm):
    """How often the VMM's threads have gone to sleep, the I/O thread apart: it answers us."""
    count = 0
    for thread in os.listdir(f"/proc/{vmm.process.pid}/task"):
        if int(thread) == vmm.process.pid:
            continue
        with open(f"/proc/{vmm.process.pid}/task/{thread}/status", encoding="ascii") as status:
            line = next(line for line in status if line.startswith("voluntary_ctxt"))
        count += int(line.split()[1])
    return count


def test_paused_cpus_sleep(bed):
    """Parked vCPUs wake nobody, each other least of all."""
    vmm = bed.start("tick", "--cpus", "4")
    vmm.await_console("ticking")
    control = vmm.control()
    control.ok("pause")
    paused = switches(vmm)

    def still():
        before = switches(vmm)
        for _ in range(100):
            control.ok("status")
        return switches(vmm) == before

    await_true(still, "paused vCPUs sleep")
    woken = switches(vmm) - paused
    expect(woken < 100, f"the vCPUs woke each other {woken} times before they slept")


def test_start_paused(bed):
    vmm = bed.start("hello", "--paused")
    control = vmm.control()
    status = control.ok("status")
    expect(status["state"] == "paused", f"{status}")
    expect("first_exit_ms" not in status["stages"], f"{status}")
    expect(vmm.console() == "", "a paused guest has printed")
    control.ok("resume")
    vmm.passes()


def test_console_to_a_reader(bed):
    vmm = bed.start("hello", stdout=subprocess.PIPE)
    text = vmm.process.stdout.read()
    expect(text == b"hello from ring 3\nguest: passed\n", f"{text}")
    vmm.ends(0, "shutdown")


def flood(bed, lines, small_pipe):
    """A guest that prints @lines of LINE; into a pipe of 4 KiB if @small_pipe."""
    vmm = bed.start("flood", append=f"lines={lines}", stdout=subprocess.PIPE if small_pipe else None)
    if small_pipe:
        fcntl.fcntl(vmm.process.stdout, F_SETPIPE_SZ, 4096)
    return vmm


def test_console_nobody_reads(bed):
    """The guest prints more than pipe and ring hold, and still comes to its end."""
    lines = RING_SIZE // len(LINE) + 200
    vmm = flood(bed, lines, small_pipe=True)
    report = vmm.ends(0, "shutdown")
    expect(report["console"][-2:] == ["the flood is over", "guest: passed"], f"{report}")
    expect(0 < len(vmm.process.stdout.read()) < lines * len(LINE), "the pipe holds what it can")


def test_console_reader_leaves(bed):
    vmm = flood(bed, 500, small_pipe=True)
    vmm.process.stdout.read(1)
    vmm.process.stdout.close()
    report = vmm.ends(0, "shutdown")
    expect(report["console"][-1] == "guest: passed", f"{report}")


def test_console_file_keeps_all(bed):
    """Less than the ring holds, so that no line may be lost however slow the writer is."""
    text = flood(bed, 500, small_pipe=False).passes()
    expect(text == LINE * 500 + "the flood is over\nguest: passed\n", "the file differs")


def test_report_cannot_be_written(bed):
    """The end is as it is, whether it can be written down or not."""
    vmm = bed.start("hello", "--report", bed.path("no/such/folder"))
    expect(vmm.wait() == 0, "the exit status")
    expect("cannot write" in vmm.stderr(), vmm.stderr())


TESTS = [
    test_power_off, test_reset_line, test_triple_fault, test_internal_error, test_panic, test_ttl,
    test_ttl_while_paused, test_quit, test_signals_end_it, test_killed, test_pause_and_resume,
    test_pause_takes_a_spinning_guest_out, test_paused_cpus_sleep, test_start_paused,
    test_console_to_a_reader,
    test_console_nobody_reads, test_console_reader_leaves, test_console_file_keeps_all,
    test_report_cannot_be_written,
]
