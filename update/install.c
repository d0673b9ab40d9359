// SPDX-License-Identifier: LGPL-2.1-or-later
// Mapping the new image and the record; see install.h.
#include "update/install.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

#include "update/map_image.h"
#include "util/cleanup.h"

enum { PAGE = 4096 };

static const uint64_t resolver_timeout_ns = 1000000000;

static int segment_prot(const struct segment *seg)
{
	return ((seg->flags & PF_R) ? PROT_READ : 0) |
	       ((seg->flags & PF_W) ? PROT_WRITE : 0) |
	       ((seg->flags & PF_X) ? PROT_EXEC : 0);
}

// Segments get their protection; relocation is done, so PT_GNU_RELRO is read-only at once.
static struct err *protect_segments(struct plan *p, struct helper *h, taddr_t base)
{
	const struct module *m = p->new;

	vec_for_each(seg, &m->segments) {
		if (seg->type != PT_LOAD)
			continue;
		vaddr_t from = seg->addr & ~(vaddr_t)(PAGE - 1);
		vaddr_t to = (seg->addr + seg->memsz + PAGE - 1) & ~(vaddr_t)(PAGE - 1);

		TRY(helper_mprotect(h, base + from, to - from, segment_prot(seg)));
		if (!(seg->flags & PF_X))
			continue;
		// Faulted in now, so that the first calls after the stop need not wait for it.
		const uint64_t args[6] = {base + from, to - from, MADV_POPULATE_READ};
		int64_t ignored;
		TRY(helper_syscall(h, SYS_madvise, args, &ignored));
	}
	vaddr_t relro_end = (m->relro_addr + m->relro_size) & ~(vaddr_t)(PAGE - 1);
	vaddr_t relro = m->relro_addr & ~(vaddr_t)(PAGE - 1);
	if (m->relro_size && relro_end > relro && relro_end <= m->span)
		TRY(helper_mprotect(h, base + relro, relro_end - relro, PROT_READ));
	return NULL;
}

// The slots of IFUNCs get what their resolvers say in this process.
static struct err *fill_ifuncs(struct plan *p, struct helper *h)
{
	pid_t pid = p->subject->process->pid;

	vec_for_each(s, &p->ifuncs) {
		uint64_t value, was;

		TRY(err_wrap(helper_call(h, s->resolver, 0, resolver_timeout_ns, &value),
			     "IFUNC resolver at 0x%lx", s->resolver));
		value += (uint64_t)s->addend;
		if (s->old_slot) {
			TRY(mem_read(pid, s->old_slot, &was, sizeof(was)));
			TRY(plan_patch(p, s->old_slot, &was, &value, sizeof(value),
				       "binding of an old PLT slot"));
			continue;
		}
		TRY(mem_poke(pid, p->layout.base + s->slot, &value, sizeof(value)));
	}
	return NULL;
}

static struct err *copy_image(const struct record_image *from, struct record *to)
{
	struct record_image im = *from;

	im.path = strdup(from->path);
	im.build_id = strdup(from->build_id);
	struct err *e = im.path && im.build_id ? vec_push(&to->images, im) : err_nomem();
	if (e) {
		free(im.path);
		free(im.build_id);
	}
	return e;
}

// Of generations long gone only what is needed to know every image that is mapped: the newest one at each place.
static bool is_forgotten(const struct record *was, size_t i)
{
	const struct record_image *im = &was->images.v[i];

	if (i == 0 || i + RECORD_HISTORY > was->images.n)
		return false;
	for (size_t k = i + 1; k < was->images.n; k++)
		if (was->images.v[k].base == im->base)
			return true;
	return false;
}

static struct err *fill_record(const struct plan *p, struct record *r)
{
	const struct record *was = p->subject->record;
	char path[PATH_MAX], id[PROGRAM_ID_MAX];

