// SPDX-License-Identifier: LGPL-2.1-or-later
// Two ELF files as two builds of one program: decoding, pairing, comparing, and judging of frames.
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "diff/diff.h"
#include "diff/flow.h"

const enum fuzz_shape fuzz_shape = FUZZ_TWO_ELF;
const char *const fuzz_sections = "";

enum { MAX_FUNCS = 16, MAX_FRAMES = 16 };

static bool equal_everywhere(vaddr_t old_pc, vaddr_t new_pc, void *arg)
{
	(void)old_pc, (void)new_pc, (void)arg;
	return true;
}

static void judge(const struct diff *d, uint32_t func)
{
	const struct body *b = &d->old_funcs.v[func].body;
	struct frame_judgement j;
	struct flow *f = NULL;
	struct err *e = flow_create(d, func, &f);
	char why[160];
	bool keep;

	for (size_t i = 0; !e && i < b->insns.n && i < MAX_FRAMES; i++) {
		e = flow_judge(f, b->insns.v[i].addr, true, equal_everywhere, NULL, &j);
		if (!e)
			e = flow_judge(f, b->insns.v[i].addr + b->insns.v[i].len, false,
				       equal_everywhere, NULL, &j);
	}
	err_free(e);
	flow_free(f);
	err_free(frame_keepable(d, func, &keep, why, sizeof(why)));
	frame_changed_type(d, func);
}

static void ask(const struct diff *d)
{
	size_t asked = 0;

	vec_for_each(p, &d->funcs) {
		if (p->old != NO_TWIN && p->new != NO_TWIN &&
		    p->verdict != FUNC_SAME &&asked++ < MAX_FUNCS)
			judge(d, p->old);
	}
	vec_for_each(v, &d->new_vars) {
		diff_new_var_at(d, v->addr);
		diff_new_var_at(d, v->addr + v->size);
		diff_new_is_template(d, v->addr);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct module *old = NULL, *new = NULL;
	struct diff_options opt = {.threads = 1};
	struct diff *d = NULL;
	uint32_t first;

	if (size < sizeof(first))
		return 0;
	memcpy(&first, data, sizeof(first));
	if (first > size - sizeof(first))
		return 0;
	data += sizeof(first);
	size -= sizeof(first);
	struct err *e = module_open_memory("old", data, first, &old);
	if (!e)
		e = module_open_memory("new", data + first, size - first, &new);
	if (!e)
		e = diff_programs(old, new, &opt, &d);
	if (!e)
		ask(d);
	err_free(e);
	diff_free(d);
	module_close(old);
	module_close(new);
	return 0;
}
