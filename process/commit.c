// SPDX-License-Identifier: LGPL-2.1-or-later
// The commit's control area and list of patches; see commit.h.
#include "process/commit.h"

#include <string.h>
#include <sys/param.h>
#include <unistd.h>

#include "process/commit_impl.h"
#include "util/cleanup.h"

enum {
	MAX_PATCHES = 1 << 20,
	MAX_THREADS = 1 << 16,
	MAX_RANGES = 1 << 15, // the kernel's default limit of mappings is 65530
	SPARE_RANGES = 64,
	SPARE_THREADS = 16, // that the target makes until it is stopped
};

static void put_stubs(struct commit *c)
{
	taddr_t records = c->area.addr + PAYLOAD_PAGE + c->head->records_off;

	for (size_t i = 0; i < 2 * c->max_threads; i++) {
		uint64_t off = c->area.stubs + i * PAYLOAD_STUB;
		struct commit_record *r = &c->records[i / 2];
		struct thread_state_rec *s = i % 2 ? &r->new_state : &r->old_state;

		s->exit_stub = c->area.addr + off;
		payload_exit_stub(c->area.map + off, c->area.addr + off,
				  records + (i / 2) * CR_SIZE + (i % 2 ? CR_NEW : CR_OLD));
	}
}

static struct err *map_area(struct commit *c, taddr_t near)
{
	uint64_t log = CH_SIZE, ranges = log + c->max_patches * CL_SIZE;
	uint64_t records = ranges + c->max_ranges * CG_SIZE;
	uint64_t stubs = PAYLOAD_PAGE + roundup(records + c->max_threads * CR_SIZE,
						(uint64_t)PAYLOAD_PAGE);
	uint64_t size = stubs + roundup(2 * c->max_threads * PAYLOAD_STUB,
					(uint64_t)PAYLOAD_PAGE);

	TRY(area_create(c->p, c->h, near, COMMIT_AREA_NAME, stubs, size, &c->area));
	c->head = (struct commit_header *)(c->area.map + PAYLOAD_PAGE);
	c->log = (struct commit_log_entry *)((uint8_t *)c->head + log);
	c->ranges = (struct commit_range *)((uint8_t *)c->head + ranges);
	c->records = (struct commit_record *)((uint8_t *)c->head + records);
	*c->head = (struct commit_header){
		.state = COMMIT_AREA_INTENT,
		.log_off = log,
		.ranges_off = ranges,
		.records_off = records,
		.size = size,
		.tool_pid = getpid(),
		.target_pid = c->p->pid,
		.tool_start = process_start_time(getpid()),
	};
	c->word = &c->head->decision;
	c->head->word = c->area.addr + PAYLOAD_PAGE + CH_DECISION;
	memcpy(c->area.map, payload_commit, (size_t)(payload_commit_end - payload_commit));
	put_stubs(c);
	__atomic_store_n(&c->head->magic, COMMIT_MAGIC, __ATOMIC_RELEASE);
	return area_seal(c->h, &c->area);
}

static struct err *allocate(struct commit *c)
{
	c->n_granules = 64;
	while (c->n_granules < 4 * c->max_patches)
		c->n_granules *= 2;
	c->granules = calloc(c->n_granules, sizeof(*c->granules));
	c->what = calloc(c->max_patches, sizeof(*c->what));
	if (!c->granules || !c->what)
		return err_nomem();
	TRY(vec_reserve(&c->moves, c->max_threads));
	return vec_reserve(&c->scratch, 256);
}

struct err *commit_create(struct process *p, struct helper *h, taddr_t near,
			  size_t max_patches, size_t max_threads, struct commit **ret)
{
	_cleanup_(commit_freep) struct commit *c = NULL;
	struct err *e;

	if (!max_patches || max_patches > MAX_PATCHES || max_threads > MAX_THREADS)
		return err_new(ERR_INTERNAL, "a commit of %zu patches and %zu threads",
			       max_patches, max_threads);
	c = calloc(1, sizeof(*c));
	if (!c)
		return err_nomem();
	c->p = p;
	c->h = h;
	c->max_patches = max_patches;
	c->max_ranges = MIN(2 * max_patches, (size_t)MAX_RANGES) + SPARE_RANGES;
	c->max_threads = max_threads + SPARE_THREADS;
	TRY(allocate(c));
	e = map_area(c, near);
	if (!e)
		e = fault_point("commit-mapped");
	if (e) {
		err_free(area_unmap(h, &c->area));
		return err_wrap(e, "cannot set up the commit in process %d", p->pid);
	}
	*ret = take_ptr(c);
	return NULL;
}

