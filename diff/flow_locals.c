// SPDX-License-Identifier: LGPL-2.1-or-later
// What DWARF says about a function's frame: variables of types whose layout differs between the
// programs, and whether its parameters are the same.
#include <dwarf.h>
#include <stdio.h>
#include <string.h>

#include "diff/flow_internal.h"
#include "util/cleanup.h"

enum { DEPTH_MAX = 12 }; // of types in types and blocks in blocks

// "struct a::b" and "b" name the same here: a false hit only makes a frame wait.
static const char *bare_name(const char *name)
{
	static const char *const keywords[] = {"struct ", "union ", "class ", "enum "};
	const char *colon;

	for (size_t i = 0; i < ARRAY_SIZE(keywords); i++)
		if (!strncmp(name, keywords[i], strlen(keywords[i])))
			name += strlen(keywords[i]);
	colon = strrchr(name, ':');
	return colon ? colon + 1 : name;
}

static bool layout_differs(const struct type_change *c)
{
	switch (c->verdict) {
	case TYPE_STACK_ONLY:
	case TYPE_HOLE:
	case TYPE_MEANING:
	case TYPE_SHRUNK:
	case TYPE_GROWN:
	case TYPE_SHIFTED:
		return true;
	case TYPE_SAME:
	case TYPE_RENAMED:
	case TYPE_ADDED:
	case TYPE_REMOVED:
		break;
	}
	return false;
}

static const struct type_change *find_change(const struct diff *d, const char *name)
{
	vec_for_each(c, &d->types.changes)
		if (layout_differs(c) && c->name &&
		    !strcmp(bare_name(c->name), bare_name(name)))
			return c;
	return NULL;
}

// Follows DW_AT_type; false when there is none (void).
static bool type_of(Dwarf_Die *die, Dwarf_Die *ret)
{
	Dwarf_Attribute attr;

	return dwarf_attr_integrate(die, DW_AT_type, &attr) &&
	       dwarf_formref_die(&attr, ret);
}

static bool is_wrapper(int tag)
{
	return tag == DW_TAG_typedef || tag == DW_TAG_const_type ||
	       tag == DW_TAG_volatile_type || tag == DW_TAG_restrict_type ||
	       tag == DW_TAG_atomic_type || tag == DW_TAG_array_type;
}

static bool is_record(int tag)
{
	return tag == DW_TAG_structure_type || tag == DW_TAG_union_type ||
	       tag == DW_TAG_class_type || tag == DW_TAG_enumeration_type;
}

// The changed type that `die` is or contains, by value.
static const struct type_change *changed_type(const struct diff *d, Dwarf_Die die,
					      unsigned depth)
{
	const struct type_change *c = NULL;
	Dwarf_Die child, member;

	for (unsigned i = 0; i < DEPTH_MAX && is_wrapper(dwarf_tag(&die)); i++) {
		const char *name =
			dwarf_tag(&die) == DW_TAG_typedef ? dwarf_diename(&die) : NULL;

		c = name ? find_change(d, name) : NULL;
		if (c || !type_of(&die, &die))
			return c;
	}
	if (depth > DEPTH_MAX || !is_record(dwarf_tag(&die)))
		return NULL;
	if (dwarf_diename(&die))
		c = find_change(d, dwarf_diename(&die));
	if (c || dwarf_child(&die, &child) != 0)
		return c;
	do {
		int tag = dwarf_tag(&child);

		if ((tag == DW_TAG_member || tag == DW_TAG_inheritance) &&
		    type_of(&child, &member))
			c = changed_type(d, member, depth + 1);
	} while (!c && dwarf_siblingof(&child, &child) == 0);
	return c;
}

// Not in the frame: static, or only declared.
static bool in_frame(Dwarf_Die *die)
{
	Dwarf_Attribute attr;
	Dwarf_Op *ops;
	size_t n;

	if (dwarf_hasattr_integrate(die, DW_AT_external) ||
	    dwarf_hasattr_integrate(die, DW_AT_const_value))
		return false;
	if (!dwarf_attr_integrate(die, DW_AT_location, &attr))
		return false;
	if (dwarf_getlocation(&attr, &ops, &n) == 0 && n && ops[0].atom == DW_OP_addr)
		return false;
	return true;
}

