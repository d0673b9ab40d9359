// SPDX-License-Identifier: LGPL-2.1-or-later
#define VICTIM_OWN_MAIN
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "victim.h"

#define LOAD(what) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, what))
#define ALLOW(nr)                                                                                    \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

// Any other call kills the process.
static struct sock_filter filter[] = {
	LOAD(arch),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	LOAD(nr),
	ALLOW(SYS_read),
	ALLOW(SYS_write),
	ALLOW(SYS_fstat),
	ALLOW(SYS_poll),
	ALLOW(SYS_brk),
	ALLOW(SYS_exit_group),
	ALLOW(SYS_newfstatat),
	ALLOW(SYS_ioctl),
	ALLOW(SYS_lseek),
	ALLOW(SYS_getrandom),
	ALLOW(SYS_rt_sigprocmask),
	ALLOW(SYS_clone),
	ALLOW(SYS_getpid),
	ALLOW(SYS_exit),
	ALLOW(SYS_futex),
	ALLOW(SYS_clock_gettime),
	ALLOW(SYS_mmap),
	ALLOW(SYS_munmap),
	ALLOW(SYS_mprotect),
	ALLOW(SYS_madvise),
	ALLOW(SYS_memfd_create),
	ALLOW(SYS_ftruncate),
	ALLOW(SYS_close),
	ALLOW(SYS_close_range),
	ALLOW(SYS_prctl),
	ALLOW(SYS_sched_setattr),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
};

static NOINLINE int confine(void)
{
	struct sock_fprog prog = { sizeof(filter) / sizeof(*filter), filter };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog);
}

static int n;

NOINLINE void handle(const char *cmd, char *out, int size)
{
	(void)cmd;
	reply("two %d", ++n);
}

int main(void)
{
	victim_init();
	if (confine())
		return 1;
	victim_say("ready");
	victim_loop();
	printf("bye\n");
	return 0;
}
