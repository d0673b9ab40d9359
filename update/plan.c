// SPDX-License-Identifier: LGPL-2.1-or-later
// Making a plan: compare, place, relink, merge. Nothing in the process is touched here.
#include "update/plan.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "update/homecoming.h"

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
	return NULL;
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

static struct err *plan_steps(struct plan *p,
			      void (*progress)(void *arg, const char *text), void *arg)
{
	static const struct {
		const char *text;
		struct err *(*run)(struct plan *p);
	} steps[] = {
		{"placing variables", homes_place},
		{"relinking instructions", relink_instructions},
		{"relocating the new image", image_relocate},
		{"merging initial data", merge_initial_data},
		{"preparing ld.so", plan_ldso},
		{"comparing the image of before", homecoming_patches},
		{"preparing entry jumps", plan_entries}, // last: executed last
	};

	TRY(load_image(p));
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		if (steps[i].run == homecoming_patches && !p->comes_home)
			continue;
		progress(arg, steps[i].text);
		TRY(steps[i].run(p));
	}
	return NULL;
}

// Forgets what was placed and relinked, all but the comparison and its remarks.
static void start_again(struct plan *p, size_t notes)
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
	while (p->notes.n > notes)
		free(p->notes.v[--p->notes.n]);
}

static struct err *plan_all(struct plan *p, const struct plan_options *opt,
			    void (*progress)(void *arg, const char *text), void *arg)
{
	progress(arg, "comparing the programs");
	TRY(compare(p, opt->like));
	TRY(preflight(p, opt));
	size_t notes = p->notes.n;
	p->layout.base = homecoming_base(p);
	p->comes_home = p->layout.base;
	if (p->comes_home) {
		struct err *e = plan_steps(p, progress, arg);

		if (!e || err_is_shortage(e))
			return e;
		progress(arg, e->message);
		err_free(e);
		start_again(p, notes);
	}
	TRY(choose_base(p));
	return plan_steps(p, progress, arg);
}

struct err *plan_make(struct subject *s, const char *new_path,
		      const struct plan_options *opt,
		      void (*progress)(void *arg, const char *text), void *arg,
		      struct plan **ret)
{
	struct plan *p = calloc(1, sizeof(*p));

	if (!p)
		return err_nomem();
	*ret = p;
	p->subject = s;
	struct err *e = module_open(new_path, opt->debug_dir, &p->new);
	// Only an image of a checkpoint is "corrupt": a program that is none is refused.
	if (e && e->kind == ERR_CORRUPT)
		e->kind = ERR_REFUSED;
	else if (e && e->errnum == ENOENT)
		e->kind = ERR_USAGE;
	if (!e)
		e = subject_check_file(s, p->new, "new");
	if (!e)
		e = plan_all(p, opt, progress, arg);
	return e;
}
