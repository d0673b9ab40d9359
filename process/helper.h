// SPDX-License-Identifier: LGPL-2.1-or-later
// A helper thread inside the target makes molt's system calls there (findings-safety.md,
// Protocol 1-4). Made by one injected clone(CLONE_VM|CLONE_SIGHAND|CLONE_THREAD) into one
// thread, which restores itself by moves; the helper has its own descriptor table,
// blocked signals and ends by itself if the tool dies.
#pragma once

#include "process/process.h"

struct helper;

// Starts it. Stops one thread (any that is at a safe place) for the injection. `near` is an address the helper's
// own code page is put close to (within 2 GB), so that gates can be reached by rel32; 0: anywhere. What helpers
// of tools that died left in the target is cleared. Errors: refused seccomp; ERR_BUSY no-safe-thread;
// ERR_UNSUPPORTED no-slack, no-room, close-range.
struct err *helper_start(struct process *p, taddr_t near, struct helper **ret) must_check;

// One system call in the target. The kernel's -errno comes back in *ret; an error means
// that the target or the helper is gone.
struct err *helper_syscall(struct helper *h, long nr, const uint64_t args[6],
			   int64_t *ret) must_check;

struct syscall_req {
	long nr;
	uint64_t args[6];
	int64_t ret;
};
// Several, in order; stops at the first that fails (ret < 0) and says which in *done.
struct err *helper_syscalls(struct helper *h, struct syscall_req *reqs, size_t n,
			    size_t *done) must_check;

// Calls a function in the target (IFUNC resolver, redo log) on the helper's own small stack, the helper's FS being
// that of a thread of the target. *ret gets rax. ERR_BUSY with code helper-timeout when it takes longer than
// timeout_ns, ERR_INTERNAL with code call-crashed when it faults; the helper cannot be used after either.
struct err *helper_call(struct helper *h, taddr_t func, uint64_t arg, uint64_t timeout_ns,
			uint64_t *ret) must_check;

// Convenience: mmap, munmap, mprotect with an error that names the range.
struct err *helper_mmap(struct helper *h, taddr_t addr, uint64_t len, int prot, int flags,
			int fd, uint64_t off, taddr_t *ret) must_check;
struct err *helper_munmap(struct helper *h, taddr_t addr, uint64_t len) must_check;
struct err *helper_mprotect(struct helper *h, taddr_t addr, uint64_t len, int prot)
	must_check;

// A memfd created in the target (helper's private table) and opened by the tool too.
struct err *helper_memfd(struct helper *h, const char *name, int *rfd, int *fd) must_check;

// Gives the helper a descriptor of the tool's; its number there is in *rfd. The target needs no right to the
// file. ERR_UNSUPPORTED family-kernel before Linux 6.9; refused seccomp.
struct err *helper_give_fd(struct helper *h, int fd, int *rfd) must_check;

// The tool's own descriptor of one that the helper has. ERR_UNSUPPORTED as above.
struct err *helper_take_fd(const struct helper *h, int rfd, int *ret) must_check;

// Closes one of the helper's own descriptors.
struct err *helper_close(struct helper *h, int rfd) must_check;

// Memory of the helper's in the target, writable, for arguments of its system calls; each call of a function here may
// overwrite it.
taddr_t helper_scratch(const struct helper *h, size_t *size);

pid_t helper_tid(const struct helper *h);
taddr_t helper_near(const struct helper *h); // where its own area is

// Ends the helper thread and unmaps its area.
void helper_stop(struct helper *h);
void helper_stopp(struct helper **h);
