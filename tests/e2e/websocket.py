# SPDX-License-Identifier: GPL-2.0-or-later
"""websocket.py - HTTP and WebSocket by hand, so that a test can say what no browser would."""
import base64
import os
import socket
import struct
import time

LIMIT = 20


class Refused(Exception):
    def __init__(self, status):
        super().__init__(f"refused with {status}")
        self.status = status


def connect(address):
    sock = socket.create_connection(address, timeout=LIMIT)
    return sock


def read_head(sock):
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(4096)
        if not more:
            break
        data += more
    head, _, rest = data.partition(b"\r\n\r\n")
    return head.decode("latin-1"), rest


def status_of(head):
    """0 when the connection was closed without a word."""
    return int(head.split()[1]) if head.startswith("HTTP/") else 0


def request(address, data):
    """Sends these bytes, reads to the end: (status, headers, body)."""
    with connect(address) as sock:
        try:
            sock.sendall(data)
            head, body = read_head(sock)
            lines = head.split("\r\n")
            headers = {name.lower(): value for name, value in
                       (line.split(": ", 1) for line in lines[1:] if ": " in line)}
            size = int(headers.get("content-length", 0))
            while len(body) < size:
                more = sock.recv(1 << 16)
                if not more:
                    break
                body += more
        except (ConnectionResetError, BrokenPipeError):
            return 0, {}, b""
        return status_of(head), headers, body


def get(address, path, host=None, method="GET", more=""):
    host = f"{address[0]}:{address[1]}" if host is None else host
    return request(address, f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
                            f"{more}\r\n".encode())


class WebSocket:
    def __init__(self, address, path, protocol, host=None, origin=None, receive_buffer=None):
        host = host or f"{address[0]}:{address[1]}"
        origin = f"http://{host}" if origin is None else origin
        key = base64.b64encode(os.urandom(16)).decode()
        self.sock = socket.socket()
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(LIMIT)
        self.sock.connect(address)
        lines = [f"GET {path} HTTP/1.1", f"Host: {host}", "Upgrade: websocket",
                 "Connection: Upgrade", f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13"]
        if origin:
            lines.append(f"Origin: {origin}")
        if protocol:
            lines.append(f"Sec-WebSocket-Protocol: {protocol}")
        try:
            self.sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
            head, self.data = read_head(self.sock)
        except (ConnectionResetError, BrokenPipeError):
            head = ""
        if status_of(head) != 101:
            self.sock.close()
            raise Refused(status_of(head))

    def send(self, payload, opcode=2, final=True):
        mask = os.urandom(4)
        head = bytes([(0x80 if final else 0) | opcode])
        if len(payload) < 126:
            head += bytes([0x80 | len(payload)])
        elif len(payload) < 1 << 16:
            head += struct.pack(">BH", 0x80 | 126, len(payload))
        else:
            head += struct.pack(">BQ", 0x80 | 127, len(payload))
        self.sock.sendall(head + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(payload)))

    def take(self, size):
        while len(self.data) < size:
            more = self.sock.recv(1 << 16)
            if not more:
                raise EOFError("closed")
            self.data += more
        taken, self.data = self.data[:size], self.data[size:]
        return taken

    def receive(self):
        """The next frame: (opcode, payload). Pings are answered."""
        while True:
            first, second = self.take(2)
            size = second & 127
            if size == 126:
                size, = struct.unpack(">H", self.take(2))
            elif size == 127:
                size, = struct.unpack(">Q", self.take(8))
            payload = self.take(size)
            if first & 15 == 9:
                self.send(payload, opcode=10)
                continue
            return first & 15, payload

    def receive_bytes(self, size):
        """So many bytes of binary frames; what is beyond them is lost."""
        data = b""
        while len(data) < size:
            opcode, payload = self.receive()
            if opcode not in (0, 2):
                raise EOFError(f"opcode {opcode}: {payload!r}")
            data += payload
        return data[:size]

    def wait_closed(self):
        """The code with which it is closed; 0: without a word."""
        deadline = time.monotonic() + LIMIT
        try:
            while True:
                opcode, payload = self.receive()
                if time.monotonic() > deadline:
                    raise TimeoutError("it isn't closed")
                if opcode == 8:
                    return struct.unpack(">H", payload[:2])[0] if payload else 1005
        except (EOFError, ConnectionResetError):
            return 0

    def close(self):
        self.sock.close()
