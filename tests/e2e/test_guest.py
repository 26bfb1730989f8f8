# SPDX-License-Identifier: GPL-2.0-or-later
"""Commands and files in the guest."""
import hashlib
import os

import programs
from programs import cloche
from harness import check, contains, equal, test

OUTPUT_MAX = 512 << 10


def scratch(name):
    return os.path.join(programs.RUNTIME, name)


@test(guest="main")
def exec_keeps_streams_apart(guest):
    result = guest.exec("sh", "-c", "echo out; echo err >&2; exit 7", status=7)
    equal((result.out, result.err), (b"out\n", b"err\n"), "stdout and stderr")
    result = cloche("--json", "exec", guest.name, "--", "sh", "-c", "echo out; echo err >&2",
                    status=0).json()
    equal((result["stdout"], result["stderr"], result["exit"]), ("out\n", "err\n", 0), "the answer")


@test(guest="main")
def exec_takes_input_and_surroundings(guest):
    data = bytes(range(256)) * 64
    equal(guest.exec("cat", options=["--stdin"], stdin=data).out, data, "what cat gave back")
    equal(guest.exec("cat").out, b"", "the input without --stdin")
    result = guest.exec("sh", "-c", 'pwd; echo "$WORD $HOME $USER $DISPLAY"',
                        options=["--env", "WORD=two words", "--cwd", "/tmp"])
    equal(result.out.decode().splitlines(), ["/tmp", "two words /home/agent agent :0"], "it")


@test(guest="main")
def exec_tells_how_it_ended(guest):
    guest.exec("false", status=1)
    guest.exec("sh", "-c", "kill -9 $$", status=128 + 9)
    guest.exec("sh", "-c", "kill -TERM $$", status=128 + 15)
    contains(guest.exec("no-such-program", status=127).error, "no-such-program")
    contains(guest.exec("/etc/passwd", status=126).error, "Permission denied")
    guest.exec("true", options=["--cwd", "/no/such/folder"], status=127)


@test(guest="main")
def exec_is_ended_in_time(guest):
    result = cloche("exec", guest.name, "--timeout", "2s", "--", "sh", "-c",
                    "echo begun; sleep 9999 & wait", status=124)
    equal(result.out, b"begun\n", "what came before")
    contains(result.error, "time was over")
    result = cloche("exec", guest.name, "--timeout", "2s", "--", "sh", "-c",
                    "trap '' TERM; while :; do sleep 1; done", status=124)
    equal(guest.shell("pgrep -c sleep || true").strip(), "0", "the number of sleeps left")


@test(guest="main")
def exec_output_is_cut_and_told_so(guest):
    result = guest.exec("head", "-c", "2000000", "/dev/zero")
    equal(len(result.out), OUTPUT_MAX, "the bytes of stdout")
    contains(result.error, f"stdout was cut: {OUTPUT_MAX} of 2000000 bytes")
    result = guest.exec("head", "-c", str(OUTPUT_MAX), "/dev/zero")
    equal((len(result.out), result.err), (OUTPUT_MAX, b""), "what just fits")


@test(guest="main")
def exec_many_at_once(guest):
    with guest.control() as control:
        for number in range(1, 21):
            control.sock.sendall((
                '{"id":%d,"verb":"agent","request":{"verb":"exec","timeout_ms":200000,'
                '"argv":["sh","-c","echo %d"]}}\n' % (number, number)).encode())
        replies = [control.receive() for _ in range(20)]
    for reply in replies:
        check(reply["ok"], f"{reply}")
        equal(reply["_blob"], b"%d\n" % reply["id"], f"the output of {reply['id']}")


@test(guest="main")
def exec_is_unprivileged(guest):
    equal(guest.shell("id -u; id -g; id -G").split(), ["1000"] * 3, "the user and groups")
    guest.shell("cat /etc/shadow 2>/dev/null", status=1)
    guest.shell("ls /root 2>/dev/null", status=2)
    guest.shell("echo c 2>/dev/null >/proc/sysrq-trigger", status=2)
    result = guest.exec("id", options=["--root"], status=126)
    contains(result.error, "root")
    equal(guest.shell("find / -xdev -type f -perm /6000 2>/dev/null || true"), "", "the set-uid programs")


