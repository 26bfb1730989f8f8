# SPDX-License-Identifier: GPL-2.0-or-later
"""Bad input: one line that says what to do, the right status, nothing left behind."""
import os
import shutil
import socket

import programs
from programs import CLOCHE, IMAGES, VMM, cloche, image, run, vmm, vmm_processes
from harness import check, contains, equal, test

NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
# A /dev of one's own, without kvm.
NO_KVM = ["unshare", "--mount", "sh", "-c",
          "mount -t tmpfs dev /dev && mknod -m 666 /dev/null c 1 3 && "
          "mknod -m 666 /dev/urandom c 1 9 && exec \"$@\"", "sh"]
LONG = "x" * 120


class Folder:
    """An empty folder for one test, and a look at what has changed in it and in the machine."""

    def __init__(self, name, owner=None):
        self.path = os.path.join(programs.RUNTIME, name)
        shutil.rmtree(self.path, ignore_errors=True)
        os.mkdir(self.path, 0o700)
        if owner:
            os.chown(self.path, owner, owner)
        self.begin = None

    def file(self, name, data=b"this is no kernel\n" * 100):
        path = os.path.join(self.path, name)
        with open(path, "wb") as file:
            file.write(data)
        return path

    def at(self, name):
        return os.path.join(self.path, name)

    def state(self):
        files = sorted(os.path.join(where, name) for where, folders, names in os.walk(self.path)
                       for name in names + folders)
        return files, sorted(vmm_processes())

    def remember(self):
        self.begin = self.state()

    def check_unchanged(self, what):
        equal(self.state(), self.begin, f"what there is after {what}")


def check_vmm(folder, arguments, message, prefix=(), env=None):
    folder.remember()
    result = run([*prefix, VMM, *map(str, arguments)], env=env)
    what = " ".join(map(str, arguments))[-200:]
    equal(result.status, 2, f"the status of {what} ({result})")
    equal(result.out, b"", f"stdout of {what}")
    contains(result.error, message, f"the message for {what}")
    folder.check_unchanged(what)


def kernel_files(folder):
    with open(image("vmlinux"), "rb") as file:
        elf = file.read(1 << 20)
    fifo = folder.at("fifo")
    os.mkfifo(fifo)
    return [
        (folder.file("text"), "no kernel"), (folder.file("empty", b""), "no kernel"),
        (folder.path, "no regular file"), (fifo, "no regular file"),
        (folder.at("absent"), "No such file"), ("/bin/true", "no usable kernel"),
        (folder.file("cut", elf), "segment lies outside the file"),
        (folder.file("tiny", elf[:64]), "no kernel"), (folder.file("zeros", bytes(4096)), "no kernel"),
    ]


@test
def vmm_refuses_what_is_no_kernel():
    folder = Folder("kernels")
    for path, message in kernel_files(folder):
        check_vmm(folder, ["--kernel", path, "--control", folder.at("c"), "--vsock", folder.at("v")],
                  message)


@test
def vmm_refuses_wrong_options():
    folder = Folder("options")
    good = ["--kernel", image("vmlinux")]
    for arguments, message in [
            ([], "a kernel is needed"), ([*good, "--colour", "red"], "unknown option"),
            ([*good, "--cpus"], "without its value"), ([*good, "stray"], "is no option"),
            ([*good, "--cpus", "0"], "1 to 8"), ([*good, "--cpus", "9"], "1 to 8"),
            ([*good, "--cpus", "two"], "1 to 8"), ([*good, "--memory", "0"], "1M to 64G"),
            ([*good, "--memory", "65G"], "1M to 64G"), ([*good, "--memory", "-1"], "1M to 64G"),
            ([*good, "--memory", "18446744073709551615G"], "1M to 64G"),
            ([*good, "--size", "1x1"], "WIDTHxHEIGHT"), ([*good, "--size", "big"], "WIDTHxHEIGHT"),
            ([*good, "--ttl", "0"], "--ttl"), ([*good, "--cid", "2"], "--cid"),
            ([*good, "--page", "http://a b"], "--page")]:
        check_vmm(folder, arguments, message)


