# SPDX-License-Identifier: LGPL-2.1-or-later
"""One update case: its expect file, and how both of its programs are built."""
import glob
import os
import shutil
import subprocess

VARIANTS = {
    "O0": ("gcc", ["-O0"]),
    "O2": ("gcc", ["-O2"]),
    "lto": ("gcc", ["-O3", "-flto"]),
    "clang": ("clang", ["-O2"]),
}
DEFAULT = "O0 O2 clang"
SETTINGS = ("variants", "cflags", "cflags1", "cflags2", "ldflags", "ldflags1", "ldflags2", "strip",
            "allow-eintr", "env", "user", "threads", "wrap", "long", "link", "libflags")
STEPS = ("before", "after", "ask", "send", "recv", "update", "revert", "plan", "args", "json", "diff",
         "says", "new", "target", "do", "status", "memory", "mappings", "files", "modules", "alone",
         "alone-back", "plan-alone")


class Failure(Exception):
    """The case did not do what it should."""


class NotBuilt(Failure):
    """A program of the case does not build: an error of the case itself."""


class Skip(Exception):
    """The case cannot run here; the text says why."""


class Case:
    def __init__(self, path):
        self.path = path
        self.name = os.path.basename(path)
        self.desc = open(os.path.join(path, "desc")).read().strip().split("\n")[0]
        self.set = {}
        self.steps = []
        for n, line in enumerate(open(os.path.join(path, "expect")), 1):
            self._line(n, line.rstrip("\n"))
        self.variants = self.set.get("variants", DEFAULT).split()

    def _line(self, n, line):
        if not line.strip() or line.startswith("#"):
            return
        key, colon, value = line.partition(":")
        value = value.strip()
        if colon and key in SETTINGS:
            self.set[key] = value
        elif colon and key in STEPS:
            self.steps.append((key, value))
        else:
            raise SystemExit(f"run-cases: {self.name}/expect:{n}: unknown line: {line}")

    def build(self, variant, side, folder):
        """Builds v1 or v2 as folder/prog, from a folder in which its sources have the same names."""
        cc, flags = VARIANTS[variant]
        if not shutil.which(cc):
            raise Skip(f"{cc} is not installed")
        sources = self._copy_sources(side, folder)
        if any(s.endswith(".cc") for s in sources):
            cc = {"gcc": "g++", "clang": "clang++"}[cc]
        n = side[1]
        words = lambda key: (self.set.get(key, "") + " " + self.set.get(key + n, "")).split()
        common = [cc, *flags, "-g", "-Wno-unused-result", "-I."]
        libs = [s for s in sources if s.startswith("lib")]
        linked = self.set.get("link", "").split()
        for s in sorted(libs, key=lambda s: os.path.splitext(s)[0][3:] in linked, reverse=True):
            name = os.path.splitext(s)[0]
            self._compile(side, folder, [*common, "-fPIC", "-shared", f"-Wl,-soname,{name}.so",
                                         *words("libflags"), s, "-o", name + ".so"])
        self._compile(side, folder, [*common, "-fPIE", "-pie", *words("cflags"),
                                     *[s for s in sources if s not in libs], "-o", "prog",
                                     *[f"./lib{x}.so" for x in linked],
                                     *(["-Wl,-rpath,$ORIGIN"] if libs else []), *words("ldflags")])
        if self.set.get("strip") == "split":
            for c in (["objcopy", "--only-keep-debug", "prog", "prog.debug"], ["strip", "-s", "prog"],
                      ["objcopy", "--add-gnu-debuglink=prog.debug", "prog"]):
                subprocess.run(c, cwd=folder, check=True)
        elif self.set.get("strip"):
            subprocess.run(["strip", *self.set["strip"].split(), "prog"], cwd=folder, check=True)
        return os.path.join(folder, "prog")

    def _compile(self, side, folder, cmd):
        r = subprocess.run(cmd, cwd=folder, capture_output=True, text=True, timeout=120)
        if r.returncode:
            raise NotBuilt(f"{side} does not build: {' '.join(cmd)}: {r.stderr.strip()[-600:]}")

    def _copy_sources(self, side, folder):
        os.makedirs(folder)
        shutil.copy(os.path.join(self.path, "..", "victim.h"), folder)
        for f in glob.glob(os.path.join(self.path, "*.h")):
            shutil.copy(f, folder)
        several = os.path.join(self.path, side)
        if os.path.isdir(several):
            names = set()
            for d in (os.path.join(self.path, "both"), several):
                for f in os.listdir(d) if os.path.isdir(d) else []:
                    shutil.copy(os.path.join(d, f), folder)
                    names.add(f)
            names = sorted(names)
            return [f for f in names if f.endswith((".c", ".cc", ".S"))]
        for ext in (".c", ".cc"):
            if os.path.exists(several + ext):
                shutil.copy(several + ext, os.path.join(folder, "prog" + ext))
                return ["prog" + ext]
        raise NotBuilt(f"no sources for {side}")
