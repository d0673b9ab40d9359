// SPDX-License-Identifier: LGPL-2.1-or-later
// Registering the memory of a process that is rebuilt with userfaultfd; see lazy.h.
#include "restore/lazy.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/param.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <unistd.h>

static const uint64_t PAGE = 4096;

// Its page faults in the kernel have to come to us, too: takes CAP_SYS_PTRACE or vm.unprivileged_userfaultfd.
static struct err *make(struct build *b)
{
	const uint64_t features = UFFD_FEATURE_EVENT_FORK | UFFD_FEATURE_EVENT_REMAP |
				  UFFD_FEATURE_EVENT_REMOVE | UFFD_FEATURE_EVENT_UNMAP;
	struct uffdio_api api = {.api = UFFD_API, .features = features};
	int64_t number, ret;

	TRY(remote_call(&b->remote, SYS_userfaultfd,
			(uint64_t[6]){O_CLOEXEC | O_NONBLOCK}, &number));
	if (number < 0)
		return NULL;
	_cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, b->remote.pid, 0);
	_cleanup_close_ int fd =
		pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, (int)number, 0);
	TRY(remote_call(&b->remote, SYS_close, (uint64_t[6]){(uint64_t)number}, &ret));
	if (fd >= 0 && !ioctl(fd, UFFDIO_API, &api))
		b->uffd = take_fd(&fd);
	return NULL;
}

static struct err *add_runs(const struct build *b, const struct saved_map *m,
			    struct pending_memory *pending)
{
	struct page_run run;

	for (taddr_t at = m->start; at < m->end;) {
		const struct core *c = core_find(b->core, at, &run);
		uint64_t len = c && run.len ? MIN(run.len, m->end - at) : PAGE;

		if (c && run.len && run.kind == PAGES_DATA)
			TRY(pending_add(pending,
					&(struct pending_run){at, len, run.offset, c}));
		at += len;
	}
	return NULL;
}

static struct err *add_map(const struct build *b, const struct saved_map *m,
			   struct pending_memory *pending, struct moves *moves)
{
	struct uffdio_register reg = {.range = {m->start, m->end - m->start},
				      .mode = UFFDIO_REGISTER_MODE_MISSING};
	size_t before = pending->v.n;

	TRY(add_runs(b, m, pending));
	if (pending->v.n == before)
		return NULL;
	if (ioctl(b->uffd, UFFDIO_REGISTER, &reg) < 0)
		return err_sys(errno,
			       "cannot watch the memory at 0x%" PRIx64 " of process %d",
			       m->start, b->remote.pid);
	return moves_register(moves, m->start, m->end - m->start);
}

static struct err *bring_page(const struct build *b, taddr_t addr,
			      struct pending_memory *pending)
{
	uint8_t page[4096];
	struct pending_run run;
	struct uffdio_copy c = {.dst = addr - addr % PAGE,
				.src = (uint64_t)(uintptr_t)page,
				.len = sizeof(page)};

	if (!pending_at(pending, c.dst, &run))
		return NULL;
	TRY(core_read_memory(b->core, c.dst, page, sizeof(page)));
	if (ioctl(b->uffd, UFFDIO_COPY, &c) < 0)
		return err_sys(errno, "cannot bring memory");
	return pending_drop(pending, c.dst, PAGE);
}

// What the rebuilding itself and the first instructions touch: nobody has to wait for it then.
static struct err *bring_first(const struct build *b, struct pending_memory *pending)
{
	static const char *const lists[] = {"rseq", "robust"};

	vec_for_each(t, &b->threads) {
		struct user_regs_struct regs;
		taddr_t addr;

		TRY(json_get_exact(t->state, "regs", &regs, sizeof(regs)));
		TRY(bring_page(b, regs.rsp, pending));
		TRY(bring_page(b, regs.fs_base, pending));
		if (json_has(t->state, "tid_address")) {
			TRY(json_get_addr(t->state, "tid_address", &addr));
			TRY(bring_page(b, addr, pending));
		}
		for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
			const json_t *o = json_object_get(t->state, lists[i]);

			if (!o)
				continue;
			TRY(json_get_addr(o, "address", &addr));
			TRY(bring_page(b, addr, pending));
		}
	}
	return NULL;
}

struct err *lazy_register(struct build *b, struct pending_memory *ret, struct moves *moves)
{
	b->uffd = -1;
	TRY(make(b));
	if (b->uffd < 0)
		return NULL;
	vec_for_each(m, &b->space->maps)
		if (m->stored && map_is_lazy(m))
			TRY(add_map(b, m, ret, moves));
	return bring_first(b, ret);
}
