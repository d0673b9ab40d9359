// SPDX-License-Identifier: LGPL-2.1-or-later
// Writing memory into a process that stands still, through its page protections; see contents.h.
#include "restore/contents.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/param.h>

#include "os/vm.h"

enum { COPY = 4 << 20 };
static const uint64_t PAGE = 4096;

static struct err *put(const struct build *b, taddr_t addr, const uint8_t *buf, size_t len)
{
	while (len) {
		ssize_t r = os_pwrite(b->mem, buf, len, addr);

		if (r <= 0)
			return err_sys(r ? (int)r : EIO,
				       "cannot write the memory at 0x%" PRIx64
				       " of process %d",
				       addr, b->remote.pid);
		addr += (uint64_t)r;
		buf += r;
		len -= (size_t)r;
	}
	return NULL;
}

static struct err *put_run(const struct build *b, const struct page_run *run,
			   taddr_t addr, uint64_t len, uint8_t *buf)
{
	while (len) {
		size_t n = MIN(len, COPY);

		if (run->kind == PAGES_ZERO)
			memset(buf, 0, n);
		else
			TRY(core_read_memory(b->core, addr, buf, n));
		TRY(put(b, addr, buf, n));
		addr += n;
		len -= n;
	}
	return NULL;
}

static struct err *put_map(const struct build *b, const struct saved_map *m, uint8_t *buf)
{
	struct page_run run;

	for (taddr_t at = m->start; at < m->end;) {
		const struct core *c = core_find(b->core, at, &run);
		uint64_t len = c && run.len ? MIN(run.len, m->end - at) : PAGE;

		// New anonymous memory is zero by itself.
		if (c && run.len && (run.kind == PAGES_DATA || m->kind != SPACE_ANON))
			TRY(put_run(b, &run, at, len, buf));
		at += len;
	}
	return NULL;
}

static struct err *write_maps(struct build *b, bool lazy)
{
	_cleanup_free_ uint8_t *buf = malloc(COPY);

	if (!buf)
		return err_nomem();
	vec_for_each(m, &b->space->maps)
		if (m->stored && map_is_private(m) && m->kind != SPACE_VDSO &&
		    m->kind != SPACE_VVAR && map_is_lazy(m) == lazy)
			TRY(put_map(b, m, buf));
	return NULL;
}

struct err *contents_write(struct build *b)
{
	return write_maps(b, false);
}

struct err *contents_write_lazy(struct build *b)
{
	return write_maps(b, true);
}
