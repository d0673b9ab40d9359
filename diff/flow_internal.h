// SPDX-License-Identifier: LGPL-2.1-or-later
// Shared between the files of diff/flow: what each instruction reads and writes, the control-flow graph
// of a body, and the walk over the product of the old and the new graph.
#pragma once

#include "diff/flow.h"

// Places that can hold a value across a call: registers as bits of a mask, and words of the stack frame
// that some instruction names directly. rsp is not among them, the CFA rule settles it.
enum {
	LOC_FLAGS = 16,	 // 0 to 15 are the general registers in encoding order
	LOC_VECTOR = 17, // xmm0 and up, with all their bits
	LOC_X87 = 49,
	LOC_MASK = 50, // k registers
	LOC_OTHER = 51,
	LOCS = 52,
	SLOT_WORDS = 8,
	SLOTS = 64 * SLOT_WORDS, // the last one stands for all that found no number
	SLOT_SIZE = 4,
};

enum { // encoding order
	GPR_RAX,
	GPR_RCX,
	GPR_RDX,
	GPR_RBX,
	GPR_RSP,
	GPR_RBP,
	GPR_RSI,
	GPR_RDI,
	GPR_R8,
};

#define LOC(x) (1ULL << (x))
#define LOC_ALL (LOC(LOCS) - 1)
#define LOC_VECTORS (0xffffffffULL << LOC_VECTOR)
#define LOC_CALLEE_SAVED (LOC(GPR_RBX) | LOC(GPR_RBP) | 0xf000ULL)
#define LOC_RESULTS (LOC(GPR_RAX) | LOC(GPR_RDX) | 3ULL << LOC_VECTOR | LOC(LOC_X87))
#define LOC_ARGS                                                                   \
	(LOC(GPR_RDI) | LOC(GPR_RSI) | LOC(GPR_RDX) | LOC(GPR_RCX) | LOC(GPR_R8) | \
	 LOC(9) | 0xffULL << LOC_VECTOR)
#define LOC_SYSCALL_ARGS \
	(LOC(GPR_RDI) | LOC(GPR_RSI) | LOC(GPR_RDX) | LOC(10) | LOC(GPR_R8) | LOC(9))
#define LOC_CLOBBERED (LOC_ALL & ~LOC_CALLEE_SAVED & ~LOC(GPR_RSP))

struct locs {
	uint64_t regs;
	uint64_t slots[SLOT_WORDS];
};

enum { STACK_UNKNOWN = INT32_MIN };

enum base { BASE_RSP, BASE_RBP, BASE_OTHER };

struct access { // a memory operand
	uint8_t base;
	bool indexed, read, write, lea;
	int32_t disp;
	uint32_t size; // bytes
	// Once the stack offsets are known:
	bool on_stack; // directly named: [offset, offset + size) from the CFA
	bool unknown;  // through rsp, but nobody knows where that points
	int32_t offset;
};

enum stack_effect {
	EFFECT_NONE,
	EFFECT_ADD,	     // rsp += delta
	EFFECT_RSP_FROM_RBP, // rsp = rbp + delta
	EFFECT_RBP_FROM_RSP, // rbp = rsp + delta
	EFFECT_RSP_LOST,
	EFFECT_RBP_LOST,
	EFFECT_POP_RBP, // rsp += delta, rbp lost
	EFFECT_LEAVE,
};

enum { ACCESS_MAX = 3 };

struct facts {			  // of one instruction
	uint64_t use, kill, part; // read, written whole, written in part
	struct access mem[ACCESS_MAX];
	uint8_t nmem;
	uint8_t effect;
	int32_t delta;
	int32_t rsp, rbp; // before it, as offsets from the CFA, or STACK_UNKNOWN
	bool seen;
};

struct graph { // of one body
	const struct module *m;
	const struct body *b;
	uint32_t n;
	struct facts *facts;
	uint32_t *succ_at, *succ; // successors of i: succ[succ_at[i]] up to succ_at[i + 1]
	uint32_t *pred_at, *pred;
	bool floats;	     // computes with them
	char unprovable[96]; // why nothing can be said about this body, or empty
};

struct slot_map {	   // numbers for the words of the frame that either body names
	VEC(int32_t) word; // offset / SLOT_SIZE, ascending
};

// flow_facts.c
struct err *facts_decode(struct graph *g) must_check;
// flow_stack.c
struct err *stack_offsets(struct graph *g) must_check;
struct err *slot_map_collect(struct slot_map *s, const struct graph *g) must_check;
void slot_map_finish(struct slot_map *s);
// The slots of [offset, offset + size): whole ones into *whole, all that are touched into *touched.
void slot_map_range(const struct slot_map *s, int64_t offset, int64_t size,
		    struct locs *whole, struct locs *touched);

