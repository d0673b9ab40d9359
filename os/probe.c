// SPDX-License-Identifier: LGPL-2.1-or-later
// Probes of the host; see probe.h. Each gives 0 or -errno and may leave a remark.
#include "os/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/uapi.h"
#include "util/cleanup.h"

// The child that is probed: it sits in pause(), and the parent has it stopped by
// PTRACE_INTERRUPT.
struct subject {
	pid_t pid;
	uint8_t *page;	    // read-only and executable, the same address in both
	uint8_t *file_page; // a page of a deleted file
	size_t page_size;
	int fd;	    // open in both
	int seized; // 0 or -errno
};

typedef int (*probe_fn)(const struct subject *s, char *detail, size_t size);

static int probe_ptrace(const struct subject *s, char *detail, size_t size)
{
	if (s->seized)
		snprintf(detail, size, "a child of molt's own cannot be traced: %s",
			 strerror(-s->seized));
	return s->seized;
}

static int read_line(const char *path, char *buf, size_t size)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);

	if (n < 0)
		return -errno;
	buf[n] = 0;
	buf[strcspn(buf, "\n")] = 0;
	return 0;
}

// Effective capabilities as a bit mask.
static uint64_t effective_caps(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {};

	if (syscall(SYS_capget, &head, data) != 0)
		return 0;
	return data[0].effective | (uint64_t)data[1].effective << 32;
}

static int probe_cap(int number)
{
	return effective_caps() >> number & 1 ? 0 : -EPERM;
}

static int probe_yama(const struct subject *s, char *detail, size_t size)
{
	char scope[16];

	(void)s;
	if (read_line("/proc/sys/kernel/yama/ptrace_scope", scope, sizeof(scope)) != 0) {
		snprintf(detail, size, "Yama is not in this kernel");
		return 0;
	}
	snprintf(detail, size, "kernel.yama.ptrace_scope = %s", scope);
	int value = atoi(scope);
	if (value == 0)
		return 0;
	return value >= 3 ? -EPERM : probe_cap(CAP_SYS_PTRACE);
}

static int probe_vm_read(const struct subject *s, char *detail, size_t size)
{
	uint8_t byte;
	struct iovec to = {&byte, 1}, from = {s->page, 1};

	(void)detail, (void)size;
	return process_vm_readv(s->pid, &to, 1, &from, 1, 0) == 1 ? 0 : -errno;
}

