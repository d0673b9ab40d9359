# SPDX-License-Identifier: LGPL-2.1-or-later
"""One run of one case in one variant: carries out the steps of its expect file."""
import json
import os
import re
import shutil
import subprocess

from . import limits, memory, special
from .case import Failure, Skip
from .victim import Victim

TIMEOUT = 60


class Run:
    def __init__(self, case, variant, top, args):
        self.case, self.variant, self.args = case, variant, args
        self.top = os.path.join(top, case.name, variant)
        self.log = []
        self.victim = None
        self.folders = []  # made by `do:` steps, removed at the end
        self.helpers = []  # processes of `do:` steps, ended with the run
        self.molt_args = []
        self.modules = []  # libraries that go along
        self.new = self.target = None
        self.prefix = []  # before the command, as setpriv
        self.out, self.report = "", {}
        self.quiet = False  # the program cannot answer now (stopped, blocked)

    def go(self):
        shutil.rmtree(self.top, ignore_errors=True)
        if "long" in self.case.set and not self.args.names:
            raise Skip("takes long: " + self.case.set["long"])
        self.old_prog = self.case.build(self.variant, "v1", os.path.join(self.top, "v1"))
        self.new_prog = self.case.build(self.variant, "v2", os.path.join(self.top, "v2"))
        self.start(self.old_prog)
        for kind, value in self.case.steps:
            if self.args.control and kind not in ("before", "after", "ask", "update", "send", "recv") and \
                    value not in ("signal SIGUSR1", "exited 7"):
                continue
            getattr(self, "step_" + kind.replace("-", "_"))(value)
        if not self.victim.done:
            self.healthy()
            self.victim.quit()

    def third(self):
        """A third program of the case, built when it is first asked for."""
        folder = os.path.join(self.top, "v3")
        if os.path.exists(folder):
            return os.path.join(folder, "prog")
        return self.case.build(self.variant, "v3", folder)

    def start(self, prog):
        env = dict(os.environ, **dict(w.split("=", 1) for w in self.case.set.get("env", "").split()))
        user = int(self.case.set["user"]) if "user" in self.case.set else None
        if user and os.getuid():
            raise Skip("needs root")
        wrap = self.case.set.get("wrap")
        if wrap and os.getuid():
            raise Skip("needs root")
        argv = ["sh", "-c", wrap, prog] if wrap else [prog]
        self.victim = Victim(argv, os.path.dirname(prog), env, user)
        if self.victim.recv() != "ready":
            raise Failure("the program did not say ready")
        if wrap:
            self.victim.pid = limits.wrapped_pid(self.victim.pid, prog)

    def close(self):
        for p in self.helpers:
            if p.poll() is None:
                p.kill()
            p.wait()
        if self.victim:
            self.victim.kill()
            for folder in self.folders:
                os.rmdir(folder)
            err = os.path.join(os.path.dirname(self.old_prog), "stderr")
            self.log += open(err, errors="replace").read().splitlines()[-20:]

    def healthy(self):
        """What holds of every victim, updated or not: it answers, its timer lives, nothing clings to it."""
        v = self.victim
        if v.ask("ping") != "pong":
            raise Failure("ping is not answered with pong")
        v.ticks_advance()
        if v.ask("eintr") != "0" and "allow-eintr" not in self.case.set:
            raise Failure("a system call was broken off with EINTR")
        if v.tracer() and not self.helpers:
            raise Failure(f"still traced by {v.tracer()}")

    # Steps: one method for each word of the expect file.

    def step_ask(self, value):
        cmd, arrow, want = value.partition(" -> ")
        if not arrow:
            raise Failure(f"expect: \"{value}\" has no ->")
        self.quiet = False
        got = self.victim.ask(cmd)
        self.log.append(f"{cmd} -> {got}")
        self.matches(f"\"{cmd}\"", got, want)

    step_before = step_after = step_ask

    def step_send(self, value):
        self.quiet = True  # its answers come by recv: steps first
        self.victim.send(value)

    def step_recv(self, value):
        self.matches("answer", self.victim.recv(30), value)

    def matches(self, what, got, want):
        if want == "*":
            return
        if len(want) > 2 and want[0] == want[-1] == "/":
            if re.fullmatch(want[1:-1], got):
                return
        elif got == want:
            return
        raise Failure(f"{what}: got \"{got}\", want \"{want}\"")

    def step_args(self, value):
        self.molt_args = value.split()

    def step_new(self, value):
        self.new = special.new_file(self, *value.split())

    def step_target(self, value):
        self.target = special.target(self, value)

    def step_do(self, value):
        special.do(self, value)

    def molt(self, *words, tool=None):
        cmd = [*self.prefix, tool or self.args.molt, *words]
        try:
            r = subprocess.run(cmd, capture_output=True, text=True, timeout=TIMEOUT, errors="replace",
                               start_new_session=True,
                               env=dict(os.environ, MOLT_STATE=os.path.join(self.top, "state")))
        except subprocess.TimeoutExpired:
            raise Failure(f"molt {words[0]} did not end within {TIMEOUT} s")
        self.log += ["$ " + " ".join(cmd), *r.stdout.splitlines()[:60], *r.stderr.splitlines()[:60],
                     f"exit {r.returncode}"]
        self.out = r.stdout + r.stderr
        try:
            self.report = json.loads(r.stdout)
        except ValueError:
            self.report = {}
        if r.returncode < 0:
            raise Failure(f"molt {words[0]} died by signal {-r.returncode}")
        return r.returncode

    def step_update(self, value):
        if self.args.control:
            return self.without_molt(value)
        self.update("update", value, self.new or self.new_prog)

    def step_plan(self, value):
        self.update("plan", value, self.new or self.new_prog)

    def step_revert(self, value):
        self.update("revert", value)

    def step_modules(self, value):
        self.modules = value.split()

    def step_alone(self, value):
        self.update("update", value, None, self.new_prog)

    def step_plan_alone(self, value):
        self.update("plan", value, None, self.new_prog)

    def step_alone_back(self, value):
        self.update("update", value, None, self.old_prog)

    def module_args(self, prog):
        folder = os.path.dirname(prog)
        return [w for m in self.modules for w in ("--module", f"lib{m}.so={folder}/lib{m}.so")]

    def without_molt(self, value):
        if value == "ok" and self.args.control == "restart":
            self.victim.kill()
            self.start(self.new_prog)

    def update(self, verb, want, new=None, beside=None):
        """`beside`: the program beside which the new libraries lie; `new` None: they alone."""
        v = self.victim
        pid = str(self.target if self.target is not None else v.pid)
        args = self.molt_args if verb != "plan" else []
        before = None if v.done else v.picture()
        files = [*([new] if new else []), *(self.module_args(beside or new) if beside or new else [])]
        code = self.molt(verb, pid, *files, "--json", *args, tool=special.tool(self))
        self.check_verdict(verb, want, code)
        if v.done or before is None:
            return
        after = v.picture()
        if verb == "plan" or code:
            for what in before:
                if before[what] != after[what]:
                    raise Failure(f"{verb} ended with {code} but the target's {what} changed: "
                                  + difference(before[what], after[what]))
        elif before["threads"] != after["threads"] and "threads" not in self.case.set:
            raise Failure(f"threads {before['threads']} became {after['threads']}")
        elif before["descriptors"] != after["descriptors"]:
            raise Failure(f"descriptors {before['descriptors']} became {after['descriptors']}")
        if not self.quiet:
            self.healthy()

    def check_verdict(self, verb, want, code):
        words = want.split()
        said = f"exit {code}, " + (f"{self.report.get('code')}: {self.report.get('reason')}"
                                   if self.report.get("reason") else self.out.strip()[-300:])
        if words[0] == "ok":
            if code:
                raise Failure(f"{verb}: {said}")
        elif words[0] == "refused":
            if code != 3 and not (len(words) > 1 and words[1] == "-" and code):
                raise Failure(f"{verb} should be refused with {want}: {said}")
            if len(words) > 1 and words[1] != "-" and self.report.get("code") not in words[1].split("|"):
                raise Failure(f"{verb} is refused, but not with {words[1]}: {said}")
            if len(words) > 2 and words[2] not in str(self.report.get("object")):
                raise Failure(f"{verb}: object is {self.report.get('object')}, want {words[2]}: {said}")
        elif words[0] == "exit":
            if code != int(words[1]):
                raise Failure(f"{verb} should end with {want}: {said}")
            if len(words) > 2 and self.report.get("code") != words[2]:
                raise Failure(f"{verb}: code should be {words[2]}: {said}")
        else:
            raise Failure(f"expect: unknown verdict {want}")

    def step_says(self, value):
        if value == "tracer-pid":
            value = str(self.helpers[-1].pid)
        if value not in self.out:
            raise Failure(f"molt does not say \"{value}\": {self.out.strip()[-600:]}")

    def step_status(self, value):
        code = self.molt("status", str(self.victim.pid), "--json")
        if code:
            raise Failure(f"status: exit {code}: {self.out.strip()[-300:]}")
        self.step_json(value)

    def step_memory(self, value):
        """`save`; `same except NAME ...`: the image that the program started with, ld.so's data, the auxv."""
        word, _, names = value.partition(" except ")
        if value == "save":
            self.saved = memory.save(self.victim.pid)
        elif word in ("same", "same-lazy"):
            memory.same(self.victim.pid, self.saved, names.split(), word == "same-lazy")
        else:
            raise Failure(f"expect: unknown memory: {value}")

    def step_mappings(self, value):
        """`save`; `same`: no more mappings than then."""
        now = [x for x in memory.mappings(self.victim.pid) if x[3] not in ("[heap]", "[stack]")]
        if value == "save":
            self.kept = now
        elif len(now) > len(self.kept):
            raise Failure(f"{len(self.kept)} mappings became {len(now)}: "
                          + ", ".join(f"{x[0]:x} {x[3]}" for x in now if x not in self.kept))

    def step_files(self, value):
        """`old` or `new`: which program /proc/PID/exe names."""
        got, want = os.readlink(f"/proc/{self.victim.pid}/exe"), self.old_prog if value == "old" else self.new_prog
        if got != os.path.realpath(want):
            raise Failure(f"/proc/PID/exe is {got}, want {want}")

    def step_json(self, value):
        compare(self.report, value)

    def step_diff(self, value):
        """A fact of `molt diff --json`; it needs no process."""
        if self.molt("diff", self.old_prog, self.new or self.new_prog, "--json"):
            raise Failure(f"diff: {self.out.strip()[-300:]}")
        compare(self.report, value)


def difference(a, b):
    if isinstance(a, list):
        return f"gone {[x for x in a if x not in b][:3]}, new {[x for x in b if x not in a][:3]}"
    return "bytes differ"


def compare(report, text):
    """`functions.code == 1`, `functions.code has NAME`, `names >= 1`: a fact of a JSON report."""
    path, op, want = text.split(None, 2)
    value = report
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    try:
        want = json.loads(want)
    except ValueError:
        pass
    if isinstance(value, list) and isinstance(want, list):
        value, want = sorted(map(str, value)), sorted(map(str, want))
    elif isinstance(value, list) and isinstance(want, (int, float)):
        value = len(value)
    try:
        good = {"==": lambda: value == want, "!=": lambda: value != want, ">=": lambda: value >= want,
                "<=": lambda: value <= want,
                "has": lambda: any(str(want) in str(x) for x in value)}[op]()
    except TypeError:
        good = False
    if not good:
        raise Failure(f"report: {text}: it is {json.dumps(value)[:300]}")
