// SPDX-License-Identifier: LGPL-2.1-or-later
// See precopy.h.
#include "checkpoint/precopy.h"

#include <string.h>
#include <sys/param.h>

#include "util/cleanup.h"

enum { ROUNDS = 6 };
static const uint64_t FREEZE_NS = 5000000000;
static const uint64_t LITTLE = 1 << 20;	   // bytes that are quicker written in the stop
static const uint64_t BOX_SPARE = 8 << 20; // for what is written until the stop
static const uint64_t BOX_MAX = 512 << 20;

// Pages are armed before they are copied: what is written meanwhile is found in the next round.
static struct err *copy_mapping(struct task *t, const struct vma *v, uint64_t *bytes)
{
	_cleanup_(ranges_deinit) struct page_ranges ignored = {0}, dirty = {0};

	if (v->content != CONTENT_TOUCHED && v->content != CONTENT_WRITTEN)
		return NULL;
	TRY(pagemap_scan(&t->pagemap, v, SCAN_REARM, &ignored, &dirty));
	*bytes += ranges_bytes(&dirty);
	return memory_write(&t->memory, v->m, &dirty);
}

static struct err *look(struct task *t)
{
	struct vmas now;
	bool same;

	if (t->vmas.v.n) {
		TRY(vmas_read_again(t->process->pid, &t->vmas, &now, &same));
		if (same) {
			vmas_deinit(&now);
			return NULL;
		}
		vmas_deinit(&t->vmas);
	}
	return vmas_read(t->process->pid, t->opt->all_memory, &t->vmas);
}

static struct err *copy_round(struct task *t, uint64_t *bytes)
{
	*bytes = 0;
	TRY(look(t));
	vec_for_each(v, &t->vmas.v) {
		if (t->opt->interrupted && t->opt->interrupted(t->opt->arg))
			return NULL; // the caller asks again
		TRY(copy_mapping(t, v, bytes));
	}
	return NULL;
}

static struct err *register_all(struct task *t)
{
	_cleanup_(maps_deinit) struct maps maps = {0};

	TRY(maps_read(t->process->pid, &maps));
	vec_for_each(m, &maps.v)
		if (!m->shared && m->path[0] != '[' && !vma_is_molts(m))
			tracker_register(t->tracker, m);
		else if (!strcmp(m->path, "[heap]") || !strcmp(m->path, "[stack]") ||
			 !strncmp(m->path, "[anon:", strlen("[anon:")))
			tracker_register(t->tracker, m);
	return NULL;
}

// Within a short stop: a range that does not fit what is mapped by then would cut a mapping in two, and the program would see
// that (mremap).
static struct err *register_in_stop(struct task *t)
{
	uint64_t first = 0, last = 0;

	process_boost(t->process);
	struct err *e = process_freeze(t->process, monotonic_ns() + FREEZE_NS, &first);
	if (!e) {
		e = register_all(t);
		e = err_first(e, process_thaw(t->process, &last));
		t->short_stop = last - first;
	}
	process_unboost(t->process);
	return e;
}

struct err *precopy(struct task *t)
{
	uint64_t before, bytes;
	struct err *e =
		t->pagemap.old ? NULL : tracker_create(t->process, t->helper, &t->tracker);

	if (e && (e->kind == ERR_LOST || err_is_shortage(e)))
		return e;
	err_free(e);
	if (!t->tracker)
		return NULL;
	TRY(register_in_stop(t));
	TRY(copy_round(t, &bytes));
	for (int i = 1; i < ROUNDS; i++) {
		before = bytes;
		TRY(copy_round(t, &bytes));
		if (bytes <= LITTLE || bytes > before / 4 * 3)
			break;
	}
	return memory_make_box(&t->memory, MIN(2 * bytes + BOX_SPARE, BOX_MAX));
}
