// SPDX-License-Identifier: LGPL-2.1-or-later
// The memory of one process in the stop: what was written since it was copied, and what cannot be copied before.
#include <stdlib.h>
#include <sys/param.h>

#include "checkpoint/task.h"
#include "util/cleanup.h"

enum { PAGE = 4096, RED_ZONE = 128, STACK_KEPT = 64 << 10 };

// Pages around each stack pointer are stored even when the parent has them: debuggers that have only this core can walk
// the stacks.
static struct err *find_stacks(const struct task *t, struct page_ranges *ret)
{
	vec_for_each(thread, &t->process->threads) {
		taddr_t from = (thread->regs.rsp - RED_ZONE) / PAGE * PAGE;

		if (thread->state == THREAD_STOPPED && thread->regs.rsp > RED_ZONE)
			TRY(vec_push(&ret->v, (struct page_range){from, STACK_KEPT}));
	}
	return NULL;
}

static int by_addr(const void *a, const void *b)
{
	const struct page_range *x = a, *y = b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

static struct err *add_stacks(const struct task *t, const struct page_ranges *present,
			      struct page_ranges *now)
{
	_cleanup_(ranges_deinit) struct page_ranges some = {0}, stacks = {0},
						    others = {0}, kept = {0}, none = {0};
	struct page_ranges both;

	TRY(find_stacks(t, &some));
	if (some.v.n)
		qsort(some.v.v, some.v.n, sizeof(*some.v.v), by_addr);
	TRY(ranges_union(&some, &none, &stacks)); // they may overlap
	TRY(ranges_minus(present, &stacks, &others));
	TRY(ranges_minus(present, &others, &kept));
	TRY(ranges_union(now, &kept, &both));
	ranges_deinit(now);
	*now = both;
	return NULL;
}

static struct err *add_present(struct task *t, const struct page_ranges *pages)
{
	vec_for_each(r, &pages->v)
		TRY(ranges_append(&t->present, r->addr, r->len));
	return NULL;
}

static struct err *save_shared(struct task *t, struct saving *all, struct shared *shared,
			       struct vma *v)
{
	_cleanup_(ranges_deinit) struct page_ranges pages = {0};

	TRY(shared_take(shared, all, t->process->pid, &t->pagemap, v, &pages));
	TRY(memory_write_quickly(&t->memory, v->m, &pages));
	return add_present(t, &pages);
}

// All of a small private file mapping if any page of it was written. The file's own pages are read now: one may have been
// written, copied and given back since.
static struct err *add_file_pages(const struct task *t, struct vma *v,
				  struct page_ranges *present, struct page_ranges *now)
{
	_cleanup_(ranges_deinit) struct page_ranges whole = {0}, others = {0};
	struct page_ranges both;
	taddr_t end;

	if (v->content != CONTENT_WRITTEN || !present->v.n)
		return NULL;
	end = vma_small_end(v, t->process->pid);
	if (end <= v->m->start)
		return NULL;
	TRY(ranges_append(&whole, v->m->start, end - v->m->start));
	TRY(ranges_minus(&whole, present, &others));
	TRY(ranges_union(now, &others, &both));
	ranges_deinit(now);
	*now = both;
	TRY(ranges_union(present, &others, &both));
	ranges_deinit(present);
	*present = both;
	return NULL;
}

static struct err *save_mapping(struct task *t, struct vma *v)
{
	_cleanup_(ranges_deinit) struct page_ranges present = {0}, dirty = {0},
						    lost = {0}, now = {0};

	TRY(pagemap_scan(&t->pagemap, v, t->tracker ? SCAN_TRACKED : SCAN_ALL, &present,
			 &dirty));
	// What is clean has been saved before; nothing rests on that being so.
	TRY(ranges_minus(&present, &t->memory.saved, &lost));
	TRY(ranges_union(&lost, &dirty, &now));
	TRY(add_file_pages(t, v, &present, &now));
	if (t->memory.parent)
		TRY(add_stacks(t, &present, &now));
	TRY(memory_write_quickly(&t->memory, v->m, &now));
	return add_present(t, &present);
}

// smaps walks all page tables, which takes milliseconds: only when something is different.
static struct err *look_again(struct task *t)
{
	struct vmas now;
	bool same = false;

	if (t->vmas.v.n)
		TRY(vmas_read_again(t->process->pid, &t->vmas, &now, &same));
	vmas_deinit(&t->vmas);
	if (!same)
		return vmas_read(t->process->pid, t->opt->all_memory, &t->vmas);
	t->vmas = now;
	return NULL;
}

struct err *task_save_memory(struct task *t, struct saving *all, struct shared *shared)
{
	TRY(look_again(t));
	vec_for_each(v, &t->vmas.v)
		TRY(v->kind == VMA_MEMORY ? save_shared(t, all, shared, v)
					  : save_mapping(t, v));
	return NULL;
}
