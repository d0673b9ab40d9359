# SPDX-License-Identifier: LGPL-2.1-or-later
"""The little of DNS on the wire that the tests need, and an upstream server whose answers are known beforehand."""
import hashlib
import socket
import struct
import threading

A, SOA, MX, TXT, OPT = 1, 6, 15, 16, 41


def name_bytes(name):
    return b"".join(bytes([len(x)]) + x.encode() for x in name.strip(".").split(".") if x) + b"\0"


def query(number, name, kind=A, size=0):
    """A question; with `size` an OPT record that offers that buffer."""
    opt = b"\0" + struct.pack(">HHIH", OPT, size, 0, 0) if size else b""
    return struct.pack(">HHHHHH", number, 0x0100, 1, 0, 0, 1 if size else 0) + name_bytes(name) + struct.pack(">HH", kind, 1) + opt


def read_name(data, at):
    parts, jumped, end = [], 0, None
    while data[at]:
        if data[at] & 0xc0 == 0xc0:
            end = end or at + 2
            at = (data[at] & 0x3f) << 8 | data[at + 1]
            jumped += 1
            if jumped > 50:
                raise ValueError("names that point in circles")
            continue
        parts.append(data[at + 1:at + 1 + data[at]].decode("latin1"))
        at += 1 + data[at]
    return ".".join(parts), end or at + 1


class Reply:
    def __init__(self, data):
        self.number, self.flags, questions, answers, authority, extra = struct.unpack(">HHHHHH", data[:12])
        self.rcode, at = self.flags & 15, 12
        self.question = None
        for _ in range(questions):
            name, at = read_name(data, at)
            self.question = name.lower(), struct.unpack(">H", data[at:at + 2])[0]
            at += 4
        self.answers = []
        for i in range(answers + authority + extra):
            name, at = read_name(data, at)
            kind, _, ttl, n = struct.unpack(">HHIH", data[at:at + 10])
            if i < answers:
                self.answers.append((kind, ttl, data[at + 10:at + 10 + n]))
            at += 10 + n

    def values(self, kind=A):
        return sorted(x[2] for x in self.answers if x[0] == kind)


def address_of(name, version=0):
    """The one address that the upstream gives for a name."""
    return hashlib.sha256(f"{name.lower()} {version}".encode()).digest()[:4]


def text_of(name):
    return hashlib.sha256(b"text " + name.lower().encode()).hexdigest() * 3


def record(kind, ttl, data, name=b"\xc0\x0c"):
    return name + struct.pack(">HHIH", kind, 1, ttl, len(data)) + data


class Upstream:
    """Answers on UDP and TCP: A by address_of(), TXT by text_of(), NXDOMAIN for names with `none` in front.

    `ttl` and `version` may be changed at any time; `asked` counts the questions of each name; `special` maps a name to
    a function (query) -> reply or None.
    """

    def __init__(self, ttl=1):
        self.udp, self.tcp, self.port = self.sockets()
        self.ttl, self.version, self.asked, self.special = ttl, 0, {}, {}
        for what in (self.serve_udp, self.serve_tcp):
            threading.Thread(target=what, daemon=True).start()

    @staticmethod
    def sockets():
        """A UDP and a TCP socket with the same port."""
        while True:
            udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            udp.bind(("127.0.0.1", 0))
            try:
                return udp, socket.create_server(udp.getsockname(), backlog=50), udp.getsockname()[1]
            except OSError:  # somebody else has that port of TCP
                udp.close()

    def answer(self, data):
        name, at = read_name(data, 12)
        kind = struct.unpack(">H", data[at:at + 2])[0]
        name = name.lower()
        self.asked[name] = self.asked.get(name, 0) + 1
        if name in self.special:
            return self.special[name](data)
        question = data[12:at + 4]
        rcode, answers, authority = 0, b"", b""
        if name.startswith("none"):
            rcode = 3
            authority = record(SOA, self.ttl, b"\0\0" + struct.pack(">IIIII", 1, 60, 60, 60, self.ttl), name_bytes("up.test"))
        elif kind == A:
            answers = record(A, self.ttl, address_of(name, self.version))
        elif kind == TXT:
            t = text_of(name).encode()
            answers = record(TXT, self.ttl, bytes([len(t)]) + t)
        return data[:2] + struct.pack(">HHHHH", 0x8580 | rcode, 1, 1 if answers else 0, 1 if authority else 0, 0) + (
            question + answers + authority)

    def serve_udp(self):
        while True:
            try:
                data, who = self.udp.recvfrom(4096)
                reply = self.answer(data)
                if reply:
                    self.udp.sendto(reply, who)
            except OSError:
                return

    def serve_tcp(self):
        while True:
            try:
                s, _ = self.tcp.accept()
            except OSError:
                return
            threading.Thread(target=self.session, args=(s,), daemon=True).start()

    def session(self, s):
        with s:
            while True:
                data = framed(s)
                reply = self.answer(data) if data else None
                if not reply:
                    return
                s.sendall(struct.pack(">H", len(reply)) + reply)

    def close(self):
        self.udp.close()
        self.tcp.close()


def framed(s):
    """One message of a TCP connection, None at its end."""
    got, want = b"", 2
    while len(got) < want:
        more = s.recv(want - len(got))
        if not more:
            return None
        got += more
        if len(got) >= 2:
            want = 2 + struct.unpack(">H", got[:2])[0]
    return got[2:]


def ask(port, name, kind=A, tcp=False, seconds=5, size=0, host="127.0.0.1"):
    """One question on a socket of its own."""
    q = query(hash((name, port)) & 0xffff, name, kind, size)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM) as s:
        s.settimeout(seconds)
        s.connect((host, port))
        s.send(struct.pack(">H", len(q)) + q if tcp else q)
        data = framed(s) if tcp else s.recv(65535)
    if not data:
        raise ConnectionError(f"no answer for {name}")
    return Reply(data)
