# SPDX-License-Identifier: GPL-2.0-or-later
"""guests.py - one real guest under cloche-vmm, and the same guest under QEMU's microvm.

Both classes have the same face: started at once, wait(stage) returns when the agent's "ready" event
for that stage ("agent", "display", "browser") has come to the host, own_memory() is in bytes, end()
leaves nothing behind. Times are the caller's. After wait("agent"), put() and run() bring a program in
and run it there:

    guest = ClocheGuest(folder, "--disk", disk, root=True)
    guest.wait("agent")
    load = guest.put(INSIDE / "disk")        # tests/bench/inside/disk.c, static
    figures = guest.run([load, "/dev/vda"], root=True)
"""

import json
import os
import pathlib
import socket
import subprocess
import sys
import time

TREE = pathlib.Path(__file__).resolve().parents[2]
IMAGES = TREE / "build/images"
INSIDE = TREE / "build/inside"  # programs that run in guests, static
MEMORY_MIB = 1024
AGENT_PORT = 1024  # lib/proto.h
STAGE_LIMIT_S = 600
BLOB_MAX = 1 << 20  # cloche-protocol(7)


class GuestFailed(Exception):
    pass


def own_memory(pid, memory_mib, image):
    """
    Private bytes of a process outside guest RAM and the root image's mapping. Guest RAM is what is as
    large as it; where its parts have different advice, it is what core dumps leave out (smaps: dd).
    """
    total, size, private, is_image = 0, 0, 0, False
    for line in pathlib.Path(f"/proc/{pid}/smaps").read_text().splitlines():
        words = line.split()
        if not words[0].endswith(":"):
            start, end = (int(part, 16) for part in words[0].split("-"))
            size, private = end - start, 0
            is_image = len(words) > 5 and words[5] == image
        elif words[0] in ("Private_Clean:", "Private_Dirty:"):
            private += int(words[1]) << 10
        elif words[0] == "VmFlags:":  # the last line of a mapping
            if size < memory_mib << 20 and "dd" not in words and not is_image:
                total += private
    return total


class Lines:
    """Messages on a socket: JSON lines, a blob behind those that announce one."""

    def __init__(self, connection):
        self.connection = connection
        self.pending = b""

    def fill(self):
        data = self.connection.recv(65536)
        if not data:
            raise GuestFailed("the connection ended")
        self.pending += data

    def next(self):
        """The next message; its blob, if any, is its member "_blob"."""
        while b"\n" not in self.pending:
            self.fill()
        line, self.pending = self.pending.split(b"\n", 1)
        message = json.loads(line)
        size = message.get("blob", 0)
        while len(self.pending) < size:
            self.fill()
        message["_blob"], self.pending = self.pending[:size], self.pending[size:]
        return message

    def send(self, message, blob=b""):
        if blob:
            message = dict(message, blob=len(blob))
        self.connection.sendall(json.dumps(message).encode() + b"\n" + blob)


class Guest:
    """A VMM's process, its folder and its console."""

    def __init__(self, folder, argv):
        self.folder = folder
        self.started = time.monotonic()
        self.log = open(folder / "log", "wb")
        self.process = subprocess.Popen([str(word) for word in argv], stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=self.log)

    def own_memory(self):
        return own_memory(self.process.pid, MEMORY_MIB, str((IMAGES / "root.erofs").resolve()))

    def cpu_ticks(self):
        """What its process has used of the CPU: in its guest, else in user mode, in the kernel."""
        stat = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        user, system, guest = (int(stat[field - 3]) for field in (14, 15, 43))  # proc(5)
        return guest, user - guest, system

    def print_cpu(self, what, before):
        """Where the time of a load went, since cpu_ticks() was @before: a first look for whoever asks
        why a figure is what it is."""
        spent = [now - then for now, then in zip(self.cpu_ticks(), before)]
        shares = [100 * part / (sum(spent) or 1) for part in spent]
        print(f"  {what}: {type(self).__name__}: {sum(spent) / os.sysconf('SC_CLK_TCK'):.1f} s of CPU, "
              f"{shares[0]:.0f} % in the guest, {shares[1]:.0f} % in the VMM's code, "
              f"{shares[2]:.0f} % in the host's kernel", file=sys.stderr, flush=True)

    def check_alive(self):
        if self.process.poll() is None:
            return
        said = (self.folder / "log").read_text(errors="replace")[-2000:]
        console = self.folder / "console"
        last = console.read_text(errors="replace")[-2000:] if console.exists() else ""
        raise GuestFailed(f"{self.process.args[0]} ended, status {self.process.returncode}\n"
                          f"{said}\n{last}")

    def agent_call(self, request, blob=b""):
        """The agent's reply to a request without id. Each VMM has its own way to it."""
        raise NotImplementedError

    def put(self, file, name=None):
        """Copies a host file into the guest, executable; its path there."""
        path = f"/tmp/{name or pathlib.Path(file).name}"
        data = pathlib.Path(file).read_bytes()
        for offset in range(0, len(data), BLOB_MAX):
            self.agent_call({"verb": "file", "op": "write", "path": path, "offset": offset,
                             "truncate": offset == 0, "mode": 0o755},
                            data[offset:offset + BLOB_MAX])
        return path

    def run(self, argv, stdin=b"", root=False, limit_s=STAGE_LIMIT_S):
        """Runs a command in the guest; its standard output. A status other than 0 is a failure."""
        reply = self.agent_call({"verb": "exec", "argv": [str(word) for word in argv], "root": root,
                                 "timeout_ms": limit_s * 1000}, stdin)
        out, err = reply["_blob"][:reply["stdout"]], reply["_blob"][reply["stdout"]:]
        if reply.get("exit") != 0 or reply["timed_out"]:
            how = "is not over" if reply["timed_out"] else \
                f"ended with {reply.get('exit', reply.get('signal'))}"
            raise GuestFailed(f"{argv[0]} {how}: {err.decode(errors='replace').strip()[-1000:]}")
        return out

    def quiet(self):
        """Stops the guest's browser and screen as they start: a load then has the CPUs for itself."""
        self.run(["sh", "-c", "until pkill -STOP chromium; do sleep 0.1; done; sleep 1;"
                  "pkill -STOP chromium; pkill -STOP Xvfb"])

    def end(self):
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


