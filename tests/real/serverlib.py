# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests with real servers share: start a server, talk to it, load it, update it, end it."""
import ctypes
import json
import os
import re
import signal
import socket
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
MOLT = os.environ.get("MOLT", os.path.join(TOP, "build", "molt"))
CLIENTS = os.path.join(TOP, "build", "tests", "clients")

PR_SET_CHILD_SUBREAPER = 36


class Failure(Exception):
    """The server or molt did not do what it should."""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_until(what, true, seconds=10, step=0.01):
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise Failure(f"{what}: not within {seconds} s")
        time.sleep(step)


class Unavailable(Exception):
    """A program of the test cannot be had here, for example without network."""


class Server:
    """A server process in its own group. argv[0] is the program; it must listen on `port` soon."""

    def __init__(self, argv, port, env=None, cwd="/"):
        self.port = port
        self.proc = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, cwd=cwd,
                                     stderr=subprocess.STDOUT, start_new_session=True,
                                     env=dict(os.environ, **(env or {})))
        self.pid = self.proc.pid
        wait_until(f"{argv[0]} listens on {port}", self.listens)
        self.threads = self.thread_list()

    def listens(self):
        if self.proc.poll() is not None:
            raise Failure(f"the server ended at once: {self.proc.stdout.read()[-500:]}")
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def thread_list(self):
        return sorted(int(t) for t in os.listdir(f"/proc/{self.pid}/task"))

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def alive(self):
        return self.proc.poll() is None

    def fate(self):
        code = self.proc.poll()
        if code is None:
            return "running"
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit {code}"

    def nothing_clings(self):
        """After an update: the same threads (unless `threads` is None), no tracer."""
        if self.threads is not None and self.thread_list() != self.threads:
            raise Failure(f"threads {self.threads} became {self.thread_list()}")
        status = open(f"/proc/{self.pid}/status").read()
        tracer = int(re.search(r"TracerPid:\s+(\d+)", status).group(1))
        if tracer:
            raise Failure(f"still traced by {tracer}")

    def end(self, sig=signal.SIGTERM, want=0, seconds=10):
        """Clean shutdown: the exit status is what the same program gives when it was never updated."""
        self.proc.send_signal(sig)
        try:
            code = self.proc.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failure(f"does not end within {seconds} s of {sig.name}")
        if code != want:
            raise Failure(f"ended with {self.fate()} at {sig.name}, want exit {want}")

    def close(self):
        if self.proc.poll() is None:
            self.proc.kill()
        self.proc.wait()
        self.proc.stdout.close()


class Orphans:
    """Makes this test the parent of every orphan among its descendants, and takes away those it knows when they end: their pids
    are free at once then, which init may take seconds for."""

    def __init__(self):
        self.pids = set()
        if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl")
        signal.signal(signal.SIGCHLD, self.reap)

    def reap(self, *_):
        for pid in list(self.pids):
            try:
                if os.waitpid(pid, os.WNOHANG)[0]:
                    self.pids.discard(pid)
            except ChildProcessError:
                pass   # not yet ours

    def start(self, argv, folder):
        """A process in a session of its own whose parent has gone."""
        script = 'cd "$1"; shift; setsid "$@" </dev/null >/dev/null 2>&1 & echo $!'
        r = subprocess.run(["sh", "-c", script, "sh", folder, *argv], stdout=subprocess.PIPE, text=True, check=True)
        return self.adopt(int(r.stdout))

    def adopt(self, pid):
        self.pids.add(pid)
        return pid

    def end_all(self):
        for pid in list(self.pids):
            try:
                os.kill(pid, signal.SIGKILL)
                wait_until(f"process {pid} ends", lambda: self.reap() or pid not in self.pids or not os.path.exists(f"/proc/{pid}"))
            except ProcessLookupError:
                pass
        self.pids.clear()


class Line:
    """One text connection, kept open."""

    def __init__(self, port):
        self.s = socket.create_connection(("127.0.0.1", port), 10)
        self.f = self.s.makefile("rb")

    def ask(self, text, end):
        """Sends a line; gives the reply up to a line that starts with one of `end`."""
        self.s.sendall(text.encode("latin1") + b"\r\n")
        got = []
        while True:
            line = self.f.readline()
            if not line:
                raise Failure(f"connection closed after \"{text[:60]}\"")
            got.append(line.decode("latin1").rstrip("\r\n"))
            if got[-1].startswith(end):
                return got

    def close(self):
        self.f.close()
        self.s.close()


class Load:
    """A verifying client that runs until it is told to stop."""

    def __init__(self, program, *args):
        folder = CLIENTS if os.path.exists(os.path.join(CLIENTS, program)) else os.path.join(HERE, "..", "clients")
        self.proc = subprocess.Popen([os.path.join(folder, program), *map(str, args)], text=True,
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
        if self.proc.stdout.readline().strip() != "running":
            raise Failure(f"{program} did not get going: {self.proc.stdout.read()}")

    def stop(self):
        out, _ = self.proc.communicate("stop\n", timeout=30)
        return json.loads(out.strip().splitlines()[-1])

    def close(self):
        if self.proc.poll() is None:
            self.proc.kill()
            self.proc.wait()


def molt(*args, timeout=120):
    """Runs molt with --json: (exit code, report, all it said)."""
    r = subprocess.run([MOLT, *map(str, args), "--json"], capture_output=True, text=True, timeout=timeout)
    try:
        report = json.loads(r.stdout)
    except ValueError:
        report = {}
    return r.returncode, report, (r.stdout + r.stderr).strip()


def built(script, *args):
    """Paths that a build script printed."""
    r = subprocess.run([os.path.join(HERE, "sources", script), *args], capture_output=True, text=True)
    if r.returncode:
        raise Unavailable(r.stderr.strip().splitlines()[-1] if r.stderr.strip() else f"{script} failed")
    return r.stdout.split()
