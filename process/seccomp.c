// SPDX-License-Identifier: LGPL-2.1-or-later
// An interpreter of classic BPF as seccomp uses it (kernel, seccomp_filter.rst and net/core/filter.c) that follows
// both ways where a condition depends on what is not known. Filters cannot loop.
#include "process/seccomp.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>

#include "os/proc.h"
#include "os/ptrace.h"

enum { STEPS_MAX = 1 << 16, FILTERS_MAX = 256 };

struct value {
	uint32_t v;
	bool known;
};

struct machine { // one way through a filter
	size_t pc;
	struct value a, x, mem[BPF_MEMWORDS];
};

struct question {
	const struct seccomp_filter *filter;
	struct seccomp_data data;
	unsigned known; // of data.args
	unsigned steps;
};

void seccomp_deinit(struct seccomp *s)
{
	vec_for_each(f, &s->filters)
		vec_free(&f->v);
	vec_free(&s->filters);
}

bool seccomp_filtered(const struct process *p, const struct thread *t)
{
	struct os_status s;
	int r = os_ptrace_seccomp(t->tid, 0, NULL);

	if (r == -EACCES)
		return os_proc_status(p->pid, t->tid, &s) < 0 || s.seccomp;
	return r != -EINVAL; // in no filter mode
}

struct err *seccomp_read(const struct thread *t, struct seccomp *ret)
{
	for (unsigned i = 0; i < FILTERS_MAX; i++) {
		struct seccomp_filter f = {0};
		int n = os_ptrace_seccomp(t->tid, i, NULL);

		if (n == -ENOENT || (n == -EINVAL && !i)) // no more, none at all
			return NULL;
		if (n < 0)
			return err_sys(n, "cannot read the seccomp filter of thread %d",
				       t->tid);
		TRY(vec_reserve(&f.v, (size_t)n));
		n = os_ptrace_seccomp(t->tid, i, f.v.v);
		f.v.n = n < 0 ? 0 : (size_t)n;
		struct err *e = vec_push(&ret->filters, f);
		if (e) {
			vec_free(&f.v);
			return e;
		}
	}
	return err_new(ERR_UNSUPPORTED, "thread %d has more than %d seccomp filters",
		       t->tid, FILTERS_MAX);
}

static struct value load(const struct question *q, uint32_t offset)
{
	struct value r = {.known = true};

	if (offset % 4 || offset + 4 > sizeof(q->data))
		return (struct value){0};
	memcpy(&r.v, (const char *)&q->data + offset, sizeof(r.v));
	if (offset >= offsetof(struct seccomp_data, args))
		r.known = q->known >> (offset - offsetof(struct seccomp_data, args)) / 8 &
			  1;
	else if (offset >= offsetof(struct seccomp_data, instruction_pointer))
		r.known = false;
	return r;
}

static struct value compute(uint16_t op, struct value a, struct value b)
{
	struct value r = {.known = a.known && b.known};

	switch (op) {
	case BPF_ADD:
		r.v = a.v + b.v;
		break;
	case BPF_SUB:
		r.v = a.v - b.v;
		break;
	case BPF_MUL:
		r.v = a.v * b.v;
		break;
	case BPF_DIV:
		r.known &= b.v != 0;
		r.v = b.v ? a.v / b.v : 0;
		break;
	case BPF_OR:
		r.v = a.v | b.v;
		break;
	case BPF_AND:
		r.v = a.v & b.v;
		break;
	case BPF_XOR:
		r.v = a.v ^ b.v;
		break;
	case BPF_LSH:
		r.v = b.v < 32 ? a.v << b.v : 0;
		break;
	case BPF_RSH:
		r.v = b.v < 32 ? a.v >> b.v : 0;
		break;
	case BPF_NEG:
		r.known = a.known;
		r.v = -a.v;
		break;
	default:
		r.known = false;
		break;
	}
	return r;
}

