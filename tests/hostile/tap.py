#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
tap.py FD - an echo behind a tap interface, in a network namespace of its own.

Started by run.py through unshare(1), so that it needs no root and nobody's network sees it. Makes a
tap, hands its descriptor over through the unix socket FD, and from then on sends back each frame that
the guest sends; ends when that socket does.
"""
import fcntl
import os
import selectors
import socket
import struct
import sys

TUNSETIFF = 0x400454ca
SIOCSIFFLAGS = 0x8914
IFF_UP = 1
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
ETH_P_ALL = 3
NAME = b"hostile0"


def make_tap():
    tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", NAME, IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
    return tap


def bring_up(packets):
    fcntl.ioctl(packets, SIOCSIFFLAGS, struct.pack("16sH22x", NAME, IFF_UP))


def main():
    link = socket.socket(fileno=int(sys.argv[1]))
    tap = make_tap()
    packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    bring_up(packets)
    packets.bind((NAME.decode(), 0))
    socket.send_fds(link, [b"tap"], [tap])
    os.close(tap)
    selector = selectors.DefaultSelector()
    selector.register(link, selectors.EVENT_READ)
    selector.register(packets, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj is link:
                return
            try:
                frame, address = packets.recvfrom(65600)
            except OSError:  # the VMM has ended, and the tap with it
                return
            if address[2] == socket.PACKET_OUTGOING:
                continue
            try:
                packets.send(frame)
            except OSError:  # too long for one frame, or the guest takes none
                pass


if __name__ == "__main__":
    main()
