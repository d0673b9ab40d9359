# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests with Debian's patches share: build before and after a patch, update under clients, judge, record."""
import argparse
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from serverlib import HERE, MOLT, TOP, Failure, Unavailable, built, molt

# Codes of refusals that name a type, a variable or thread-local data: an outcome. Any other refusal is a failure.
DATA_CODES = ("type-", "var-", "tls-")
BAD = ("wrong", "dropped", "hung", "lost")  # what no client may count


class Case:
    """A program under its clients. `old` is started; `new` is what it shall become."""

    def __init__(self, old, new, patch, folder):
        self.old, self.new, self.patch, self.folder = old, new, patch, folder
        self.parts, self.loads, self.server = [], [], None
        self.seen = None  # what a client saw of the fix, as text

    how = ()  # more options for molt update

    def opened(self, thing):
        self.parts.append(thing)
        return thing

    def start(self):
        """Starts self.server, and the clients into self.loads."""
        raise NotImplementedError

    def before(self):
        """Prepares what after() looks at."""

    def look(self, updated):
        """What a client sees of the fix; sets self.seen where it looked."""

    def after(self):
        """Timers, background work, signals, connections of before."""

    def end(self):
        self.server.end(signal.SIGTERM)

    def close(self):
        for p in reversed(self.loads + self.parts):
            p.close()

    @staticmethod
    def same(what, got, want):
        if got != want:
            raise Failure(f"{what}: got {got!r}, want {want!r}")


class Patch:
    """One step of the series: from the first `old` patches to the first `new`."""

    def __init__(self, program, old, new, name, text):
        self.old, self.new, self.name = old, new, name
        self.cves = sorted(set(re.findall(r"CVE-\d{4}-\d+", name + text)))
        self.own = [c for c in self.cves if c in name] or self.cves
        self.program = program


def series(package):
    """The patches of a package: [(number, name, text)]."""
    lines = subprocess.run([os.path.join(HERE, "sources", f"build-{package}"), "--list"], capture_output=True, text=True)
    if lines.returncode:
        raise Unavailable(lines.stderr.strip().splitlines()[-1] if lines.stderr.strip() else f"no {package}")
    found = []
    for line in lines.stdout.splitlines():
        number, name, path = line.split()
        found.append((int(number), name, open(path, errors="replace").read()))
    return found


def header(text):
    """What stands above the first hunk: a CVE's number in changed code says nothing of the patch."""
    return re.split(r"^(?:diff |--- )", text, maxsplit=1, flags=re.M)[0]


def cve_patches(package, grouped=(), also=None):
    """The steps that fix a CVE; `grouped` are (first, last) that only compile together, `also` {name: CVE}."""
    steps, also = [], also or {}
    for number, name, text in series(package):
        text = header(text) + also.get(name, "")
        group = next((g for g in grouped if g[0] <= number <= g[1]), None)
        step = Patch(package, number - 1, number, name, text)
        if group and group[0] < number and steps:
            steps[-1].new = number
            steps[-1].name += " + " + name
        elif step.cves:
            steps.append(step)
    return steps


def changed_functions(old, new):
    """What differs between the two builds: the names of functions, by kind."""
    r = subprocess.run([MOLT, "diff", "--json", old, new], capture_output=True, text=True, timeout=300)
    try:
        functions = json.loads(r.stdout)["functions"]
    except (ValueError, KeyError):
        raise Failure(f"molt diff: exit {r.returncode}: {(r.stdout + r.stderr)[-400:]}")
    return {k: functions[k] for k in ("code", "ref_only", "imm_only", "added", "removed")}


def outcome_of(code, report):
    if code == 0:
        return "updated"
    if code == 3 and str(report.get("code")).startswith(DATA_CODES):
        return "refused"
    return "waits" if code == 4 else "failed"


def one_run(make, patch, old, new, args):
    """Starts, loads, updates, looks. Returns the record of the run."""
    folder = tempfile.mkdtemp(prefix=f"molt-{patch.program}-")
    case = make(old, new, patch, folder)
    try:
        case.start()
        case.before()
        case.look(False)
        first_seen, case.seen = case.seen, None
        tail = ("--wait", str(args.wait), *case.how)
        code, report, said = (0, {}, "") if args.control else molt("update", case.server.pid, new, *tail)
        outcome = outcome_of(code, report)
        if outcome == "failed":
            raise Failure(f"molt update: exit {code}: {said[:3000]}")
        if not case.server.alive():
            raise Failure(f"the server is gone: {case.server.fate()}")
        time.sleep(args.on)
        case.after()
        clients = {}
        for load in case.loads:
            books = load.stop()
            for k, v in books.items():
                clients[k] = max(clients.get(k, 0), v) if k.startswith("longest") else clients.get(k, type(v)()) + v
        if any(clients.get(k) for k in BAD):
            raise Failure(f"clients: {clients}")
        case.server.nothing_clings()
        case.look(outcome == "updated")
        case.end()
        return {"outcome": outcome, "exit": code, "code": report.get("code"), "object": report.get("object"),
                "reason": report.get("reason"), "stop_us": report.get("stop_us"), "attempts": report.get("attempts"),
                "functions": report.get("functions"), "notes": report.get("notes"), "clients": clients,
                "seen_before": first_seen, "seen_after": case.seen}
    finally:
        case.close()
        shutil.rmtree(folder, ignore_errors=True)


