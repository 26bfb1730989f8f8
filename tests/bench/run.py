#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""run.py - measures the benchmarks below, prints them as a table, keeps them in results.json.

Each is measured in this run beside its yardstick, in turns, so that both meet the same machine.
Absolute times drift from run to run; the ratio is what can be compared. To add one: write a
function that returns (samples, yardstick samples) to native*.py or nested*.py, and a line to
BENCHMARKS. Ids are for good: results of different versions are compared by them.

Run it through scripts/bench, which builds what it needs.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import typing

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import native  # noqa: E402
import native_copies  # noqa: E402
import nested  # noqa: E402

TREE = pathlib.Path(__file__).resolve().parents[2]


class Benchmark(typing.NamedTuple):
    id: str
    what: str
    bed: str  # native: this host. nested: the emulated machine of scripts/testbed
    unit: str
    yardstick: str
    goal: str  # "FIGURE <= LIMIT" or ">=", FIGURE being a number of the result, joined by "and"; or ""
    measure: typing.Optional[typing.Callable]  # native alone; nested.py knows its own by id


BENCHMARKS = [
    Benchmark("start.vs_floor",
              "exec of cloche-vmm (512 MiB, console, control and vsock sockets) to the guest's first exit",
              "native", "ms",
              "a C program that does only what KVM asks for, over a 512 MiB template",
              "ratio <= 2", native.start_vs_floor),
    Benchmark("shot.png",
              "a page in Chromium, 1280x800: guest pages to RGB, hash, PNG, sealed file",
              "native", "ms", "libpng at its defaults, same pages",
              "p50 <= 10", native.shot_page),
    Benchmark("shot.png.noise",
              "the same page under noise, nearly the worst that a screen can show",
              "native", "ms", "libpng at its defaults, same pages", "", native.shot_noise),
    Benchmark("scan.frame",
              "a scan of 1280x800 in which one tile of 500 has changed: read, hash, copy of that tile",
              "native", "ms", "memcpy of the same guest pages, nothing else",
              "p50 <= 0.6", native.scan_tile),
    Benchmark("scan.frame.all",
              "the same when all tiles have changed",
              "native", "ms", "memcpy of the same guest pages, nothing else",
              "p50 <= 0.6", native.scan_all),
    Benchmark("record.size",
              "a scripted minute of browsing (six pages, typing, scrolling) as `cloche record` keeps it",
              "native", "MB", "each of its frames that changed as a PNG of its own",
              "p50 <= 1.67", native.record_size),
    Benchmark("record.cost",
              "processor time that recording the same minute takes",
              "native", "ms", "the minute", "ratio <= 0.05", native.record_cost),
    Benchmark("watch.idle_cpu",
              "a VNC viewer of a screen on which nothing changes: scan and viewer, of one core",
              "native", "%", "the whole screen counts as changed 30 times a second",
              "p50 <= 1", native.watch_idle_cpu),
    Benchmark("watch.busy_cpu",
              "the same while somebody types, scrolls and opens a page (a script of ten seconds)",
              "native", "%", "the whole screen counts as changed 30 times a second",
              "p50 <= 12", native.watch_busy_cpu),
    Benchmark("watch.input_to_pixel",
              "from a pixel that changes on a screen that was still, upon input, to the viewer that has it",
              "native", "ms", "the whole screen counts as changed 30 times a second",
              "", native.watch_input),
    Benchmark("vnc.bytes_vs_wholeframe",
              "what a viewer is sent in a minute of that script (Tight, JPEG quality 6, as noVNC asks for)",
              "native", "MiB", "the whole screen counts as changed 30 times a second",
              "ratio <= 0.1", native.vnc_bytes),
    Benchmark("exit.cost",
              "a guest's read of a virtio register (the rng's status), by the guest's own clock",
              "native", "us", "a read that a C program answers in a loop over KVM_RUN, no more",
              "ratio <= 1.25", native.exit_read),
    Benchmark("exit.cost.write",
              "a write to a virtio register (the rng's queue selection)",
              "native", "us", "a write, likewise", "ratio <= 1.25", native.exit_write),
    Benchmark("exit.cost.notify",
              "a queue notification that wakes the I/O thread",
              "native", "us", "an ioeventfd that nobody reads", "", native.exit_notify),
    Benchmark("queue.descriptors",
              "descriptors through vsock's transmit queue: header and data, nothing to do about them",
              "native", "M/s",
              "the same ring between two threads, one asleep on an eventfd while it is empty, that check nothing",
              "", native.queue_descriptors),
    Benchmark("restore.template",
              "exec to first guest exit of a restore from a template (as all copies here: a guest in "
              "ring 3, 1 GiB of which 700 MiB are written to)",
              "native", "ms", "a C program over a private mapping of a memfd with as much in it",
              "p50 <= 2.5 and ratio <= 3", native_copies.restore_template),
    Benchmark("restore.lazy",
              "the same from the file, memory coming as it is touched",
              "native", "ms", "the same C program", "p50 <= 5", native_copies.restore_lazy),
    Benchmark("restore.lazy.all",
              "exec until all of its memory is there, by loaders of idle priority beside a busy guest",
              "native", "ms", "an eager restore: all of it before the guest runs", "",
              native_copies.restore_lazy_all),
    Benchmark("fork.pause",
              "how long a guest stands still to be forked",
              "native", "ms", "fork(2) of a C program with as much memory, on huge pages, without a VM",
              "p50 <= 1.5", native_copies.fork_pause),
    Benchmark("fork.child_first_exit",
              "from the moment at which the original is stopped to the clone's first guest exit",
              "native", "ms", "that C program: from its fork(2) to the first exit of its child's new VM",
              "p50 <= 5", native_copies.fork_first_exit),
    Benchmark("snapshot.pause",
              "how long a guest stands still for a snapshot",
              "native", "ms", "fork(2) of that C program", "p50 <= 1.5",
              native_copies.snapshot_pause),
    Benchmark("snapshot.write",
              "touched memory a second, written to a tmpfs; half of it can be compressed",
              "native", "GB/s", "one core that writes as much to a file there, as it is", "",
              native_copies.snapshot_write),
    Benchmark("clone.private",
              "private memory of a fork just after its first exit",
              "native", "MiB", "that of the C program's child", "", native_copies.clone_private),
    Benchmark("clone.scale_10",
              "10 forks at once: time until the last one's first exit, a clone",
              "native", "ms", "1 fork: time until its first exit", "ratio <= 1.5",
              native_copies.clone_scale_10),
    Benchmark("clone.scale_100",
              "100 forks at once, by two requests: likewise",
              "native", "ms", "1 fork", "ratio <= 1.5", native_copies.clone_scale_100),
    Benchmark("boot.ready_vs_qemu",
              "exec to agent ready: 1 CPU, 1 GiB, root image on pmem",
              "nested", "s",
              "QEMU's microvm: same kernel, initramfs and image (virtio-blk), 1 CPU, 1 GiB",
              "ratio <= 0.8", None),
    Benchmark("blk.rand_vs_qemu",
              "random reads of 4 KiB past the guest's page cache, 16 under way, disk in the host's",
              "nested", "reads/s", "QEMU's microvm, virtio-blk-device over a file, same guest",
              "ratio >= 1.2", None),
    Benchmark("blk.rand1_vs_qemu",
              "the same, one read at a time",
              "nested", "reads/s", "QEMU's microvm, virtio-blk-device over a file, same guest",
              "ratio >= 1.2", None),
    Benchmark("blk.seq_vs_qemu",
              "reads of 1 MiB one behind the other, past the guest's page cache",
              "nested", "MiB/s", "QEMU's microvm, virtio-blk-device over a file, same guest",
              "ratio >= 1.2", None),
    Benchmark("vmm.own_memory",
              "private memory beyond guest RAM and root image, Chromium up, one screenshot taken",
              "nested", "MiB", "QEMU's microvm, same guest, Chromium up",
              "p50 <= 4", None),
    Benchmark("net.tap_vs_qemu",
              "TCP through a card on a tap, to the host and to the guest in turn, one stream",
              "nested", "MiB/s",
              "QEMU's microvm: same kernel, virtio-net-device on a tap with vhost=off",
              "ratio >= 1.2", None),
    Benchmark("net.tap_vs_qemu.to_host",
              "of these, the guest's sending", "nested", "MiB/s", "the same under QEMU", "", None),
    Benchmark("net.tap_vs_qemu.to_guest",
              "of these, the guest's receiving", "nested", "MiB/s", "the same under QEMU", "", None),
    Benchmark("vsock.throughput_vs_vhost",
              "one stream guest to host, then host to guest, 16 MiB each; 1 CPU, no page reporting",
              "nested", "MiB/s", "QEMU's microvm with vhost-vsock, same guest",
              "ratio >= 0.8", None),
    Benchmark("vsock.rtt_vs_vhost",
              "64 bytes from guest to host and back; 1 CPU, no page reporting",
              "nested", "us", "QEMU's microvm with vhost-vsock, same guest",
              "ratio <= 1.25", None),
    Benchmark("e2e.template_vs_cold",
              "cloche run from a template with Chromium up, then cloche shot: to the picture",
              "nested", "s", "cloche run --cold, cloche wait --for browser, cloche shot",
              "ratio <= 0.1", None),
    Benchmark("e2e.restore_vs_qemu",
              "cloche run from a template with Chromium up: until the agent answers",
              "nested", "s",
              "QEMU's microvm that loads the same guest (-incoming): until it says that the guest runs",
              "ratio <= 0.25", None),
    Benchmark("e2e.private",
              "a session's own memory after its first picture: what isn't the template's or the image's",
              "nested", "MiB", "a session that was booted, likewise", "p50 <= 35", None),
    Benchmark("e2e.density",
              "the machine's memory that each of up to 30 sessions from a template takes, pictures taken",
              "nested", "MiB", "a session that was booted", "", None),
]


