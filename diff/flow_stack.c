// SPDX-License-Identifier: LGPL-2.1-or-later
// Where rsp and rbp point in the frame at each instruction, and numbers for the words of the frame.
#include <stdlib.h>

#include "diff/flow_internal.h"
#include "util/cleanup.h"

struct offsets {
	int32_t rsp, rbp;
};

static int32_t shift(int32_t offset, int32_t delta)
{
	int32_t v;

	// Far beyond any real frame counts as unknown.
	if (offset == STACK_UNKNOWN || __builtin_add_overflow(offset, delta, &v) ||
	    v < -(1 << 28) || v > 1 << 28)
		return STACK_UNKNOWN;
	return v;
}

static struct offsets apply(const struct facts *f)
{
	struct offsets o = {f->rsp, f->rbp};

	switch ((enum stack_effect)f->effect) {
	case EFFECT_NONE:
		break;
	case EFFECT_ADD:
		o.rsp = shift(o.rsp, f->delta);
		break;
	case EFFECT_RSP_FROM_RBP:
		o.rsp = shift(o.rbp, f->delta);
		break;
	case EFFECT_RBP_FROM_RSP:
		o.rbp = shift(o.rsp, f->delta);
		break;
	case EFFECT_RSP_LOST:
		o.rsp = STACK_UNKNOWN;
		break;
	case EFFECT_RBP_LOST:
		o.rbp = STACK_UNKNOWN;
		break;
	case EFFECT_POP_RBP:
		o.rsp = shift(o.rsp, f->delta);
		o.rbp = STACK_UNKNOWN;
		break;
	case EFFECT_LEAVE:
		o.rsp = shift(o.rbp, 8);
		o.rbp = STACK_UNKNOWN;
		break;
	}
	return o;
}

// Joins what arrives; true when that changed something.
static bool join(struct facts *f, struct offsets o)
{
	struct offsets before = {f->rsp, f->rbp};

	if (!f->seen) {
		f->seen = true;
		f->rsp = o.rsp;
		f->rbp = o.rbp;
		return true;
	}
	if (f->rsp != o.rsp)
		f->rsp = STACK_UNKNOWN;
	if (f->rbp != o.rbp)
		f->rbp = STACK_UNKNOWN;
	return f->rsp != before.rsp || f->rbp != before.rbp;
}

static void resolve(struct facts *f)
{
	for (unsigned i = 0; i < f->nmem; i++) {
		struct access *a = &f->mem[i];
		int32_t base = a->base == BASE_RSP ? f->rsp : f->rbp;

		if (a->base == BASE_OTHER)
			continue;
		a->offset = f->seen ? shift(base, a->disp) : STACK_UNKNOWN;
		a->on_stack = a->offset != STACK_UNKNOWN;
		// rbp with an unknown value is a pointer like any other.
		a->unknown = a->base == BASE_RSP && !a->on_stack;
	}
}

struct err *stack_offsets(struct graph *g)
{
	// Each instruction's offsets fall at most twice after the first visit.
	_cleanup_free_ uint32_t *work = malloc(((size_t)g->n + 1) * sizeof(*work));
	_cleanup_free_ bool *queued = calloc((size_t)g->n + 1, 1);
	uint32_t n = 0;

	if (!work || !queued)
		return err_nomem();
	for (uint32_t i = 0; i < g->n; i++)
		g->facts[i].rsp = g->facts[i].rbp = STACK_UNKNOWN;
	if (g->n) {
		join(&g->facts[0], (struct offsets){-8, STACK_UNKNOWN});
		work[n++] = 0;
	}
	while (n) {
		uint32_t i = work[--n];
		struct offsets o = apply(&g->facts[i]);

		queued[i] = false;
		for (uint32_t k = g->succ_at[i]; k < g->succ_at[i + 1]; k++) {
			uint32_t s = g->succ[k];

			if (join(&g->facts[s], o) && !queued[s]) {
				queued[s] = true;
				work[n++] = s;
			}
		}
	}
	for (uint32_t i = 0; i < g->n; i++)
		resolve(&g->facts[i]);
	return NULL;
}

static int64_t floor_word(int64_t offset)
{
	return offset >= 0 ? offset / SLOT_SIZE : -((-offset + SLOT_SIZE - 1) / SLOT_SIZE);
}

struct err *slot_map_collect(struct slot_map *s, const struct graph *g)
{
	enum { ACCESS_WORDS = 16 }; // an AVX-512 register

	for (uint32_t i = 0; i < g->n; i++) {
		for (unsigned k = 0; k < g->facts[i].nmem; k++) {
			const struct access *a = &g->facts[i].mem[k];
			int64_t word = floor_word(a->offset), end;

			if (!a->on_stack || a->indexed || a->lea || !a->size)
				continue;
			end = floor_word((int64_t)a->offset + a->size - 1);
			for (int n = 0; word <= end && n < ACCESS_WORDS; word++, n++)
				TRY(vec_push(&s->word, (int32_t)word));
		}
	}
	return NULL;
}

static int compare_words(const void *a, const void *b)
{
	int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;

	return x < y ? -1 : x > y;
}

void slot_map_finish(struct slot_map *s)
{
	size_t n = 0;

	if (s->word.n)
		qsort(s->word.v, s->word.n, sizeof(*s->word.v), compare_words);
	for (size_t i = 0; i < s->word.n; i++)
		if (!n || s->word.v[n - 1] != s->word.v[i])
			s->word.v[n++] = s->word.v[i];
	s->word.n = n;
}

static size_t lower_bound(const struct slot_map *s, int64_t word)
{
	size_t lo = 0, hi = s->word.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (s->word.v[mid] < word)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

void slot_map_range(const struct slot_map *s, int64_t offset, int64_t size,
		    struct locs *whole, struct locs *touched)
{
	int64_t end = size > INT32_MAX ? INT64_MAX : offset + size;

	if (size <= 0)
		return;
	for (size_t i = lower_bound(s, floor_word(offset)); i < s->word.n; i++) {
		int64_t start = (int64_t)s->word.v[i] * SLOT_SIZE;
		size_t slot = i < SLOTS - 1 ? i : SLOTS - 1;

		if (start >= end)
			break;
		touched->slots[slot / 64] |= LOC(slot % 64);
		// The last number is shared by several words: no write covers it.
		if (start >= offset && start + SLOT_SIZE <= end && slot < SLOTS - 1)
			whole->slots[slot / 64] |= LOC(slot % 64);
	}
}