class ClocheGuest(Guest):
    def __init__(self, folder, *options, cpus=1, root=False, append=""):
        super().__init__(folder, [
            TREE / "build/bin/cloche-vmm", "--kernel", IMAGES / "vmlinux",
            "--initramfs", IMAGES / "initramfs.cpio", "--image", IMAGES / "root.erofs",
            "--memory", f"{MEMORY_MIB}M", "--cpus", cpus, "--console", folder / "console",
            "--control", folder / "control", "--vsock", folder / "vsock",
            "--report", folder / "report", *(["--guest-root"] if root else []),
            *(["--append", append] if append else []), *options])
        self.control = None

    def connect(self):
        while self.control is None:
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.connect(str(self.folder / "control"))
            except OSError:
                connection.close()
                self.check_alive()
                time.sleep(0.01)
                continue
            connection.settimeout(STAGE_LIMIT_S + 10)
            self.control = Lines(connection)

    def call(self, request, blob=b""):
        self.connect()
        self.control.send(dict(request, id=1), blob)
        while True:
            reply = self.control.next()
            if reply.get("id") == 1:
                break
        if not reply["ok"]:
            self.check_alive()
            raise GuestFailed(f"{request['verb']}: {reply['error']['message']}")
        return reply

    def wait(self, stage):
        self.call({"verb": "wait", "for": stage, "timeout_ms": STAGE_LIMIT_S * 1000})

    def agent_call(self, request, blob=b""):
        limit = request.get("timeout_ms", STAGE_LIMIT_S * 1000)
        return self.call({"verb": "agent", "request": request, "timeout_ms": limit + 10000}, blob)

    def settle(self):
        """What a session does besides: a picture. Its file descriptor is dropped."""
        self.call({"verb": "screenshot"})

    def end(self):
        super().end()
        if self.control:
            self.control.connection.close()


class QemuGuest(Guest):
    """QEMU's leanest documented microvm that has a serial console. It has no virtio-pmem."""

    MACHINE = "microvm,accel=kvm,acpi=off,x-option-roms=off,pit=off,pic=off,rtc=off"
    # What cloche-vmm composes, but for the place of the serial port.
    COMMAND_LINE = ("console=ttyS0 quiet panic=-1 reboot=k no_timer_check tsc=reliable "
                    "cloche.size=1280x800")

    def __init__(self, folder, cid, *options, cpus=1, root=False, append=""):
        self.listener = socket.socket(socket.AF_VSOCK)
        self.listener.bind((socket.VMADDR_CID_ANY, AGENT_PORT))
        self.listener.listen(1)
        self.listener.settimeout(1)
        self.agent = None
        self.ready = set()
        super().__init__(folder, [
            "qemu-system-x86_64", "-M", self.MACHINE, "-cpu", "host", "-smp", cpus,
            "-m", str(MEMORY_MIB), "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-kernel", IMAGES / "vmlinux", "-initrd", IMAGES / "initramfs.cpio",
            "-append", self.COMMAND_LINE + (" cloche.root=1" if root else "") + (f" {append}" if append else ""),
            "-serial", f"file:{folder}/console",
            "-global", "virtio-mmio.force-legacy=false",
            "-drive", f"if=none,id=root,format=raw,readonly=on,file={IMAGES / 'root.erofs'}",
            "-device", "virtio-blk-device,drive=root", "-device", "virtio-rng-device",
            "-device", f"vhost-vsock-device,guest-cid={cid}", *options])

    def accept(self):
        while self.agent is None:
            try:
                connection, _ = self.listener.accept()
            except socket.timeout:
                self.check_alive()
                if time.monotonic() - self.started > STAGE_LIMIT_S:
                    raise GuestFailed("no agent under QEMU") from None
                continue
            connection.settimeout(STAGE_LIMIT_S)
            self.agent = Lines(connection)

    def note(self, event):
        if event.get("event") == "ready":
            self.ready.add(event["stage"])
        elif event.get("event") == "died":
            raise GuestFailed(f"{event.get('process')} died under QEMU")

    def wait(self, stage):
        self.accept()
        while stage not in self.ready:
            self.note(self.agent.next())

    def agent_call(self, request, blob=b""):
        self.accept()
        self.agent.send(dict(request, id=1), blob)
        while True:
            message = self.agent.next()
            if message.get("id") == 1:
                break
            self.note(message)
        if not message["ok"]:
            raise GuestFailed(f"{request['verb']}: {message['error']['message']}")
        return message

    def settle(self):
        pass

    def end(self):
        super().end()
        if self.agent:
            self.agent.connection.close()
        self.listener.close()
