# SPDX-License-Identifier: LGPL-2.1-or-later
"""A DHCP client in a network namespace of its own, with a pair of interfaces: v0 is the server's, v1 the client's."""
import ctypes
import os
import socket
import struct
import subprocess
import time

CLONE_NEWNET = 0x40000000
COOKIE = b"\x63\x82\x53\x63"
libc = ctypes.CDLL(None, use_errno=True)


def option(number, data):
    return bytes([number, len(data)]) + data


def packet(message):
    """A broadcast from nobody, port 68, to port 67."""
    udp = struct.pack(">HHHH", 68, 67, 8 + len(message), 0) + message
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0) + bytes(4) + b"\xff" * 4
    total = sum(struct.unpack(">10H", head))
    total = (total & 0xffff) + (total >> 16)
    total = (total & 0xffff) + (total >> 16)
    return head[:10] + struct.pack(">H", total ^ 0xffff) + head[12:] + udp


class Network:
    """The calling thread, and all it starts from now on, is in the namespace until close()."""

    def __init__(self):
        self.home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        if libc.unshare(CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "no network namespace")
        for words in ("link set lo up", "link add v0 type veth peer name v1", "addr add 10.77.0.1/24 dev v0",
                      "link set v0 up", "link set v1 up"):
            subprocess.run(["ip", *words.split()], check=True, capture_output=True)
        # Below the network layer, which would throw away what has a source that is also local here.
        self.wire = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
        self.wire.bind(("v1", 0x0800))
        self.number = 0

    def close(self):
        self.wire.close()
        libc.setns(self.home, CLONE_NEWNET)
        os.close(self.home)

    def exchange(self, client, kind, more, want):
        """Sends a message and waits for the answer of that kind: (offered address, options)."""
        self.number += 1
        chaddr = bytes([2, 0, 0, 0, client >> 8, client & 255]) + bytes(10)
        head = struct.pack(">BBBBIHH", 1, 1, 6, 0, self.number, 0, 0x8000) + bytes(16) + chaddr + bytes(192)
        message = head + COOKIE + option(53, bytes([kind])) + more + b"\xff"
        end = time.monotonic() + 10
        while time.monotonic() < end:
            self.wire.sendto(packet(message), ("v1", 0x0800, 0, 0, b"\xff" * 6))
            answer = self.answer(min(end, time.monotonic() + 2))
            if answer and answer[1].get(53) == bytes([want]):
                return answer
        raise TimeoutError(f"no DHCP answer of kind {want} for client {client}")

    def answer(self, end):
        while (left := end - time.monotonic()) > 0:
            self.wire.settimeout(left)
            try:
                data = self.wire.recv(65535)
            except TimeoutError:
                return None
            udp = data[(data[0] & 15) * 4:]
            if data[9] != 17 or struct.unpack(">H", udp[2:4])[0] != 68:
                continue
            bootp = udp[8:]
            if struct.unpack(">I", bootp[4:8])[0] == self.number:
                return ".".join(map(str, bootp[16:20])), self.options(bootp[240:])
        return None

    @staticmethod
    def options(data):
        found, at = {}, 0
        while at < len(data) and data[at] != 255:
            if data[at]:
                found[data[at]] = data[at + 2:at + 2 + data[at + 1]]
                at += 1 + data[at + 1]
            at += 1
        return found

    def lease(self, client, identifier, address=None):
        """DISCOVER and REQUEST, or REQUEST alone for an address that the client has."""
        who = option(61, identifier)
        more = b""
        if address is None:
            address, options = self.exchange(client, 1, who, 2)
            more = option(54, options[54])
        got, _ = self.exchange(client, 3, who + more + option(50, socket.inet_aton(address)), 5)
        if got != address:
            raise ConnectionError(f"asked for {address}, got {got}")
        return got
