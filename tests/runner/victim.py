# SPDX-License-Identifier: LGPL-2.1-or-later
"""A running victim: asking it, looking at it from outside, ending it."""
import contextlib
import os
import select
import signal
import subprocess
import time

from .case import Failure


class Victim:
    def __init__(self, argv, cwd, env=None, user=None):
        self.lines = []
        self.rest = b""
        self.done = False
        self.err = open(os.path.join(cwd, "stderr"), "wb+")
        self.proc = subprocess.Popen(argv, cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                     stderr=self.err, start_new_session=True, env=env, user=user)
        self.pid = self.proc.pid

    def send(self, line):
        try:
            self.proc.stdin.write(line.encode() + b"\n")
            self.proc.stdin.flush()
        except BrokenPipeError:
            raise Failure(f"the program is gone ({self.fate()}) at \"{line}\"")

    def fate(self):
        try:
            code = self.proc.wait(5)
        except subprocess.TimeoutExpired:
            return "still there"
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit {code}"

    def recv(self, timeout=10):
        end = time.monotonic() + timeout
        fd = self.proc.stdout.fileno()
        while b"\n" not in self.rest:
            left = end - time.monotonic()
            if left <= 0 or not select.select([fd], [], [], left)[0]:
                raise Failure(f"no answer within {timeout} s")
            got = os.read(fd, 65536)
            if not got:
                raise Failure(f"the program is gone ({self.fate()})")
            self.rest += got
        line, _, self.rest = self.rest.partition(b"\n")
        return line.decode(errors="replace")

    def ask(self, cmd, timeout=10):
        self.send(cmd)
        try:
            return self.recv(timeout)
        except Failure as e:
            raise Failure(f"\"{cmd}\": {e}")

    def ticks_advance(self):
        """The timer lives: its count grows within a second."""
        first = int(self.ask("ticks"))
        end = time.monotonic() + 2
        while time.monotonic() < end:
            time.sleep(0.015)  # the timer's period is 10 ms
            if int(self.ask("ticks")) > first:
                return
        raise Failure(f"the timer is dead: {first} ticks")

    def threads(self):
        return sorted(int(t) for t in os.listdir(f"/proc/{self.pid}/task"))

    def tracer(self):
        for line in open(f"/proc/{self.pid}/status"):
            if line.startswith("TracerPid:"):
                return int(line.split()[1])
        return 0

    def picture(self):
        """What a refused update must leave as it was: mappings, and the bytes of the program's text."""
        maps = open(f"/proc/{self.pid}/maps").read()
        exe = os.readlink(f"/proc/{self.pid}/exe")
        text = {}
        with open(f"/proc/{self.pid}/mem", "rb", 0) as mem:
            for line in maps.splitlines():
                words = line.split(None, 5)
                if len(words) < 6 or "x" not in words[1] or words[5] != exe:
                    continue
                start, end = (int(x, 16) for x in words[0].split("-"))
                mem.seek(start)
                text[start] = mem.read(end - start)
        # The heap and the stack may grow by the program's own doing.
        lines = [x for x in maps.splitlines() if not x.endswith(("[heap]", "[stack]"))]
        return {"mappings": lines, "text": text, "threads": self.threads(),
                "descriptors": sorted(os.listdir(f"/proc/{self.pid}/fd"))}

    def quit(self):
        self.send("quit")
        said = self.recv()
        code = self.proc.wait(10)
        self.done = True
        if said != "bye" or code != 0:
            raise Failure(f"no clean shutdown: said \"{said}\", exit {code}")

    def kill(self):
        if self.proc.poll() is None:
            self.proc.kill()
        self.proc.wait()
        with contextlib.suppress(BrokenPipeError):
            self.proc.stdin.close()
        self.proc.stdout.close()
        self.err.close()