struct err *commit_share(struct commit *c, const struct decision *d)
{
	TRY(decision_map(d, c->h, &c->shared));
	c->word = d->word;
	c->head->word = c->shared;
	return fault_point("family-shared");
}

bool commit_is_shared(const struct commit *c)
{
	return c->shared;
}

static struct granule *granule_at(struct commit *c, taddr_t key)
{
	size_t i = (size_t)(key * 0x9e3779b97f4a7c15ull >> 20) & (c->n_granules - 1);

	while (c->granules[i].key && c->granules[i].key != key)
		i = (i + 1) & (c->n_granules - 1);
	return &c->granules[i];
}

// Claims the bytes of a patch; false when another patch has one of them.
static bool claim(struct commit *c, taddr_t addr, unsigned len)
{
	unsigned bits = ((1u << len) - 1) << (addr & 7);
	taddr_t key = addr / 8 + 1;

	for (unsigned k = 0; k < 2; k++, bits >>= 8, key++) {
		if (bits & 0xff && granule_at(c, key)->mask & bits)
			return false;
	}
	bits = ((1u << len) - 1) << (addr & 7);
	key = addr / 8 + 1;
	for (unsigned k = 0; k < 2; k++, bits >>= 8, key++) {
		if (bits & 0xff) {
			struct granule *g = granule_at(c, key);

			g->key = key;
			g->mask |= (uint8_t)bits;
		}
	}
	return true;
}

struct err *commit_add(struct commit *c, const struct patch *patch)
{
	taddr_t end;

	if (!patch->len || patch->len > PATCH_MAX ||
	    __builtin_add_overflow(patch->addr, patch->len, &end))
		return err_new(ERR_INTERNAL, "patch of %u bytes at 0x%llx", patch->len,
			       (unsigned long long)patch->addr);
	if (c->n_patches == c->max_patches)
		return err_new(ERR_INTERNAL, "no room for more than %zu patches",
			       c->max_patches);
	if (!claim(c, patch->addr, patch->len))
		return err_new(ERR_INTERNAL, "%s: another patch changes 0x%llx too",
			       patch->what, (unsigned long long)patch->addr);
	struct commit_log_entry *e = &c->log[c->n_patches];

	e->addr = patch->addr;
	e->len = patch->len;
	memcpy(e->old_bytes, patch->old_bytes, PATCH_MAX);
	memcpy(e->new_bytes, patch->new_bytes, PATCH_MAX);
	c->what[c->n_patches++] = patch->what;
	return NULL;
}

size_t commit_mark(const struct commit *c)
{
	return c->n_patches;
}

void commit_reset(struct commit *c, size_t mark)
{
	if (mark < c->n_patches) {
		c->n_patches = mark;
		memset(c->granules, 0, c->n_granules * sizeof(*c->granules));
		for (size_t i = 0; i < mark; i++)
			claim(c, c->log[i].addr, c->log[i].len);
	}
	c->moves.n = 0;
}

struct err *commit_move_thread(struct commit *c, pid_t tid,
			       const struct user_regs_struct *new_regs)
{
	vec_for_each(m, &c->moves) {
		if (m->tid == tid) {
			m->regs = *new_regs;
			return NULL;
		}
	}
	return vec_push(&c->moves, (struct thread_move){.tid = tid, .regs = *new_regs});
}

void commit_show_waiting(struct commit *c, bool waiting)
{
	__atomic_store_n(&c->head->waiting, waiting, __ATOMIC_RELAXED);
}

void commit_times(const struct commit *c, struct commit_times *ret)
{
	*ret = c->times;
}

void commit_free(struct commit *c)
{
	if (!c)
		return;
	area_deinit(&c->area);
	free(c->granules);
	free(c->what);
	vec_free(&c->pages);
	vec_free(&c->moves);
	vec_free(&c->scratch);
	free(c);
}

void commit_freep(struct commit **c)
{
	commit_free(*c);
}
