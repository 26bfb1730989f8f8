# SPDX-License-Identifier: GPL-2.0-or-later
"""
net_peer.py - the other end of the network card's stream, on the side of the hostile guest.

The byte behind a frame's Ethernet header says what it shall do (guest/net.c). Each connection is
served by one thread, one at a time; the VMM comes back when one has ended.
"""
import socket
import struct
import threading

ETHERNET = 14
PREFIX = struct.Struct("!I")


class NetPeer:
    """Listens at the path of a VMM's --net stream:PATH."""

    def __init__(self, path):
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(path)
        self.listener.listen(4)
        self.connection = None
        self.resumed = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while True:
            try:
                self.connection, _ = self.listener.accept()
            except OSError:
                return
            with self.connection:
                try:
                    while self.serve_frame(self.connection):
                        pass
                except OSError:
                    pass

    @staticmethod
    def take(connection, size):
        data = b""
        while len(data) < size:
            piece = connection.recv(size - len(data))
            if not piece:
                raise OSError("the VMM hung up")
            data += piece
        return data

    def serve_frame(self, connection):
        """One frame and what it asks for. False: the connection shall end."""
        frame = self.take(connection, PREFIX.unpack(self.take(connection, PREFIX.size))[0])
        command = frame[ETHERNET:ETHERNET + 1]
        if command == b"E":  # send it back
            connection.sendall(PREFIX.pack(len(frame)) + frame)
        elif command == b"R":  # first with frames that are none: too short for Ethernet
            for size in (0, 1, ETHERNET - 1):
                connection.sendall(PREFIX.pack(size) + bytes(size))
            connection.sendall(PREFIX.pack(len(frame)) + frame)
        elif command == b"B":  # byte by byte
            for byte in PREFIX.pack(len(frame)) + frame:
                connection.sendall(bytes([byte]))
        elif command == b"L":  # as many bytes as the next four say
            connection.sendall(frame[ETHERNET + 1:ETHERNET + 5] + b"and then some")
            connection.recv(1)
            return False
        elif command == b"H":  # half a frame, and the end
            connection.sendall(PREFIX.pack(1000) + bytes(500))
            return False
        elif command == b"C":
            return False
        elif command == b"S":  # reads nothing until the guest's console says so
            self.resumed.wait()
            self.resumed.clear()
        return True

    def resume(self):
        self.resumed.set()

    def stop(self):
        self.resumed.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        if self.connection:
            try:
                self.connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.thread.join()
        self.listener.close()