// flow_graph.c
struct err *graph_create(const struct module *m, const struct body *b, struct graph **ret)
	must_check;
void graph_free(struct graph *g);
void graph_freep(struct graph **g);
// Marks what is reachable from `from` without going through `barrier` (NO_TWIN for none).
struct err *graph_forward(const struct graph *g, uint32_t from, uint32_t barrier,
			  bool *mark) must_check;
struct err *graph_backward(const struct graph *g, uint32_t to, bool *mark) must_check;
bool graph_decides(const struct graph *g, uint32_t i); // more than one way leads on
bool graph_leaves(const struct graph *g,
		  uint32_t i); // a tail call or return: no successor by intent

struct comparer;

struct flow {
	const struct diff *d;
	uint32_t old_func;
	const struct func_pair *pair;
	const struct func *old_fn, *new_fn;
	// The rest is made when a frame of a changed function is judged for the first time.
	struct graph *old, *new;
	// Which old instruction each new one stands for, calls by what they call; and the inverse.
	uint32_t *near, *new_of;
	struct comparer *comparer;
	struct slot_map slots;
	VEC(int32_t) old_leas, new_leas; // offsets whose address is taken, ascending
	struct product *product;
	const struct type_change *changed_type; // that its frames hold
	bool asked_types, parameters_equal;
	// Before each instruction: with what a call may take, and by what instructions name only.
	struct locs *live_new, *named_new, *named_old;
};

// One frame's place in both bodies.
struct place {
	uint32_t n,
		o; // the call (or system call) that it waits in; the next instruction when exact
	bool behind; // it goes on behind n, not at it
	vaddr_t new_pc, old_pc;
};

// flow_twins.c
struct err *flow_pair_instructions(struct flow *f) must_check;
void flow_forget_instructions(struct flow *f);
// The old instruction that new instruction n stands for, if it is near or equal.
uint32_t flow_near(const struct flow *f, uint32_t n);
// Whether the pair is the same instruction. Jumps inside the body count as the same when they jump in the
// same way: where they lead is for the walk to find out.
bool flow_equal(const struct flow *f, uint32_t n, uint32_t o);

// flow_live.c
struct err *flow_liveness(const struct flow *f, const struct graph *g, bool named_only,
			  struct locs **ret) must_check;
// Liveness behind instruction i.
struct locs flow_live_behind(const struct graph *g, const struct locs *live, uint32_t i);
// What lies in objects whose address is taken.
struct locs flow_escaped(const struct flow *f);
int64_t flow_object_end(const struct flow *f, int32_t offset);
struct locs access_slots(const struct flow *f, const struct access *a, bool whole);

// flow_same.c: is all that can be reached from the pair on the same? NULL or why not in `why`.
struct err *flow_rest_equal(const struct flow *f, uint32_t n, uint32_t o, bool *ret,
			    char *why, size_t size) must_check;

// flow_product.c
struct culprit {
	uint32_t insn;
	bool in_new, set;
};
// With `stop`, what holds when the place is reached for the first time.
struct err *product_walk(const struct flow *f, const struct place *stop,
			 struct product **ret) must_check;
void product_free(struct product *p);
// What holds the same value in both, before the pair; false when the pair was never reached.
bool product_before(const struct product *p, uint32_t n, uint32_t o, struct locs *ret);
// The same behind the pair.
bool product_behind(struct product *p, uint32_t n, uint32_t o, struct locs *ret);
bool product_diverged(const struct product *p, uint32_t n, uint32_t o);
// Whether the branch decides differently: inserted, changed, or fed by what differs.
bool product_branch_differs(const struct product *p, uint32_t n);
struct culprit product_culprit(const struct product *p, unsigned loc);
const char *product_unprovable(const struct product *p);

// flow_prefix.c: false with the reason in `why`.
// Does all that is live at the place hold what the new code would have put there?
struct err *flow_state_equal(const struct flow *f, const struct place *at, bool *ret,
			     char *why, size_t size) must_check;
// Has nothing been done on the way that the new code does otherwise?
struct err *flow_way_equal(const struct flow *f, const struct place *at, bool *ret,
			   char *why, size_t size) must_check;

// flow_locals.c: same number and types, as far as DWARF tells.
bool flow_parameters_equal(const struct flow *f);

// flow_choices.c: a check that differs and decides what is live at the place, as an instruction of one
// body; NO_TWIN when there is none.
struct err *flow_differing_choice(const struct flow *f, const struct place *at,
				  bool in_new, uint32_t *ret) must_check;