	r->generation = record_list_generation(&p->subject->target->records) + 1;
	r->name = strdup(was->name);
	if (!r->name)
		return err_nomem();
	r->text_hash = image_text_hash(p->new, p->image, p->new->span);
	for (size_t i = 0; i < was->images.n; i++)
		if (!is_forgotten(was, i))
			TRY(copy_image(&was->images.v[i], r));
	if (!realpath(p->new->path, path))
		snprintf(path, sizeof(path), "%s", p->new->path);
	program_id(p->new, id);
	struct record_image im = {.generation = r->generation,
				  .base = p->layout.base,
				  .span = p->new->span,
				  .path = path,
				  .build_id = id,
				  .time = (uint64_t)time(NULL)};
	TRY(copy_image(&im, r));
	r->layout = p->layout; // borrowed for packing
	return NULL;
}

static struct err *map_record(struct plan *p, struct helper *h, struct installed *ret)
{
	struct record r = {0};
	_cleanup_free_ void *block = NULL;
	size_t size = 0;
	struct err *e = fill_record(p, &r);

	if (!e)
		e = record_pack(&r, &block, &size);
	memset(&r.layout, 0, sizeof(r.layout));
	record_deinit(&r);
	if (!e)
		e = map_named(h, &(struct named_content){RECORD_NAME, block, size}, 0,
			      PROT_READ, &ret->record);
	if (!e)
		ret->record_len = size;
	return e;
}

static struct err *patch_record_states(struct plan *p, const struct installed *in)
{
	const uint32_t prepared = RECORD_PREPARED, live = RECORD_LIVE, dead = 0;
	const struct subject *s = p->subject;

	if (s->recorded)
		TRY(plan_patch(p, s->record_addr + record_state_offset, &live, &dead, 4,
			       "generation record"));
	return plan_patch(p, in->record + record_state_offset, &prepared, &live, 4,
			  "generation record");
}

struct err *install_image(struct plan *p, struct helper *h, struct installed *ret)
{
	ret->helper = h;
	if (p->comes_home)
		return NULL;
	TRY(err_wrap(map_image(p, h), "mapping the new image"));
	ret->image = p->layout.base;
	ret->image_len = p->new->span;
	return protect_segments(p, h, ret->image);
}

struct err *install_record(struct plan *p, struct helper *h, struct installed *ret)
{
	TRY(fill_ifuncs(p, h));
	TRY(err_wrap(map_record(p, h, ret), "mapping the generation record"));
	return patch_record_states(p, ret);
}

struct err *uninstall(struct installed *in)
{
	if (in->record_len)
		TRY(helper_munmap(in->helper, in->record, in->record_len));
	in->record_len = 0;
	if (in->image_len)
		TRY(helper_munmap(in->helper, in->image, in->image_len));
	in->image_len = 0;
	return NULL;
}

static bool is_read_record(const struct target *t, const struct mapping *m)
{
	vec_for_each(f, &t->records.v)
		if (m->start >= f->addr && m->start < f->addr + f->len)
			return true;
	return false;
}

// Of a library that was closed ld.so unmapped the last image; what it started with is molt's to clear, unless it had
// come back there. The record goes first: a tool that dies in between must not leave one that calls memory molt's which
// the process may have got again.
static struct err *clear_closed(const struct found_record *f, struct helper *h)
{
	const struct record *r = &f->record;
	const struct record_image *first = &r->images.v[0];

	TRY(helper_munmap(h, f->addr, f->len));
	if (r->images.n < 2 || first->base == r->layout.base)
		return NULL;
	return helper_munmap(h, first->base, first->span);
}

struct err *clear_leftovers(const struct target *t, struct helper *h)
{
	static const char record[] = "/memfd:" RECORD_NAME;

	vec_for_each(f, &t->records.v)
		if (f->gone)
			TRY(clear_closed(f, h));
	vec_for_each(m, &t->maps.v) {
		uint64_t len = m->end - m->start;
		bool dead_image = is_image_head(m) && !target_in_images(t, m->start);
		bool dead_record = !strncmp(m->path, record, strlen(record)) &&
				   !is_read_record(t, m);

		if (dead_image)
			TRY(image_extent(t->process->pid, &t->maps, m, &len));
		if (dead_image || dead_record)
			TRY(helper_munmap(h, m->start, len));
	}
	return NULL;
}
