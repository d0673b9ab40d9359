// SPDX-License-Identifier: LGPL-2.1-or-later
// Running a piece of code that must come to its end though the tool is killed.
#pragma once

// Calls fn(arg) in a process of its own that shares memory and descriptors with this one, and waits for it. A SIGKILL of
// the tool does not reach it: what fn changed it can put back. fn makes system calls and touches memory that is
// there, nothing else: no allocation, no locks. Signals are blocked in it. 0 when fn came to its end, -EIO when the process was
// killed before, else -errno: not started.
int os_run_apart(void (*fn)(void *arg), void *arg);
