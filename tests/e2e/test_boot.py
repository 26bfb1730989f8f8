# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests of different shapes come up and are what was asked for; the host can tell of them."""
from programs import cloche
from harness import ALL, check, contains, equal, test


def guest_kib(guest, key):
    for line in guest.shell("cat /proc/meminfo").splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1])
    raise AssertionError(f"the guest's meminfo has no {key}")


def check_shape(guest, cpus, memory_mib, width, height):
    status = guest.status()
    equal(status["state"], "running", "the state")
    equal(status["cpus"], cpus, "cpus")
    equal(status["memory_mib"], memory_mib, "memory_mib")
    equal(status["display"], {"width": width, "height": height}, "the display")
    equal(status["deaths"], [], "the list of deaths")
    order = [status["stages"][k] for k in ("entry_ms", "agent_ms", "display_ms", "browser_ms")]
    check(order == sorted(order), f"the stages are out of order: {status['stages']}")
    equal(guest.shell("nproc").strip(), str(cpus), "the guest's number of CPUs")
    total = guest_kib(guest, "MemTotal") >> 10
    check(memory_mib * 0.9 - 32 < total <= memory_mib, f"the guest has {total} MiB")
    equal((guest.loaded["screenWidth"], guest.loaded["screenHeight"]), (width, height),
          "the page's screen")


@test(guest=ALL)
def boot_2_cpus_5_gib_elf(guests):
    guest = guests["main"].up()
    check_shape(guest, 2, 5120, 1280, 800)


@test(guest=ALL)
def boot_1_cpu_512_mib_bzimage(guests):
    guest = guests["small"].up()
    check_shape(guest, 1, 512, 1024, 768)
    answer = guest.started
    equal(answer["page"]["title"], "Test page", "the page's title")
    check(set(answer["stages"]) >= {"entry_ms", "agent_ms", "display_ms", "browser_ms", "page_ms"},
          f"run told of too few stages: {answer['stages']}")


@test(guest="main")
def kernel_command_line_has_no_words_of_others(guest):
    words = guest.shell("cat /proc/cmdline").split()
    contains(words, "cloche.size=1280x800", "the command line")
    check("cloche.root=1" not in words, "the guest may become root")


@test(guest="main")
def dax_serves_the_root_image(guest):
    """File pages stay in the host's page cache: what the guest has cached is its tmpfs alone."""
    cached = guest_kib(guest, "Cached") - guest_kib(guest, "Shmem")
    check(cached <= 30 * 1024, f"{cached} KiB of file pages are cached in the guest")


@test(guest="main")
def root_image_is_read_only(guest):
    root = next(line for line in guest.shell("cat /proc/mounts").splitlines() if " / " in line)
    contains(root, "overlay")
    contains(root, "lowerdir=/image")
    guest.shell("touch /usr/bin/new 2>/dev/null", status=1)


@test(guest="main")
def no_network_card(guest):
    equal(guest.shell("ls /sys/class/net").split(), ["lo"], "the list of network interfaces")


@test(guest="main")
def chromium_is_sandboxed(guest):
    script = r"""
    for my $p (glob "/proc/[0-9]*") {
        local $/;
        open(my $c, "<", "$p/cmdline") or next;
        my $line = <$c> // ""; $line =~ tr/\0/ /;
        next unless $line =~ m,^/usr/lib/chromium/chromium ,;
        open(my $s, "<", "$p/status") or next;
        my ($uid, $seccomp) = <$s> =~ /^Uid:\s+(\d+).*^Seccomp:\s+(\d+)/ms;
        print "$uid $seccomp $line\n";
    }
    """
    lines = guest.perl(script, status=0).out.decode().splitlines()
    renderers = [line for line in lines if "--type=renderer" in line]
    check(renderers, f"there is no renderer: {lines}")
    for line in lines:
        uid, seccomp, *words = line.split()
        equal(uid, "1000", f"the user of {words[:2]}")
        check("--no-sandbox" not in words, f"a sandbox is off: {words}")
        if "--type=renderer" in words or "--type=gpu-process" in words:
            equal(seccomp, "2", f"the seccomp mode of {words[:2]}")


@test(guest="main")
def doctor_is_content(guest):
    answer = cloche("--json", "doctor", status=0).json()
    equal(answer["guests_run"], True, "guests_run")
    check(all(c["ok"] for c in answer["checks"]), f"a check failed: {answer['checks']}")
    contains(cloche("doctor", status=0).out.decode(), "Stock guests can run here.")


@test(guest="main")
def console_can_be_read(guest):
    answer = cloche("--json", "console", guest.name, status=0).json()
    check(any(key.startswith("console") for key in answer), f"no console in {list(answer)}")
    cloche("console", guest.name, status=0)


@test(guest="main")
def ls_shows_what_runs(guest):
    entry = guest.listed()
    equal(entry["state"], "running", "the state")
    equal(entry["browser"]["title"], "Test page", "the browser's title")
    equal(entry["pid"], guest.started["pid"], "the pid")
    check(0 < entry["ttl_ms"] <= 3600 * 1000, f"ttl_ms is {entry['ttl_ms']}")
    table = cloche("ls", status=0).out.decode().splitlines()
    contains(table[0], "NAME")
    row = next(line for line in table if line.split()[0] == guest.name)
    for word in ("running", "5120M", "1280x800", "Test page"):
        contains(row, word, "the row")


@test(guest="main")
def ls_and_others_know_no_stranger(guest):
    for command in (["exec", "nobody", "--", "true"], ["kill", "nobody"], ["console", "nobody"],
                    ["freeze", "nobody"], ["shot", "nobody", "x.png"], ["wait", "nobody"]):
        result = cloche(*command)
        equal(result.status, 125 if command[0] == "exec" else 3, f"the status of {command}")
        contains(result.error, "there is no session 'nobody'")


@test(guest="main")
def name_is_taken(guest):
    result = cloche("run", guest.name, status=1)
    contains(result.error, f"there is a session '{guest.name}' already")
    equal(guest.listed()["state"], "running", "the state of the one that has the name")
