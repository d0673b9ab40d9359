// SPDX-License-Identifier: LGPL-2.1-or-later
// The first steps of a process that is rebuilt: made with the saved pid, it leaves the tool's memory for the restore area.
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "os/proc.h"
#include "os/ptrace.h"
#include "restore/build.h"

static const uint64_t ZOMBIE_NS = 2000000000;

static void comm_of(pid_t pid, char *buf, size_t size)
{
	struct os_status s;

	snprintf(buf, size, "%s", os_proc_status(pid, 0, &s) < 0 ? "?" : s.name);
}

static struct err *pid_taken(pid_t pid)
{
	char comm[16], object[16];
	struct os_status s;

	comm_of(pid, comm, sizeof(comm));
	snprintf(object, sizeof(object), "%d", pid);
	if (!os_proc_status(pid, 0, &s) && s.tgid != pid)
		return err_refuse("pid-taken", object,
				  "id %d is taken by a thread of process %d (%s); "
				  "--pid-any restores under other ids",
				  pid, s.tgid, comm);
	return err_refuse("pid-taken", object,
			  "pid %d is taken by a %s (%s); --pid-any restores under "
			  "other ids, --replace %d takes its place",
			  pid, s.state == 'Z' ? "zombie" : "process", comm, pid);
}

// A process that has just ended leaves its id only when its parent has collected it; nothing tells when.
struct err *birth_check(pid_t pid)
{
	const struct timespec nap = {0, 2000000};
	uint64_t deadline = monotonic_ns() + ZOMBIE_NS;
	struct os_status s;

	for (;;) {
		if (os_proc_is_gone(os_proc_status(pid, 0, &s)))
			return NULL;
		if (s.state != 'Z' || monotonic_ns() >= deadline)
			return pid_taken(pid);
		nanosleep(&nap, NULL);
	}
}

// In the child from here to the end: its memory is a copy of the tool's, which may have had other threads.

static void raw_end(int status)
{
	for (;;)
		syscall(SYS_exit_group, status);
}

static void leave_rseq(void)
{
	const unsigned signature = 0x53053053, unregister = 1, size = 32;

	if (__rseq_size)
		syscall(SYS_rseq, (char *)__builtin_thread_pointer() + __rseq_offset,
			size, unregister, signature);
}

static int place_channel(const struct build *b)
{
	const struct rlimit enough = {(rlim_t)b->number + 1, (rlim_t)b->number + 1};
	struct rlimit now;

	if (getrlimit(RLIMIT_NOFILE, &now) < 0)
		return -1;
	if (now.rlim_cur <= (rlim_t)b->number) {
		now.rlim_cur = enough.rlim_cur;
		if (now.rlim_max < now.rlim_cur)
			now.rlim_max = now.rlim_cur;
		if (setrlimit(RLIMIT_NOFILE, &now) < 0)
			return -1;
	}
	if (b->channel != b->number && dup3(b->channel, b->number, O_CLOEXEC) < 0)
		return -1;
	return 0;
}

static bool map_area(const struct site *a)
{
	const int flags = MAP_SHARED | MAP_FIXED_NOREPLACE;
	void *at = (void *)(uintptr_t)a->addr;
	char *rest = (char *)at + SITE_CODE;

	return mmap(at, SITE_CODE, PROT_READ | PROT_EXEC, flags, a->fd, 0) == at &&
	       mmap(rest, a->size - SITE_CODE, PROT_READ | PROT_WRITE, flags, a->fd,
		    SITE_CODE) == rest;
}

static void child(const struct build *b, const struct slot *slot)
{
	leave_rseq();
	if (!map_area(b->site))
		raw_end(1);
	if (place_channel(b) < 0)
		raw_end(1);
	if (b->number > 0)
		close_range(0, (unsigned)b->number - 1, 0);
	close_range((unsigned)b->number + 1, ~0U, 0);
	__asm__ volatile("mov %0, %%rsp\n\t"
			 "jmp *%1"
			 :
			 : "r"(site_at(b->site, slot)), "r"(b->site->addr)
			 : "memory");
	__builtin_unreachable();
}

static struct err *birth_failed(int errnum, pid_t pid)
{
	if (errnum == EEXIST)
		return pid_taken(pid);
	if (errnum == EPERM)
		return err_with(err_new(ERR_PERM,
					"no permission to choose pid %d: it takes "
					"CAP_CHECKPOINT_RESTORE or root; --pid-any "
					"restores under other ids",
					pid),
				"no-permission", NULL);
	return err_sys(errnum, "cannot make process %d", pid);
}

struct err *birth_root(struct build *b, pid_t pid)
{
	pid_t id = pid;
	struct clone_args args = {
		.exit_signal = SIGCHLD,
		.set_tid = (uint64_t)(uintptr_t)&id,
		.set_tid_size = pid ? 1 : 0,
	};
	struct build_thread *t = &b->threads.v[0];
	sigset_t all, before;

	if (!pid)
		args.set_tid = 0;
	slot_expect(t->slot);
	t->slot->calls[0].nr = SYS_getpid;
	// What comes for the new process while it is rebuilt waits.
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	long made = syscall(SYS_clone3, &args, sizeof(args));
	int errnum = errno;
	if (!made)
		child(b, t->slot);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (made < 0)
		return birth_failed(errnum, pid);
	b->remote.pid = b->remote.tid = t->tid = (pid_t)made;
	TRY(thread_adopt(b, t));
	return slot_wait(t->slot, t->tid); // it has left the tool's memory
}
