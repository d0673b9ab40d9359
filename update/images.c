// SPDX-License-Identifier: LGPL-2.1-or-later
// The images of all generations, for the unwinder; see images.h.
#include "update/images.h"

#include <string.h>

void images_deinit(struct images *im)
{
	vec_for_each(m, &im->opened)
		module_close(*m);
	vec_free(&im->opened);
}

// The unwinder must know the images of all generations: their mappings have no file.
static struct err *add_image(struct images *q, const struct record_image *im,
			     const struct module *file)
{
	struct loaded_module lm = {.file = file, .base = im->base, .start = UINT64_MAX};

	vec_for_each(seg, &file->segments) {
		if (seg->type != PT_LOAD || !(seg->flags & PF_X))
			continue;
		if (im->base + seg->addr < lm.start)
			lm.start = im->base + seg->addr;
		if (im->base + seg->addr + seg->memsz > lm.end)
			lm.end = im->base + seg->addr + seg->memsz;
	}
	return unwinder_add(q->u, &lm);
}

// An image whose file must be looked for. A replaced file only means that a frame there could not be walked.
static struct err *open_image(struct images *q, const struct record_image *im)
{
	struct module *m = NULL;
	struct err *e = record_image_open(im, NULL, false, &m);

	if (err_is_shortage(e))
		return e;
	if (e) {
		err_free(e);
		return NULL;
	}
	e = vec_push(&q->opened, m);
	if (e) {
		module_close(m);
		return e;
	}
	return add_image(q, im, m);
}

// Several generations may have lived in one image.
static bool is_listed_later(const struct record *r, size_t i)
{
	for (size_t k = i + 1; k < r->images.n; k++)
		if (r->images.v[k].base == r->images.v[i].base)
			return true;
	return false;
}

// All images of a module. `last` is the file of the one that runs, or NULL.
static struct err *add_images(struct images *q, const struct record *r,
			      const struct module *last)
{
	size_t n = r->images.n - (last ? 1 : 0);

	for (size_t i = 0; i < n; i++)
		if (!is_listed_later(r, i))
			TRY(open_image(q, &r->images.v[i]));
	return last ? add_image(q, &r->images.v[n], last) : NULL;
}

static bool is_judged(const struct judge *j, const struct record *r)
{
	vec_for_each(u, &j->units)
		if (u->p->subject->record == r)
			return true;
	return false;
}

struct err *images_add(struct images *q, struct unwinder *unwinder, const struct judge *j,
		       const struct target *t)
{
	q->u = unwinder;
	vec_for_each(f, &t->records.v)
		if (!is_judged(j, &f->record))
			TRY(add_images(q, &f->record, NULL));
	vec_for_each(u, &j->units)
		TRY(add_images(q, u->p->subject->record, u->p->subject->old));
	return NULL;
}
