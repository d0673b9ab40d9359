# SPDX-License-Identifier: LGPL-2.1-or-later
"""The little of MQTT 3.1.1 and 5 that the tests need: packets as bytes, and a client that is driven step by step."""
import socket
import struct

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBSCRIBE, SUBACK = 1, 2, 3, 4, 5, 6, 7, 8, 9
PINGREQ, PINGRESP, DISCONNECT = 12, 13, 14


def text(s):
    s = s.encode() if isinstance(s, str) else s
    return struct.pack(">H", len(s)) + s


def length(n):
    out = b""
    while True:
        out += bytes([n & 127 | (128 if n > 127 else 0)])
        n >>= 7
        if not n:
            return out


def packet(kind, body=b"", flags=0):
    return bytes([kind << 4 | flags]) + length(len(body)) + body


def connect(name, clean=True, keepalive=60, will=None, version=4, properties=b"", will_properties=b""):
    """`will` is (topic, payload), sent with QoS 1."""
    flags = (2 if clean else 0) | (0x0c if will else 0)
    body = text("MQTT") + bytes([version, flags]) + struct.pack(">H", keepalive)
    body += length(len(properties)) + properties if version == 5 else b""
    body += text(name)
    if will:
        body += length(len(will_properties)) + will_properties if version == 5 else b""
        body += text(will[0]) + text(will[1])
    return packet(CONNECT, body)


class Message:
    def __init__(self, flags, body):
        self.qos, self.dup, self.retained = flags >> 1 & 3, bool(flags & 8), bool(flags & 1)
        n = struct.unpack(">H", body[:2])[0]
        self.topic, at, self.number = body[2:2 + n].decode(), 2 + n, 0
        if self.qos:
            self.number = struct.unpack(">H", body[at:at + 2])[0]
            at += 2
        self.payload = body[at:]


class Mqtt:
    """A connection of version 3.1.1; what does not fit the protocol raises ConnectionError."""

    def __init__(self, port, name, clean=True, keepalive=60, will=None, seconds=15):
        self.s = socket.create_connection(("127.0.0.1", port), seconds)
        self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.f = self.s.makefile("rb")
        self.number, self.waiting = 0, []
        self.s.sendall(connect(name, clean, keepalive, will))
        kind, _, body = self.read()
        if kind != CONNACK or body[1]:
            raise ConnectionError(f"no CONNACK but {kind} {body!r}")
        self.resumed = bool(body[0] & 1)

    def read(self):
        first = self.f.read(1)
        if not first:
            raise ConnectionError("closed")
        n, shift = 0, 0
        while True:
            b = self.f.read(1)
            if not b:
                raise ConnectionError("closed within a packet")
            n |= (b[0] & 127) << shift
            shift += 7
            if b[0] < 128:
                break
        body = self.f.read(n)
        if len(body) != n:
            raise ConnectionError("closed within a packet")
        return first[0] >> 4, first[0] & 15, body

    def until(self, want, number=None):
        """The body of the next packet of that kind; messages that come before it wait in self.waiting."""
        while True:
            kind, flags, body = self.read()
            if kind == PUBLISH:
                self.waiting.append(Message(flags, body))
            elif kind != want or number is not None and struct.unpack(">H", body[:2])[0] != number:
                raise ConnectionError(f"packet {kind} {body!r} in place of {want} {number}")
            else:
                return body

    def subscribe(self, topic, qos=1):
        self.number = self.number % 65535 + 1
        self.s.sendall(packet(SUBSCRIBE, struct.pack(">H", self.number) + text(topic) + bytes([qos]), 2))
        body = self.until(SUBACK, self.number)
        if body[2] != qos:
            raise ConnectionError(f"SUBACK {body!r}")

    def send(self, topic, payload, qos=1, retain=False):
        """Sends without waiting; returns the packet's number."""
        self.number = self.number % 65535 + 1
        body = text(topic) + (struct.pack(">H", self.number) if qos else b"") + payload
        self.s.sendall(packet(PUBLISH, body, qos << 1 | retain))
        return self.number

    def finish(self, number, qos=1):
        """Waits until the broker has the message of that number."""
        if qos == 1:
            self.until(PUBACK, number)
        elif qos == 2:
            self.until(PUBREC, number)
            self.s.sendall(packet(PUBREL, struct.pack(">H", number), 2))
            self.until(PUBCOMP, number)

    def publish(self, topic, payload, qos=1, retain=False):
        self.finish(self.send(topic, payload, qos, retain), qos)

    def message(self, acknowledge=True):
        """The next message that comes, acknowledged."""
        if not self.waiting:
            kind, flags, body = self.read()
            if kind != PUBLISH:
                raise ConnectionError(f"packet {kind} in place of a message")
            self.waiting.append(Message(flags, body))
        m = self.waiting.pop(0)
        if acknowledge and m.qos == 1:
            self.s.sendall(packet(PUBACK, struct.pack(">H", m.number)))
        if acknowledge and m.qos == 2:
            self.s.sendall(packet(PUBREC, struct.pack(">H", m.number)))
            self.until(PUBREL, m.number)
            self.s.sendall(packet(PUBCOMP, struct.pack(">H", m.number)))
        return m

    def ping(self):
        self.s.sendall(packet(PINGREQ))
        self.until(PINGRESP)

    def close(self):
        """Without DISCONNECT, as when a client dies."""
        self.f.close()
        self.s.close()

    def leave(self):
        self.s.sendall(packet(DISCONNECT))
        self.close()
