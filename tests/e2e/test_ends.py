# SPDX-License-Identifier: GPL-2.0-or-later
"""How sessions end, and that nothing of them stays."""
import os
import signal
import subprocess

import programs
from programs import Session, cloche, reap, vmm_processes
from harness import check, contains, equal, test, wait_until


def start(name, *options):
    session = Session(name)
    session.start(*options)
    return session, session.facts()["pid"]


def unix_sockets_below(folder):
    with open("/proc/net/unix", encoding="utf-8", errors="replace") as file:
        return [line.split()[-1] for line in file if f"{folder}/" in line]


def check_gone(session, pid):
    check(not os.path.exists(session.folder), f"{session.folder} is still there")
    check(pid not in vmm_processes(), f"process {pid} is still there")
    equal(unix_sockets_below(session.folder), [], "the list of its sockets")
    check(session.listed() is None, "ls still shows it")


def check_dead(session, why, reason, status):
    entry = session.listed()
    equal(entry["state"], "dead", "the state")
    contains(entry["why"], why, "ls's reason")
    report = session.report()
    equal((report["reason"], report["status"]), (reason, status), "reason and status")
    contains(cloche("ls", status=0).out.decode(), why, "ls")
    contains(cloche("shot", session.name, "x.png", status=4).error, why)
    session.exec("true", status=125)
    return report


def end_by_kill(session, pid):
    answer = cloche("--json", "kill", "killed", status=0).json()
    equal(answer["sessions"], [{"name": "killed", "how": "ended"}], "the answer")
    equal(reap(pid), 0, "the VMM's status")
    check_gone(session, pid)


@test
def kill_leaves_nothing():
    session, pid = start("killed", "--ttl", "10m")
    check(vmm_processes().get(pid), "no process")
    check(unix_sockets_below(session.folder), "no socket")
    with subprocess.Popen([programs.CLOCHE, "console", "-f", "killed"],
                          stdout=subprocess.PIPE) as follower:
        end_by_kill(session, pid)
        follower.communicate(timeout=60)
        equal(follower.returncode, 0, "the status of console -f")
    contains(cloche("kill", "killed", status=3).error, "there is no session 'killed'")


@test
def ttl_ends_a_session_that_nobody_looks_at():
    """Even a frozen one: the guest has no part in it."""
    session, pid = start("mortal", "--ttl", "30s", "--timeout", "300")
    cloche("freeze", "mortal", status=0)
    check(session.listed()["ttl_ms"] <= 30000, "ttl_ms is too long")
    equal(reap(pid), 4, "the VMM's status")
    check_dead(session, "its time to live ran out", "ttl", 4)
    check(not os.path.exists(session.path("control.sock")), "the control socket is still there")
    session.kill()
    check_gone(session, pid)


@test
def vmm_killed_hard():
    session, pid = start("victim")
    cloche("freeze", "victim", status=0)
    os.kill(pid, signal.SIGKILL)
    equal(reap(pid), -9, "the VMM's status")
    equal(session.listed()["state"], "dead", "the state")
    contains(cloche("run", "victim", status=1).error, "clear it away: cloche kill victim")
    result = cloche("shot", "victim", "x.png", status=4)
    contains(result.error, "session 'victim' is dead")
    equal(cloche("--json", "kill", "victim", status=0).json()["sessions"][0]["how"], "removed",
          "how it went")
    check_gone(session, pid)
    session, pid = start("victim")
    equal(session.shell("echo again"), "again\n", "what the new one says")
    session.agent("shutdown", mode="poweroff")
    equal(reap(pid), 0, "the VMM's status")
    check_dead(session, "the guest shut down", "shutdown", 0)
    session.kill()
    check_gone(session, pid)


@test
def guest_reboots():
    session, pid = start("phoenix")
    session.agent("shutdown", mode="reboot")
    equal(reap(pid), 0, "the VMM's status")
    check_dead(session, "the guest rebooted", "reboot", 0)
    session.kill()
    check_gone(session, pid)


@test
def run_interrupted_leaves_nothing():
    session = Session("hasty")
    with subprocess.Popen([programs.CLOCHE, "run", "hasty"], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as process:
        wait_until(lambda: os.path.exists(session.path("control.sock")), "the control socket")
        pid = session.facts()["pid"]
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        equal(process.returncode, -signal.SIGTERM, "its status")
    check_gone(session, pid)


@test
def run_that_is_not_ready_in_time():
    result = cloche("run", "late", "--timeout", "1ms", status=1)
    contains(result.error, "not ready within")
    check(not os.path.exists(Session("late").folder), "its folder is still there")


@test
def guest_without_init_panics():
    """A guest that crashes before its agent is up: `run` says how, and clears up."""
    result = cloche("run", "broken", "--append", "rdinit=/no/such/init init=/no/such/init",
                    status=1)
    contains(result.err.decode(), "panicked", "the message")
    contains(result.err.decode(), "the guest's last lines:", "the message")
    check(not os.path.exists(Session("broken").folder), "its folder is still there")


@test(guest="small")
def death_of_the_browser_is_told(guest):
    guest.shell("pkill -9 -o -x chromium || pkill -9 -o chromium", root=True)
    deaths = wait_until(lambda: guest.status()["deaths"], "the report of a death")
    equal((deaths[0]["process"], deaths[0]["signal"]), ("browser", 9), "the death")
    equal(guest.listed()["deaths"][0]["process"], "browser", "what ls says")
    answer = guest.act("navigate", url="about:blank", status=5)
    equal(answer["error"]["code"], "not_ready", "the code")
    equal(guest.shell("echo still here"), "still here\n", "what the agent says")
    cloche("shot", guest.name, os.path.join(programs.RUNTIME, "after.png"), status=0)


@test(guest="small")
def panic_is_reported(guest):
    pid = guest.facts()["pid"]
    # The answer to this command never comes.
    guest.exec("sh", "-c", "echo c >/proc/sysrq-trigger", options=["--root"], status=125)
    equal(reap(pid), 3, "the VMM's status")
    report = check_dead(guest, "the guest's kernel panicked: sysrq triggered crash", "panic", 3)
    equal(report["detail"], "Kernel panic - not syncing: sysrq triggered crash", "the detail")
    check(int(report["rip"], 16) >= 0xffffffff80000000, f"RIP is {report['rip']}")
    equal(report["vcpu"], 0, "the vCPU")
    check(any("sysrq: Trigger a crash" in line for line in report["console"]),
          f"the console's last lines are {report['console']}")
    with open(guest.path("vmm.log"), encoding="utf-8") as file:
        log = file.read()
    contains(log, "panic")
    contains(log, f"RIP {report['rip']}")
    guest.kill()
    check_gone(guest, pid)


@test(guest="main")
def kill_all(guest):
    """The last one of all: nothing runs after it."""
    start("another", "--ttl", "10m")
    pids = [Session(name).facts()["pid"] for name in ("another", guest.name)]
    names = {s["name"] for s in cloche("--json", "kill", "--all", status=0).json()["sessions"]}
    check(names >= {"another", guest.name}, f"only these were killed: {names}")
    for pid in pids:
        equal(reap(pid), 0, "the VMM's status")
    equal(cloche("--json", "ls", status=0).json()["sessions"], [], "what is left")
    equal(os.listdir(os.path.join(programs.RUNTIME, "cloche")), [], "the sessions' folder")
    equal(vmm_processes(), {}, "the list of VMMs")