static int open_proc(pid_t pid, const char *name, int flags)
{
	char path[96];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	int fd = open(path, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int probe_mem_write(const struct subject *s, char *detail, size_t size)
{
	_cleanup_close_ int fd = open_proc(s->pid, "mem", O_RDWR);
	uint8_t byte = 0xc3, back = 0;
	off_t at = (off_t)(uintptr_t)s->page;

	(void)detail, (void)size;
	if (fd < 0)
		return fd;
	if (pwrite(fd, &byte, 1, at) != 1 || pread(fd, &back, 1, at) != 1)
		return -errno;
	return back == byte ? 0 : -EIO;
}

static int probe_map_files(const struct subject *s, char *detail, size_t size)
{
	char name[64];
	uintptr_t at = (uintptr_t)s->file_page;

	(void)detail, (void)size;
	snprintf(name, sizeof(name), "map_files/%lx-%lx", (unsigned long)at,
		 (unsigned long)(at + s->page_size));
	_cleanup_close_ int fd = open_proc(s->pid, name, O_RDONLY);
	return fd < 0 ? fd : 0;
}

static int probe_memfd(const struct subject *s, char *detail, size_t size)
{
	_cleanup_close_ int fd = memfd_create("molt-probe", MFD_CLOEXEC);

	(void)detail, (void)size;
	if (fd < 0 || ftruncate(fd, (off_t)s->page_size) != 0)
		return -errno;
	void *p = mmap(NULL, s->page_size, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	munmap(p, s->page_size);
	return 0;
}

static int probe_pidfd(const struct subject *s, char *detail, size_t size)
{
	_cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, s->pid, 0);

	(void)detail, (void)size;
	if (pidfd < 0)
		return -errno;
	_cleanup_close_ int fd = (int)syscall(SYS_pidfd_getfd, pidfd, s->fd, 0);
	return fd < 0 ? -errno : 0;
}

static int probe_fifo(const struct subject *s, char *detail, size_t size)
{
	struct sched_param fifo = {.sched_priority = 1}, normal = {};

	(void)detail, (void)size;
	if (sched_setscheduler(s->pid, SCHED_FIFO, &fifo) != 0)
		return -errno;
	sched_setscheduler(s->pid, SCHED_OTHER, &normal);
	return 0;
}

static int probe_mm_map(const struct subject *s, char *detail, size_t size)
{
	unsigned int bytes = 0;

	(void)s;
	if (prctl(PR_SET_MM, PR_SET_MM_MAP_SIZE, &bytes, 0, 0) != 0)
		return -errno;
	snprintf(detail, size, "for targets that have CAP_CHECKPOINT_RESTORE");
	return 0;
}

static int probe_syscall_info(const struct subject *s, char *detail, size_t size)
{
	struct __ptrace_syscall_info info;

	(void)detail, (void)size;
	if (s->seized)
		return s->seized;
	return ptrace(PTRACE_GET_SYSCALL_INFO, s->pid, sizeof(info), &info) > 0 ? 0
										: -errno;
}

static int probe_suspend_seccomp(const struct subject *s, char *detail, size_t size)
{
	(void)detail, (void)size;
	if (s->seized)
		return s->seized;
	if (ptrace(PTRACE_SETOPTIONS, s->pid, NULL, PTRACE_O_SUSPEND_SECCOMP) != 0)
		return -errno;
	ptrace(PTRACE_SETOPTIONS, s->pid, NULL, 0);
	return 0;
}

static int probe_uffd_async(const struct subject *s, char *detail, size_t size)
{
	_cleanup_close_ int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	struct uffdio_api api = {
		.api = UFFD_API,
		.features = UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED,
	};

	(void)s, (void)detail, (void)size;
	if (fd < 0)
		return -errno;
	return ioctl(fd, UFFDIO_API, &api) == 0 ? 0 : -errno;
}

static int probe_pagemap_scan(const struct subject *s, char *detail, size_t size)
{
	_cleanup_close_ int fd = open_proc(s->pid, "pagemap", O_RDONLY);
	uint64_t region[3];
	struct uapi_pm_scan_arg arg = {
		.size = sizeof(arg),
		.start = (uintptr_t)s->page,
		.end = (uintptr_t)s->page + s->page_size,
		.vec = (uintptr_t)region,
		.vec_len = 1,
		.category_anyof_mask = UAPI_PAGE_IS_PRESENT,
		.return_mask = UAPI_PAGE_IS_PRESENT,
	};

	(void)detail, (void)size;
	if (fd < 0)
		return fd;
	return ioctl(fd, UAPI_PAGEMAP_SCAN, &arg) >= 0 ? 0 : -errno;
}

static int probe_no_shadow_stack(const struct subject *s, char *detail, size_t size)
{
	uint64_t features = 0;

	(void)s;
	if (syscall(SYS_arch_prctl, UAPI_ARCH_SHSTK_STATUS, &features) != 0) {
		snprintf(detail, size, "the kernel has none");
		return 0;
	}
	bool on = features & UAPI_ARCH_SHSTK_SHSTK;
	snprintf(detail, size, on ? "on for programs built for it" : "off by default");
	return on ? -ENOTSUP : 0;
}

static const struct probe names[] = {
	[PROBE_PTRACE] = {"ptrace", "stop a process (PTRACE_SEIZE, PTRACE_INTERRUPT)"},
	[PROBE_YAMA] = {"yama", "trace processes that are no children of molt"},
	[PROBE_CAP_PTRACE] = {"cap_sys_ptrace", "CAP_SYS_PTRACE"},
	[PROBE_CAP_NICE] = {"cap_sys_nice", "CAP_SYS_NICE"},
	[PROBE_CAP_RESOURCE] = {"cap_sys_resource", "CAP_SYS_RESOURCE"},
	[PROBE_CAP_RESTORE] = {"cap_checkpoint_restore", "CAP_CHECKPOINT_RESTORE"},
	[PROBE_CAP_ADMIN] = {"cap_sys_admin", "CAP_SYS_ADMIN"},
	[PROBE_VM_READ] = {"process_vm_readv", "read a process's memory in bulk"},
	[PROBE_MEM_WRITE] = {"proc_mem_write", "write to text through /proc/PID/mem"},
	[PROBE_MAP_FILES] = {"map_files",
			     "open deleted files through /proc/PID/map_files"},
	[PROBE_MEMFD] = {"memfd", "memfd_create, mapped executable"},
	[PROBE_PIDFD] = {"pidfd", "fetch a descriptor of a process (pidfd_getfd)"},
	[PROBE_FIFO] = {"sched_fifo", "raise a process to SCHED_FIFO"},
	[PROBE_MM_MAP] = {"pr_set_mm_map", "change /proc/PID/exe (PR_SET_MM_MAP)"},
	[PROBE_SYSCALL_INFO] = {"syscall_info", "PTRACE_GET_SYSCALL_INFO"},
	[PROBE_SUSPEND_SECCOMP] = {"suspend_seccomp", "PTRACE_O_SUSPEND_SECCOMP"},
	[PROBE_UFFD_ASYNC] = {"userfaultfd_wp_async", "track writes by userfaultfd"},
	[PROBE_PAGEMAP_SCAN] = {"pagemap_scan", "find written pages (PAGEMAP_SCAN)"},
	[PROBE_NO_SHADOW_STACK] = {"no_shadow_stack", "change return addresses"},
};

static const probe_fn probes[PROBE_COUNT] = {
	[PROBE_PTRACE] = probe_ptrace,
	[PROBE_YAMA] = probe_yama,
	[PROBE_VM_READ] = probe_vm_read,
	[PROBE_MEM_WRITE] = probe_mem_write,
	[PROBE_MAP_FILES] = probe_map_files,
	[PROBE_MEMFD] = probe_memfd,
	[PROBE_PIDFD] = probe_pidfd,
	[PROBE_FIFO] = probe_fifo,
	[PROBE_MM_MAP] = probe_mm_map,
	[PROBE_SYSCALL_INFO] = probe_syscall_info,
	[PROBE_SUSPEND_SECCOMP] = probe_suspend_seccomp,
	[PROBE_UFFD_ASYNC] = probe_uffd_async,
	[PROBE_PAGEMAP_SCAN] = probe_pagemap_scan,
	[PROBE_NO_SHADOW_STACK] = probe_no_shadow_stack,
};

// Those without a function of their own are capabilities.
static const struct {
	int cap;
	const char *remark;
} caps[PROBE_COUNT] = {
	[PROBE_CAP_PTRACE] = {CAP_SYS_PTRACE,
			      "processes of other users, and protected ones"},
	[PROBE_CAP_NICE] = {CAP_SYS_NICE, "raised priority in the critical stop"},
	[PROBE_CAP_RESOURCE] = {CAP_SYS_RESOURCE, "priority limits"},
	[PROBE_CAP_RESTORE] = {UAPI_CAP_CHECKPOINT_RESTORE, "/proc/PID/map_files"},
	[PROBE_CAP_ADMIN] = {CAP_SYS_ADMIN, "processes with a seccomp filter"},
};

const struct probe *probe_at(enum probe_id id)
{
	return &names[id];
}

static int seize(pid_t pid)
{
	siginfo_t info;

	if (ptrace(PTRACE_SEIZE, pid, NULL, 0) != 0 ||
	    ptrace(PTRACE_INTERRUPT, pid, NULL, 0) != 0)
		return -errno;
	if (waitid(P_PID, (id_t)pid, &info, WEXITED | WSTOPPED | __WALL) != 0)
		return -errno;
	return info.si_code == CLD_TRAPPED ? 0 : -ECHILD;
}

static void __attribute__((noreturn)) be_probed(pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(0);
	for (;;)
		pause();
}

// Maps what the child is asked for and makes it. Undone by subject_deinit also after a
// failure.
static int subject_init(struct subject *s)
{
	pid_t self = getpid();

	*s = (struct subject){.pid = -1, .page_size = (size_t)sysconf(_SC_PAGESIZE)};
	s->page = s->file_page = MAP_FAILED;
	s->fd = memfd_create("molt-probe", MFD_CLOEXEC);
	if (s->fd < 0 || ftruncate(s->fd, (off_t)s->page_size) != 0)
		return -errno;
	s->page = mmap(NULL, s->page_size, PROT_READ | PROT_EXEC,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	s->file_page = mmap(NULL, s->page_size, PROT_READ, MAP_PRIVATE, s->fd, 0);
	if (s->page == MAP_FAILED || s->file_page == MAP_FAILED)
		return -errno;
	s->pid = fork();
	if (s->pid < 0)
		return -errno;
	if (s->pid == 0)
		be_probed(self);
	s->seized = seize(s->pid);
	return 0;
}

static void subject_deinit(struct subject *s)
{
	if (s->pid > 0) {
		kill(s->pid, SIGKILL);
		while (waitpid(s->pid, NULL, __WALL) < 0 && errno == EINTR)
			;
	}
	if (s->page != MAP_FAILED)
		munmap(s->page, s->page_size);
	if (s->file_page != MAP_FAILED)
		munmap(s->file_page, s->page_size);
	if (s->fd >= 0)
		close(s->fd);
}

int probe_all(struct probe_result results[PROBE_COUNT])
{
	_cleanup_(subject_deinit) struct subject s;
	int rc = subject_init(&s);

	if (rc)
		return rc;
	for (size_t i = 0; i < PROBE_COUNT; i++) {
		struct probe_result *r = &results[i];

		*r = (struct probe_result){};
		if (probes[i]) {
			rc = probes[i](&s, r->detail, sizeof(r->detail));
		} else {
			snprintf(r->detail, sizeof(r->detail), "%s", caps[i].remark);
			rc = probe_cap(caps[i].cap);
		}
		r->ok = rc == 0;
		r->error = -rc;
	}
	return 0;
}
