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
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "os/proc.h"
#include "os/ptrace.h"
#include "restore/build.h"

static const uint64_t ZOMBIE_NS = 2000000000, KILLED_NS = 100000000;

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

static bool is_ending(pid_t pid, const struct os_status *s)
{
	const uint64_t exiting = 4; // PF_EXITING of the kernel
	uint64_t flags;

	return s->state == 'Z' || s->state == 'X' ||
	       (!os_proc_flags(pid, &flags) && flags & exiting);
}

// A process that has just ended leaves its id only when its parent has collected it; nothing tells when.
struct err *birth_check(pid_t pid)
{
	const struct timespec nap = {0, 2000000};
	uint64_t start = monotonic_ns();
	struct os_status s;

	for (;;) {
		if (os_proc_is_gone(os_proc_status(pid, 0, &s)))
			return NULL;
		// One that was just killed does not show it at once.
		if (monotonic_ns() - start >= (is_ending(pid, &s) ? ZOMBIE_NS : KILLED_NS))
			return pid_taken(pid);
		nanosleep(&nap, NULL);
	}
}

// Since Linux 6.15 an id is free only a moment after its thread can no longer be seen; an idle one may take long for that.
static bool comes_free(pid_t pid, int errnum, uint64_t start)
{
	const struct timespec nap = {0, 2000000};

	if (errnum != EEXIST || monotonic_ns() - start >= ZOMBIE_NS)
		return false;
	struct err *e = birth_check(pid);
	err_free(e);
	nanosleep(&nap, NULL);
	return !e;
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

// Every channel at its number: children of this process have them from here.
static bool place_channels(const struct channel_place *v, size_t n)
{
	int above = v[n - 1].number + 1;
	struct rlimit now;

	for (size_t i = 0; i < n; i++)
		above = above > v[i].fd ? above : v[i].fd + 1;
	if (getrlimit(RLIMIT_NOFILE, &now) < 0)
		return false;
	if (now.rlim_cur <= (rlim_t)above + n) {
		now.rlim_cur = (rlim_t)above + n + 1;
		if (now.rlim_max < now.rlim_cur)
			now.rlim_max = now.rlim_cur;
		if (setrlimit(RLIMIT_NOFILE, &now) < 0)
			return false;
	}
	// Out of the way of each other first.
	for (size_t i = 0; i < n; i++)
		if (dup3(v[i].fd, above + (int)i, O_CLOEXEC) < 0)
			return false;
	for (size_t i = 0; i < n; i++)
		if (dup3(above + (int)i, v[i].number, O_CLOEXEC) < 0)
			return false;
	if (v[0].number > 0)
		close_range(0, (unsigned)v[0].number - 1, 0);
	close_range((unsigned)above, ~0U, 0);
	return true;
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

static void child(const struct build *b, const struct slot *slot,
		  const struct channel_place *channels, size_t n, pid_t tool)
{
	// Until it is traced nothing else would end it with the tool.
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != tool)
		raw_end(1);
	leave_rseq();
	if (!map_area(b->site) || !place_channels(channels, n))
		raw_end(1);
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

// Traced, it ends with the tool by that.
static struct err *begin(struct build *b, struct build_thread *t)
{
	int64_t ret;

	TRY(thread_adopt(b, t));
	TRY(slot_wait(t->slot, t->tid));
	return remote_call(&b->remote, SYS_prctl, (uint64_t[6]){PR_SET_PDEATHSIG, 0},
			   &ret);
}

struct err *birth_root(struct build *b, pid_t pid, const struct channel_place *channels,
		       size_t n)
{
	pid_t id = pid;
	struct clone_args args = {
		.exit_signal = SIGCHLD,
		.set_tid = (uint64_t)(uintptr_t)&id,
		.set_tid_size = pid ? 1 : 0,
	};
	struct build_thread *t = &b->threads.v[0];
	uint64_t start = monotonic_ns();
	pid_t tool = getpid();
	sigset_t all, before;
	int errnum;
	long made;

	if (!pid)
		args.set_tid = 0;
	slot_expect(t->slot);
	t->slot->calls[0].nr = SYS_getpid;
	// What comes for the new process while it is rebuilt waits.
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	do {
		made = syscall(SYS_clone3, &args, sizeof(args));
		errnum = errno;
		if (!made)
			child(b, t->slot, channels, n, tool);
	} while (made < 0 && comes_free(pid, errnum, start));
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (made < 0)
		return birth_failed(errnum, pid);
	b->remote.pid = b->remote.tid = t->tid = (pid_t)made;
	return begin(b, t); // it has left the tool's memory then
}

// As a thread or process that clone3 makes begins: in a slot of its own, the stack pointer being the sum.
static struct clone_args *begin_at(struct build *maker, struct slot *slot, pid_t pid)
{
	struct remote *r = &maker->remote;
	struct clone_args *args = remote_take(r, sizeof(*args));
	int32_t *id = remote_take(r, sizeof(*id));

	if (!args || !id)
		return NULL;
	*id = pid;
	args->exit_signal = SIGCHLD;
	args->stack = site_at(maker->site, slot) - SLOT_CALLS;
	args->stack_size = SLOT_CALLS;
	args->set_tid = pid ? remote_at(r, id) : 0;
	args->set_tid_size = pid ? 1 : 0;
	return args;
}

static struct err *make_in(struct build *maker, struct slot *slot, pid_t pid,
			   uint64_t thread_flags, pid_t *ret)
{
	struct remote *r = &maker->remote;
	size_t mark = r->used;
	struct clone_args *args = slot ? begin_at(maker, slot, pid) : NULL;
	uint64_t start = monotonic_ns();
	int64_t made;

	if (!args)
		return err_new(ERR_INTERNAL, "no room in the restore area");
	args->flags = thread_flags;
	if (thread_flags)
		args->exit_signal = 0;
	do
		TRY(remote_call(r, SYS_clone3,
				(uint64_t[6]){remote_at(r, args), sizeof(*args)}, &made));
	while (made < 0 && comes_free(pid, (int)-made, start));
	remote_release(r, mark);
	if (made < 0)
		return birth_failed((int)-made, pid);
	*ret = (pid_t)made;
	return NULL;
}

struct err *birth_thread(struct build *b, struct build_thread *t, pid_t tid)
{
	t->slot = site_slot(b->site);
	if (t->slot)
		slot_expect(t->slot);
	TRY(make_in(b, t->slot, tid,
		    CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
			    CLONE_SYSVSEM,
		    &t->tid));
	TRY(thread_adopt(b, t));
	return slot_wait(t->slot, t->tid);
}

struct err *birth_child(struct build *parent, struct build *b, pid_t pid)
{
	struct build_thread *t = &b->threads.v[0];

	slot_expect(t->slot);
	t->slot->calls[t->slot->count++] =
		(struct slot_call){.nr = SYS_prctl, .args = {PR_SET_PDEATHSIG, SIGKILL}};
	TRY(make_in(parent, t->slot, pid, 0, &t->tid));
	b->remote.pid = b->remote.tid = t->tid;
	return begin(b, t);
}

// It ends by itself; nobody traces it.
struct err *birth_zombie(struct build *parent, pid_t pid, int status)
{
	struct slot *slot = site_slot(parent->site);
	int sig = WTERMSIG(status);
	struct syscall_req wait = {.nr = SYS_waitid};
	pid_t made;

	if (!slot)
		return err_new(ERR_INTERNAL, "no room in the restore area");
	slot_expect(slot);
	slot->calls[slot->count++] = (struct slot_call){
		.nr = SYS_prlimit64,
		.args = {0, RLIMIT_CORE,
			 site_at(parent->site, &slot->calls[SLOT_MAX - 1])}};
	if (sig && sig != SIGKILL) {
		slot->calls[slot->count++] = (struct slot_call){
			.nr = SYS_rt_sigprocmask,
			.args = {SIG_SETMASK,
				 site_at(parent->site, &slot->calls[SLOT_MAX - 1]), 0,
				 sizeof(uint64_t)}};
	}
	// Under an id that is not known yet it cannot be told to send itself a signal.
	if (sig && pid)
		slot->calls[slot->count++] = (struct slot_call){
			.nr = SYS_kill, .args = {(uint64_t)pid, (uint64_t)sig}};
	slot->calls[slot->count++] = (struct slot_call){
		.nr = SYS_exit_group, .args = {(uint64_t)WEXITSTATUS(status)}};
	TRY(make_in(parent, slot, pid, 0, &made));
	wait.args[0] = P_PID;
	wait.args[1] = (uint64_t)made;
	wait.args[3] = WEXITED | WNOWAIT;
	return remote_must(&parent->remote, &wait, 1, "cannot make an ended child");
}
