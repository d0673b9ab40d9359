// SPDX-License-Identifier: LGPL-2.1-or-later
// The old image on anonymous memory, the new program as /proc/PID/exe; see swap.h.
#include "update/swap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/prctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util/cleanup.h"

enum {
	STOP_TIMEOUT_MS = 2000,
	AUXV_MAX = 512,
};

// A mapping of the old file and the anonymous memory that will take its place.
struct swap {
	struct mapping *m;
	taddr_t copy; // 0 when there is none (any more)
};

struct swapping {
	struct plan *p; // of the executable, when its link is to be changed; else NULL
	struct plan *const *plans;
	size_t n_plans;
	struct process *process;
	struct helper *h;
	struct maps maps;
	bool locked;
	VEC(struct swap) swaps;
	// For prctl: memory with its arguments, and NEW opened in the target.
	taddr_t area;
	size_t auxv_words;
	int64_t exe_fd;
};

// Whether the target may set its executable, and whether it locks memory (mlockall: the copy must be locked).
static struct err *read_status(struct swapping *s, bool *may_set)
{
	char path[64], line[256];
	unsigned long long effective = 0, locked = 0;

	snprintf(path, sizeof(path), "/proc/%d/status", s->process->pid);
	FILE *f = fopen(path, "re");
	if (!f)
		return err_sys(errno, "cannot read %s", path);
	while (fgets(line, sizeof(line), f)) {
		sscanf(line, "CapEff: %llx", &effective);
		sscanf(line, "VmLck: %llu", &locked);
	}
	fclose(f);
	s->locked = locked > 0;
	*may_set = effective & (1ull << CAP_CHECKPOINT_RESTORE | 1ull << CAP_SYS_ADMIN);
	return NULL;
}

// Mappings of the old file of a library that was updated.
static bool is_library(const struct swapping *s, const struct mapping *m)
{
	for (size_t i = 0; i < s->n_plans; i++) {
		const struct subject *sub = s->plans[i]->subject;
		taddr_t base = subject_base(sub);

		if (!subject_is_exe(sub) && m->start >= base &&
		    m->start - base < sub->old->span &&
		    target_maps_file(sub->target, base))
			return true;
	}
	return false;
}

static struct err *collect(struct swapping *s)
{
	char link[64];
	struct stat st;

	snprintf(link, sizeof(link), "/proc/%d/exe", s->process->pid);
	if (stat(link, &st))
		return err_sys(errno, "cannot look at %s", link);
	TRY(maps_read(s->process->pid, &s->maps));
	vec_for_each(m, &s->maps.v) {
		bool of_exe = s->p && m->ino == st.st_ino && m->dev == st.st_dev;

		// The kernel may be writing to pages of the old image by itself.
		if (strstr(m->path, "[io_uring]") || !strncmp(m->path, "/[aio]", 6))
			return err_new(ERR_UNSUPPORTED,
				       "the process uses asynchronous I/O");
		if (!of_exe && !(m->ino && is_library(s, m)))
			continue;
		if (m->shared)
			return err_new(ERR_UNSUPPORTED, "it is mapped shared at 0x%lx",
				       m->start);
		struct swap sw = {.m = m};
		TRY(vec_push(&s->swaps, sw));
	}
	return NULL;
}

static struct err *copy_bytes(struct swapping *s, struct swap *sw)
{
	size_t size = sw->m->end - sw->m->start;
	_cleanup_free_ void *buf = malloc(size);

	if (!buf)
		return err_nomem();
	TRY(mem_read(s->process->pid, sw->m->start, buf, size));
	return mem_write(s->process->pid, sw->copy, buf, size);
}

// The copy takes the mapping's place in one step: other threads see the same bytes before and after.
static struct err *put_in_place(struct swapping *s, struct swap *sw)
{
	uint64_t size = sw->m->end - sw->m->start;
	const uint64_t args[6] = {sw->copy, size, size, MREMAP_MAYMOVE | MREMAP_FIXED,
				  sw->m->start};
	int64_t r;

