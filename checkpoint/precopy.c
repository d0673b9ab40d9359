// SPDX-License-Identifier: LGPL-2.1-or-later
// See precopy.h.
#include "checkpoint/precopy.h"

#include <sys/param.h>

#include "util/cleanup.h"

enum { ROUNDS = 6 };
static const uint64_t LITTLE = 1 << 20;	   // bytes that are quicker written in the stop
static const uint64_t BOX_SPARE = 8 << 20; // for what is written until the stop
static const uint64_t BOX_MAX = 512 << 20;

// Pages are armed before they are copied: what is written meanwhile is found in the next round.
static struct err *copy_mapping(struct task *t, const struct vma *v, uint64_t *bytes)
{
	_cleanup_(ranges_deinit) struct page_ranges ignored = {0}, dirty = {0};

	if (v->content != CONTENT_TOUCHED && v->content != CONTENT_WRITTEN)
		return NULL;
	struct err *e = pagemap_scan(&t->pagemap, v, SCAN_REARM, &ignored, &dirty);
	if (e) { // it cannot be tracked, or has gone: the stop takes it
		err_free(e);
		return NULL;
	}
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
	TRY(vmas_read(t->process->pid, t->opt->all_memory, &t->vmas));
	vec_for_each(v, &t->vmas.v)
		if (v->content == CONTENT_TOUCHED || v->content == CONTENT_WRITTEN)
			tracker_register(t->tracker, v->m);
	return NULL;
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
	TRY(copy_round(t, &bytes));
	for (int i = 1; i < ROUNDS; i++) {
		before = bytes;
		TRY(copy_round(t, &bytes));
		if (bytes <= LITTLE || bytes > before / 4 * 3)
			break;
	}
	return memory_make_box(&t->memory, MIN(2 * bytes + BOX_SPARE, BOX_MAX));
}
