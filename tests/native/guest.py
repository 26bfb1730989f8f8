# SPDX-License-Identifier: GPL-2.0-or-later
"""
guest.py - what the guest finds: boot data, exits, memory, devices, interrupts.
"""
import os
import resource
import struct

from vmm import GUEST, expect, words

MIB = 1 << 20
GIB = 1 << 30
DEVICE_RNG, DEVICE_BALLOON, DEVICE_VSOCK, DEVICE_PMEM = 4, 5, 19, 27


def test_hello(bed):
    expect("hello from ring 3" in bed.start("hello").passes(), "no hello")


def test_second_cpu_waits(bed):
    """A CPU that nobody starts neither disturbs nor keeps the VMM from ending."""
    expect("hello from ring 3" in bed.start("hello", "--cpus", "8").passes(), "no hello")


def test_boot_data(bed):
    initramfs = bed.write("initramfs", bytes(range(16)) + os.urandom(5000))
    text = bed.start("boot", "--initramfs", initramfs, "--page", "http://h/?q=1", memory="512M").passes()
    values = words(text)
    expect([v for n, v in values if n == "e820.start"] == [0, MIB], f"memory map:\n{text}")
    expect([v for n, v in values if n == "e820.size"] == [0x9fc00, 511 * MIB], f"memory map:\n{text}")
    # As high as it goes, on a page, below the end of RAM.
    place = (512 * MIB - 5016) & ~4095
    expect(("ramdisk", place << 32 | 5016) in values, f"initramfs:\n{text}")
    expect("initramfs 000102030405060708090a0b0c0d0e0f" in text, f"initramfs:\n{text}")
    line = next(line for line in text.splitlines() if line.startswith("cmdline "))
    for word in ("console=ttyS0", "reboot=k", "cloche.size=1280x800", "cloche.page=http://h/?q=1",
                 "test=boot"):
        expect(word in line.split(), f"no {word} in: {line}")


def test_memory_map_of_5_gib(bed):
    values = words(bed.start("boot", memory="5G").passes())
    expect([v for n, v in values if n == "e820.start"] == [0, MIB, 4 * GIB], "starts")
    expect([v for n, v in values if n == "e820.size"] == [0x9fc00, 3 * GIB - MIB, 2 * GIB], "sizes")


def test_ports_float(bed):
    bed.start("pio").passes()


def test_unknown_mmio_floats(bed):
    bed.start("mmio").passes()


def test_exits_are_counted(bed):
    """The guest says how often it left, then stays in: "status" must say the same."""
    vmm = bed.start("count")
    vmm.await_console("count ")
    control = vmm.control()
    vmm.await_console("\n")
    line = next(line for line in vmm.console().splitlines() if line.startswith("count "))
    _, mmio, pio = line.split()
    exits = control.ok("status")["exits"]
    expect(exits["mmio"] == int(mmio, 16), f"{exits} for: {line}")
    expect(exits["pio"] == int(pio, 16), f"{exits} for: {line}")


def test_all_ram_512_mib(bed):
    values = words(bed.start("memory", memory="512M").passes())
    expect(("ram to", 512 * MIB) in values, f"{values}")


def test_ram_around_the_hole(bed):
    """Sparse, as every page touched is one of the host's; first and last page of each part."""
    values = words(bed.start("memory", memory="5G", append="stride_kib=65536").passes())
    expect(("ram to", 3 * GIB) in values and ("ram to", 6 * GIB) in values, f"{values}")


def test_virtio_registers(bed):
    image = bed.write("image", b"x" * 4096)
    values = words(bed.start("virtio", "--image", image, "--cid", "77").passes())
    expect([v for n, v in values if n == "device"] ==
           [DEVICE_PMEM, DEVICE_VSOCK, DEVICE_RNG, DEVICE_BALLOON],
           f"devices: {values}")
    expect([v for n, v in values if n == "version"] == [2] * 4, f"versions: {values}")
    config = [v for n, v in values if n == "config"]
    expect(config == [4 * GIB, 77, 0, 0], f"image's place, CID, nothing, no target: {values}")
    expect([v for n, v in values if n == "queue_max"] == [16, 256, 16, 128], f"queues: {values}")


def test_no_image_no_pmem(bed):
    values = words(bed.start("virtio").passes())
    expect([v for n, v in values if n == "device"] ==
           [DEVICE_VSOCK, DEVICE_RNG, DEVICE_BALLOON], f"{values}")


def test_rng(bed):
    text = bed.start("rng").passes()
    lines = [line.split()[1] for line in text.splitlines() if line.startswith("random ")]
    expect(len(set(lines)) == 2 and all(len(line) == 128 for line in lines), f"bytes: {lines}")
    expect(all("0" * 32 not in line for line in lines), f"bytes: {lines}")


SECTORS = 64


def disk_content():
    return b"".join(struct.pack("<Q", i).ljust(512, b".") for i in range(SECTORS))


def test_disk(bed):
    disk = bed.write("disk", disk_content())
    vmm = bed.start("disk", "--disk", disk)
    expect("id disk0\n" in vmm.passes(), "no name")
    expect("blk: a request without room for its status" in vmm.stderr(), vmm.stderr())
    content = bytearray(disk_content())
    content[10 * 512:14 * 512] = b"\x5a" * 4 * 512
    content[20 * 512:28 * 512] = bytes(8 * 512)
    with open(disk, "rb") as file:
        expect(file.read() == content, "the file has something else in it")


