# SPDX-License-Identifier: GPL-2.0-or-later
"""
snapshot_format.py - the snapshot file as cloche-snapshot(5) has it, to take apart and to forge.

Written down from the format, not shared with the program under test; only XXH3-64 is the library's.
"""
import ctypes
import struct

MAGIC = b"CLOCHE\x1a\n"
# Magic, version, header size, id, parent, RAM size, chunk size, 0, state, data, index and file size,
# three zeros; the hash of all that follows.
HEADER = struct.Struct("<8sII16s16sQIIQQQQ24x")
HEADER_SIZE = 128
SECTION = struct.Struct("<IIHHIQQ")  # type, instance, version, flags, 0, length, hash
ENTRY = struct.Struct("<BIIQ")       # kind, stored size, check of what is stored, hash of what it expands to
CHUNK_SIZE = 64 << 10
ZERO, RAW, LZ4, PARENT = range(4)
CONFIG, VCPU, VM, IOAPIC, SERIAL, VIRTIO, SCREEN, PARENT_PLACE, INFO = 1, *range(3, 11)
REQUIRED = 1

_library = ctypes.CDLL("libxxhash.so.0")
_library.XXH3_64bits.restype = ctypes.c_uint64
_library.XXH3_64bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
_library.XXH3_64bits_withSeed.restype = ctypes.c_uint64
_library.XXH3_64bits_withSeed.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint64]


def xxh3(data):
    return _library.XXH3_64bits(bytes(data), len(data))


def section_hash(start, payload):
    return _library.XXH3_64bits_withSeed(bytes(payload), len(payload), xxh3(start))


class Section:
    def __init__(self, kind, instance, version, flags, payload):
        self.kind, self.instance, self.version = kind, instance, version
        self.flags, self.payload = flags, payload

    def encode(self):
        start = struct.pack("<IIHHIQ", self.kind, self.instance, self.version, self.flags, 0,
                            len(self.payload))
        return start + struct.pack("<Q", section_hash(start, self.payload)) + self.payload


class Snapshot:
    """A file in parts, that may be changed and are put together again with hashes that fit."""

    def __init__(self, data):
        (magic, self.version, header_size, self.id, self.parent, self.ram_size, self.chunk_size, zero,
         state_size, self.data_size, self.index_size, self.file_size) = HEADER.unpack_from(data)
        assert magic == MAGIC and header_size == HEADER_SIZE and zero == 0
        assert struct.unpack_from("<Q", data, HEADER.size)[0] == xxh3(data[:HEADER.size])
        assert self.file_size == len(data)
        self.sections = list(read_sections(data[HEADER_SIZE:HEADER_SIZE + state_size]))
        at = HEADER_SIZE + state_size
        self.data = data[at:at + self.data_size]
        index = data[at + self.data_size:]
        assert len(index) == self.index_size
        assert struct.unpack("<Q", index[-8:])[0] == xxh3(index[:-8])
        self.entries = [(kind, size, hashed) for kind, size, _, hashed in ENTRY.iter_unpack(index[:-8])]
        assert sum(entry[1] for entry in self.entries) == self.data_size

    def section(self, kind, instance=0):
        return next(s for s in self.sections if (s.kind, s.instance) == (kind, instance))

    def places(self):
        """Where each part of the file begins, the sections too, and its end."""
        places, at = [0], HEADER_SIZE
        for section in self.sections:
            places.append(at)
            at += SECTION.size + len(section.payload)
        return [*places, at, at + len(self.data), at + len(self.data) + self.index_size]

    def chunk(self, kind):
        """Index and offset in the data of the first chunk of a kind."""
        offset = 0
        for index, entry in enumerate(self.entries):
            if entry[0] == kind:
                return index, offset
            offset += entry[1]
        raise ValueError(f"no chunk of kind {kind}")

    def index(self):
        """The entries with checks that fit."""
        offset = 0
        for kind, size, hashed in self.entries:
            stored = self.data[offset:offset + size]
            check = {RAW: hashed, LZ4: xxh3(stored)}.get(kind, 0)
            yield ENTRY.pack(kind, size, check & 0xffffffff, hashed)
            offset += size

    def encode(self, **fields):
        """The file. @fields are of the header, as they are and not as they should be."""
        state = b"".join(section.encode() for section in self.sections)
        index = b"".join(self.index())
        index += struct.pack("<Q", xxh3(index))
        header = {"magic": MAGIC, "version": self.version, "header_size": HEADER_SIZE, "id": self.id,
                  "parent": self.parent, "ram_size": self.ram_size, "chunk_size": self.chunk_size,
                  "zero": 0, "state_size": len(state), "data_size": len(self.data),
                  "index_size": len(index),
                  "file_size": HEADER_SIZE + len(state) + len(self.data) + len(index), **fields}
        start = HEADER.pack(*header.values())
        return start + struct.pack("<Q", xxh3(start)) + state + self.data + index


def read_sections(state):
    at = 0
    while at < len(state):
        kind, instance, version, flags, zero, length, hashed = SECTION.unpack_from(state, at)
        payload = state[at + SECTION.size:at + SECTION.size + length]
        assert zero == 0 and len(payload) == length
        assert hashed == section_hash(state[at:at + 24], payload)
        yield Section(kind, instance, version, flags, payload)
        at += SECTION.size + length
