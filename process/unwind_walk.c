// SPDX-License-Identifier: LGPL-2.1-or-later
// The walk over one stack.
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "process/unwind_internal.h"
#include "util/cleanup.h"

struct walk {
	struct unwinder *u;
	struct cfi_regs regs;
	struct frame frame; // the one at hand
	struct frames *out;
};

static void say_why(struct walk *w, const char *fmt, ...) printf_like(2, 3);

static void say_why(struct walk *w, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(w->out->why, sizeof(w->out->why), fmt, ap);
	va_end(ap);
}

static bool read_stack(void *arg, taddr_t addr, void *buf, size_t len)
{
	return stack_read(arg, addr, buf, len);
}

static const struct rules *find_rules(struct walk *w)
{
	taddr_t pc = w->frame.pc;
	const struct rules *r =
		unwinder_rules(w->u, w->frame.exact ? pc : pc - 1, w->frame.exact);

	if (!r || r->found || w->frame.exact)
		return r;
	// A signal handler "returns" to the first instruction of its trampoline.
	r = unwinder_rules(w->u, pc, true);
	if (r && r->found && !r->row.signal_frame)
		return unwinder_rules(w->u, pc - 1, false);
	return r;
}

static void explain_rules(struct walk *w, const struct rules *r)
{
	if (!r->entry)
		say_why(w, "no module is mapped at 0x%" PRIx64, w->frame.pc);
	else
		say_why(w, "%s has no unwind information for 0x%" PRIx64, r->entry->path,
			w->frame.pc - r->entry->m.base);
}

static void explain_step(struct walk *w, enum cfi_status status, uint64_t bad)
{
	switch (status) {
	case CFI_NO_RULE:
		return say_why(w, "no rule leads on from 0x%" PRIx64, w->frame.pc);
	case CFI_UNKNOWN_REG:
		return say_why(w, "%s is not known at 0x%" PRIx64,
			       cfi_register_name((unsigned)bad), w->frame.pc);
	case CFI_UNREADABLE:
		return say_why(w, "cannot read 0x%" PRIx64 " for the frame at 0x%" PRIx64,
			       bad, w->frame.pc);
	case CFI_BAD_EXPR:
		return say_why(w, "damaged expression for the frame at 0x%" PRIx64,
			       w->frame.pc);
	case CFI_OK:
	case CFI_END:
		break;
	}
}

// Makes the caller the frame at hand. False when the walk is over.
static bool step(struct walk *w, const struct cfi_row *row)
{
	struct cfi_caller caller;
	enum cfi_status status =
		cfi_step(row, &w->regs, read_stack, &w->u->stack, &caller);
	taddr_t pc = caller.regs.v[CFI_RIP], sp = w->regs.v[CFI_RSP];

	if (status == CFI_OK || status == CFI_END)
		w->out->v.v[w->out->v.n - 1].cfa = status == CFI_OK ? caller.cfa : 0;
	w->out->complete = status == CFI_END;
	if (status != CFI_OK) {
		explain_step(w, status, caller.bad);
		return false;
	}
	if (w->u->translate) {
		taddr_t real = w->u->translate(w->u->translate_arg, pc);

		pc = real ? real : pc;
	}
	// The ABI's mark for the outermost frame, as hand-made stacks (coroutines,
	// makecontext) have it.
	if (!pc) {
		w->out->complete = true;
		return false;
	}
	if (!row->signal_frame && caller.pc_slot && caller.regs.v[CFI_RSP] <= sp) {
		say_why(w, "the stack does not go up behind 0x%" PRIx64, w->frame.pc);
		return false;
	}
	w->regs = caller.regs;
	w->regs.v[CFI_RIP] = pc;
	w->frame = (struct frame){
		.pc = pc, .exact = row->signal_frame, .pc_slot = caller.pc_slot};
	return true;
}

struct err *unwind_from(struct unwinder *u, const struct cfi_regs *regs,
			struct frames *ret)
{
	struct walk w = {.u = u, .regs = *regs, .out = ret};

	ret->v.n = 0;
	ret->complete = false;
	ret->why[0] = 0;
	stack_reader_begin(&u->stack, regs->v[CFI_RSP]);
	w.frame = (struct frame){.pc = regs->v[CFI_RIP], .exact = true};
	for (;;) {
		const struct rules *r = find_rules(&w);

		if (!r)
			return err_nomem();
		if (ret->v.n == UNWIND_FRAMES_MAX) {
			say_why(&w, "more than %d frames", UNWIND_FRAMES_MAX);
			return NULL;
		}
		w.frame.module = r->entry ? &r->entry->m : NULL;
		w.frame.signal_frame = r->found && r->row.signal_frame;
		if (w.frame.signal_frame)
			w.frame.exact = true;
		TRY(vec_push(&ret->v, w.frame));
		if (!r->found) {
			explain_rules(&w, r);
			return NULL;
		}
		if (!step(&w, &r->row))
			return NULL;
	}
}

struct err *unwind_thread(struct unwinder *u, const struct user_regs_struct *regs,
			  struct frames *ret)
{
	struct cfi_regs from = {
		.v = {regs->rax, regs->rdx, regs->rcx, regs->rbx, regs->rsi, regs->rdi,
		      regs->rbp, regs->rsp, regs->r8, regs->r9, regs->r10, regs->r11,
		      regs->r12, regs->r13, regs->r14, regs->r15, regs->rip},
		.known = (1u << CFI_REGS) - 1,
	};

	return unwind_from(u, &from, ret);
}

// "NR A0 A1 A2 A3 A4 A5 SP PC", "-1 SP PC" when blocked outside a system call, "running".
static bool read_blocked(pid_t pid, pid_t tid, char *line, size_t size,
			 struct cfi_regs *ret)
{
	char path[64], *word, *save = NULL, copy[256];
	uint64_t v[9] = {0};
	FILE *f;
	unsigned n = 0;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/syscall", pid, tid);
	f = fopen(path, "re");
	if (!f)
		return false;
	if (!fgets(line, (int)size, f))
		line[0] = 0;
	fclose(f);
	snprintf(copy, sizeof(copy), "%s", line);
	for (word = strtok_r(copy, " \n", &save); word && n < 9;
	     word = strtok_r(NULL, " \n", &save))
		v[n++] = strtoull(word, NULL, 0);
	if (n != 3 && n != 9)
		return false;
	*ret = (struct cfi_regs){.known = 1u << CFI_RSP | 1u << CFI_RIP};
	ret->v[CFI_RSP] = v[n - 2];
	ret->v[CFI_RIP] = v[n - 1];
	return true;
}

struct err *unwind_blocked(struct unwinder *u, pid_t tid, struct frames *ret)
{
	char before[256], after[256];
	struct cfi_regs regs;

	ret->v.n = 0;
	ret->complete = false;
	if (!read_blocked(u->pid, tid, before, sizeof(before), &regs)) {
		snprintf(ret->why, sizeof(ret->why), "thread %d runs", tid);
		return NULL;
	}
	TRY(unwind_from(u, &regs, ret));
	if (!read_blocked(u->pid, tid, after, sizeof(after), &regs) ||
	    strcmp(before, after)) {
		ret->v.n = 0;
		ret->complete = false;
		snprintf(ret->why, sizeof(ret->why), "thread %d went on meanwhile", tid);
	}
	return NULL;
}

void frames_deinit(struct frames *f)
{
	vec_free(&f->v);
}
