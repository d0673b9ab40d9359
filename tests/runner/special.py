# SPDX-License-Identifier: LGPL-2.1-or-later
"""Unusual targets, files and circumstances: what the steps new:, target: and do: name."""
import os
import re
import shutil
import signal
import struct
import subprocess
import time

from . import limits
from .case import Failure, Skip


def new_file(run, kind, *words):
    """A NEW file that is not simply v2."""
    path = os.path.join(run.top, "new-" + kind)
    maker = NEW.get(kind)
    if not maker:
        raise Failure(f"expect: unknown new: {kind}")
    return maker(run, path, *words) or path


def patched(run, path, offset, data):
    shutil.copy(run.new_prog, path)
    with open(path, "r+b") as f:
        f.seek(offset)
        f.write(data)


def text_file(run, path):
    with open(path, "w") as f:
        f.write("#!/bin/sh\necho this is no ELF file\n" * 200)
    os.chmod(path, 0o755)


def truncated(run, path):
    data = open(run.new_prog, "rb").read()
    with open(path, "wb") as f:
        f.write(data[:len(data) // 3])


def wild_segments(run, path):
    """A program header whose file range lies far outside the file."""
    data = open(run.new_prog, "rb").read()
    phoff, = struct.unpack_from("<Q", data, 32)
    patched(run, path, phoff + 2 * 56 + 32, struct.pack("<Q", 1 << 62))


def compiled(run, path, *flags):
    src = os.path.join(run.top, "v2", "prog.c")
    r = subprocess.run(["gcc", "-g", "-I" + os.path.dirname(src), *flags, src, "-o", path],
                       capture_output=True, text=True)
    if r.returncode:
        raise Skip(f"gcc {' '.join(flags)} does not work here")


def elf32(run, path):
    """The same ELF header with the class and the machine of 32-bit x86."""
    patched(run, path, 4, b"\x01")
    with open(path, "r+b") as f:
        f.seek(18)
        f.write(struct.pack("<H", 3))


NEW = {
    "text": text_file,
    "truncated": truncated,
    "wild-segments": wild_segments,
    "arm64": lambda run, path: patched(run, path, 18, struct.pack("<H", 183)),
    "elf32": elf32,
    "object": lambda run, path: compiled(run, path, "-c", "-fPIE"),
    "empty": lambda run, path: open(path, "w").close(),
    "missing": lambda run, path: None,
    "folder": lambda run, path: os.mkdir(path),
    "other": lambda run, path: "/bin/true",
    "static": lambda run, path: compiled(run, path, "-static"),
    "old": lambda run, path: run.old_prog,
    "v2": lambda run, path: run.new_prog,
    "v3": lambda run, path: run.third(),
}


def target(run, kind):
    if kind == "gone":
        p = subprocess.Popen(["/bin/true"])
        p.wait()
        return p.pid
    if kind == "kthread":
        for pid in sorted(int(p) for p in os.listdir("/proc") if p.isdigit()):
            try:
                flags = int(open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[6])
            except OSError:
                continue
            if flags & 0x200000:  # PF_KTHREAD
                return pid
        raise Skip("no kernel thread is visible here (container)")
    if kind == "self":
        return "self"
    return kind


def tool(run):
    """The command itself; `target: self` needs a shell that becomes molt with its own pid."""
    if run.target != "self":
        return None
    path = os.path.join(run.top, "self")
    with open(path, "w") as f:
        f.write(f"#!/bin/sh\nverb=$1; shift 2\nexec {run.args.molt} $verb $$ \"$@\"\n")
    os.chmod(path, 0o755)
    return path


def do(run, text):
    name, *words = text.split()
    if name not in DO:
        raise Failure(f"expect: unknown do: {name}")
    DO[name](run, *words)


def as_nobody(run):
    """molt runs as another user without capabilities; its own file must be reachable for that user."""
    if os.getuid() or not shutil.which("setpriv"):
        raise Skip("needs root and setpriv")
    copy = os.path.join(run.top, "molt")
    shutil.copy(run.args.molt, copy)
    for d in (run.top, os.path.dirname(run.top), os.path.dirname(run.new_prog)):
        os.chmod(d, 0o755)
    run.args = type(run.args)(**dict(vars(run.args), molt=copy))
    run.prefix = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all",
                  "--inh-caps=-all"]


def delete_old(run):
    os.unlink(run.old_prog)


def copies(run):
    """The files that molt keeps for a revert."""
    folder = os.path.join(run.top, "state", "programs")
    names = [os.path.join(folder, f) for f in os.listdir(folder)]
    if not names:
        raise Failure("molt has kept no copies")
    return names


def damage_copies(run):
    for path in copies(run):
        if "." not in os.path.basename(path):
            with open(path, "r+b") as f:
                f.seek(4096)
                f.write(b"damaged")


def delete_copies(run):
    for path in copies(run):
        os.unlink(path)


def replace_old(run):
    """As a package upgrade does it: another file takes the name, the old inode stays with the process."""
    shutil.copy(run.new_prog, run.old_prog + ".new")
    os.rename(run.old_prog + ".new", run.old_prog)


def traced(run):
    """gdb holds the victim until the run ends; its commands come by a pipe that stays open."""
    need("gdb")
    p = subprocess.Popen(["gdb", "-q", "-nx", "-p", str(run.victim.pid)], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
    run.helpers.append(p)
    p.stdin.write(b"echo attached\\n\n")
    p.stdin.flush()
    said = b""
    while b"attached\n" not in said.replace(b"(gdb) ", b"\n"):
        got = os.read(p.stdout.fileno(), 65536)
        if not got:
            raise Skip("gdb could not attach: " + said.decode(errors="replace")[-200:])
        said += got
    run.quiet = True


def untraced(run):
    p = run.helpers.pop()
    p.communicate(b"detach\nquit\n", timeout=20)
    run.quiet = False


def gdb_backtrace(run, *want):
    """gdb attaches afterwards and names the functions of the new program."""
    need("gdb")
    r = subprocess.run(["gdb", "-q", "-nx", "-batch", "-p", str(run.victim.pid), "-ex", "bt"],
                       capture_output=True, text=True, timeout=60)
    run.log += r.stdout.splitlines()[-30:]
    for w in want:
        if w not in r.stdout:
            raise Failure(f"gdb's backtrace does not have {w}: {r.stdout[-300:]}")


def breakpoint_in(run, function):
    """A stray int3 in the text, as a debugger that crashed leaves it: the text is not OLD's any more."""
    r = subprocess.run(["nm", run.old_prog], capture_output=True, text=True)
    addr = [int(x.split()[0], 16) for x in r.stdout.splitlines() if x.endswith(" " + function)]
    base = int(open(f"/proc/{run.victim.pid}/maps").readline().split("-")[0], 16)
    with open(f"/proc/{run.victim.pid}/mem", "r+b", 0) as mem:
        mem.seek(base + addr[0])
        mem.write(b"\xcc")


def send_signal(run, name):
    os.kill(run.victim.pid, getattr(signal, name))


def stop_victim(run):
    os.kill(run.victim.pid, signal.SIGSTOP)
    while open(f"/proc/{run.victim.pid}/stat").read().rpartition(")")[2].split()[0] != "T":
        time.sleep(0.001)
    run.quiet = True


def continue_victim(run):
    state = open(f"/proc/{run.victim.pid}/stat").read().rpartition(")")[2].split()[0]
    os.kill(run.victim.pid, signal.SIGCONT)
    run.quiet = False
    if state != "T":
        raise Failure(f"the process was stopped by a signal before the update and is in state {state} after it")


def exited(run, code):
    """The program ended by itself with this status."""
    got = run.victim.proc.wait(10)
    run.victim.done = True
    if got != int(code):
        raise Failure(f"it ended with {got}, want {code}")


def hide_new(run):
    """NEW lies in a folder that only root may enter."""
    os.chmod(os.path.dirname(run.new_prog), 0o700)


def human_update(run):
    if run.molt("update", str(run.victim.pid), run.new_prog):
        raise Failure("update: " + run.out.strip()[-300:])
    last = run.out.strip().splitlines()[-1]
    want = rf"updated {run.victim.pid} prog: 1 functions? changed, 1 thread, stopped [0-9.]+ ms"
    if not re.search(want, last):
        raise Failure(f"the last line is \"{last}\"")


def update_libc(run):
    code = run.molt("update", str(run.victim.pid), "--module", "libc.so.6=" + run.new_prog, "--json")
    run.check_verdict("update", "refused runtime-module", code)


def exe_is(run, which):
    want = {"new": run.new_prog, "old": run.old_prog}[which]
    got = os.readlink(f"/proc/{run.victim.pid}/exe")
    if got != want:
        raise Failure(f"/proc/PID/exe is {got}, want {want}")


def need(program):
    if not shutil.which(program):
        raise Skip(f"{program} is not installed")


DO = {
    "as-nobody": as_nobody,
    "delete-old": delete_old,
    "damage-copies": damage_copies,
    "delete-copies": delete_copies,
    "replace-old": replace_old,
    "traced": traced,
    "untraced": untraced,
    "gdb-backtrace": gdb_backtrace,
    "breakpoint": breakpoint_in,
    "signal": send_signal,
    "stop": stop_victim,
    "continue": continue_victim,
    "update-libc": update_libc,
    "exe-is": exe_is,
    "exited": exited,
    "hide-new": hide_new,
    "human-update": human_update,
}
DO.update(limits.DO)
