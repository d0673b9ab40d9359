// SPDX-License-Identifier: LGPL-2.1-or-later
// The helper thread's own code page and stack, and what it sheds at its start.
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "arch/x86_64/bootstrap.h"
#include "process/fault.h"
#include "process/helper_impl.h"
#include "process/maps.h"
#include "process/memory.h"
#include "process/thread.h"
#include "util/cleanup.h"

enum { MAP_TRIES = 8, GUARD = 1 << 16 };

// The descriptor table is a copy of the target's: as long as it held them open, no connection could end.
static struct err *drop_descriptors(struct helper *h)
{
	int64_t r;

	TRY(helper_syscall(h, SYS_close_range, (uint64_t[6]){0, UINT32_MAX, 0}, &r));
	return r < 0 ? err_with(err_new(ERR_UNSUPPORTED,
					"close_range failed in process %d: the kernel "
					"is older than 5.9 or a filter forbids it",
					h->process->pid),
				"close-range", h->process->comm)
		     : NULL;
}

// Maps the area near `near`: from a memory file, so that its name in the list of mappings tells a later tool
// whose it was.
static struct err *map_area(struct helper *h, taddr_t near, int rfd)
{
	int flags = MAP_PRIVATE | MAP_NORESERVE, prot = PROT_READ | PROT_WRITE;

	if (!near)
		return helper_mmap(h, 0, HELPER_AREA, prot, flags, rfd, 0, &h->area);
	for (int i = 0; i < MAP_TRIES; i++) {
		_cleanup_(maps_deinit) struct maps maps = {0};

		TRY(maps_read(h->process->pid, &maps));
		taddr_t at = maps_find_hole(&maps, near, near + 1, HELPER_AREA, GUARD);
		if (!at)
			return err_with(err_new(ERR_UNSUPPORTED,
						"no room for the helper thread within 2 "
						"GB of 0x%" PRIx64 " in process %d (%s)",
						near, h->process->pid, h->process->comm),
					"no-room", h->process->comm);
		struct err *e = helper_mmap(h, at, HELPER_AREA, prot,
					    flags | MAP_FIXED_NOREPLACE, rfd, 0, &h->area);
		// The target runs and may have taken the hole.
		if (!e || e->errnum != EEXIST)
			return e;
		err_free(e);
	}
	return err_new(ERR_BUSY,
		       "no room stays free for the helper thread in process %d (%s)",
		       h->process->pid, h->process->comm);
}

static struct err *fill_area(struct helper *h)
{
	TRY(mem_write(h->process->pid, h->area, helper_page_start,
		      (size_t)(helper_page_end - helper_page_start)));
	return helper_mprotect(h, h->area, HELPER_PAGE, PROT_READ | PROT_EXEC);
}

static struct err *make_area(struct helper *h, taddr_t near)
{
	taddr_t name = h->slack + bootstrap_data_offset + BD_NAME;
	int rfd;
	int64_t r;

	TRY(helper_memfd_at(h, name, &rfd));
	TRY(helper_syscall(h, SYS_ftruncate, (uint64_t[6]){(uint64_t)rfd, HELPER_AREA},
			   &r));
	if (r < 0)
		return err_sys((int)r, "cannot size a memory file in process %d",
			       h->process->pid);
	TRY(map_area(h, near, rfd));
	TRY(fill_area(h));
	return helper_close(h, rfd);
}

// From the stub into its own page: the stub may be taken away only when nothing runs there any more.
static struct err *move_to_area(struct helper *h)
{
	static const char name[] = HELPER_NAME;
	int64_t r;

	h->syscall_at = h->area + helper_syscall_offset;
	h->process->impl->helper_area = h->area;
	TRY(mem_write(h->process->pid, h->area + HELPER_SCRATCH, name, sizeof(name)));
	TRY(helper_syscall(h, SYS_prctl,
			   (uint64_t[6]){PR_SET_NAME, h->area + HELPER_SCRATCH}, &r));
	return helper_clear_slack(h);
}

// A tool that died leaves its helper's area. The thread has ended by itself, unless a function that it called
// goes on for ever.
static struct err *unmap_left_over(struct helper *h)
{
	_cleanup_(maps_deinit) struct maps maps = {0};

	TRY(threads_refresh(h->process));
	vec_for_each(t, &h->process->threads) {
		if (!strcmp(t->comm, HELPER_NAME))
			return NULL;
	}
	TRY(maps_read(h->process->pid, &maps));
	vec_for_each(m, &maps.v) {
		if (strncmp(m->path, "/memfd:" HELPER_NAME,
			    sizeof("/memfd:" HELPER_NAME) - 1) ||
		    (m->start >= h->area && m->end <= h->area + HELPER_AREA))
			continue;
		TRY(helper_munmap(h, m->start, m->end - m->start));
	}
	return NULL;
}

struct err *helper_settle(struct helper *h, taddr_t near)
{
	TRY(drop_descriptors(h));
	struct err *e = make_area(h, near);
	if (!e)
		e = fault_point("helper-mapped");
	if (!e)
		e = move_to_area(h);
	// The stub in the slack is there still, and from there it can unmap what it has.
	if (e && h->tid && h->area && h->slack_bytes && !h->broken) {
		h->syscall_at = h->slack + bootstrap_syscall_offset;
		h->process->impl->helper_area = 0;
		err_free(helper_munmap(h, h->area, HELPER_AREA));
		h->area = 0;
	}
	return e ? e : unmap_left_over(h);
}

// A thread cannot unmap the code it runs: the end of the stub, put behind a module's text once more, serves for
// the last two calls. The module of before may be gone by now.
struct err *helper_leave_area(struct helper *h)
{
	int64_t r;

	h->process->impl->helper_area = 0;
	TRY(helper_take_slack(h));
	TRY(mem_poke(h->process->pid, h->slack, bootstrap_start, h->slack_size));
	h->syscall_at = h->slack + bootstrap_syscall_offset;
	return helper_syscall(h, SYS_munmap, (uint64_t[6]){h->area, HELPER_AREA}, &r);
}
