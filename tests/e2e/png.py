# SPDX-License-Identifier: GPL-2.0-or-later
"""png.py - reads 8-bit RGB PNG files, so that the tests need no library that the program uses."""
import itertools
import struct
import zlib

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunks(data):
    at = len(SIGNATURE)
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at:at + 8])
        body = data[at + 8:at + 8 + size]
        crc, = struct.unpack(">I", data[at + 8 + size:at + 12 + size])
        if zlib.crc32(kind + body) != crc:
            raise ValueError(f"PNG: bad checksum of {kind!r}")
        yield kind, body
        at += 12 + size


def unfilter_average(line, before, step):
    for i, value in enumerate(line):
        left = line[i - step] if i >= step else 0
        line[i] = (value + ((left + before[i]) >> 1)) & 255


def unfilter_paeth(line, before, step):
    for i, value in enumerate(line):
        left = line[i - step] if i >= step else 0
        corner = before[i - step] if i >= step else 0
        up = before[i]
        to_left, to_up = abs(up - corner), abs(left - corner)
        to_corner = abs(left + up - 2 * corner)
        if to_left <= to_up and to_left <= to_corner:
            guess = left
        else:
            guess = up if to_up <= to_corner else corner
        line[i] = (value + guess) & 255


def add_bytes(one, other):
    """Adds byte by byte, modulo 256, with no carry from one to the next: a row at a time."""
    size = len(one)
    low = int.from_bytes(b"\x7f" * size, "little")
    a, b = int.from_bytes(one, "little"), int.from_bytes(other, "little")
    return bytearray((((a & low) + (b & low)) ^ ((a ^ b) & ~low)).to_bytes(size, "little"))


def unfilter(kind, line, before, step):
    if kind == 1:
        for channel in range(step):
            sums = itertools.accumulate(line[channel::step])
            line[channel::step] = bytes(value & 255 for value in sums)
    elif kind == 2:
        line[:] = add_bytes(line, before)
    elif kind == 3:
        unfilter_average(line, before, step)
    elif kind == 4:
        unfilter_paeth(line, before, step)
    elif kind != 0:
        raise ValueError(f"PNG: filter {kind}")


class Image:
    """A decoded picture: .width, .height, .rows (bytes of R, G, B; only the first `limit`)."""

    def __init__(self, data, limit=None):
        if data[:len(SIGNATURE)] != SIGNATURE:
            raise ValueError("no PNG")
        packed = b""
        for kind, body in chunks(data):
            if kind == b"IHDR":
                self.width, self.height, depth, colour, *rest = struct.unpack(">IIBBBBB", body)
                if (depth, colour, rest[2]) != (8, 2, 0):
                    raise ValueError("PNG: not 8-bit RGB without interlace")
            elif kind == b"IDAT":
                packed += body
        self.rows = self.unpack(zlib.decompress(packed), limit or self.height)

    def unpack(self, raw, limit):
        size = self.width * 3
        if len(raw) != (size + 1) * self.height:
            raise ValueError("PNG: wrong amount of pixels")
        rows = []
        before = bytearray(size)
        for y in range(min(limit, self.height)):
            at = y * (size + 1)
            line = bytearray(raw[at + 1:at + 1 + size])
            unfilter(raw[at], line, before, 3)
            rows.append(bytes(line))
            before = line
        return rows

    def pixel(self, x, y):
        return tuple(self.rows[y][3 * x:3 * x + 3])

    def mismatch(self, x, y, width, height, colour):
        """The first pixel of a rectangle that hasn't this colour, as (x, y, colour), or None."""
        row = bytes(colour) * width
        for line in range(y, y + height):
            if self.rows[line][3 * x:3 * (x + width)] != row:
                for column in range(x, x + width):
                    if self.pixel(column, line) != tuple(colour):
                        return column, line, self.pixel(column, line)
        return None