@test
def vmm_refuses_too_little_memory():
    folder = Folder("memory")
    for kernel in ("vmlinux", "bzImage"):
        for size in (1, 16):
            check_vmm(folder, ["--kernel", image(kernel), "--memory", size, "--control",
                               folder.at("c")], f"the guest has {size} MiB: give it more (--mem)")
    big = folder.file("initramfs", b"")
    os.truncate(big, 200 << 20)
    check_vmm(folder, ["--kernel", image("vmlinux"), "--memory", "128M", "--initramfs", big],
              "initramfs")


@test
def vmm_refuses_sockets_that_cannot_be():
    folder = Folder("sockets")
    taken = folder.at("taken")
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(taken)
        plain = folder.file("plain")
        for option in ("--control", "--vsock"):
            for path, message in ((taken, "exists already"), (plain, "exists already"),
                                  (folder.at(LONG), "too long"), (folder.at("no/such"), "No such"),
                                  ("", "empty")):
                other_option = "--vsock" if option == "--control" else "--control"
                check_vmm(folder, ["--kernel", image("vmlinux"), "--console", folder.at("console"),
                                   other_option, folder.at("good"), option, path], message)


@test
def vmm_refuses_images_that_cannot_be():
    folder = Folder("images")
    empty = folder.file("empty", b"")
    for option, path, message in (("--image", folder.at("absent"), "No such file"),
                                  ("--image", folder.path, "no root image"),
                                  ("--image", empty, "no root image"),
                                  ("--initramfs", folder.at("absent"), "No such file"),
                                  ("--initramfs", folder.path, folder.path),
                                  ("--console", folder.at("no/such"), "No such file"),
                                  ("--console", folder.path, folder.path)):
        check_vmm(folder, ["--kernel", image("vmlinux"), "--control", folder.at("c"), "--vsock",
                           folder.at("v"), option, path], message)


@test
def vmm_refuses_a_long_command_line():
    folder = Folder("line")
    check_vmm(folder, ["--kernel", image("vmlinux"), "--append", "x" * 2048, "--control",
                       folder.at("c")], "shorten --append")


@test
def vmm_without_kvm():
    folder = Folder("without")
    arguments = ["--kernel", image("vmlinux"), "--control", folder.at("c")]
    check_vmm(folder, arguments, "/dev/kvm is missing", NO_KVM)
    os.chown(folder.path, 65534, 65534)
    check_vmm(folder, arguments, "no permission for /dev/kvm", NOBODY)


def check_run(folder, arguments, status, message, prefix=(), env=None):
    env = dict({"XDG_RUNTIME_DIR": folder.path}, **(env or {}))
    folder.remember()
    result = run([*prefix, CLOCHE, "run", *map(str, arguments)], env=env)
    what = " ".join(map(str, arguments))[-200:]
    equal(result.status, status, f"the status of run {what} ({result})")
    equal(result.out, b"", f"stdout of run {what}")
    contains(result.error, message, f"the message for run {what}")
    # The folder of all sessions may have come into being; a session's may not.
    below = [path for path in folder.state()[0] if path not in folder.begin[0]]
    check(below in ([], [os.path.join(env["XDG_RUNTIME_DIR"], "cloche")]), f"run {what} left {below}")
    equal(folder.state()[1], folder.begin[1], f"the list of VMMs after {what}")


@test
def run_refuses_bad_input():
    folder = Folder("run")
    for path, message in kernel_files(folder):
        if path != folder.path:
            message = message.replace("no regular file", "not a regular file")
        check_run(folder, ["x", "--kernel", path], 2,
                  message.replace("no regular file", "Is a directory"))
    empty = folder.file("nothing", b"")
    for arguments, message in [
            ([], "an argument is missing"), (["a b"], "is no session name"),
            ([".."], "is no session name"), (["a/b"], "is no session name"),
            (["y" * 33], "is no session name"), (["x", "y"], "too many arguments"),
            (["x", "--colour"], "unknown option"), (["x", "--mem"], "needs a value"),
            (["x", "--mem", "16M"], "128"), (["x", "--mem", "much"], "no memory size"),
            (["x", "--mem", "65G"], "MiB"), (["x", "--cpus", "9"], "1 to 8"),
            (["x", "--size", "10x10"], "--size"), (["x", "--ttl", "soon"], "--ttl"),
            (["x", "--page", "nowhere"], "--page"), (["x", "--relay", "8000"], "--relay"),
            (["x", "--relay", "8000:" + folder.at("absent")], "start its server first"),
            (["x", "--relay", f"1024:{empty}"], "agent's own"),
            (["x", "--image", folder.at("absent")], "No such file"),
            (["x", "--image", folder.path], "Is a directory"),
            (["x", "--image", empty], "no root image"),
            (["x", "--initramfs", folder.at("absent")], "No such file"),
            (["x", "--append", "x" * 2048], "shorten --append")]:
        check_run(folder, arguments, 2, message)
    deep = folder.at("d" * 100)
    os.mkdir(deep)
    check_run(folder, ["x"], 2, "too long", env={"XDG_RUNTIME_DIR": deep})