static const struct type_change *changed_in_block(const struct diff *d, Dwarf_Die *block,
						  unsigned depth)
{
	const struct type_change *c = NULL;
	Dwarf_Die child, type;

	if (depth > DEPTH_MAX || dwarf_child(block, &child) != 0)
		return NULL;
	do {
		switch (dwarf_tag(&child)) {
		case DW_TAG_variable:
		case DW_TAG_formal_parameter:
			if (in_frame(&child) && type_of(&child, &type))
				c = changed_type(d, type, 0);
			break;
		case DW_TAG_lexical_block:
		case DW_TAG_inlined_subroutine:
			c = changed_in_block(d, &child, depth + 1);
			break;
		default:
			break;
		}
	} while (!c && dwarf_siblingof(&child, &child) == 0);
	return c;
}

// Searches namespaces too. Functions of classes are defined outside of them.
static bool find_in(Dwarf_Die *parent, vaddr_t addr, unsigned depth, Dwarf_Die *ret)
{
	Dwarf_Die child;

	if (depth > DEPTH_MAX || dwarf_child(parent, &child) != 0)
		return false;
	do {
		int tag = dwarf_tag(&child);

		if (tag == DW_TAG_subprogram && dwarf_haspc(&child, addr) > 0) {
			*ret = child;
			return true;
		}
		if (tag == DW_TAG_namespace && find_in(&child, addr, depth + 1, ret))
			return true;
	} while (dwarf_siblingof(&child, &child) == 0);
	return false;
}

static bool find_function(const struct module *m, vaddr_t addr, Dwarf_Die *ret)
{
	Dwarf_CU *cu = NULL;
	Dwarf_Die die;

	if (!module_dwarf(m))
		return false;
	if (dwarf_addrdie(module_dwarf(m), addr, &die) && find_in(&die, addr, 0, ret))
		return true;
	while (dwarf_get_units(module_dwarf(m), cu, &cu, NULL, NULL, &die, NULL) == 0)
		if (dwarf_haspc(&die, addr) > 0 && find_in(&die, addr, 0, ret))
			return true;
	return false;
}

const struct type_change *frame_changed_type(const struct diff *d, uint32_t old_func)
{
	Dwarf_Die die;

	if (!d->types.changes.n || old_func >= d->old_funcs.n ||
	    !find_function(d->old, d->old_funcs.v[old_func].addr, &die))
		return NULL;
	return changed_in_block(d, &die, 0);
}

// One word for a type: its name behind typedefs and pointers.
static void describe_type(Dwarf_Die die, char *buf, size_t size)
{
	size_t at = 0;

	buf[0] = 0;
	for (unsigned i = 0; i < DEPTH_MAX && at + 2 < size; i++) {
		int tag = dwarf_tag(&die);

		if (dwarf_diename(&die)) {
			snprintf(buf + at, size - at, "%s", dwarf_diename(&die));
			return;
		}
		if (tag == DW_TAG_pointer_type || tag == DW_TAG_array_type) {
			buf[at++] = '*';
			buf[at] = 0;
		}
		if (!type_of(&die, &die))
			return;
	}
}

static bool next_parameter(Dwarf_Die *die, bool *first, Dwarf_Die *at)
{
	int got = *first ? dwarf_child(die, at) : dwarf_siblingof(at, at);

	*first = false;
	while (got == 0 && dwarf_tag(at) != DW_TAG_formal_parameter)
		got = dwarf_siblingof(at, at);
	return got == 0;
}

bool flow_parameters_equal(const struct flow *f)
{
	Dwarf_Die old, new, a, b, type;
	bool first_a = true, first_b = true;

	if (!find_function(f->d->old, f->old_fn->addr, &old) ||
	    !find_function(f->d->new, f->new_fn->addr, &new))
		return true; // nobody can tell
	for (;;) {
		bool x = next_parameter(&old, &first_a, &a),
		     y = next_parameter(&new, &first_b, &b);
		char s[96] = "", t[96] = "";

		if (x != y)
			return false;
		if (!x)
			return true;
		if (type_of(&a, &type))
			describe_type(type, s, sizeof(s));
		if (type_of(&b, &type))
			describe_type(type, t, sizeof(t));
		if (strcmp(s, t) != 0)
			return false;
	}
}
