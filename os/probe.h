// SPDX-License-Identifier: LGPL-2.1-or-later
// What this host offers, found out by doing it to a forked child, never by the kernel's
// version.
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum probe_id {
	PROBE_PTRACE, // seize and interrupt a process
	PROBE_YAMA,   // kernel.yama.ptrace_scope lets processes be traced that are no
		      // children
	PROBE_CAP_PTRACE,
	PROBE_CAP_NICE,
	PROBE_CAP_RESOURCE,
	PROBE_CAP_RESTORE,
	PROBE_CAP_ADMIN,
	PROBE_VM_READ,	    // process_vm_readv
	PROBE_MEM_WRITE,    // write to read-only text through /proc/PID/mem
	PROBE_MAP_FILES,    // open a mapped file that was deleted
	PROBE_MEMFD,	    // memfd_create, mapped executable
	PROBE_PIDFD,	    // fetch a descriptor of another process
	PROBE_FIFO,	    // SCHED_FIFO
	PROBE_MM_MAP,	    // PR_SET_MM_MAP
	PROBE_SYSCALL_INFO, // PTRACE_GET_SYSCALL_INFO
	PROBE_SUSPEND_SECCOMP,
	PROBE_UFFD_ASYNC, // userfaultfd with asynchronous write protection
	PROBE_PAGEMAP_SCAN,
	PROBE_NO_SHADOW_STACK, // return addresses may be changed
	PROBE_COUNT,
};

struct probe {
	const char *name; // as in --json: "ptrace", "process_vm_readv"
	const char *what; // one line for people
};

struct probe_result {
	bool ok;
	int error;	  // errno value, 0 when ok or when it is no matter of a call
	char detail[120]; // a value, or what is in the way; may be empty
};

const struct probe *probe_at(enum probe_id id);

// Tries all. The child is ended and collected before it returns. 0, or -errno when no
// child can be made.
int probe_all(struct probe_result results[PROBE_COUNT]);