@test
def run_on_hosts_that_lack_something():
    """Nothing wrong with the command line: status 1, as cloche(1) has it."""
    folder = Folder("lacking", owner=65534)
    env = {"CLOCHE_IMAGES": IMAGES}
    check_run(folder, ["x"], 1, "permission", NOBODY, env)
    os.chown(folder.path, 0, 0)
    shutil.rmtree(folder.at("cloche"), ignore_errors=True)
    check_run(folder, ["x"], 1, "/dev/kvm is missing", NO_KVM, env)
    check_run(folder, ["x"], 1, "make images", env={"CLOCHE_IMAGES": folder.path})
    check_run(folder, ["x"], 1, "CLOCHE_VMM", env={"CLOCHE_VMM": "/no/such"})


def failed_checks(prefix, env):
    result = run([*prefix, CLOCHE, "--json", "doctor"], env=env)
    equal(result.status, 1, f"doctor's status ({result})")
    answer = result.json()
    equal(answer["guests_run"], False, "guests_run")
    text = run([*prefix, CLOCHE, "doctor"], env=env)
    equal(text.status, 1, "doctor's status")
    contains(text.out.decode(), "Stock guests can't run here as it is.", "doctor")
    return {c["name"]: c for c in answer["checks"] if not c["ok"]}


@test
def doctor_names_what_is_missing():
    folder = Folder("doctor")
    env = {"XDG_RUNTIME_DIR": folder.path, "CLOCHE_IMAGES": IMAGES}
    bad = failed_checks(NO_KVM, env)
    equal(list(bad), ["/dev/kvm"], "the list of what failed")
    contains(bad["/dev/kvm"]["detail"], "missing")
    check(bad["/dev/kvm"]["advice"], "there is no advice")
    bad = failed_checks([], dict(env, CLOCHE_IMAGES=folder.path))
    contains(bad["images"]["detail"], "make images")
    bad = failed_checks([], dict(env, XDG_RUNTIME_DIR="/no/such"))
    check("session folder" in bad, f"failed: {list(bad)}")
    folder = Folder("doctor-nobody", owner=65534)
    bad = failed_checks(NOBODY, dict(env, XDG_RUNTIME_DIR=folder.path))
    equal(list(bad), ["/dev/kvm"], "the list of what failed")
    contains(bad["/dev/kvm"]["advice"], "usermod -aG")


@test
def session_folder_of_others_is_not_trusted():
    folder = Folder("theirs")
    os.mkdir(folder.at("cloche"), 0o777)
    os.chmod(folder.at("cloche"), 0o777)
    check_run(folder, ["x"], 1, "others may enter")
    os.rmdir(folder.at("cloche"))
    os.mkdir(folder.at("elsewhere"))
    os.symlink(folder.at("elsewhere"), folder.at("cloche"))
    check_run(folder, ["x"], 1, "as a folder")


@test
def usage_and_help():
    contains(cloche("help", status=0).out.decode(), "usage: cloche")
    for command in ("doctor", "run", "ls", "shot", "act", "exec", "cp", "console", "freeze", "thaw",
                    "balloon", "wait", "kill"):
        contains(cloche(command, "--help", status=0).out.decode(), f"usage: cloche {command}")
    cloche(status=2)
    contains(cloche("dance", status=2).error, "there is no command 'dance'")
    answer = cloche("--json", "dance", status=2).json()
    equal((answer["ok"], answer["error"]["code"]), (False, "usage"), "the answer")
    contains(vmm("--help").out.decode(), "usage: cloche-vmm")
    contains(vmm("--version").out.decode(), "cloche-vmm ")
    equal(vmm("--probe").status, 0, "the probe's status")
