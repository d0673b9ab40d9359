# SPDX-License-Identifier: LGPL-2.1-or-later
"""The words of a program's own image, of ld.so and of the auxiliary vector, kept and compared."""
import os
import struct
import subprocess

from .case import Failure


def mappings(pid):
    for line in open(f"/proc/{pid}/maps"):
        words = line.rstrip("\n").split(None, 5)
        start, end = (int(x, 16) for x in words[0].split("-"))
        yield start, end, words[1], words[5] if len(words) > 5 else ""


def save(pid):
    """What generation 0 has: every byte of its image and of ld.so's data, and the vector at the stack's end."""
    exe, kept, last = os.readlink(f"/proc/{pid}/exe"), {}, None
    with open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for start, end, prot, path in mappings(pid):
            own = path == exe or (path == "" and last == start)  # .bss follows the file's last page
            last = end if own else None
            rtld = "/ld-linux" in path and "w" in prot
            if own or rtld or path == "[stack]":
                start = max(start, end - 4096) if path == "[stack]" else start
                mem.seek(start)
                kept[start] = mem.read(end - start)
    base = min(kept)
    return {"exe": exe, "base": base, "memory": kept, "auxv": open(f"/proc/{pid}/auxv", "rb").read(),
            "stack": vector_range(pid)}


def vector_range(pid):
    """Where the words of the auxiliary vector stand on the stack."""
    vector = open(f"/proc/{pid}/auxv", "rb").read().rstrip(b"\0")
    start, end = next((s, e) for s, e, _, path in mappings(pid) if path == "[stack]")
    with open(f"/proc/{pid}/mem", "rb", 0) as mem:
        mem.seek(start)
        at = mem.read(end - start).find(vector)
    if at < 0:
        raise Failure("the auxiliary vector is not on the stack")
    return start + at, start + at + len(vector)


def symbols(exe):
    """(address, size, name) of all data objects."""
    out = subprocess.run(["readelf", "-sW", exe], capture_output=True, text=True, check=True).stdout
    for line in out.splitlines():
        words = line.split()
        if len(words) == 8 and words[3] == "OBJECT" and words[6] != "UND":
            yield int(words[1], 16), int(words[2], 0), words[7]


def same(pid, old, changes, lazy):
    """Every word is as it was but for the variables named in `changes`; `lazy`: PLT slots may be bound."""
    exempt = [(a + old["base"], a + old["base"] + n) for a, n, name in symbols(old["exe"]) if name in changes]
    if lazy:
        exempt += slots(old["exe"], old["base"])
    wrong = []
    with open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for start, was in old["memory"].items():
            mem.seek(start)
            now = mem.read(len(was))
            if now == was:
                continue
            stack = start + len(was) >= old["stack"][1] > start
            for at in range(start, start + len(was), 8):
                a, b = was[at - start:at - start + 8], now[at - start:at - start + 8]
                if a == b or any(lo < at + 8 and at < hi for lo, hi in exempt):
                    continue
                if lazy and 0 < int.from_bytes(b, "little") - int.from_bytes(a, "little") < 64:
                    continue  # ld.so counts the symbols that it binds
                if not stack or old["stack"][0] <= at < old["stack"][1]:
                    wrong.append(f"{at - old['base']:#x}: {a.hex()} became {b.hex()}")
    if wrong:
        raise Failure(f"{len(wrong)} words are not as they were: " + "; ".join(wrong[:4]))
    if open(f"/proc/{pid}/auxv", "rb").read() != old["auxv"]:
        raise Failure("/proc/PID/auxv is not as it was")
    if sum(len(x) for x in old["memory"].values()) < 16384:
        raise Failure("hardly any memory was compared")


def slots(exe, base):
    out = subprocess.run(["readelf", "-rW", exe], capture_output=True, text=True, check=True).stdout
    return [(base + int(x.split()[0], 16), base + int(x.split()[0], 16) + 8)
            for x in out.splitlines() if "R_X86_64_JUMP_SLO" in x]