def about():
    """The place of a measurement."""
    git = subprocess.run(["git", "-c", "safe.directory=*", "-C", TOP, "rev-parse", "--short", "HEAD"],
                         capture_output=True, text=True)
    return {"date": time.strftime("%Y-%m-%d"), "kernel": platform.release(), "cores": os.cpu_count(),
            "libc": " ".join(platform.libc_ver()), "molt": git.stdout.strip(), "load": os.getloadavg()[0]}


def describe(run):
    if run["outcome"] == "updated":
        seen = f"; seen: {run['seen_before']} -> {run['seen_after']}" if run["seen_after"] else ""
        f = run["functions"] or {}
        return f"stopped {run['stop_us'] or 0:.0f} us, {f.get('code')} functions; {run['clients'].get('ops', 0)} replies right{seen}"
    return f"{run['outcome']} {run['code']}: {run['object']}: {run['reason']}"


def chain(package, case_of, steps, args):
    """One process forth through the given numbers of patches and back again, a full look at the end."""
    folder = tempfile.mkdtemp(prefix=f"molt-{package}-")
    programs = built(f"build-{package}", *map(str, steps))
    case = case_of(programs[0], programs[-1], None, folder)
    stops = []
    try:
        case.start()
        case.before()
        for new in programs[1:] + programs[-2::-1]:
            code, report, said = molt("update", case.server.pid, new, "--wait", str(args.wait))
            if code:
                raise Failure(f"molt update to {new}: exit {code}: {said[:1000]}")
            stops.append(report["stop_us"])
            time.sleep(args.on)
        case.after()
        clients = [load.stop() for load in case.loads]
        if any(c.get(k) for c in clients for k in BAD):
            raise Failure(f"clients: {clients}")
        case.server.nothing_clings()
        case.end()
        return {"stops": stops, "ops": sum(c["ops"] for c in clients)}
    finally:
        case.close()
        shutil.rmtree(folder, ignore_errors=True)


def run_chains(package, case_of, chains, args):
    bad = 0
    for steps in chains:
        for i in range(args.repeat):
            label = f"{package} chain {'-'.join(map(str, steps))}" + (f" {i + 1}/{args.repeat}" if args.repeat > 1 else "")
            try:
                run = chain(package, case_of, steps, args)
                stops = run["stops"]
                print(f"ok {label} and back: {len(stops)} updates, stopped {min(stops):.0f} to {max(stops):.0f} us; "
                      f"{run['ops']} replies right", flush=True)
            except Unavailable as e:
                print(f"skip {label}: {e}", flush=True)
                break
            except (Failure, OSError, subprocess.SubprocessError) as e:
                bad += 1
                run = {"reason": str(e)}
                print(f"not ok {label}: {e}", flush=True)
            if args.record:
                write(args.record, {"program": package, "chain": steps, **about(), **run})
    return 1 if bad else 0


def main(package, make, steps, quick, want, usage, chains=()):
    """`steps()` gives the patches, `quick` the numbers of those that run by default, `want` {number: outcome or code}.

    `chains`: numbers of patches that one process of the plain case goes through with --chain.
    """
    p = argparse.ArgumentParser(usage=usage.split("\n\n")[1][len("usage: "):])
    p.add_argument("--all", action="store_true")
    p.add_argument("--repeat", type=int, default=1)
    p.add_argument("--wait", type=float, default=10)
    p.add_argument("--on", type=float, default=0.2, help="seconds of load after the update")
    p.add_argument("--control", action="store_true")
    p.add_argument("--chain", action="store_true")
    p.add_argument("--record", metavar="FILE", help="append each run as a line of JSON")
    p.add_argument("numbers", nargs="*", type=int)
    args = p.parse_args()
    bad = 0
    if args.chain:
        return run_chains(package, make, chains, args)
    try:
        todo = steps()
    except Unavailable as e:
        print(f"skip {package}: {e}")
        return 0
    numbers = args.numbers or (None if args.all else quick)
    for patch in todo:
        if numbers and patch.new not in numbers:
            continue
        for i in range(args.repeat):
            label = f"{package} {patch.new} {patch.name.split(' + ')[0]}" + (f" {i + 1}/{args.repeat}" if args.repeat > 1 else "")
            try:
                old, new = built(f"build-{package}", str(patch.old), str(patch.new))
                run = one_run(make, patch, old, new, args)
                expected = want.get(patch.new, "updated")
                if not args.control and expected not in (run["outcome"], run["code"]):
                    raise Failure(f"want {expected}, got {describe(run)}")
                print(f"ok {label}: {describe(run)}", flush=True)
            except Unavailable as e:
                print(f"skip {label}: {e}", flush=True)
                break
            except (Failure, OSError, subprocess.SubprocessError) as e:
                bad += 1
                run = {"outcome": "failed", "reason": str(e)}
                print(f"not ok {label}: {e}", flush=True)
            if args.record:
                record(args.record, package, patch, run, changed_functions(old, new))
    return 1 if bad else 0


def record(path, package, patch, run, changed):
    version = subprocess.run([os.path.join(HERE, "sources", f"build-{package}"), "--version"], capture_output=True, text=True)
    line = {"program": package, "version": version.stdout.strip(), "old": patch.old, "new": patch.new, "patch": patch.name,
            "cves": patch.own, "changed": changed, "command": " ".join([os.path.basename(sys.argv[0])] + sys.argv[1:]),
            **about(), **run}
    write(path, line)


def write(path, line):
    with open(path, "a") as f:
        f.write(json.dumps(line) + "\n")
