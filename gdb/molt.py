# SPDX-License-Identifier: GPL-2.0-or-later
# Makes gdb, when it attaches to a process that molt has updated, load the symbols that `molt symbols` writes. Lies in
# /etc/gdb/gdbinit.d, or is loaded by `source`. MOLT names the command if it is not in PATH.
import os
import shutil
import subprocess
import tempfile

import gdb

RECORD = "/memfd:molt:record"


class MoltSymbols:
    """Looks at each process once, when it has first stopped."""

    def __init__(self):
        self.seen = set()
        self.folders = []
        gdb.events.stop.connect(self.stopped)
        gdb.events.exited.connect(self.forget)
        if hasattr(gdb.events, "gdb_exiting"):
            gdb.events.gdb_exiting.connect(self.clean)

    def stopped(self, _):
        pid = gdb.selected_inferior().pid
        if not pid or pid in self.seen:
            return
        self.seen.add(pid)
        try:
            with open(f"/proc/{pid}/maps", errors="replace") as f:
                updated = RECORD in f.read()
        except OSError:
            return
        if updated:
            self.load(pid)

    def load(self, pid):
        folder = tempfile.mkdtemp(prefix="molt-symbols-")
        self.folders.append(folder)
        argv = [os.environ.get("MOLT", "molt"), "symbols", "-o", folder, str(pid)]
        try:
            r = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        except (OSError, subprocess.TimeoutExpired) as e:
            gdb.write(f"molt: process {pid} was updated; variables are shown wrong: {e}\n", gdb.STDERR)
            return
        if r.returncode:
            gdb.write(r.stderr, gdb.STDERR)
            return
        gdb.execute("source " + os.path.join(folder, "gdb"), False, True)
        gdb.write(f"molt: process {pid} was updated; loaded its symbols\n")

    def forget(self, _):
        self.seen.clear()

    def clean(self, _):
        for folder in self.folders:
            shutil.rmtree(folder, ignore_errors=True)


MoltSymbols()