def quantile(samples, q):
    """The sample that q of all don't exceed; the lower of two in the middle."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, max(0, -int(-q * len(ordered) // 1) - 1))]


def rounded(value):
    return None if value is None else float(f"{value:.4g}")


def judge(goal, result):
    return all(judge_one(condition, result) for condition in goal.split(" and "))


def judge_one(condition, result):
    figure, relation, limit = condition.split()
    if result[figure] is None:
        return False
    return result[figure] <= float(limit) if relation == "<=" else result[figure] >= float(limit)


def make_result(bench, samples, yardstick):
    p50 = quantile(samples, 0.5) if samples else None
    yard50 = quantile(yardstick, 0.5) if yardstick else None
    result = {
        "id": bench.id, "what": bench.what, "bed": bench.bed, "unit": bench.unit,
        "n": len(samples), "p50": rounded(p50),
        "p99": rounded(quantile(samples, 0.99)) if samples else None,
        "yardstick": bench.yardstick, "yardstick_p50": rounded(yard50),
        "ratio": rounded(p50 / yard50) if p50 is not None and yard50 else None,
        "goal": bench.goal or None,
    }
    result["met"] = judge(bench.goal, result) if bench.goal else None
    return result


def measure_machine(ids, processors, samples):
    """Those of one module, in an emulated machine of their own, into @samples."""
    with subprocess.Popen([TREE / "scripts/testbed", "--timeout", "3000", "--cpus", str(processors),
                           "python3", "tests/bench/nested.py", *ids],
                          stdout=subprocess.PIPE, text=True) as machine:
        for line in machine.stdout:
            words = line.split()
            if len(words) == 4 and words[0] == "sample" and words[1] in ids:
                samples[words[1]][int(words[2])].append(float(words[3]))
            print(line, end="", file=sys.stderr, flush=True)
    if machine.returncode:
        print(f"nested: {' '.join(ids)}: the machine ended with status {machine.returncode}: what was "
              f"measured before counts", file=sys.stderr)


def measure_nested(benches):
    """{id: [samples, yardstick samples]}. What was measured before a failure counts, and shows as a
    smaller n."""
    wanted = [b.id for b in benches]
    samples = {name: [[], []] for name in wanted}
    for module in nested.MODULES:
        ids = [name for name in module.IDS if name in samples]
        if ids:
            measure_machine(ids, module.PROCESSORS, samples)
    return samples


def announce(bench):
    print(f"{bench.id}: {bench.what}; beside it: {bench.yardstick}", file=sys.stderr, flush=True)


def measure(benches, out):
    """Yields (benchmark, samples, yardstick samples); both empty where measuring failed."""
    tools = out / "bin"
    for bench in (b for b in benches if b.bed == "native"):
        announce(bench)
        try:
            yield (bench, *bench.measure(native.Tools(tools, TREE)))
        except (OSError, subprocess.CalledProcessError, ValueError) as why:
            print(f"{bench.id}: not measured: {native.explain(why)}", file=sys.stderr)
            yield bench, [], []
    emulated = [b for b in benches if b.bed == "nested"]
    if not emulated:
        return
    for bench in emulated:
        announce(bench)
    try:
        measured = measure_nested(emulated)
    except (OSError, ValueError) as why:
        print(f"nested: not measured: {native.explain(why)}", file=sys.stderr)
        measured = {}
    for bench in emulated:
        yield (bench, *measured.get(bench.id, [[], []]))


def load(path):
    try:
        return {r["id"]: r for r in json.loads(path.read_text())}
    except (OSError, ValueError, TypeError, KeyError):
        return {}


def save(path, results):
    """All that are known, in the order of the list above; a renamed file is a whole one."""
    known = [b.id for b in BENCHMARKS]
    ordered = sorted(results.values(),
                     key=lambda r: known.index(r["id"]) if r["id"] in known else len(known))
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(ordered, indent=1, ensure_ascii=False) + "\n")
    temporary.replace(path)


def show(results):
    head = ["id", "bed", "n", "p50", "p99", "unit", "yardstick p50", "ratio", "goal", "met"]
    rows = [head]
    for r in results:
        met = {True: "yes", False: "NO", None: ""}[r["met"]]
        rows.append([r["id"], r["bed"], r["n"], r["p50"], r["p99"], r["unit"], r["yardstick_p50"],
                     r["ratio"], r["goal"], met])
    rows = [["-" if cell is None else f"{cell:g}" if isinstance(cell, float) else str(cell)
             for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    numbers = {2, 3, 4, 6, 7}
    for row in rows:
        print("  ".join(cell.rjust(w) if i in numbers else cell.ljust(w)
                        for i, (cell, w) in enumerate(zip(row, widths))).rstrip())


def main():
    parser = argparse.ArgumentParser(description="see scripts/bench --help")
    parser.add_argument("--out", type=pathlib.Path, default=TREE / "build/bench")
    parser.add_argument("--beds", action="store_true", help="name the beds that are needed, no more")
    parser.add_argument("ids", nargs="*", metavar="ID")
    args = parser.parse_args()
    known = [b.id for b in BENCHMARKS]
    for name in args.ids:
        if name not in known:
            parser.error(f"no benchmark '{name}'; there are: {' '.join(known)}")
    benches = [b for b in BENCHMARKS if not args.ids or b.id in args.ids]
    if args.beds:
        print(*sorted({b.bed for b in benches}))
        return 0

    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / "results.json"
    results = load(path)
    measured = []
    for bench, samples, yardstick in measure(benches, args.out.resolve()):
        results[bench.id] = make_result(bench, samples, yardstick)
        measured.append(results[bench.id])
        save(path, results)
    show(measured)
    return 0 if all(r["n"] for r in measured) else 1


if __name__ == "__main__":
    sys.exit(main())
