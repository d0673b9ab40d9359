// SPDX-License-Identifier: LGPL-2.1-or-later
// Relinks the instructions of NEW: references to data go to the old homes (design 2, point 1).
//
// In the twin of an old instruction the old target is copied as it is live; attribution by address is left
// for instructions without a twin and for variables that could not stay. Base and end of one object must
// never land in different images (findings-update.md).
#include <stdio.h>
#include <string.h>

#include "update/plan.h"

struct site { // one reference being resolved
	struct plan *p;
	const struct func *f;
	const struct insn *i;
	const struct insn *twin; // in OLD, or NULL
	bool changed;		 // the function as a whole is not the same
	struct copies *copies;
};

// Read-only variables of which one function uses the copy in the new image rather than the one at home,
// because the end of one of them cannot be told from what stands behind it.
struct copies {
	VEC(uint32_t) v; // indices into new_vars
};

// What a reference may mean: each reading with the address it would lead to.
struct readings {
	taddr_t v[3];
	bool fixed[3]; // it names a variable that must be at its home because it can be written
	size_t n;
};

static void add_reading(struct readings *r, taddr_t to, bool fixed)
{
	for (size_t k = 0; k < r->n; k++)
		if (r->v[k] == to) {
			r->fixed[k] |= fixed;
			return;
		}
	r->v[r->n] = to;
	r->fixed[r->n++] = fixed;
}

static bool var_at_home(const struct plan *p, uint32_t new_var)
{
	const struct var_pair *vp = diff_var_of_new(p->diff, new_var);

	return vp && vp->old != NO_TWIN && !p->home_moved[vp - p->diff->vars.v];
}

static bool is_pair(const struct plan *p, uint32_t old_var, uint32_t new_var)
{
	const struct var_pair *vp =
		new_var == NO_TWIN ? NULL : diff_var_of_new(p->diff, new_var);

	return vp && old_var != NO_TWIN && vp->old == old_var;
}

static bool is_array(const struct var *v)
{
	return !v->type_name || strchr(v->type_name, '[');
}

// The variables an address may mean: what starts at or covers it, and for a `lea` what ends there. Of a twin
// only the readings count that OLD's instruction has too.
static struct var_reading site_vars(const struct site *s)
{
	struct var_reading vr = diff_new_var_at(s->p->diff, s->i->target);

	if (!(s->i->flags & INSN_LEA))
		vr.end_of = NO_TWIN;
	if (!s->twin) {
		// Nobody takes the end of what is no array when another variable begins there.
		if (vr.inside != NO_TWIN && vr.end_of != NO_TWIN &&
		    !is_array(&s->p->diff->new_vars.v[vr.end_of]))
			vr.end_of = NO_TWIN;
		return vr;
	}
	struct var_reading vo = diff_old_var_at(s->p->diff, s->twin->target);
	bool inside = is_pair(s->p, vo.inside, vr.inside);
	bool end_of = is_pair(s->p, vo.end_of, vr.end_of);
	if (inside || end_of) {
		vr.inside = inside ? vr.inside : NO_TWIN;
		vr.end_of = end_of ? vr.end_of : NO_TWIN;
	}
	return vr;
}

static void read_site(const struct site *s, struct readings *r)
{
	const struct plan *p = s->p;
	struct var_reading vr = site_vars(s);
	enum region region = module_region(p->new, s->i->target);

	if (vr.inside != NO_TWIN) {
		const struct var *v = &p->diff->new_vars.v[vr.inside];

		add_reading(r, layout_data(&p->layout, v->addr) + (s->i->target - v->addr),
			    region_writable(v->region));
	}
	if (vr.end_of != NO_TWIN) {
		const struct var *v = &p->diff->new_vars.v[vr.end_of];

		add_reading(r, layout_data(&p->layout, v->addr) + v->size,
			    region_writable(v->region));
	}
	// The initial value of an automatic array is read-only in all but name.
	if (vr.inside == NO_TWIN &&
	    (!region_writable(region) || diff_new_is_template(p->diff, s->i->target)))
		add_reading(r, p->layout.base + s->i->target, false);
}

static struct err *refuse_site(const struct site *s, const char *code, const char *why)
{
	char object[256];
	struct source_pos pos = {0};

	snprintf(object, sizeof(object), "%s", s->f->name);
	dwarf_line(s->p->new, s->i->addr, &pos);
	if (!pos.file)
		return err_refuse(code, object, "%s+0x%lx: reference to 0x%lx %s",
				  s->f->name, s->i->addr - s->f->addr, s->i->target, why);
	return err_refuse(code, object, "%s+0x%lx (%s:%d): reference to 0x%lx %s",
			  s->f->name, s->i->addr - s->f->addr, pos.file, pos.line,
			  s->i->target, why);
}

