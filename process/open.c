// SPDX-License-Identifier: LGPL-2.1-or-later
// Looking at a process before it is touched: may it be updated at all?
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "os/proc.h"
#include "os/ptrace.h"
#include "os/vm.h"
#include "process/maps.h"
#include "process/process_impl.h"
#include "util/cleanup.h"

static const char DELETED[] = " (deleted)";

struct look { // at one process, while process_open decides
	pid_t pid;
	struct os_status status;
	char object[32];
};

static struct err *gone(const struct look *l, int r)
{
	if (os_proc_is_gone(r))
		return err_refuse("pid-gone", l->object, "there is no process %d", l->pid);
	return err_sys(r, "cannot look at process %d", l->pid);
}

static struct err *check_kind(const struct look *l)
{
	uint64_t flags;

	if (l->status.tgid != l->pid)
		return err_refuse("not-a-process", l->object,
				  "%d is a thread of process %d: name the process",
				  l->pid, l->status.tgid);
	if (l->pid == getpid())
		return err_refuse("self", l->object, "%d is molt itself", l->pid);
	if (l->status.state == 'Z' && l->status.threads > 1)
		return err_refuse("zombie", l->object,
				  "the first thread of process %d (%s) has ended before "
				  "the others, "
				  "which keeps its memory out of reach",
				  l->pid, l->status.name);
	if (l->status.state == 'Z' || l->status.state == 'X')
		return err_refuse(
			"zombie", l->object,
			"process %d (%s) has ended and only waits for its parent %d",
			l->pid, l->status.name, l->status.ppid);
	int r = os_proc_flags(l->pid, &flags);
	if (r < 0)
		return gone(l, r);
	if (flags & UAPI_PF_KTHREAD)
		return err_refuse("kernel-thread", l->object,
				  "%d (%s) is a kernel thread", l->pid, l->status.name);
	return NULL;
}

static struct err *check_tracer(const struct look *l)
{
	_cleanup_free_ pid_t *tids = NULL;
	struct os_status s, tracer;
	size_t n;

	int r = os_proc_tasks(l->pid, &tids, &n);
	if (r < 0)
		return gone(l, r);
	for (size_t i = 0; i < n; i++) {
		r = os_proc_status(l->pid, tids[i], &s);
		if (r < 0 && !os_proc_is_gone(r))
			return gone(l, r);
		if (r < 0 || !s.tracer)
			continue;
		bool named = !os_proc_status(s.tracer, 0, &tracer);

		return err_refuse(
			"already-traced", l->object,
			"process %d (%s) is already traced by %d (%s): detach it first",
			l->pid, l->status.name, s.tracer, named ? tracer.name : "?");
	}
	return NULL;
}

static struct err *no_permission(const struct look *l)
{
	uint64_t scope = 0;
	struct err *e;

	if (os_read_u64("/proc/sys/kernel/yama/ptrace_scope", &scope) < 0)
		scope = 0;
	if (geteuid() && (l->status.uid != geteuid() || l->status.euid != geteuid()))
		e = err_new(ERR_PERM,
			    "no permission to trace process %d (%s): it runs as user %u "
			    "and molt as "
			    "user %u; run molt as root or with CAP_SYS_PTRACE",
			    l->pid, l->status.name, l->status.euid, geteuid());
	else if (scope >= 3)
		e = err_new(ERR_PERM,
			    "no permission to trace process %d (%s): "
			    "kernel.yama.ptrace_scope is 3, "
			    "which forbids tracing until the next boot",
			    l->pid, l->status.name);
	else if (scope)
		e = err_new(ERR_PERM,
			    "no permission to trace process %d (%s): "
			    "kernel.yama.ptrace_scope is "
			    "%llu; run molt with CAP_SYS_PTRACE or set it to 0",
			    l->pid, l->status.name, (unsigned long long)scope);
	else
		e = err_new(ERR_PERM,
			    "no permission to trace process %d (%s): it is not dumpable, "
			    "has more "
			    "capabilities than molt or a security module forbids it; run "
			    "molt with "
			    "CAP_SYS_PTRACE",
			    l->pid, l->status.name);
	return err_with(e, "no-permission", l->object);
}

