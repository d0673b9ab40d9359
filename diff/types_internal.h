// SPDX-License-Identifier: LGPL-2.1-or-later
// What the files of the type comparison share; nobody else includes it.
#pragma once

#include "diff/types.h"
#include "elf/dies.h"
#include "elf/type_die.h"

#define NO_TYPE UINT32_MAX

enum type_life { // how data of a type lives, the longest last
	LIFE_UNKNOWN,
	LIFE_STACK, // in frames of functions that run
	LIFE_LIVE,  // for as long as the process
};

// A record or enumeration, once for all units that declare it the same way.
struct type_def {
	const char *name; // qualified, without keyword
	const char *file; // base name of where it is declared, "" if unknown
	uint64_t shape;	  // hash of its direct members
	uint32_t die;
	uint32_t twin;	    // in the other program, NO_TYPE if none
	uint32_t same_name; // next definition of the same name, NO_TYPE at the end
	uint32_t via;	    // the entry that makes it live, NO_DIE
	enum type_life life;
	bool compared,
		comparing; // of old definitions: the differences are known, or being found
	struct type_difference all; // of everything inside
	struct type_difference own; // without what is reported at the type of a member
};

struct type_side {
	const struct dies *d;
	VEC(struct type_def) defs;
	uint32_t *def_of;  // by entry: its definition, NO_TYPE
	uint32_t *namer;   // by entry: what names an anonymous type, NO_DIE
	uint32_t *by_name; // hash table of first definitions of a name
	size_t name_mask;
};

struct types {
	struct type_side old, new;
	void *strings;
	uint64_t steps; // types compared and members read
	bool no_memory; // an allocation in the middle of a comparison failed
	bool endless; // types inside each other without end, or nearly so: nothing is known
};

// Fills defs and def_of.
struct err *types_collect(struct types *t, struct type_side *s) must_check;
void type_side_deinit(struct type_side *s);

// The definition a type entry means, also through a declaration of the same name; NO_TYPE if none.
uint32_t type_def_of(const struct type_side *s, const struct die *e);
// First definition of a name, NO_TYPE if none.
uint32_t type_named(const struct type_side *s, const char *name);
uint64_t type_name_hash(const char *name);

// Marks the definitions of which data can be live.
struct err *types_mark_live(struct type_side *s) must_check;
// "variable settings", "member next of struct item", for a live one.
const char *type_via_text(struct types *t, const struct type_side *s,
			  const struct type_def *def);

// "struct redisServer", "settings_t"
const char *type_def_title(struct types *t, const struct type_side *s,
			   const struct type_def *def);

// Pairs the definitions of both sides (type_def.twin).
struct err *types_pair_defs(struct types *t) must_check;

// One member, with those of anonymous members raised into the record around them.
struct type_member {
	const char *name; // "(base)NAME" for a base class
	const struct die *die;
	uint64_t bit, bits; // bits 0 when the type is incomplete (flexible array)
	uint64_t type;
	uint32_t group; // of a union inside: members of one group may overlap; 0 none
	bool bitfield;
	bool matched;
};

struct type_members {
	VEC(struct type_member) v; // in the order of declaration
	uint32_t *by_name;	   // indices sorted by name
	uint32_t groups;
};

struct err *type_members_read(const struct type_side *s, const struct die *record,
			      struct types *t, struct type_members *ret) must_check;
void type_members_deinit(struct type_members *m);
struct type_member *type_members_find(struct type_members *m, const char *name);

// Counts one; false when damaged debugging information has to be given up.
bool types_step(struct types *t);
// What went wrong in the middle of comparisons, NULL if nothing did.
struct err *types_trouble(const struct types *t) must_check;

// The comparisons. Depth counts nested types, so that damaged debug information ends.
struct type_difference compare_types(struct types *t, uint64_t old, uint64_t new,
				     int depth);
struct type_difference compare_defs(struct types *t, const struct die *old,
				    const struct die *new, int depth);
struct err *compare_records(struct types *t, const struct die *old, const struct die *new,
			    int depth, struct type_difference *all,
			    struct type_difference *own) must_check;
struct type_difference compare_enums(struct types *t, const struct die *old,
				     const struct die *new);
struct type_difference compare_vtables(struct types *t, const struct die *old,
				       const struct die *new);

// Keeps the worse of both, and the member of the first that matters.
void difference_add(struct type_difference *to, struct type_difference more);
struct type_difference difference(struct types *t, enum type_verdict verdict,
				  const char *member, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
