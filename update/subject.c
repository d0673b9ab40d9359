// SPDX-License-Identifier: LGPL-2.1-or-later
// Opening a process as the subject of an update; see subject.h.
#include "update/subject_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "os/proc.h"
#include "update/store.h"
#include "util/cleanup.h"
#include "util/hash.h"

enum { PAGE = 4096 };

void subject_deinit(struct subject *s)
{
	record_deinit(&s->made_up);
	module_closep(&s->old);
}

bool subject_unwinds(const struct subject *s)
{
	vec_for_each(sec, &s->old->alloc_sections)
		if (!strcmp(sec->name, ".gcc_except_table"))
			return true;
	return target_unwinds(s->target);
}

struct err *subject_read(const struct subject *s, vaddr_t addr, void *buf, size_t len)
{
	return mem_read(s->process->pid, layout_data(&s->record->layout, addr), buf, len);
}

static struct err *check_library(const struct module *m, const char *role)
{
	if (!m->has_dynamic || m->type != ET_DYN)
		return err_refuse("not-the-program", m->path,
				  "%s module %s is no shared library", role, m->path);
	if (module_stripped(m))
		return err_refuse(
			"stripped", m->path,
			"%s module %s has no symbols: give its separate debug file "
			"with --debug DIR",
			role, m->path);
	return NULL;
}

struct err *subject_check_file(const struct subject *s, const struct module *m,
			       const char *role)
{
	if (!subject_is_exe(s))
		return check_library(m, role);
	if (m->type == ET_DYN && m->has_dynamic && !m->has_interp && !m->pie)
		return err_refuse("not-executable", m->path,
				  "%s is a shared library: update it with --module "
				  "OLD=%s",
				  m->path, m->path);
	if (!m->has_dynamic || (!m->has_interp && !m->needed.n))
		return err_refuse("static-exe", m->path,
				  "%s program %s is statically linked", role, m->path);
	if (m->type == ET_EXEC || !m->pie)
		return err_refuse(
			"non-pie", m->path,
			"%s program %s is not position independent: build it with "
			"-fPIE -pie",
			role, m->path);
	if (module_stripped(m))
		return err_refuse(
			"stripped", m->path,
			"%s program %s has no symbols: give its separate debug file "
			"with --debug DIR",
			role, m->path);
	return NULL;
}

// The path by which to read the running program: its own path while that is still the same file, else the
// kernel's link, which also reaches a file that was deleted or replaced.
static void exe_path(const struct process *p, char *buf, size_t size)
{
	char link[64];
	struct stat by_name, running;

	snprintf(link, sizeof(link), "/proc/%d/exe", p->pid);
	if (p->exe && !stat(p->exe, &by_name) && !stat(link, &running) &&
	    by_name.st_dev == running.st_dev && by_name.st_ino == running.st_ino)
		snprintf(buf, size, "%s", p->exe);
	else
		snprintf(buf, size, "%s", link);
}

// Load bias of the executable in generation 0: the first mapping of the file whose inode /proc/PID/exe has.
static struct err *find_base(struct subject *s, taddr_t *ret)
{
	char link[64];
	struct stat st;

	snprintf(link, sizeof(link), "/proc/%d/exe", s->process->pid);
	if (stat(link, &st))
		return err_sys(errno, "cannot look at %s", link);
	vec_for_each(seg, &s->old->segments) {
		if (seg->type != PT_LOAD)
			continue;
		uint64_t off = seg->offset & ~(uint64_t)(PAGE - 1);

		vec_for_each(m, &s->target->maps.v) {
			if (m->ino != st.st_ino || m->offset != off)
				continue;
			*ret = m->start - (seg->addr & ~(uint64_t)(PAGE - 1));
			return NULL;
		}
		break;
	}
	return err_refuse("not-the-program", s->process->exe,
			  "process %d does not map its executable %s", s->process->pid,
			  s->process->exe);
}

static struct err *text_differs(const struct subject *s, taddr_t addr)
{
	const struct symbol *sym =
		module_symbol_at(s->old, addr - subject_base(s), 1u << STT_FUNC);

	return err_refuse(
		"text-changed", sym ? sym->name : NULL,
		"the running text of %s differs from %s at 0x%lx%s%s: a debugger's "
		"breakpoint, another live patch, or not the file it was started from",
		s->process->comm, s->old->path, addr, sym ? " in " : "",
		sym ? sym->name : "");
}

// Generation 0: read-only segments must be the file's, byte by byte.
struct err *subject_check_text_of_file(const struct subject *s)
{
	vec_for_each(seg, &s->old->segments) {
		if (seg->type != PT_LOAD || (seg->flags & PF_W) || !seg->filesz)
			continue;
		_cleanup_free_ uint8_t *live = malloc(seg->filesz);
		const uint8_t *file = module_bytes(s->old, seg->addr, seg->filesz);
		if (!live)
			return err_nomem();
		if (!file)
			return err_with(
				err_new(ERR_CORRUPT, "%s is truncated", s->old->path),
				"corrupt-elf", s->old->path);
		TRY(mem_read(s->process->pid, subject_base(s) + seg->addr, live,
			     seg->filesz));
		for (uint64_t i = 0; i < seg->filesz; i++)
			if (live[i] != file[i])
				return text_differs(s, subject_base(s) + seg->addr + i);
	}
	return NULL;
}

