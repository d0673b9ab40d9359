# SPDX-License-Identifier: LGPL-2.1-or-later
"""Circumstances set from outside: scheduling, limits, memory groups, namespaces."""
import os
import resource
import time

from .case import Failure, Skip

POLICIES = {"other": os.SCHED_OTHER, "fifo": os.SCHED_FIFO, "rr": os.SCHED_RR, "batch": os.SCHED_BATCH}


def wrapped_pid(outer, prog):
    """The pid of the program that a wrapper (unshare, sh) has started below it."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        for pid in descendants(outer):
            try:
                if os.path.samefile(f"/proc/{pid}/exe", prog):
                    return pid
            except OSError:
                pass
        time.sleep(0.002)
    raise Failure("the wrapper did not start the program")


def descendants(pid):
    yield pid
    try:
        children = open(f"/proc/{pid}/task/{pid}/children").read().split()
    except OSError:
        return
    for c in children:
        yield from descendants(int(c))


def sched(run, policy, priority="0"):
    try:
        for t in run.victim.threads():
            os.sched_setscheduler(t, POLICIES[policy], os.sched_param(int(priority)))
    except PermissionError:
        raise Skip("may not change the policy of a process")


def sched_is(run, policy, priority="0"):
    for t in run.victim.threads():
        got = os.sched_getscheduler(t) & ~os.SCHED_RESET_ON_FORK, os.sched_getparam(t).sched_priority
        if got != (POLICIES[policy], int(priority)):
            raise Failure(f"thread {t} has policy and priority {got}")


def nice(run, value):
    for t in run.victim.threads():
        os.setpriority(os.PRIO_PROCESS, t, int(value))


def nice_is(run, value):
    for t in run.victim.threads():
        if os.getpriority(os.PRIO_PROCESS, t) != int(value):
            raise Failure(f"thread {t} has nice {os.getpriority(os.PRIO_PROCESS, t)}")


def status_kb(pid, name):
    for line in open(f"/proc/{pid}/status"):
        if line.startswith(name + ":"):
            return int(line.split()[1])
    raise Failure(f"no {name} in the status of {pid}")


def limit_as(run, kb):
    """RLIMIT_AS so many KB above what is mapped now."""
    size = (status_kb(run.victim.pid, "VmSize") + int(kb)) * 1024
    resource.prlimit(run.victim.pid, resource.RLIMIT_AS, (size, resource.RLIM_INFINITY))


def memory_group(run, kb):
    """A memory group with a limit so many KB above what the program has now."""
    top = "/sys/fs/cgroup/memory"
    name, limit = "memory.limit_in_bytes", "cgroup.procs"
    if not os.path.exists(os.path.join(top, name)):
        top, name = "/sys/fs/cgroup", "memory.max"
    path = os.path.join(top, f"molt-test-{run.victim.pid}")
    try:
        os.mkdir(path)
        run.folders.append(path)
        with open(os.path.join(path, limit), "w") as f:
            f.write(str(run.victim.pid))
        with open(os.path.join(path, name), "w") as f:
            f.write(str((status_kb(run.victim.pid, "VmRSS") + int(kb)) * 1024))
    except OSError as e:
        raise Skip(f"no memory group can be made here: {e.strerror}")


def need_memory(run, gb):
    for line in open("/proc/meminfo"):
        if line.startswith("MemAvailable:") and int(line.split()[1]) < int(gb) << 20:
            raise Skip(f"less than {gb} GB of memory are free")


DO = {
    "sched": sched,
    "sched-is": sched_is,
    "nice": nice,
    "nice-is": nice_is,
    "limit-as": limit_as,
    "memory-group": memory_group,
    "need-memory": need_memory,
}
