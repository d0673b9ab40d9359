// SPDX-License-Identifier: LGPL-2.1-or-later
// The mappings of a target; see maps.h.
#include "process/maps.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/param.h>
#include <sys/sysmacros.h>

#include "os/proc.h"
#include "util/cleanup.h"

static const taddr_t PAGE = 4096;
static const taddr_t USER_END =
	0x7ffffffff000; // 47 bits, less the guard page the kernel keeps
static const taddr_t STACK_ROOM =
	128ULL << 20; // the kernel keeps this free below the stack (MIN_GAP)
// Shortest of the int32 displacement's range and a page for the instruction itself.
static const uint64_t REACH = (1ULL << 31) - 4096;

static bool parse_line(char *line, struct mapping *ret)
{
	char perms[5];
	unsigned major, minor;
	int used = 0;

	memset(ret, 0, sizeof(*ret));
	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %x:%x %" SCNu64 " %n",
		   &ret->start, &ret->end, perms, &ret->offset, &major, &minor, &ret->ino,
		   &used) != 7 ||
	    !used || ret->start >= ret->end || strlen(perms) != 4)
		return false;
	ret->prot = (perms[0] == 'r' ? PROT_READ : 0) |
		    (perms[1] == 'w' ? PROT_WRITE : 0) | (perms[2] == 'x' ? PROT_EXEC : 0);
	ret->shared = perms[3] == 's';
	ret->dev = makedev(major, minor);
	ret->path = line + used;
	return true;
}

struct err *maps_parse(char *text, struct maps *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (char *save, *line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		struct mapping m;
		struct err *e;

		if (!parse_line(line, &m)) {
			e = err_new(ERR_INTERNAL, "cannot understand a line of maps: %s",
				    line);
		} else {
			m.path = strdup(m.path);
			e = m.path ? vec_push(&ret->v, m) : err_nomem();
			if (e)
				free(m.path);
		}
		if (e) {
			maps_deinit(ret);
			return e;
		}
	}
	return NULL;
}

struct err *maps_read(pid_t pid, struct maps *ret)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r = os_proc_read(pid, 0, "maps", &text, &len);

	memset(ret, 0, sizeof(*ret));
	if (r == -EACCES || r == -EPERM)
		return err_with(
			err_new(ERR_PERM,
				"no permission to look at process %d: run molt as root "
				"or as the user whose it is",
				(int)pid),
			"no-permission", NULL);
	if (r < 0)
		return err_sys(r == -ENOENT ? ESRCH : r, "cannot read the mappings of %d",
			       pid);
	return err_wrap(maps_parse(text, ret), "process %d", pid);
}

void maps_deinit(struct maps *m)
{
	vec_for_each(it, &m->v)
		free(it->path);
	vec_free(&m->v);
}

const struct mapping *maps_at(const struct maps *m, taddr_t addr)
{
	size_t lo = 0, hi = m->v.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (m->v.v[mid].end <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < m->v.n && m->v.v[lo].start <= addr ? &m->v.v[lo] : NULL;
}

static int by_start(const void *a, const void *b)
{
	const struct mapping *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

struct err *maps_reserve(struct maps *m, taddr_t start, uint64_t size)
{
	struct mapping r = {.start = start, .end = start + size, .path = strdup("")};
	struct err *e = r.path ? vec_push(&m->v, r) : err_nomem();

	if (e)
		free(r.path);
	else
		qsort(m->v.v, m->v.n, sizeof(*m->v.v), by_start);
	return e;
}

struct gap {
	taddr_t lo, hi;	   // hi exclusive; guards are taken off
	bool below_growth; // the program break grows into it from below
};

static taddr_t lowest_address(void)
{
	uint64_t min = 0;

	if (os_read_u64("/proc/sys/vm/mmap_min_addr", &min) < 0)
		min = 0;
	return roundup(MAX(min, 65536), PAGE);
}

// The gap in front of mapping i (behind the last one when i == n); false when it is
// empty.
static bool gap_before(const struct maps *m, size_t i, taddr_t lowest, uint64_t guard,
		       struct gap *ret)
{
	const struct mapping *prev = i ? &m->v.v[i - 1] : NULL;
	const struct mapping *next = i < m->v.n ? &m->v.v[i] : NULL;
	taddr_t lo = prev ? prev->end : 0, hi = next ? next->start : USER_END;
	taddr_t room = guard;

	hi = MIN(hi, USER_END);
	if (next && !strcmp(next->path, "[stack]"))
		room = MAX(guard, STACK_ROOM);
	lo = roundup(MAX(prev ? lo + guard : 0, lowest), PAGE);
	if (hi < room)
		return false;
	hi = (hi - room) / PAGE * PAGE;
	*ret = (struct gap){lo, hi, prev && !strcmp(prev->path, "[heap]")};
	return lo < hi;
}

// Narrows the gap to the places from which all of [lo, hi) can be reached.
static bool within_reach(struct gap *g, taddr_t lo, taddr_t hi)
{
	taddr_t first = hi > REACH ? hi - REACH : 0, last;

	if (__builtin_add_overflow(lo, REACH, &last))
		last = USER_END;
	g->lo = MAX(g->lo, roundup(first, PAGE));
	g->hi = MIN(g->hi, last / PAGE * PAGE);
	return g->lo < g->hi;
}

taddr_t maps_find_hole(const struct maps *m, taddr_t lo, taddr_t hi, uint64_t size,
		       uint64_t guard)
{
	taddr_t lowest = lowest_address(), below = 0, above = 0, beside_heap = 0;
	struct gap g;

	if (!size || size > USER_END || guard > USER_END || lo >= hi || hi > USER_END)
		return 0;
	size = roundup(size, PAGE);
	guard = roundup(guard, PAGE);
	for (size_t i = 0; i <= m->v.n; i++) {
		if (!gap_before(m, i, lowest, guard, &g) || !within_reach(&g, lo, hi) ||
		    g.hi - g.lo < size)
			continue;
		if (g.hi <= lo)
			below = g.hi - size;
		else if (g.lo >= hi && g.below_growth && !beside_heap)
			// As far from the heap as may be: a program break that cannot
			// grow costs it dear.
			beside_heap = g.hi - size;
		else if (g.lo >= hi && !g.below_growth && !above)
			above = g.lo;
	}
	return below ? below : above ? above : beside_heap;
}
