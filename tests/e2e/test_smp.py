# SPDX-License-Identifier: GPL-2.0-or-later
"""Every CPU that a guest is given comes up, and works."""
from programs import Session, cloche
from harness import check, equal, test, wait_until

# Bound to one CPU it counts for a while, and then tells where it is and how long that took, user and
# system together: the kernel knows their sum exactly and each by its ticks alone.
WORK = r"""
    my $n = 0; $n += $_ & 3 for 1 .. $ARGV[0];
    open(my $f, "<", "/proc/self/stat") or die; my @s = split " ", (<$f> =~ s/.*\)//sr);
    print "$s[36] ", $s[11] + $s[12], "\n";
"""


def busy_ticks(guest):
    """Time of each CPU that it wasn't idle, as /proc/stat counts it: what a tick finds it at, so that on
    a host with few CPUs, whose ticks come with the guest's, no kind of work alone tells much."""
    busy = {}
    for line in guest.shell("grep ^cpu[0-9] /proc/stat").splitlines():
        name, *ticks = line.split()
        user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, ticks[:8])
        busy[name] = user + nice + system + irq + softirq + steal
    return busy


def all_work(guest, cpus):
    """Something on each CPU, at once; each must have got time of its own."""
    equal(guest.shell("nproc").strip(), str(cpus), "nproc")
    numbers = guest.shell("grep ^processor /proc/cpuinfo | tr -dc '0-9\\n'").split()
    equal(numbers, [str(n) for n in range(cpus)], "the list in cpuinfo")
    equal(guest.shell("cat /sys/devices/system/cpu/online").strip(),
          f"0-{cpus - 1}" if cpus > 1 else "0", "the list of CPUs online")
    before = busy_ticks(guest)
    guest.shell(f"cat > /tmp/work.pl <<'END'\n{WORK}\nEND")
    out = guest.shell(f"for n in $(seq 0 {cpus - 1}); do"
                      " taskset -c $n perl /tmp/work.pl 400000 & done; wait")
    rows = sorted(tuple(int(word) for word in line.split()) for line in out.splitlines())
    equal([cpu for cpu, _ in rows], list(range(cpus)), "the list of CPUs that worked")
    check(all(ticks > 0 for _, ticks in rows), f"a CPU did nothing: {rows}")
    after = busy_ticks(guest)
    idle = [cpu for cpu in before if after[cpu] == before[cpu]]
    check(not idle, f"CPUs that were idle: {idle}")


@test(guest="main")
def smp_2_cpus_work(guest):
    all_work(guest, 2)


@test(guest="wide")
def smp_4_cpus_work(guest):
    all_work(guest, 4)


@test(guest="wide")
def smp_4_cpus_stop_and_go_on(guest):
    """While four loops run, none of their CPUs does while the guest is frozen, all do afterwards."""
    guest.shell("for n in 0 1 2 3; do (while :; do echo >> /tmp/count.$n; done) </dev/null"
                " >/dev/null 2>&1 & taskset -p -c $n $! >/dev/null; echo $! >> /tmp/count.pids; done")
    counts = "wc -l < /tmp/count.0; wc -l < /tmp/count.1; wc -l < /tmp/count.2; wc -l < /tmp/count.3"

    def read():
        return [int(word) for word in guest.shell(counts).split()]

    try:
        for _ in range(3):
            first = read()
            wait_until(lambda: all(b > a for a, b in zip(first, read())), "all four loops at work")
            cloche("freeze", guest.name, status=0)
            exits = guest.status()["exits"]
            equal(guest.status()["exits"], exits, "the count of exits while frozen")
            equal(guest.status()["state"], "paused", "the state")
            cloche("thaw", guest.name, status=0)
        first = read()
        wait_until(lambda: all(b > a for a, b in zip(first, read())), "all four after the last thaw")
    finally:
        guest.shell("kill $(cat /tmp/count.pids); rm -f /tmp/count.*")


@test
def smp_8_cpus_boot():
    session = Session("eight")
    try:
        session.start("--cpus", "8", "--mem", "1G")
        all_work(session, 8)
        equal(session.status()["cpus"], 8, "cpus")
    finally:
        session.kill()