void program_id(const struct module *m, char ret[PROGRAM_ID_MAX])
{
	if (*m->build_id)
		snprintf(ret, PROGRAM_ID_MAX, "%s", m->build_id);
	else
		snprintf(ret, PROGRAM_ID_MAX, "fnv-%016lx",
			 hash_bytes(HASH_START, m->map, m->map_size));
}

uint64_t image_text_hash(const struct module *m, const uint8_t *buf, uint64_t span)
{
	uint64_t h = HASH_START;

	vec_for_each(seg, &m->segments) {
		if (seg->type != PT_LOAD || !(seg->flags & PF_X))
			continue;
		if (seg->addr < span)
			h = hash_bytes(h, buf + seg->addr,
				       seg->filesz < span - seg->addr ? seg->filesz
								      : span - seg->addr);
	}
	return h;
}

// Later generations: the executable segments must hash to what molt wrote.
struct err *subject_check_text_of_record(const struct subject *s)
{
	_cleanup_free_ uint8_t *live = calloc(1, s->old->span);

	if (!live)
		return err_nomem();
	vec_for_each(seg, &s->old->segments)
		if (seg->type == PT_LOAD && (seg->flags & PF_X))
			TRY(mem_read(s->process->pid, subject_base(s) + seg->addr,
				     live + seg->addr, seg->filesz));
	if (image_text_hash(s->old, live, s->old->span) != s->record->text_hash)
		return text_differs(s, subject_base(s));
	return NULL;
}

struct err *subject_make_up(struct subject *s, const char *name, const char *path,
			    taddr_t base)
{
	struct record_image im = {.base = base, .span = s->old->span};
	char id[PROGRAM_ID_MAX];

	s->made_up.name = strdup(name);
	im.path = strdup(path);
	program_id(s->old, id);
	im.build_id = strdup(id);
	struct err *e = s->made_up.name && im.path && im.build_id
				? vec_push(&s->made_up.images, im)
				: err_nomem();
	if (e) {
		free(im.path);
		free(im.build_id);
		return e;
	}
	s->made_up.layout.base = base;
	s->record = &s->made_up;
	return NULL;
}

static struct err *open_generation_zero(struct subject *s, const char *debug_dir)
{
	char path[PATH_MAX];
	taddr_t base = 0;

	exe_path(s->process, path, sizeof(path));
	TRY(err_wrap(module_open(path, debug_dir, &s->old), "running program"));
	TRY(subject_check_file(s, s->old, "running"));
	TRY(find_base(s, &base));
	TRY(subject_make_up(s, "", s->process->exe, base));
	return subject_check_text_of_file(s);
}

static struct err *not_the_program(const struct record_image *im)
{
	return err_refuse("not-the-program", im->path,
			  "the file of generation %u (build-id %s) is no longer at %s",
			  im->generation, im->build_id, im->path);
}

// Opens a file if it is that program, else *ret is NULL. Only a shortage is an error.
static struct err *open_program(const char *path, const char *build_id,
				const char *debug_dir, bool bare, struct module **ret)
{
	_cleanup_free_ char *kept_debug = store_debug_dir(path);
	char id[PROGRAM_ID_MAX] = "";
	struct err *e = bare ? module_open_bare(path, ret)
			     : module_open(path, debug_dir ? debug_dir : kept_debug, ret);

	if (e) {
		*ret = NULL;
		if (err_is_shortage(e))
			return e;
		err_free(e);
		return NULL;
	}
	program_id(*ret, id);
	if (strcmp(id, build_id)) {
		module_closep(ret);
		*ret = NULL;
	}
	return NULL;
}

struct err *record_image_open(const struct record_image *im, const char *debug_dir,
			      bool bare, struct module **ret)
{
	_cleanup_free_ char *kept = NULL;

	TRY(open_program(im->path, im->build_id, debug_dir, bare, ret));
	if (*ret)
		return NULL;
	if (store_find(im->build_id, &kept))
		TRY(open_program(kept, im->build_id, debug_dir, bare, ret));
	return *ret ? NULL : not_the_program(im);
}

struct err *record_image_find(const struct record_image *im, pid_t pid,
			      const char *debug_dir, struct module **ret)
{
	char link[64];
	struct err *e = record_image_open(im, debug_dir, false, ret);

	if (!e || e->kind != ERR_REFUSED || !pid)
		return e;
	snprintf(link, sizeof(link), "/proc/%d/exe", (int)pid);
	struct err *again = open_program(link, im->build_id, debug_dir, false, ret);
	if (!again && !*ret)
		return e;
	err_free(e);
	return again;
}

static struct err *open_recorded(struct subject *s, const char *debug_dir)
{
	TRY(record_image_find(record_running(s->record), s->process->pid, debug_dir,
			      &s->old));
	TRY(subject_check_file(s, s->old, "running"));
	return subject_check_text_of_record(s);
}

void subject_take_record(struct subject *s, const struct found_record *found)
{
	s->recorded = true;
	s->record_addr = found->addr;
	s->record_len = found->len;
	s->record = &found->record;
}

struct err *subject_open_exe(struct target *t, const char *debug_dir, struct subject *ret)
{
	struct found_record *found = record_of_exe(&t->records);

	*ret = (struct subject){.target = t, .process = t->process};
	if (found) {
		subject_take_record(ret, found);
		TRY(open_recorded(ret, debug_dir));
	} else {
		TRY(open_generation_zero(ret, debug_dir));
	}
	return target_read_links(t);
}