	if (sw->m->prot != (PROT_READ | PROT_WRITE))
		TRY(helper_mprotect(s->h, sw->copy, size, sw->m->prot));
	TRY(helper_syscall(s->h, SYS_mremap, args, &r));
	if (r < 0)
		return err_sys((int)r, "cannot move the copy of 0x%lx into place",
			       sw->m->start);
	sw->copy = 0;
	return NULL;
}

static struct err *map_copies(struct swapping *s)
{
	vec_for_each(sw, &s->swaps)
		TRY(helper_mmap(s->h, 0, sw->m->end - sw->m->start, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE |
					(s->locked ? MAP_LOCKED : 0),
				-1, 0, &sw->copy));
	return NULL;
}

static struct err *swap_some(struct swapping *s, bool writable)
{
	vec_for_each(sw, &s->swaps) {
		if (writable != !!(sw->m->prot & PROT_WRITE))
			continue;
		TRY(copy_bytes(s, sw));
		TRY(put_in_place(s, sw));
	}
	return NULL;
}

// proc(5), /proc/PID/stat: fields 26-28 and 45-51 are the addresses that PR_SET_MM_MAP wants back.
static struct err *read_mm(pid_t pid, struct prctl_mm_map *mm)
{
	char path[64], buf[2048];
	unsigned long long v[64] = {0};
	int n = 2;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(errno, "cannot read %s", path);
	ssize_t got = read(fd, buf, sizeof(buf) - 1);
	if (got < 0)
		return err_sys(errno, "cannot read %s", path);
	buf[got] = 0;
	char *p = strrchr(buf, ')');
	for (p = p ? p + 1 : NULL; p && *p && n < 63;) {
		char *end;

		while (*p == ' ')
			p++;
		v[++n] = strtoull(p, &end, 10);
		p = end == p ? p + 1 : end; // the state is a letter
	}
	if (n < 51)
		return err_new(ERR_UNSUPPORTED, "%s has only %d fields", path, n);
	mm->start_code = v[26];
	mm->end_code = v[27];
	mm->start_stack = v[28];
	mm->start_data = v[45];
	mm->end_data = v[46];
	mm->start_brk = v[47];
	mm->arg_start = v[48];
	mm->arg_end = v[49];
	mm->env_start = v[50];
	mm->env_end = v[51];
	return NULL;
}

static struct err *current_brk(struct helper *h, __u64 *ret)
{
	const uint64_t args[6] = {0};
	int64_t r;

	TRY(helper_syscall(h, SYS_brk, args, &r));
	*ret = (__u64)r;
	return NULL;
}

// The saved auxiliary vector with AT_PHDR and AT_ENTRY of the new image: those on the stack have them.
static struct err *read_auxv(struct swapping *s, uint64_t *auxv, size_t *n)
{
	const struct plan *p = s->p;
	taddr_t old = subject_base(p->subject), new = p->layout.base;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/auxv", s->process->pid);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(errno, "cannot read %s", path);
	ssize_t got = read(fd, auxv, AUXV_MAX * sizeof(*auxv));
	if (got < 0)
		return err_sys(errno, "cannot read %s", path);
	*n = (size_t)got / 8;
	for (size_t i = 0; i + 1 < *n; i += 2) {
		if (auxv[i] == AT_ENTRY)
			auxv[i + 1] = new + p->new->entry;
		if (auxv[i] == AT_PHDR && auxv[i + 1] >= old &&
		    auxv[i + 1] < old + p->subject->old->span)
			auxv[i + 1] = auxv[i + 1] - old + new;
	}
	return NULL;
}

enum { PATH_AT = 0, MM_AT = 4096, AUXV_AT = 8192, AREA = 16384 };

// Makes the helper open NEW and puts prctl's arguments into memory of the target. The descriptor lives in the
// helper's own table and ends with it.
static struct err *prepare_exe(struct swapping *s)
{
	_cleanup_free_ char *path = realpath(s->p->new->path, NULL);
	uint64_t auxv[AUXV_MAX];
	pid_t pid = s->process->pid;

