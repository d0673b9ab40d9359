// SPDX-License-Identifier: LGPL-2.1-or-later
// Making a plan: compare, place, relink, merge. Nothing in the process is touched here.
#include "update/plan.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "update/homecoming.h"
#include "update/ldso.h"
#include "update/store.h"
#include "util/cleanup.h"

enum {
	HOLE_GUARD =
		1 << 20, // room for the gates and the commit's area, and for the heap to grow
};

struct err *plan_note(struct plan *p, const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	int len = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (len < 0)
		return err_nomem();
	struct err *e = vec_push(&p->notes, text);
	if (e)
		free(text);
	return e;
}

struct err *plan_patch(struct plan *p, taddr_t addr, const void *old, const void *new,
		       size_t len, const char *what)
{
	struct patch patch = {.addr = addr, .len = (uint8_t)len, .what = what};

	memcpy(patch.old_bytes, old, len);
	memcpy(patch.new_bytes, new, len);
	return vec_push(&p->patches, patch);
}

void plan_free(struct plan *p)
{
	if (!p)
		return;
	if (!p->borrowed)
		diff_free(p->diff);
	module_close(p->new);
	layout_deinit(&p->layout);
	link_scope_deinit(&p->scope);
	free(p->image);
	free(p->live);
	free(p->home_moved);
	free(p->refers_moved);
	vec_free(&p->patches);
	vec_free(&p->ifuncs);
	vec_free(&p->moved);
	vec_free(&p->entries);
	vec_for_each(n, &p->notes)
		free(*n);
	vec_free(&p->notes);
	free(p);
}

void plan_freep(struct plan **p)
{
	plan_free(*p);
}

// The range within which the new image must be reachable: every image that was ever live, and with them
// all homes and canonical entries.
static void reach(const struct subject *s, taddr_t *lo, taddr_t *hi)
{
	*lo = UINT64_MAX;
	*hi = 0;
	vec_for_each(im, &s->record->images) {
		if (im->base < *lo)
			*lo = im->base;
		if (im->base + im->span > *hi)
			*hi = im->base + im->span;
	}
}

static struct err *choose_base(struct plan *p)
{
	taddr_t lo, hi;

	reach(p->subject, &lo, &hi);
	p->layout.base = maps_find_hole(&p->subject->target->maps, lo, hi, p->new->span,
					HOLE_GUARD);
	if (!p->layout.base)
		return err_refuse("no-room", p->new->path,
				  "there is no free range of %lu bytes within 2 GB of "
				  "the program in "
				  "process %d",
				  p->new->span, p->subject->process->pid);
	// Another module of the same update may not get it too.
	return maps_reserve(&p->subject->target->maps, p->layout.base, p->new->span);
}

static struct err *load_image(struct plan *p)
{
	p->image = calloc(1, p->new->span);
	p->live = calloc(1, p->subject->old->span);
	if (!p->image || !p->live)
		return err_nomem();
	vec_for_each(seg, &p->new->segments)
		if (seg->type == PT_LOAD &&
		    !module_read(p->new, seg->addr, p->image + seg->addr, seg->memsz))
			return err_with(
				err_new(ERR_CORRUPT, "%s is truncated", p->new->path),
				"corrupt-elf", p->new->path);
	vec_for_each(seg, &p->subject->old->segments)
		if (seg->type == PT_LOAD && !(seg->flags & PF_W))
			TRY(mem_read(p->subject->process->pid,
				     subject_base(p->subject) + seg->addr,
				     p->live + seg->addr, seg->filesz));
	return NULL;
}

static bool same_file(const struct module *a, const struct module *b)
{
	char x[PROGRAM_ID_MAX], y[PROGRAM_ID_MAX];

	program_id(a, x);
	program_id(b, y);
	return !strcmp(x, y);
}

// Comparing takes most of the time, and says nothing of the process.
static struct err *compare(struct plan *p, const struct plan *like)
{
	if (like && like->diff && same_file(like->subject->old, p->subject->old) &&
	    same_file(like->new, p->new)) {
		p->diff = like->diff;
		p->borrowed = true;
		return NULL;
	}
	return diff_programs(p->subject->old, p->new, &(struct diff_options){0}, &p->diff);
}

