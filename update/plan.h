// SPDX-License-Identifier: LGPL-2.1-or-later
// The plan of an update: the new image relinked against the living data, and every word to be changed.
// Made while the process runs; nothing in the process is touched before all of it stands.
#pragma once

#include "diff/diff.h"
#include "process/commit.h"
#include "update/subject.h"

// An IFUNC whose resolver must be called in the target before a slot of the new image can be filled.
struct ifunc_slot {
	vaddr_t slot; // in NEW
	taddr_t resolver;
	int64_t addend;
	taddr_t old_slot; // a lazily bound slot of the old image that gets the value too, or 0
};

// A writable variable that could not stay at home: its value is carried over inside the stop.
struct moved_var {
	uint32_t pair; // index into diff->vars
	taddr_t from, to;
	bool search; // for pointers in memory to it, again inside the stop
};

struct plan;

struct plan_list { // all plans of one update of one process
	struct plan *const *v;
	size_t n;
};

struct plan {
	struct subject *subject;
	struct plan_list all;	 // with this one
	struct link_scope scope; // where ld.so looks for the symbols that the module needs
	struct module *new;
	struct diff *diff;
	bool borrowed;	      // the diff belongs to another plan
	struct layout layout; // of NEW in the process; layout.base is where the image will be
	bool allow_lost;      // as in the options
	bool comes_home;      // that is an image of an earlier generation, still mapped
	uint8_t *image;	      // NEW as it will be in memory, new->span bytes
	uint8_t *live; // the read-only segments of OLD as they are in memory, old->span bytes
	bool *home_moved; // by index of diff->vars: its home is not where OLD has it
	bool *refers_moved; // by index of diff->old_funcs: the old body refers to such a variable
	VEC(struct patch) patches; // all but the frames and moved variables; entry jumps come last
	VEC(struct ifunc_slot) ifuncs;
	VEC(struct moved_var) moved;
	VEC(taddr_t) entries; // all by which functions are known, sorted
	VEC(char *) notes;    // for the user, one line each
	size_t merged, conflicts, jumps, notes_begun, notes_before_merge;
};

struct plan_options {
	const char *debug_dir;
	bool allow_holes;
	bool allow_lost; // variables that NEW lacks may go, with what they hold
	const char *at;	 // function of OLD, or NULL
	const char *const *keep_old;
	size_t n_keep_old;
	// That of another process, which outlives this one: where it is of the same programs, its comparison is used.
	const struct plan *like;
};

// Makes the plan up to the places of variables, or refuses. `new_path` is opened here. With an error *ret has what
// there was of it (NULL without memory), for the report; the caller frees it in any case.
struct err *plan_begin(struct subject *s, const char *new_path,
		       const struct plan_options *opt,
		       void (*progress)(void *arg, const char *text), void *arg,
		       struct plan **ret) must_check;
// When the plans of all modules have begun: links the new images against the process and each other. The array
// stays as long as the plans.
struct err *plan_link(struct plan *const *plans, size_t n,
		      void (*progress)(void *arg, const char *text), void *arg) must_check;
void plan_free(struct plan *p);
void plan_freep(struct plan **p);

// The steps of both, in order.
struct err *preflight(struct plan *p, const struct plan_options *opt) must_check;
// Tables of pointers have no entry for an object that only NEW has and start-up code would have prepared.
struct err *check_tables(const struct diff *d) must_check;
struct err *homes_place(struct plan *p) must_check;
struct err *check_exports(struct plan *p)
	must_check; // that others need, and NEW has no more
struct err *relink_instructions(struct plan *p) must_check;
struct err *image_relocate(struct plan *p) must_check;
struct err *merge_initial_data(struct plan *p) must_check;
struct err *plan_ldso(struct plan *p) must_check;
struct err *plan_unique(struct plan *p) must_check;
struct err *plan_entries(struct plan *p) must_check;
// Whether the entry of a function that changed gets no jump: only old code calls it.
bool entry_is_left_out(const struct func_pair *fp, const struct func *old);

// When all plans of an update stand: --at and --keep-old must name functions of one of their modules.
struct err *preflight_names(struct plan *const *plans, size_t n,
			    const struct plan_options *opt) must_check;

// After the process has changed a variable that was to be merged: merges all anew, member by member.
struct err *merge_again(struct plan *p) must_check;
// Whether a patch is one of the merge's.
bool patch_is_merged(const struct patch *patch);

// In the stop: the words that carry one moved variable over, as patches of the new image.
struct err *merge_moved(struct plan *p, const struct moved_var *m, struct commit *c)
	must_check;

// A remark for the user.
struct err *plan_note(struct plan *p, const char *fmt, ...) must_check printf_like(2, 3);
struct err *plan_patch(struct plan *p, taddr_t addr, const void *old, const void *new,
		       size_t len, const char *what) must_check;

// Run-time value of an address of NEW as data or code may hold it: canonical entry for the start of a
// function, home for a variable, the end of a variable where only one ends there, else the place in the new
// image.
taddr_t plan_address(const struct plan *p, vaddr_t addr);

static inline bool region_writable(enum region r)
{
	return r == REGION_DATA || r == REGION_BSS;
}

static inline bool region_const(enum region r)
{
	return r == REGION_RODATA || r == REGION_RELRO;
}
