# SPDX-License-Identifier: GPL-2.0-or-later
"""Memory that a guest gives back to the host: by the balloon, by reports of what is free, and how it
gets it again. The guest "wide" has 1.5 GiB and doesn't report: what it gives, the balloon gives."""
from programs import cloche
from harness import check, contains, equal, test, wait_until

FILE = "/tmp/ballast"

# Takes memory and uses all of it.
TAKE = r'my $s = ""; vec($s, ($ARGV[0] << 20) - 1, 8) = 120; print length($s) >> 20, substr($s, -1);'


def resident_mib(guest):
    """What of the guest's RAM takes memory of the host: mappings of no file, from smaps."""
    total, counts = 0, False
    with open(f"/proc/{guest.facts()['pid']}/smaps", encoding="utf-8") as file:
        for line in file:
            words = line.split()
            if not words[0].endswith(":"):
                counts = words[4] == "0" and len(words) == 5
            elif counts and words[0] == "Rss:":
                total += int(words[1])
    return total >> 10


def balloon(guest, *arguments, status=0):
    return cloche("--json", "balloon", guest.name, *arguments, status=status).json()


def take(guest, mib):
    """Something in the guest uses so much memory, and ends."""
    equal(guest.perl(TAKE, str(mib), status=0).out, f"{mib}x".encode(), "what took memory")


def spare_mib(guest):
    return balloon(guest)["stats"]["available_bytes"] >> 20


@test(guest="wide")
def balloon_gives_back_and_takes_again(guest):
    # All that the guest can spare was in use once: now the host has given it, and gets none back.
    spare = spare_mib(guest)
    check(spare > 500, f"the guest has only {spare} MiB to spare")
    take(guest, spare - 100)
    before, given = resident_mib(guest), balloon(guest)["inflated_mib"]
    answer = balloon(guest, "400M", "--timeout", "200")
    equal((answer["target_mib"], answer["actual_mib"]), (400, 400), "the balloon")
    check(answer["inflated_mib"] >= given + 400, f"inflated: {given} MiB, then {answer}")
    after = resident_mib(guest)
    check(after <= before - 200, f"the host had given {before} MiB, and still has {after}")
    check(answer["resident_mib"] <= before - 200, f"the command says {answer['resident_mib']} MiB")
    print(f"# balloon of 400 MiB: {before} MiB of the host before, {after} after", flush=True)

    answer = balloon(guest, "0", "--timeout", "200")
    equal((answer["target_mib"], answer["actual_mib"]), (0, 0), "the balloon")
    take(guest, spare - 100)
    check(resident_mib(guest) >= before - 100, "the guest has not taken it again")


@test(guest="wide")
def freed_memory_stays_where_reports_are_off(guest):
    equal(balloon(guest)["reported_mib"], 0, "what was reported")


@test(guest="main")
def free_memory_is_reported(guest):
    guest.shell(f"head -c 300M /dev/zero | tr '\\0' x > {FILE}")
    before, reported = resident_mib(guest), balloon(guest)["reported_mib"]
    guest.shell(f"rm {FILE}")
    wait_until(lambda: resident_mib(guest) <= before - 200,
               f"the guest's RAM on the host, {before} MiB, less 200")
    check(balloon(guest)["reported_mib"] >= reported + 200, "the reports count less than they gave")
    print(f"# 300 MiB freed: {before} MiB of the host before, {resident_mib(guest)} after", flush=True)
    take(guest, 300)


@test(guest="wide")
def balloon_yields_to_a_guest_without_memory(guest):
    kills, spare = balloon(guest)["stats"]["oom_kills"], spare_mib(guest)
    balloon(guest, str(spare - 100), "--timeout", "200")
    take(guest, 220)
    answer = balloon(guest)
    check(answer["actual_mib"] < spare - 120, f"the balloon has not yielded: {answer}")
    equal(answer["stats"]["oom_kills"], kills, "the number of killed processes")
    print(f"# balloon of {spare - 100} MiB, after 220 were taken: {answer['actual_mib']}", flush=True)
    balloon(guest, "0", "--timeout", "200")


@test(guest="wide")
def balloon_tells_of_the_guest(guest):
    answer = balloon(guest)
    equal((answer["name"], answer["driver"]), (guest.name, True), "name and driver")
    stats = answer["stats"]
    total = stats["total_bytes"] >> 20
    check(1300 < total <= 1536, f"the guest has {total} MiB")
    check(0 < stats["free_bytes"] <= stats["total_bytes"], f"free: {stats}")
    check(0 < stats["available_bytes"] <= stats["total_bytes"], f"available: {stats}")
    check(stats["age_ms"] < 60000, f"the figures are {stats['age_ms']} ms old")
    equal(guest.status()["balloon"]["target_mib"], 0, "the target that status has")
    contains(cloche("balloon", guest.name, status=0).out.decode(), "0 MiB of 0 MiB asked for")


@test(guest="wide")
def balloon_of_a_frozen_guest(guest):
    """Nobody is there to give anything, but what is known is told."""
    balloon(guest)
    cloche("freeze", guest.name, status=0)
    try:
        check("stats" in balloon(guest), "the last figures are gone")
        result = cloche("balloon", guest.name, "64M", "--timeout", "1", status=5)
        contains(result.error, "the balloon holds 0 of 64 MiB")
    finally:
        cloche("thaw", guest.name, status=0)
    wait_until(lambda: balloon(guest)["actual_mib"] == 64, "the balloon after the thaw")
    balloon(guest, "0", "--timeout", "200")


@test(guest="wide")
def balloon_sizes_that_are_none(guest):
    for size, part in (("many", "is no memory size"), ("-1", "balloon"), ("65G", "not in 0 to"),
                       ("2G", "0 to 1536")):
        result = cloche("balloon", guest.name, size, status=2)
        contains(result.error, part, f"the error about {size}")
    equal(balloon(guest)["target_mib"], 0, "the target")
