# SPDX-License-Identifier: GPL-2.0-or-later
"""
peers.py - the host's side of a hostile guest's connections.

Each peer is a thread over unix sockets that are gone with the bed's directory; it ends when its
sockets are shut. Ports are those of guest/stream.h.
"""
import selectors
import socket
import threading

ECHO, STALL, SHUT, SPRING = 7, 11, 13, 19
BACKLOG = 4096


class Peers:
    """Listens at the vsock ports of one VMM whose --vsock is @path."""

    def __init__(self, path):
        self.path = path
        self.selector = selectors.DefaultSelector()
        self.sockets = []
        # Nobody ever accepts at the port that stalls: a connection is the kernel's alone.
        self.stalling = self.listener(STALL)
        for port, accepted in ((ECHO, self.echo), (SHUT, None), (SPRING, self.spring)):
            self.selector.register(self.listener(port), selectors.EVENT_READ, (self.accept, accepted))
        self.waker, self.wakee = socket.socketpair()
        self.selector.register(self.wakee, selectors.EVENT_READ, None)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def listener(self, port):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.bind(f"{self.path}_{port}")
        sock.listen(BACKLOG)
        sock.setblocking(False)
        self.sockets.append(sock)
        return sock

    def connect(self, port):
        """As a host client that wants to reach guest port @port; stays open until the end."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sockets.append(sock)
        sock.connect(self.path)
        sock.sendall(f"CONNECT {port}\n".encode())

    def run(self):
        while True:
            for key, _ in self.selector.select():
                if key.data is None:
                    return
                handle, argument = key.data
                try:
                    handle(key.fileobj, argument)
                except OSError:  # the guest hung up
                    self.drop(key.fileobj)

    def drop(self, sock):
        self.selector.unregister(sock)
        sock.close()

    def accept(self, listener, accepted):
        connection, _ = listener.accept()
        if accepted is None:
            connection.close()
            return
        connection.setblocking(False)
        events = selectors.EVENT_READ if accepted == self.echo else selectors.EVENT_WRITE
        self.selector.register(connection, events, (accepted, None))

    def echo(self, connection, _):
        data = connection.recv(65536)
        if data:
            connection.send(data)
        else:
            self.drop(connection)

    def spring(self, connection, _):
        connection.send(bytes(65536))

    def stop(self):
        self.waker.send(b"!")
        self.thread.join()
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()
        self.selector.close()
        for sock in [*self.sockets, self.waker]:
            sock.close()
