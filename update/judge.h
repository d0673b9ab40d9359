// SPDX-License-Identifier: LGPL-2.1-or-later
// One stack judged: which frames move where, and what stands in the way.
#pragma once

#include "diff/flow.h"
#include "process/unwind.h"
#include "update/plan.h"

struct judged { // verdict for one pc of OLD
	vaddr_t pc;
	bool exact;
	struct frame_judgement j;
};

struct judge_unit { // the frames in one module
	struct plan *p;
	bool layouts_differ; // of types that frames may hold: no frame is taken as unchanged unseen
	VEC(struct judged) known; // sorted by (pc, exact)
	VEC(struct judged) asked; // met in a stop, not judged yet
};

struct judge {
	VEC(struct judge_unit) units;
	struct unwinder *u;
	const char *const *keep_old;
	size_t n_keep_old;
};

struct frame_move {
	pid_t tid;
	taddr_t slot; // where the return address stands; 0: the thread's rip
	taddr_t from, to;
};

struct obstacle {
	pid_t tid;
	char comm[16];
	taddr_t gate_slot; // where the return address of the frame that must return stands, 0: no use
	bool unjudged; // only because its verdict is not known yet
	bool hidden;   // on a stack that no thread is on
	char func[64]; // of the frame that must return, "" when it has no name
	char reason[256];
	VEC(struct frame) stack;
};

struct verdicts { // of all stacks
	VEC(struct frame_move) moves;
	VEC(struct obstacle) obstacles;
	size_t kept_old; // frames that go on in their old body by the user's leave
};

void verdicts_reset(struct verdicts *v);
void verdicts_deinit(struct verdicts *v);
// One more module whose frames are to be judged.
struct err *judge_add(struct judge *j, struct plan *p) must_check;
void judge_deinit(struct judge *j);

// Judges the frames of one thread. Quick: unknown verdicts are put on the unit's `asked` and count as
// obstacles.
struct err *judge_stack(struct judge *j, pid_t tid, const char *comm,
			const struct frames *f, struct verdicts *ret) must_check;

// "thread 12 (worker) is in serve: REASON; call path: serve (web.c:10) < main (web.c:90)". Slow: it looks
// up source lines. NULL without memory; the caller frees it.
char *obstacle_text(const struct obstacle *o);

// Whether a frame that nothing can move may go on in its old body.
struct stay {
	bool may;
	bool unjudged;	  // its verdict is not known yet, the pc is on the unit's `asked`
	const char *func; // "" when it has no name
	const char *reason; // why not; valid until the next judge_answer
};

struct err *judge_stays(struct judge *j, taddr_t pc, bool exact, struct stay *ret)
	must_check;
struct err *obstacle_add(struct verdicts *ret, struct obstacle *o, const struct frames *f)
	must_check;

// Its parts. The unit in whose image that runs now the pc lies, with its vaddr of OLD there; NULL: in none.
struct judge_unit *judge_in_current(const struct judge *j, taddr_t pc, vaddr_t *ret);
bool judge_is_kept(const struct judge *j, const struct judge_unit *u,
		   uint32_t func); // by the user's leave
const struct judged *judge_find(const struct judge_unit *u, vaddr_t pc, bool exact);

// Works out what was asked. Not to be called in the stop.
struct err *judge_answer(struct judge *j) must_check;

// True when `func` of OLD is on the stack; *slot: where the return address of its innermost frame stands.
bool stack_has(const struct judge *j, const struct frames *f, const char *func,
	       taddr_t *slot);
