// SPDX-License-Identifier: LGPL-2.1-or-later
// Layout verdict for every type that data can have, to the member (design 2, point 6).
#pragma once

#include "elf/dwarf_info.h"
#include "elf/module.h"

enum type_verdict { // worst last
	TYPE_SAME,
	TYPE_RENAMED,	 // a member has another name at the same place and type: warn
	TYPE_STACK_ONLY, // layout differs, but it lives on the stack of functions only: warn
	TYPE_HOLE, // a new member in a hole or in tail padding, or a member that went and left
		   // one: allowed, warn
	TYPE_ADDED,   // only in NEW
	TYPE_REMOVED, // only in OLD
	TYPE_MEANING, // same bytes, other meaning: enumerator value changed, int became enum or
		      // float
	TYPE_SHRUNK,
	TYPE_GROWN,
	TYPE_SHIFTED, // a member moved
};

struct type_change {
	const char *name; // "struct redisServer", "settings_t"; for anonymous ones where it is
			  // declared
	enum type_verdict verdict;
	enum type_verdict layout; // the verdict, but what differs where it is TYPE_STACK_ONLY
	const char *member; // the first member that decides, as a path "conn.timeout", or NULL
	const char *detail; // "member aof_enabled moved from offset 2296 to 2300"
	uint64_t old_size, new_size;
	const char *file; // declared at, in NEW (in OLD when removed); NULL if unknown
	int line;
	bool live; // data of this type can exist: a static variable, or a pointer that may lead
		// to the heap
	const char *via; // a variable or member through which it is live, for the message, or
			 // NULL
};

struct type_report {
	VEC(struct type_change) changes; // all that are not TYPE_SAME, worst first
	size_t same;
	bool old_has_dwarf, new_has_dwarf;
	void *strings;
};

// Compares the types of both programs. Without DWARF on either side the report is empty and
// says so in old_has_dwarf/new_has_dwarf. Enumerations count: a value of equal name that
// changed is TYPE_MEANING; new enumerators at the end are TYPE_SAME.
struct err *types_compare(const struct module *old, const struct module *new,
			  struct type_report *ret) must_check;
void type_report_deinit(struct type_report *r);

const char *type_verdict_name(enum type_verdict v); // "shifted"

// True when an update must be refused for it: layout or meaning differs and data of it can
// be live.
bool type_change_refuses(const struct type_change *c);

// The same in steps, for names that were read already, and for single variables. Both names
// must outlive it.
struct types;
struct err *types_begin(const struct dwarf_names *old, const struct dwarf_names *new,
			struct types **ret) must_check;
void types_free(struct types *t);
void types_freep(struct types **t);
struct err *types_report(struct types *t, struct type_report *ret) must_check;

// How the type of one variable (struct dwarf_var.die) differs, members included. An array of
// another length is TYPE_GROWN or TYPE_SHRUNK. A type that is not known (0) on either side is
// TYPE_SAME. `member` and `detail` belong to `t`.
struct type_difference {
	enum type_verdict verdict;
	const char *member, *detail; // NULL when same
};
struct err *types_pair(struct types *t, size_t old_die, size_t new_die,
		       struct type_difference *ret) must_check;
