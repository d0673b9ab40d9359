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

static struct err *save_mapping(struct task *t, struct vma *v, struct found_pages *f)
{
	_cleanup_(ranges_deinit) struct page_ranges lost = {0}, now = {0};

	// What is clean has been saved before; nothing rests on that being so.
	TRY(ranges_minus(&f->present, &t->memory.saved, &lost));
	TRY(ranges_union(&lost, &f->dirty, &now));
	TRY(add_file_pages(t, v, &f->present, &now));
	if (t->memory.parent)
		TRY(add_stacks(t, &f->present, &now));
	TRY(memory_write_quickly(&t->memory, v->m, &now));
	return add_present(t, &f->present);
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

static struct err *scan_all(const struct task *t, struct search *s)
{
	for (size_t i = 0; i < t->vmas.v.n; i++) {
		const struct vma *v = &t->vmas.v.v[i];

		if (v->kind != VMA_MEMORY)
			TRY(pagemap_scan(&t->pagemap, v,
					 t->tracker ? SCAN_TRACKED : SCAN_ALL,
					 &s->found[i].present, &s->found[i].dirty));
	}
	return NULL;
}

static void *search_thread(void *arg)
{
	struct search *s = arg;

	s->error = scan_all(s->task, s);
	return NULL;
}

struct err *task_search_begin(struct task *t)
{
	struct search *s = &t->search;

	TRY(look_again(t));
	s->task = t;
	s->found = calloc(t->vmas.v.n + 1, sizeof(*s->found));
	if (!s->found)
		return err_nomem();
	s->n = t->vmas.v.n;
	s->running = !pthread_create(&s->thread, NULL, search_thread, s);
	return s->running ? NULL : scan_all(t, s);
}

static struct err *search_end(struct search *s)
{
	if (s->running)
		pthread_join(s->thread, NULL);
	s->running = false;
	return take_ptr(s->error);
}

void task_search_deinit(struct task *t)
{
	err_free(search_end(&t->search));
	for (size_t i = 0; i < t->search.n; i++) {
		ranges_deinit(&t->search.found[i].present);
		ranges_deinit(&t->search.found[i].dirty);
	}
	free(take_ptr(t->search.found));
	t->search.n = 0;
}

struct err *task_save_memory(struct task *t, struct saving *all, struct shared *shared)
{
	TRY(search_end(&t->search));
	for (size_t i = 0; i < t->vmas.v.n; i++) {
		struct vma *v = &t->vmas.v.v[i];

		TRY(v->kind == VMA_MEMORY ? save_shared(t, all, shared, v)
					  : save_mapping(t, v, &t->search.found[i]));
	}
	return NULL;
}