@test(guest="small")
def exec_as_root_where_allowed(guest):
    equal(guest.shell("id -u", root=True).strip(), "0", "the user")
    equal(guest.shell("id -u").strip(), "1000", "the user")


@test(guest="small")
def console_has_what_the_guest_writes(guest):
    guest.shell("echo straight from the guest >/dev/ttyS0", root=True)
    contains(cloche("console", guest.name, status=0).out.decode(errors="replace"),
             "straight from the guest", "the console")


@test(guest="main")
def files_go_in_and_out(guest):
    data = os.urandom(8 << 20)
    wanted = hashlib.sha256(data).hexdigest()
    with open(scratch("in"), "wb") as file:
        file.write(data)
    os.chmod(scratch("in"), 0o640)
    cloche("cp", scratch("in"), f"{guest.name}:copy", status=0)
    equal(guest.shell("sha256sum copy; stat -c %a:%U copy").split(), [wanted, "copy", "640:agent"],
          "the file in the guest")
    answer = cloche("--json", "cp", f"{guest.name}:/home/agent/copy", scratch("out"),
                    status=0).json()
    equal(answer["bytes"], len(data), "bytes")
    with open(scratch("out"), "rb") as file:
        equal(hashlib.sha256(file.read()).hexdigest(), wanted, "the hash of what came back")


@test(guest="main")
def odd_files(guest):
    with open(scratch("empty"), "wb"):
        pass
    cloche("cp", scratch("empty"), f"{guest.name}:/tmp/", status=0)
    equal(guest.shell("stat -c %s /tmp/empty").strip(), "0", "its size")
    os.mkdir(scratch("folder"))
    cloche("cp", f"{guest.name}:/tmp/empty", scratch("folder"), status=0)
    equal(os.path.getsize(scratch("folder/empty")), 0, "its size")
    contains(cloche("cp", f"{guest.name}:missing", scratch("x"), status=1).error, "missing")
    contains(cloche("cp", f"{guest.name}:/tmp", scratch("x"), status=1).error, "no regular file")
    contains(cloche("cp", scratch("folder"), f"{guest.name}:x", status=2).error, "folder")
    cloche("cp", scratch("empty"), scratch("other"), status=2)
    guest.shell("head -c 4096 /dev/zero >/tmp/large")
    contains(cloche("cp", "--max", "4095", f"{guest.name}:/tmp/large", scratch("x"),
                    status=1).error, "--max")
    check(not os.path.exists(scratch("x")), "a copy that failed has left a file")


@test(guest="main")
def paths_that_lead_out_are_refused(guest):
    guest.shell("ln -sfn /etc out; ln -sfn /etc/passwd /tmp/passwd; ln -sfn ../../../etc up;"
                "ln -sfn /home/agent /tmp/home; mkfifo pipe")
    paths = ["/etc/passwd", "../../etc/passwd", "out/passwd", "up/passwd", "/tmp/passwd",
             "/tmp/../etc/passwd", "/home/agent/../../etc/passwd", "/proc/self/environ",
             "/home/agentx/f", "/tmp/home/.bashrc", "/dev/kmsg"]
    with open(scratch("small"), "wb") as file:
        file.write(b"mine")
    for path in paths:
        result = cloche("--json", "cp", f"{guest.name}:{path}", scratch("stolen"), status=1)
        equal(result.json()["error"]["code"], "denied", f"the code for reading {path}")
        check(not os.path.exists(scratch("stolen")), f"{path} was read")
        result = cloche("--json", "cp", scratch("small"), f"{guest.name}:{path}", status=1)
        equal(result.json()["error"]["code"], "denied", f"the code for writing {path}")
        with guest.control() as control:
            check(not control.agent("file", op="list", path=path)["ok"], f"{path} was listed")
            # A link in /tmp is the user's own to remove.
            if path != "/tmp/passwd":
                check(not control.agent("file", op="remove", path=path)["ok"],
                      f"{path} was removed")
    cloche("cp", f"{guest.name}:pipe", scratch("stolen"), status=1)
    contains(guest.shell("cat /etc/passwd; ls /home/agent/.bashrc"), "agent:x:1000")