// The old instruction's target as it is in the process now: read from the live image, so that it is right
// in every generation.
static taddr_t live_target(const struct plan *p, const struct insn *old)
{
	int32_t disp;

	memcpy(&disp, p->live + old->addr + old->disp_off, sizeof(disp));
	return p->subject->record->layout.base + old->addr + old->len + (int64_t)disp;
}

// True when one of the variables that the twins may mean is not at home any more.
static bool twin_moved(const struct site *s)
{
	struct var_reading vr = site_vars(s);

	return (vr.inside != NO_TWIN && !var_at_home(s->p, vr.inside)) ||
	       (vr.end_of != NO_TWIN && !var_at_home(s->p, vr.end_of));
}

static bool is_copied(const struct site *s, uint32_t var)
{
	if (var != NO_TWIN)
		vec_for_each(c, &s->copies->v)
			if (*c == var)
				return true;
	return false;
}

static struct err *copy_var(const struct site *s, uint32_t var)
{
	return var == NO_TWIN || is_copied(s, var) ? NULL : vec_push(&s->copies->v, var);
}

// Where the readings of an address disagree, the copies in the new image satisfy all of them at once, if
// nothing there can be written.
static struct err *settle_boundary(const struct site *s, const struct readings *r)
{
	struct var_reading vr = site_vars(s);

	for (size_t k = 0; k < r->n; k++)
		if (r->fixed[k])
			return refuse_site(
				s, "ambiguous-ref",
				"is the end of one variable and the start of another, "
				"which are no neighbours any more");
	TRY(copy_var(s, vr.inside));
	return copy_var(s, vr.end_of);
}

// Start-up code compares places where sections meet, and only with each other: in OLD they are where OLD has
// the symbol of the same name.
static bool boundary_target(const struct site *s, taddr_t *ret)
{
	static const char *const funcs[] = {"deregister_tm_clones", "register_tm_clones",
					    "__do_global_dtors_aux"};
	static const char *const names[] = {"__TMC_END__", "__bss_start", "_edata",
					    "_end"};
	bool start_up = false;

	for (size_t i = 0; i < ARRAY_SIZE(funcs); i++)
		start_up |= !strcmp(s->f->name, funcs[i]);
	for (size_t i = 0; start_up && i < ARRAY_SIZE(names); i++) {
		const struct symbol *old =
			module_symbol_named(s->p->subject->old, names[i]);
		const struct symbol *new = module_symbol_named(s->p->new, names[i]);

		if (!old || !new || new->addr != s->i->target || !(s->i->flags & INSN_LEA))
			continue;
		*ret = s->p->comes_home ? s->p->layout.base + s->i->target
					: subject_base(s->p->subject) + old->addr;
		return true;
	}
	return false;
}

// Instructions that keep their twin's live target: all of an unchanged function's, and in a changed one
// those that name a variable. Unnamed read-only data of a changed function comes from the new image as a
// whole, so that its base and end stay together.
static bool follows_twin(const struct site *s)
{
	taddr_t ignored;

	if (!s->twin || twin_moved(s))
		return false;
	// In an image of before each of these places is where it was, however often others came between.
	if (s->p->comes_home && boundary_target(s, &ignored))
		return false;
	return !s->changed || site_vars(s).inside != NO_TWIN ||
	       region_writable(module_region(s->p->new, s->i->target));
}

// First pass: finds the variables of which the function needs the new copy.
static struct err *scan_site(const struct site *s)
{
	struct readings r = {0};
	taddr_t ignored;

	if ((s->i->ref != REF_DATA && s->i->ref != REF_RODATA) || follows_twin(s) ||
	    boundary_target(s, &ignored))
		return NULL;
	read_site(s, &r);
	return r.n > 1 ? settle_boundary(s, &r) : NULL;
}

static struct err *resolve_data(const struct site *s, taddr_t *ret)
{
	const struct plan *p = s->p;
	struct var_reading vr = site_vars(s);
	struct readings r = {0};

	*ret = p->layout.base + s->i->target;
	if (is_copied(s, vr.inside) || (is_copied(s, vr.end_of) && vr.inside == NO_TWIN))
		return NULL;
	if (follows_twin(s)) {
		*ret = live_target(p, s->twin);
		return NULL;
	}
	if (boundary_target(s, ret))
		return NULL;
	read_site(s, &r);
	if (!r.n)
		return refuse_site(
			s, "unnamed-data",
			"leads to writable data without a symbol, and no instruction of "
			"the running program tells where that is");
	if (r.n == 1)
		*ret = r.v[0];
	return NULL; // several readings: the first pass made the new copies serve
}

