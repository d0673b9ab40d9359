// SPDX-License-Identifier: LGPL-2.1-or-later
// Aligns two bodies by longest common subsequence of instructions, immediates and referents aside.
// Myers, "An O(ND) difference algorithm and its variations" (1986), the greedy form.
#include <stdlib.h>
#include <string.h>

#include "diff/private.h"
#include "util/cleanup.h"

enum { MAX_EDITS = 3000 }; // beyond it the bodies have nothing to do with each other

struct window {
	const struct insn *o, *n;
	int64_t len_o, len_n;
	uint32_t base_o;
	uint32_t *near; // of the window in new
};

static bool alike(const struct window *w, int64_t o, int64_t n)
{
	return w->o[o].hash_noimm == w->n[n].hash_noimm;
}

// Rounds are kept one behind the other: round d has the 2d + 1 furthest points of its diagonals.
static int64_t *round_of(int64_t *rounds, int64_t d)
{
	return rounds + d * d;
}

// Furthest point in old on diagonal k (old - new) after d edits.
static int64_t furthest(int64_t *rounds, int64_t d, int64_t k)
{
	const int64_t *before = round_of(rounds, d - 1) + (d - 1);

	if (k == -d)
		return before[k + 1];
	if (k == d)
		return before[k - 1] + 1;
	return before[k - 1] < before[k + 1] ? before[k + 1] : before[k - 1] + 1;
}

static void walk_back(const struct window *w, int64_t *rounds, int64_t d)
{
	int64_t o = w->len_o, n = w->len_n;

	for (; d >= 0; d--) {
		int64_t k = o - n, start = d ? furthest(rounds, d, k) : 0;

		while (o > start && n > 0) {
			o--;
			n--;
			w->near[n] = w->base_o + (uint32_t)o;
		}
		if (!d)
			return;
		const int64_t *before = round_of(rounds, d - 1) + (d - 1);
		bool down = k == -d || (k != d && before[k - 1] < before[k + 1]);
		int64_t from = down ? k + 1 : k - 1;

		o = before[from];
		n = o - from;
	}
}

static struct err *align_window(const struct window *w)
{
	int64_t max = w->len_o + w->len_n;
	_cleanup_free_ int64_t *rounds = NULL;
	int64_t room = 0;

	if (max > MAX_EDITS)
		max = MAX_EDITS;
	for (int64_t d = 0; d <= max; d++) {
		if ((d + 1) * (d + 1) > room) {
			room = (d + 1) * (d + 1) * 2 + 64;
			int64_t *grown = realloc(rounds, (size_t)room * sizeof(*grown));
			if (!grown)
				return err_nomem();
			rounds = grown;
		}
		int64_t *at = round_of(rounds, d) + d;
		for (int64_t k = -d; k <= d; k++)
			at[k] = -1;
		for (int64_t k = -d; k <= d; k += 2) {
			int64_t o = d ? furthest(rounds, d, k) : 0, n = o - k;

			if (o > w->len_o || n > w->len_n || n < 0) {
				at[k] = o;
				continue;
			}
			while (o < w->len_o && n < w->len_n && alike(w, o, n)) {
				o++;
				n++;
			}
			at[k] = o;
			if (o >= w->len_o && n >= w->len_n) {
				walk_back(w, rounds, d);
				return NULL;
			}
		}
	}
	return NULL;
}

struct err *align_bodies(const struct body *old, const struct body *new, uint32_t *near)
{
	size_t n_o = old->insns.n, n_n = new->insns.n, head = 0, tail = 0;
	size_t least = n_o < n_n ? n_o : n_n;

	memset(near, 0xff, n_n * sizeof(*near));
	if (!least)
		return NULL;
	while (head < least &&
	       old->insns.v[head].hash_noimm == new->insns.v[head].hash_noimm) {
		near[head] = (uint32_t)head;
		head++;
	}
	while (tail < least - head && old->insns.v[n_o - 1 - tail].hash_noimm ==
					      new->insns.v[n_n - 1 - tail].hash_noimm) {
		near[n_n - 1 - tail] = (uint32_t)(n_o - 1 - tail);
		tail++;
	}
	struct window w = {
		.o = old->insns.v + head,
		.n = new->insns.v + head,
		.len_o = (int64_t)(n_o - head - tail),
		.len_n = (int64_t)(n_n - head - tail),
		.base_o = (uint32_t)head,
		.near = near + head,
	};
	if (!w.len_o || !w.len_n)
		return NULL;
	return align_window(&w);
}