	if (!path || strlen(path) >= MM_AT)
		return err_sys(path ? ENAMETOOLONG : errno, "cannot resolve %s",
			       s->p->new->path);
	TRY(helper_mmap(s->h, 0, AREA, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0, &s->area));
	TRY(read_auxv(s, auxv, &s->auxv_words));
	TRY(mem_write(pid, s->area + PATH_AT, path, strlen(path) + 1));
	TRY(mem_write(pid, s->area + AUXV_AT, auxv, s->auxv_words * 8));
	const uint64_t args[6] = {(uint64_t)AT_FDCWD, s->area + PATH_AT,
				  O_RDONLY | O_CLOEXEC};
	TRY(helper_syscall(s->h, SYS_openat, args, &s->exe_fd));
	return s->exe_fd < 0 ? err_sys((int)s->exe_fd, "the process cannot open %s", path)
			     : NULL;
}

// In the stop: the program break goes to the kernel as it is at this moment.
static struct err *set_exe(struct swapping *s)
{
	struct prctl_mm_map mm = {0};
	int64_t r;

	TRY(read_mm(s->process->pid, &mm));
	TRY(current_brk(s->h, &mm.brk));
	mm.auxv = (void *)(s->area + AUXV_AT);
	mm.auxv_size = (uint32_t)(s->auxv_words * 8);
	mm.exe_fd = (uint32_t)s->exe_fd;
	TRY(mem_write(s->process->pid, s->area + MM_AT, &mm, sizeof(mm)));
	const uint64_t args[6] = {PR_SET_MM, PR_SET_MM_MAP, s->area + MM_AT, sizeof(mm)};
	TRY(helper_syscall(s->h, SYS_prctl, args, &r));
	return r < 0 ? err_sys((int)r, "prctl(PR_SET_MM_MAP)") : NULL;
}

// The writable part must not change while it is copied, nor the program break while it is told.
static struct err *swap_stopped(struct swapping *s, uint64_t *stop_ns)
{
	uint64_t first = 0, last = 0;

	process_boost(s->process);
	struct err *e = process_freeze(
		s->process, monotonic_ns() + STOP_TIMEOUT_MS * 1000000ull, &first);
	if (!e) {
		e = swap_some(s, true);
		if (!e && s->p)
			e = set_exe(s);
		e = err_first(e, process_thaw(s->process, &last));
		*stop_ns = last - first;
	}
	process_unboost(s->process);
	return e;
}

static struct err *swap_all(struct swapping *s, uint64_t *stop_ns)
{
	struct err *link = NULL; // why /proc/PID/exe stays
	bool may_set = false;

	TRY(read_status(s, &may_set));
	if (s->p && !may_set) {
		s->p = NULL;
		link = err_new(ERR_PERM, "the process lacks CAP_CHECKPOINT_RESTORE");
	}
	struct err *e = collect(s);
	if (!e && (s->p || s->swaps.n)) {
		e = map_copies(s);
		if (!e)
			e = swap_some(s, false);
		if (!e && s->p)
			e = prepare_exe(s);
		if (!e)
			e = swap_stopped(s, stop_ns);
	}
	return err_first(link, e);
}

struct err *swap_old_images(struct plan *const *plans, size_t n, struct helper *h,
			    uint64_t *stop_ns)
{
	struct swapping s = {.p = subject_is_exe(plans[0]->subject) ? plans[0] : NULL,
			     .plans = plans,
			     .n_plans = n,
			     .process = plans[0]->subject->process,
			     .h = h};
	struct err *e = swap_all(&s, stop_ns);

	vec_for_each(sw, &s.swaps)
		if (sw->copy)
			err_free(helper_munmap(h, sw->copy, sw->m->end - sw->m->start));
	if (s.area)
		err_free(helper_munmap(h, s.area, AREA));
	vec_free(&s.swaps);
	maps_deinit(&s.maps);
	return e;
}