// A `lea` of a function takes its canonical address; calls and jumps go straight to the new body.
static taddr_t resolve_code(const struct site *s)
{
	const struct plan *p = s->p;
	uint32_t f = diff_new_func_at(p->diff, s->i->target);

	if ((s->i->flags & (INSN_CALL | INSN_JUMP | INSN_COND)) || f == NO_TWIN ||
	    p->diff->new_funcs.v[f].addr != s->i->target)
		return p->layout.base + s->i->target;
	return layout_function(&p->layout, s->i->target);
}

static struct err *patch_site(const struct site *s, taddr_t to)
{
	struct plan *p = s->p;
	taddr_t next = p->layout.base + s->i->addr + s->i->len;
	int64_t disp = (int64_t)(to - next);
	int32_t disp32 = (int32_t)disp;

	if (disp != disp32)
		return refuse_site(s, "no-room", "is more than 2 GB from the new image");
	if (to != p->layout.base + s->i->target) {
		if (s->i->disp_size != 4)
			return refuse_site(s, "unnamed-data",
					   "has no 32-bit displacement");
		memcpy(p->image + s->i->addr + s->i->disp_off, &disp32, sizeof(disp32));
	}
	return NULL;
}

static struct err *relink_site(const struct site *s)
{
	taddr_t to;

	switch ((enum ref_kind)s->i->ref) {
	case REF_CODE:
		return patch_site(s, resolve_code(s));
	case REF_DATA:
	case REF_RODATA:
		TRY(resolve_data(s, &to));
		return patch_site(s, to);
	case REF_ABS: // into the middle of an instruction, say; it moves with the image
		if (module_region(s->p->new, s->i->target) == REGION_TEXT)
			return NULL;
		return refuse_site(s, "unnamed-data", "leads out of the program");
	case REF_NONE:
	case REF_BRANCH:
	case REF_PLT:
	case REF_GOT:
	case REF_TABLE:
		break; // inside the new image, which has its own PLT, GOT and jump tables
	}
	return NULL;
}

static struct err *each_site(struct plan *p, uint32_t new_func, struct copies *copies,
			     struct err *(*visit)(const struct site *s))
{
	const struct func *f = &p->diff->new_funcs.v[new_func];
	const struct func_pair *fp = diff_pair_of_new(p->diff, new_func);
	const struct func *old =
		fp && fp->old != NO_TWIN ? &p->diff->old_funcs.v[fp->old] : NULL;

	for (size_t k = 0; k < f->body.insns.n; k++) {
		struct site s = {.p = p,
				 .f = f,
				 .i = &f->body.insns.v[k],
				 .copies = copies,
				 .changed = !old || fp->verdict != FUNC_SAME};

		if (s.i->ref == REF_NONE)
			continue;
		if (old && fp->twin && fp->twin[k] != NO_TWIN)
			s.twin = &old->body.insns.v[fp->twin[k]];
		TRY(visit(&s));
	}
	return NULL;
}

static struct err *relink_function(struct plan *p, uint32_t new_func)
{
	const struct func *f = &p->diff->new_funcs.v[new_func];
	struct copies copies = {0};

	if (f->body.undecodable)
		return err_refuse("undecodable", f->name,
				  "function %s of NEW has bytes that are no instructions",
				  f->name);
	struct err *e = each_site(p, new_func, &copies, scan_site);
	if (!e)
		e = each_site(p, new_func, &copies, relink_site);
	vec_free(&copies.v);
	return e;
}

struct err *relink_instructions(struct plan *p)
{
	for (uint32_t i = 0; i < p->diff->new_funcs.n; i++)
		TRY(relink_function(p, i));
	return NULL;
}

taddr_t plan_address(const struct plan *p, vaddr_t addr)
{
	if (module_region(p->new, addr) == REGION_TEXT) {
		uint32_t f = diff_new_func_at(p->diff, addr);

		if (f != NO_TWIN && p->diff->new_funcs.v[f].addr == addr)
			return layout_function(&p->layout, addr);
		return p->layout.base + addr;
	}
	struct var_reading vr = diff_new_var_at(p->diff, addr);
	if (vr.inside == NO_TWIN && vr.end_of != NO_TWIN) {
		const struct var *v = &p->diff->new_vars.v[vr.end_of];

		return layout_data(&p->layout, v->addr) + v->size;
	}
	return layout_data(&p->layout, addr);
}