// The kernel applies the same check to writing /proc/PID/mem as to PTRACE_SEIZE.
static struct err *check_permission(const struct look *l)
{
	_cleanup_close_ int fd = os_proc_open(l->pid, 0, "mem", O_RDWR);

	if (os_proc_is_gone(fd))
		return gone(l, fd);
	if (fd == -EACCES || fd == -EPERM)
		return no_permission(l);
	return fd < 0 ? err_sys(fd, "cannot open the memory of %d", l->pid) : NULL;
}

static struct err *check_machine(const struct look *l)
{
	_cleanup_close_ int fd = os_proc_open(l->pid, 0, "exe", O_RDONLY);
	Elf64_Ehdr h;

	if (os_proc_is_gone(fd))
		return gone(l, fd);
	if (fd < 0)
		return err_sys(fd, "cannot open the program of %d", l->pid);
	ssize_t n = os_pread(fd, &h, sizeof(h), 0);
	if (n < 0)
		return err_sys((int)n, "cannot read the program of %d", l->pid);
	// Class and machine are in the part that 32-bit files have too.
	if (n < 20 || memcmp(h.e_ident, ELFMAG, SELFMAG) ||
	    h.e_ident[EI_CLASS] != ELFCLASS64 || h.e_machine != EM_X86_64)
		return err_refuse("not-64-bit", l->object,
				  "process %d (%s) does not run a 64-bit x86-64 program",
				  l->pid, l->status.name);
	return NULL;
}

static struct err *read_exe(struct process *p)
{
	char path[PATH_MAX];
	int r = os_proc_link(p->pid, 0, "exe", path, sizeof(path));

	if (r < 0)
		return err_sys(r, "cannot read the name of the program of %d", p->pid);
	size_t n = strlen(path), tail = sizeof(DELETED) - 1;
	p->exe_deleted = n > tail && !strcmp(path + n - tail, DELETED);
	if (p->exe_deleted)
		path[n - tail] = 0;
	p->exe = strdup(path);
	return p->exe ? NULL : err_nomem();
}

static bool is_libc(const char *path)
{
	const char *name = strrchr(path, '/');

	return name && (!strncmp(name, "/libc.", 6) || !strncmp(name, "/libc-", 6) ||
			!strncmp(name, "/ld-musl", 8));
}

static struct err *find_libc(struct process *p)
{
	_cleanup_(maps_deinit) struct maps maps = {0};

	TRY(maps_read(p->pid, &maps));
	vec_for_each(m, &maps.v) {
		if (!(m->prot & PROT_EXEC) || !is_libc(m->path))
			continue;
		p->impl->libc_start = m->start;
		p->impl->libc_end = m->end;
		break;
	}
	return NULL;
}

static struct err *create(const struct look *l, struct process **ret)
{
	_cleanup_(process_closep) struct process *p = calloc(1, sizeof(*p));

	if (!p)
		return err_nomem();
	p->impl = calloc(1, sizeof(*p->impl));
	if (!p->impl)
		return err_nomem();
	p->pid = l->pid;
	p->uid = l->status.uid;
	memcpy(p->comm, l->status.name, sizeof(p->comm));
	p->impl->own_child = l->status.ppid == getpid();
	TRY(read_exe(p));
	TRY(find_libc(p));
	*ret = take_ptr(p);
	return NULL;
}

struct err *process_open(pid_t pid, struct process **ret)
{
	struct look l = {.pid = pid};

	snprintf(l.object, sizeof(l.object), "%d", pid);
	int r = pid > 0 ? os_proc_status(pid, 0, &l.status) : -ESRCH;
	if (r < 0)
		return gone(&l, r);
	TRY(check_kind(&l));
	TRY(check_tracer(&l));
	TRY(check_permission(&l));
	TRY(check_machine(&l));
	return create(&l, ret);
}