def test_disk_read_only(bed):
    disk = bed.write("disk", disk_content())
    os.chmod(disk, 0o444)
    bed.start("disk", "--disk", f"{disk},ro", append="mode=ro").passes()
    with open(disk, "rb") as file:
        expect(file.read() == disk_content(), "the file has changed")


def test_disk_beyond_the_file_size_limit(bed):
    """An error of that write, where the kernel would end the process by a signal."""
    disk = bed.write("disk", disk_content())
    vmm = bed.start("disk", "--disk", disk, "--paused", append="mode=limited")
    control = vmm.control()
    resource.prlimit(vmm.process.pid, resource.RLIMIT_FSIZE, (8 * 512, 8 * 512))
    control.ok("resume")
    vmm.passes()
    expect("disk0: a write failed: File too large" in vmm.stderr(), vmm.stderr())


def test_disk_is_for_one(bed):
    disk = bed.write("disk", disk_content())
    shared = bed.write("shared", disk_content())
    vmm = bed.start("tick", "--disk", disk, "--disk", f"{shared},ro")
    vmm.await_console("ticking")
    bed.refuses(["--ring3", "--kernel", GUEST, "--disk", disk], "in use by another session")
    bed.refuses(["--ring3", "--kernel", GUEST, "--disk", f"{disk},ro"], "in use by another session")
    bed.refuses(["--ring3", "--kernel", GUEST, "--disk", shared], "in use by another session")
    bed.start("disk", "--disk", f"{shared},ro", append="mode=ro").passes()
    vmm.kill()
    bed.start("disk", "--disk", disk).passes()


def test_broken_rules_need_a_reset(bed):
    vmm = bed.start("rules")
    vmm.passes()
    expect("rng queue 0: Q6: buffer outside memory" in vmm.stderr(), vmm.stderr())
    expect("rng queue 0: Q2: a ring lies outside RAM" in vmm.stderr(), vmm.stderr())


def test_storm_of_requests(bed):
    """A ring that never runs empty keeps neither control socket nor time to live waiting."""
    vmm = bed.start("storm", "--ttl", "2")
    vmm.await_console("storming")
    control = vmm.control()
    for _ in range(10):
        control.ok("status")
    vmm.ends(4, "ttl")


def test_interrupt_routes(bed):
    text = bed.start("irq").passes()
    for step in ("delivered", "resent", "serial"):
        expect(step in text.split(), f"no '{step}':\n{text}")


def image_sum(data):
    total = 0
    for (word,) in struct.iter_unpack("<Q", data):
        total = ((total ^ word) * 0x100000001b3) & (1 << 64) - 1
    return total


def test_image_is_read_only(bed):
    """The file, zeros up to the next 2 MiB, and no write gets through to either."""
    data = os.urandom(2 * MIB + 12345)
    image = bed.write("image", data)
    vmm = bed.start("image", "--image", image)
    values = dict(words(vmm.passes()))
    expect(values["start"] == 4 * GIB, f"{values}")
    expect(values["size"] == 4 * MIB, f"{values}")
    expect(values["sum"] == image_sum(data.ljust(4 * MIB, b"\0")), "the guest reads something else")
    with open(image, "rb") as file:
        expect(file.read() == data, "the file has changed")


def test_image_above_all_ram(bed):
    image = bed.write("image", b"above".ljust(4096, b"!"))
    vmm = bed.start("image", "--image", image, memory="5G")
    values = dict(words(vmm.passes()))
    expect(values["start"] == 6 * GIB, f"{values}")


def test_image_is_shared(bed):
    """What the file's page cache holds is what a guest sees: two guests, one copy."""
    image = bed.write("image", b"shared".ljust(4 * MIB, b"-"))
    vmm = bed.start("tick", "--image", image)
    vmm.await_console("ticking")
    with open(f"/proc/{vmm.process.pid}/maps", encoding="ascii") as maps:
        lines = [line for line in maps if line.rstrip().endswith(image)]
    expect(len(lines) == 1 and lines[0].split()[1] == "r--s", f"mappings: {lines}")


def test_generations_differ(bed):
    runs = [words(bed.start("generation").passes()) for _ in range(2)]
    for run in runs:
        expect(len(run) == 2 and run[0] == run[1], f"the guest changed its generation: {run}")
    expect(runs[0][0] != runs[1][0], "two guests have the same generation")


TESTS = [
    test_hello, test_second_cpu_waits, test_boot_data, test_memory_map_of_5_gib, test_ports_float,
    test_unknown_mmio_floats, test_exits_are_counted, test_all_ram_512_mib,
    test_ram_around_the_hole, test_virtio_registers, test_no_image_no_pmem, test_rng,
    test_disk, test_disk_read_only, test_disk_beyond_the_file_size_limit, test_disk_is_for_one,
    test_broken_rules_need_a_reset, test_storm_of_requests, test_interrupt_routes, test_image_is_read_only,
    test_image_above_all_ram, test_image_is_shared, test_generations_differ,
]