// Forgets what was placed and relinked, all but the comparison and its remarks.
static void start_again(struct plan *p)
{
	layout_deinit(&p->layout);
	p->layout.base = 0;
	p->comes_home = false;
	free(p->image);
	free(p->live);
	free(p->home_moved);
	free(p->refers_moved);
	p->image = p->live = NULL;
	p->home_moved = p->refers_moved = NULL;
	p->patches.n = p->ifuncs.n = p->moved.n = p->entries.n = 0;
	p->merged = p->conflicts = p->jumps = 0;
	while (p->notes.n > p->notes_begun)
		free(p->notes.v[--p->notes.n]);
}

// Up to the places of variables.
static struct err *place(struct plan *p, void (*progress)(void *arg, const char *text),
			 void *arg)
{
	p->notes_begun = p->notes.n;
	if (!p->layout.base)
		TRY(choose_base(p));
	TRY(load_image(p));
	progress(arg, "placing variables");
	return homes_place(p);
}

static struct err *begin(struct plan *p, const struct plan_options *opt,
			 void (*progress)(void *arg, const char *text), void *arg)
{
	TRY(link_scope_read(&p->subject->target->links, p->subject->link, &p->scope));
	progress(arg, "comparing the programs");
	TRY(compare(p, opt->like));
	TRY(preflight(p, opt));
	p->layout.base = homecoming_base(p);
	p->comes_home = p->layout.base;
	return place(p, progress, arg);
}

struct err *plan_begin(struct subject *s, const char *new_path,
		       const struct plan_options *opt,
		       void (*progress)(void *arg, const char *text), void *arg,
		       struct plan **ret)
{
	struct plan *p = calloc(1, sizeof(*p));

	if (!p)
		return err_nomem();
	*ret = p;
	p->subject = s;
	p->allow_lost = opt->allow_lost;
	_cleanup_free_ char *kept_debug = store_debug_dir(new_path);
	struct err *e = module_open(
		new_path, opt->debug_dir ? opt->debug_dir : kept_debug, &p->new);
	// Only an image of a checkpoint is "corrupt": a program that is none is refused.
	if (e && e->kind == ERR_CORRUPT)
		e->kind = ERR_REFUSED;
	else if (e && e->errnum == ENOENT)
		e->kind = ERR_USAGE;
	if (!e)
		e = subject_check_file(s, p->new, "new");
	if (!e)
		e = begin(p, opt, progress, arg);
	return e;
}

static struct err *link_one(struct plan *p, void (*progress)(void *arg, const char *text),
			    void *arg)
{
	static const struct {
		const char *text;
		struct err *(*run)(struct plan *p);
	} steps[] = {
		{"looking for users", check_exports},
		{"relinking instructions", relink_instructions},
		{"relocating the new image", image_relocate},
		{"merging initial data", merge_initial_data},
		{"preparing ld.so", plan_ldso},
		{"preparing unique symbols", plan_unique},
		{"comparing the image of before", homecoming_patches},
		{"preparing entry jumps", plan_entries}, // last: executed last
	};

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		if (steps[i].run == homecoming_patches && !p->comes_home)
			continue;
		progress(arg, steps[i].text);
		TRY(steps[i].run(p));
	}
	return NULL;
}

static struct err *link_all(struct plan *const *plans, size_t n,
			    void (*progress)(void *arg, const char *text), void *arg)
{
	for (size_t i = 0; i < n; i++)
		TRY(link_one(plans[i], progress, arg));
	return plan_find_object(plans, n);
}

static bool any_comes_home(struct plan *const *plans, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (plans[i]->comes_home)
			return true;
	return false;
}

struct err *plan_link(struct plan *const *plans, size_t n,
		      void (*progress)(void *arg, const char *text), void *arg)
{
	for (size_t i = 0; i < n; i++)
		plans[i]->all = (struct plan_list){.v = plans, .n = n};
	struct err *e = link_all(plans, n, progress, arg);
	if (!e || err_is_shortage(e) || !any_comes_home(plans, n))
		return e;
	// Perhaps only an image of before does not fit.
	progress(arg, e->message);
	err_free(e);
	for (size_t i = 0; i < n; i++) {
		start_again(plans[i]);
		TRY(place(plans[i], progress, arg));
	}
	return link_all(plans, n, progress, arg);
}
