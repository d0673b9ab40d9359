// SPDX-License-Identifier: LGPL-2.1-or-later
// Choosing the place for the bootstrap stub behind some module's text. Stubs that dead tools left are used
// again when no thread can still come back into them.
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>

#include "arch/x86_64/bootstrap.h"
#include "process/helper_impl.h"
#include "process/maps.h"
#include "process/memory.h"
#include "process/slack.h"
#include "util/cleanup.h"

static const uint64_t FREEZE_NS = 1000000000;
enum { STACK_CHUNK = 65536, SCAN_MAX = 1 << 20 };

static bool is_filling(const uint8_t *p, size_t n)
{
	if (p[0] != 0 && p[0] != 0xcc && p[0] != 0x90)
		return false;
	for (size_t i = 1; i < n; i++) {
		if (p[i] != p[0])
			return false;
	}
	return true;
}

static bool is_stub(const uint8_t *p)
{
	return !memcmp(p, bootstrap_start, bootstrap_data_offset);
}

static bool points_into(const struct helper *h, uint64_t word, taddr_t at)
{
	return word >= at && word - at < h->slack_size;
}

// Looks through what is on the thread's stack: a signal handler that interrupted the stub returns to it.
static struct err *stack_points_into(struct helper *h, const struct maps *maps,
				     const struct thread *t, taddr_t at, bool *ret)
{
	const struct mapping *stack = maps_at(maps, t->regs.rsp);
	_cleanup_free_ uint64_t *words = malloc(STACK_CHUNK);
	taddr_t pos = roundup(t->regs.rsp, sizeof(*words));

	if (!words)
		return err_nomem();
	taddr_t end = stack ? MIN(stack->end, pos + SCAN_MAX) : pos;
	for (; !*ret && pos < end; pos += STACK_CHUNK) {
		size_t n = MIN(end - pos, STACK_CHUNK) / sizeof(*words);

		TRY(mem_read(h->process->pid, pos, words, n * sizeof(*words)));
		for (size_t i = 0; i < n; i++)
			*ret = *ret || points_into(h, words[i], at);
	}
	return NULL;
}

static struct err *frozen_uses(struct helper *h, taddr_t at, bool *ret)
{
	_cleanup_(maps_deinit) struct maps maps = {0};

	TRY(maps_read(h->process->pid, &maps));
	vec_for_each(t, &h->process->threads) {
		if (t->state != THREAD_STOPPED)
			continue;
		*ret = *ret || points_into(h, t->regs.rip, at);
		TRY(stack_points_into(h, &maps, t, at, ret));
	}
	return NULL;
}

static struct err *in_use(struct helper *h, taddr_t at, bool *ret)
{
	*ret = false;
	TRY(process_freeze(h->process, monotonic_ns() + FREEZE_NS, NULL));
	struct err *e = frozen_uses(h, at, ret);
	return err_first(e, process_thaw(h->process, NULL));
}

// Takes the first place that holds filling; failing that, the first left-over stub nobody is in.
static struct err *choose(struct helper *h, const struct slack_slots *slots,
			  uint8_t *bytes)
{
	for (size_t i = 0; i < slots->v.n; i++) {
		TRY(mem_read(h->process->pid, slots->v.v[i], bytes, h->slack_size));
		if (is_filling(bytes, h->slack_size)) {
			h->slack = slots->v.v[i];
			return NULL;
		}
	}
	for (size_t i = 0; i < slots->v.n; i++) {
		bool used = true;

		TRY(mem_read(h->process->pid, slots->v.v[i], bytes, h->slack_size));
		if (is_stub(bytes))
			TRY(in_use(h, slots->v.v[i], &used));
		if (used)
			continue;
		h->slack = slots->v.v[i];
		memset(bytes, 0, h->slack_size);
		return NULL;
	}
	return err_with(err_new(ERR_UNSUPPORTED,
				"process %d (%s) has no %zu free bytes behind the text "
				"of any module, "
				"where a helper thread could be made",
				h->process->pid, h->process->comm, h->slack_size),
			"no-slack", h->process->comm);
}

struct err *helper_take_slack(struct helper *h)
{
	_cleanup_(maps_deinit) struct maps maps = {0};
	_cleanup_free_ uint8_t *bytes = NULL;
	struct slack_slots slots = {0};

	h->slack_size = (size_t)(bootstrap_end - bootstrap_start);
	bytes = malloc(h->slack_size);
	if (!bytes)
		return err_nomem();
	TRY(maps_read(h->process->pid, &maps));
	struct err *e = slack_list(h->process->pid, &maps, h->slack_size, &slots);
	if (!e)
		e = choose(h, &slots, bytes);
	vec_free(&slots.v);
	if (!e)
		h->slack_bytes = take_ptr(bytes);
	return e;
}

struct err *helper_clear_slack(struct helper *h)
{
	if (!h->slack_bytes || h->stub_in_use)
		return NULL;
	TRY(mem_poke(h->process->pid, h->slack, h->slack_bytes, h->slack_size));
	free(h->slack_bytes);
	h->slack_bytes = NULL;
	return NULL;
}
