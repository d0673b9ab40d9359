// SPDX-License-Identifier: LGPL-2.1-or-later
// Opening a process as the target of an update; see target.h.
#include "update/target.h"

#include <stdlib.h>
#include <string.h>

#include <link.h>

#include "os/proc.h"
#include "update/subject.h"
#include "util/cleanup.h"
#include "util/path.h"

enum { PHDRS_MAX = 256 };

void target_deinit(struct target *t)
{
	if (t->has_links)
		link_list_deinit(&t->links);
	record_list_deinit(&t->records);
	maps_deinit(&t->maps);
	process_closep(&t->process);
}

bool target_unwinds(const struct target *t)
{
	vec_for_each(l, &t->links.v)
		if (strstr(l->name, "libstdc++") || strstr(l->name, "libc++abi"))
			return true;
	return false;
}

bool target_in_images(const struct target *t, taddr_t addr)
{
	vec_for_each(f, &t->records.v)
		vec_for_each(im, &f->record.images)
			if (!f->gone && addr >= im->base && addr - im->base < im->span)
				return true;
	return false;
}

struct err *target_refresh_maps(struct target *t)
{
	struct maps now = {0};

	TRY(maps_read(t->process->pid, &now));
	maps_deinit(&t->maps);
	t->maps = now;
	return NULL;
}

// arch/x86: the kernel names a thread's features in its status, "x86_Thread_features: shstk wrss". Threads have
// what the first one had when it made them.
static struct err *check_shadow_stack(pid_t pid)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	int r = os_proc_read(pid, 0, "status", &text, &len);

	if (r < 0)
		return err_sys(r, "cannot read the status of process %d", pid);
	const char *line = strstr(text, "\nx86_Thread_features:");
	if (!line)
		return NULL;
	_cleanup_free_ char *features = strndup(line + 1, strcspn(line + 1, "\n"));
	if (!features)
		return err_nomem();
	if (strstr(features, "shstk"))
		return err_refuse(
			"shadow-stack", NULL,
			"process %d has a shadow stack: its return addresses cannot be "
			"moved",
			pid);
	return NULL;
}

// The dynamic section of the executable by its program headers as the kernel told them (AT_PHDR): right for
// whatever the process runs by now, and without its file.
static struct err *find_dynamic(pid_t pid, taddr_t *ret)
{
	_cleanup_free_ char *auxv = NULL;
	size_t len = 0, n = 0;
	taddr_t at = 0;
	int r = os_proc_read(pid, 0, "auxv", &auxv, &len);

	*ret = 0;
	if (r < 0)
		return err_sys(r, "cannot read the auxiliary vector of process %d", pid);
	for (size_t i = 0; (i + 1) * sizeof(Elf64_auxv_t) <= len; i++) {
		Elf64_auxv_t a;

		memcpy(&a, auxv + i * sizeof(a), sizeof(a));
		if (a.a_type == AT_PHDR)
			at = a.a_un.a_val;
		if (a.a_type == AT_PHNUM)
			n = a.a_un.a_val;
	}
	Elf64_Phdr phdrs[PHDRS_MAX];
	const Elf64_Phdr *self = NULL, *dynamic = NULL;
	if (n > PHDRS_MAX)
		n = PHDRS_MAX;
	TRY(mem_read(pid, at, phdrs, n * sizeof(*phdrs)));
	for (size_t i = 0; i < n; i++) {
		if (phdrs[i].p_type == PT_PHDR)
			self = &phdrs[i];
		if (phdrs[i].p_type == PT_DYNAMIC)
			dynamic = &phdrs[i];
	}
	if (!self || !dynamic)
		return err_with(err_new(ERR_UNSUPPORTED,
					"process %d has no list of modules: its program "
					"is static",
					pid),
				"no-link-map", NULL);
	*ret = at - self->p_vaddr + dynamic->p_vaddr;
	return NULL;
}

struct found_record *target_record_of(struct target *t, size_t link)
{
	const struct link_entry *e = &t->links.v.v[link];

	vec_for_each(f, &t->records.v) {
		if (link == 0 ? !*f->record.name
			      : *f->record.name && !f->gone &&
					f->record.layout.base == e->base)
			return f;
	}
	return NULL;
}

bool target_maps_file(const struct target *t, taddr_t addr)
{
	const struct mapping *m = maps_at(&t->maps, addr);

	return m && m->ino && !strstr(m->path, IMAGE_NAME);
}

// A later dlopen may have got the very addresses of what was unloaded: the mapping tells.
static bool is_loaded(const struct target *t, const struct record *r)
{
	if (!*r->name)
		return true;
	vec_for_each(e, &t->links.v)
		if (e->base == r->layout.base && !target_maps_file(t, e->base))
			return true;
	return false;
}

// The mapping of an image that molt made has no file: its symbols are those of the file that it was made from.
static struct err *open_images(struct target *t)
{
	for (size_t i = 0; i < t->links.v.n; i++) {
		struct link_entry *e = &t->links.v.v[i];
		const struct found_record *f = target_record_of(t, i);

		if (!f)
			continue;
		e->rewritten = true;
		TRY(err_wrap(record_image_open(record_running(&f->record), NULL, true,
					       &e->file),
			     "module %s", e->name));
	}
	return NULL;
}

struct err *target_read_links(struct target *t)
{
	taddr_t dynamic;

	if (t->has_links)
		return NULL;
	TRY(find_dynamic(t->process->pid, &dynamic));
	TRY(link_list_read(t->process->pid, dynamic, &t->links));
	t->has_links = true;
	vec_for_each(f, &t->records.v)
		f->gone = !is_loaded(t, &f->record);
	return open_images(t);
}

bool target_is_runtime(const struct target *t, size_t link)
{
	static const char *const names[] = {"libc.so.",	  "ld-linux",  "libpthread.so.",
					    "libdl.so.",  "librt.so.", "linux-vdso",
					    "libgcc_s.so"};
	const struct link_entry *e = &t->links.v.v[link];
	const char *name = path_base(e->name);

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strncmp(name, names[i], strlen(names[i])))
			return true;
	return false;
}

struct err *target_open(pid_t pid, struct target *ret)
{
	memset(ret, 0, sizeof(*ret));
	TRY(process_open(pid, &ret->process));
	TRY(check_shadow_stack(pid));
	TRY(maps_read(pid, &ret->maps));
	return record_list_read(pid, &ret->maps, &ret->records);
}
