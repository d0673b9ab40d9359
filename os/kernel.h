// SPDX-License-Identifier: LGPL-2.1-or-later
// Kernel constants that C library headers lack or that only the kernel knows.
#pragma once

#include <asm/ioctl.h>
#include <stdint.h>

// Results of an interrupted system call as a stopped thread shows them
// (include/linux/errno.h of the kernel, never seen by a program).
enum {
	UAPI_ERESTARTSYS = 512,
	UAPI_ERESTARTNOINTR = 513,
	UAPI_ERESTARTNOHAND = 514,
	UAPI_ERESTART_RESTARTBLOCK = 516,
};

enum { UAPI_PF_KTHREAD = 0x00200000 }; // field 9 of /proc/PID/stat

enum { UAPI_SYS_EPOLL_PWAIT2 = 441 }; // 5.11

struct uapi_sched_attr { // sched_setattr(2), 3.14; glibc has it since 2.41
	uint32_t size;
	uint32_t policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

enum { UAPI_SCHED_FLAG_RESET_ON_FORK = 1 };

struct uapi_rseq_configuration { // PTRACE_GET_RSEQ_CONFIGURATION, 5.13
	uint64_t pointer;
	uint32_t size, signature, flags, pad;
};
enum { UAPI_PTRACE_GET_RSEQ_CONFIGURATION = 0x420f };

struct uapi_rseq { // rseq(2), 4.18: the head that every version has
	uint32_t cpu_id_start, cpu_id;
	uint64_t rseq_cs;
};

struct uapi_seccomp_metadata { // PTRACE_SECCOMP_GET_METADATA, 4.16
	uint64_t filter_off, flags;
};
enum { UAPI_PTRACE_SECCOMP_GET_METADATA = 0x420d };

struct uapi_sigaction { // rt_sigaction(2): the kernel's own, not the C library's
	uint64_t handler, flags, restorer, mask;
};
enum { UAPI_SIGNALS = 64 };

enum { // ioprio_set(2); linux/ioprio.h says no more
	UAPI_IOPRIO_WHO_PROCESS = 1,
	UAPI_IOPRIO_CLASS_SHIFT = 13,
	UAPI_IOPRIO_RT = 1,
	UAPI_IOPRIO_BE = 2,
	UAPI_IOPRIO_IDLE = 3,
};
#define UAPI_SS_AUTODISARM (1U << 31) // sigaltstack(2), 4.7
// linux/timerfd.h and linux/inotify.h, which the C library's headers of these names exclude; 3.17 and 4.14.
#define UAPI_TFD_IOC_SET_TICKS _IOW('T', 0, uint64_t)
#define UAPI_INOTIFY_IOC_SETNEXTWD _IOW('I', 0, int32_t)

#define UAPI_PTRACE_O_SUSPEND_SECCOMP \
	(1UL << 21) // PTRACE_SEIZE, 4.3; takes CAP_SYS_ADMIN
