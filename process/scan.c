// SPDX-License-Identifier: LGPL-2.1-or-later
// Reading all writable memory of a target; see scan.h.
#include "process/scan.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/param.h>

#include "os/proc.h"
#include "os/uapi.h"
#include "os/vm.h"
#include "util/cleanup.h"

enum {
	PAGE = 4096,
	PIECE = 256 << 10,
	REGIONS = 256,	      // of one PAGEMAP_SCAN
	FLAGS_AT_ONCE = 8192, // pages, where that ioctl is missing
};

static const uint64_t present_or_swapped = 3ull << 62; // kernel, pagemap.rst

struct scan {
	pid_t pid;
	int pagemap;
	bool no_ioctl;
	uint64_t left; // bytes that may still be read
	bool cut;
	uint64_t *buf;
	uint64_t *flags;
	scan_fn visit;
	void *arg;
};

static bool is_ours(const struct mapping *m)
{
	return !strncmp(m->path, "/memfd:molt", 11);
}

// A stack or a saved context may be in any memory that is the program's own; shared files are data bases.
static bool is_wanted(const struct mapping *m)
{
	if (!(m->prot & PROT_WRITE) || !(m->prot & PROT_READ) || is_ours(m))
		return false;
	if (!strncmp(m->path, "/dev/", 5))
		return !strncmp(m->path, "/dev/zero", 9) ||
		       !strncmp(m->path, "/dev/shm", 8);
	return !m->shared || m->path[0] != '/' || !strncmp(m->path, "/memfd:", 7) ||
	       !strncmp(m->path, "/SYSV", 5);
}

static struct err *read_range(struct scan *s, taddr_t from, taddr_t to)
{
	for (taddr_t at = from; at < to && !s->cut;) {
		size_t len = MIN(to - at, PIECE);
		const struct iovec local = {s->buf, len}, remote = {(void *)at, len};

		if (len > s->left) {
			s->cut = true;
			break;
		}
		ssize_t got = os_vm_transfer(s->pid, &local, &remote, 1, false);
		if (got < PAGE) { // unmapped meanwhile, or memory of a device
			at += PAGE;
			continue;
		}
		struct scan_piece piece = {
			.addr = at, .words = s->buf, .n = (size_t)got / sizeof(uint64_t)};
		TRY(s->visit(s->arg, &piece));
		s->left -= (uint64_t)got;
		at += (uint64_t)got & ~(uint64_t)(PAGE - 1);
	}
	return NULL;
}

// Linux 6.7: ranges that are there, at the cost of the page tables that exist.
static struct err *by_ioctl(struct scan *s, const struct mapping *m, bool *done)
{
	struct page_region {
		uint64_t start, end, categories;
	} regions[REGIONS];
	taddr_t from = m->start;

	*done = false;
	while (from < m->end && !s->cut) {
		struct uapi_pm_scan_arg arg = {
			.size = sizeof(arg),
			.start = from,
			.end = m->end,
			.vec = (uint64_t)(uintptr_t)regions,
			.vec_len = REGIONS,
			.category_anyof_mask = UAPI_PAGE_IS_PRESENT | UAPI_PAGE_IS_SWAPPED,
			.return_mask = UAPI_PAGE_IS_PRESENT,
		};
		int n = ioctl(s->pagemap, UAPI_PAGEMAP_SCAN, &arg);

		if (n < 0) {
			s->no_ioctl = errno == ENOTTY || errno == EINVAL;
			*done = !s->no_ioctl; // gone meanwhile
			return NULL;
		}
		for (int i = 0; i < n; i++)
			TRY(read_range(s, regions[i].start, regions[i].end));
		if (arg.walk_end <= from)
			break;
		from = arg.walk_end;
	}
	*done = true;
	return NULL;
}

static struct err *by_flags(struct scan *s, const struct mapping *m)
{
	for (taddr_t at = m->start; at < m->end && !s->cut;) {
		size_t pages = MIN((m->end - at) / PAGE, FLAGS_AT_ONCE);
		ssize_t got = os_pread(s->pagemap, s->flags, pages * 8, at / PAGE * 8);
		size_t known = got < 8 ? 0 : (size_t)got / 8, k = 0;

		while (k < known) {
			size_t first = k;

			while (k < known && s->flags[k] & present_or_swapped)
				k++;
			if (k > first)
				TRY(read_range(s, at + first * PAGE, at + k * PAGE));
			else
				k++;
		}
		at += MAX(known, 1) * PAGE;
	}
	return NULL;
}

struct err *scan_writable(pid_t pid, const struct maps *maps, uint64_t limit,
			  scan_fn visit, void *arg, bool *complete)
{
	_cleanup_close_ int fd = os_proc_open(pid, 0, "pagemap", O_RDONLY);
	_cleanup_free_ uint64_t *buf = malloc(PIECE);
	_cleanup_free_ uint64_t *flags = malloc(FLAGS_AT_ONCE * sizeof(*flags));
	struct scan s = {.pid = pid,
			 .pagemap = fd,
			 .left = limit,
			 .buf = buf,
			 .flags = flags,
			 .visit = visit,
			 .arg = arg};

	if (fd < 0)
		return err_sys(fd, "cannot see which pages of process %d are there", pid);
	if (!buf || !flags)
		return err_nomem();
	vec_for_each(m, &maps->v) {
		bool done = false;

		if (!is_wanted(m) || s.cut)
			continue;
		if (!s.no_ioctl)
			TRY(by_ioctl(&s, m, &done));
		if (!done)
			TRY(by_flags(&s, m));
	}
	*complete = !s.cut;
	return NULL;
}
