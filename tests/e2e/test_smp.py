# SPDX-License-Identifier: GPL-2.0-or-later
"""Every CPU that a guest is given comes up, and works."""
from harness import check, equal, test

# Bound to one CPU it counts for a while, and then tells where it is and how long that took.
WORK = r"""
    my $n = 0; $n += $_ & 3 for 1 .. $ARGV[0];
    open(my $f, "<", "/proc/self/stat") or die; my @s = split " ", (<$f> =~ s/.*\)//sr);
    print "$s[36] $s[11]\n";
"""


def busy_ticks(guest):
    """User time of each CPU, as /proc/stat counts it."""
    lines = guest.shell("grep ^cpu[0-9] /proc/stat").splitlines()
    return {line.split()[0]: int(line.split()[1]) for line in lines}


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
    check(not idle, f"CPUs that had no user time: {idle}")


@test(guest="main")
def smp_2_cpus_work(guest):
    all_work(guest, 2)