static enum seccomp_answer answer_of(struct value action)
{
	if (!action.known)
		return SECCOMP_KILLS;
	switch (action.v & SECCOMP_RET_ACTION_FULL) {
	case SECCOMP_RET_ALLOW:
	case SECCOMP_RET_LOG:
		return SECCOMP_ALLOWS;
	case SECCOMP_RET_ERRNO:
		return SECCOMP_FAILS;
	default:
		return SECCOMP_KILLS;
	}
}

static bool holds(uint16_t op, uint32_t a, uint32_t b)
{
	switch (op) {
	case BPF_JEQ:
		return a == b;
	case BPF_JGT:
		return a > b;
	case BPF_JGE:
		return a >= b;
	default: // BPF_JSET
		return a & b;
	}
}

// Everything but jumps and returns.
static void execute(const struct question *q, struct machine *m,
		    const struct sock_filter *in)
{
	struct value k = {in->k, true}, b = BPF_SRC(in->code) == BPF_X ? m->x : k,
		     loaded = {0};

	if (BPF_MODE(in->code) == BPF_ABS)
		loaded = load(q, in->k);
	else if (BPF_MODE(in->code) == BPF_IMM)
		loaded = k;
	else if (BPF_MODE(in->code) == BPF_LEN)
		loaded = (struct value){sizeof(q->data), true};
	else if (BPF_MODE(in->code) == BPF_MEM && in->k < BPF_MEMWORDS)
		loaded = m->mem[in->k];
	switch (BPF_CLASS(in->code)) {
	case BPF_LD:
		m->a = loaded;
		break;
	case BPF_LDX:
		m->x = loaded;
		break;
	case BPF_ST:
	case BPF_STX:
		if (in->k < BPF_MEMWORDS)
			m->mem[in->k] = BPF_CLASS(in->code) == BPF_ST ? m->a : m->x;
		break;
	case BPF_ALU:
		m->a = compute(BPF_OP(in->code), m->a, b);
		break;
	default: // BPF_MISC
		if (BPF_MISCOP(in->code) == BPF_TAX)
			m->x = m->a;
		else
			m->a = m->x;
		break;
	}
}

// The worst answer of all ways on from here.
static enum seccomp_answer follow(struct question *q, struct machine m)
{
	while (m.pc < q->filter->v.n && q->steps++ < STEPS_MAX) {
		const struct sock_filter *in = &q->filter->v.v[m.pc++];
		struct value k = {in->k, true};
		uint16_t class = BPF_CLASS(in->code);

		if (class == BPF_RET)
			return answer_of(BPF_RVAL(in->code) == BPF_A ? m.a : k);
		if (class != BPF_JMP) {
			execute(q, &m, in);
			continue;
		}
		if (BPF_OP(in->code) == BPF_JA) {
			m.pc += in->k;
			continue;
		}
		struct value b = BPF_SRC(in->code) == BPF_X ? m.x : k;
		if (m.a.known && b.known) {
			m.pc += holds(BPF_OP(in->code), m.a.v, b.v) ? in->jt : in->jf;
			continue;
		}
		struct machine other = m;
		other.pc += in->jt;
		m.pc += in->jf;
		enum seccomp_answer yes = follow(q, other), no;
		if (yes == SECCOMP_KILLS)
			return yes;
		no = follow(q, m);
		return MAX(yes, no);
	}
	return SECCOMP_KILLS; // too long, or damaged
}

enum seccomp_answer seccomp_ask(const struct seccomp *s, long nr, const uint64_t args[6],
				unsigned known)
{
	enum seccomp_answer worst = SECCOMP_ALLOWS;

	vec_for_each(f, &s->filters) {
		struct question q = {.filter = f, .known = known};

		q.data.nr = (int)nr;
		q.data.arch = AUDIT_ARCH_X86_64;
		memcpy(q.data.args, args, sizeof(q.data.args));
		enum seccomp_answer one = follow(&q, (struct machine){0});
		worst = MAX(worst, one);
	}
	return worst;
}
