// SPDX-License-Identifier: LGPL-2.1-or-later
// Call paths of a saved process by libdwfl; see call_paths.h. What is saved may be hostile: libdwfl takes it as such, walks are bounded.
#include "lib/call_paths.h"

#include <elf.h>
#include <elfutils/libdwfl.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/user.h>
#include <unistd.h>

#include "image/json.h"
#include "util/cleanup.h"

enum { FRAMES_MAX = 4096, THREADS_MAX = 1 << 22, PAGE = 4096, VDSO_MAX = 1 << 20 };

struct symbolizer {
	const struct core *core;
	const struct store *store;
	Dwfl *dwfl;
	size_t modules;
};

static const Dwfl_Callbacks callbacks = {
	.find_elf = dwfl_build_id_find_elf,
	.find_debuginfo = dwfl_standard_find_debuginfo,
};

// How far the addresses of the file are moved, from the program header that the mapping at its offset 0 is of.
static bool load_bias(int fd, taddr_t start, uint64_t *ret)
{
	Elf64_Ehdr e;
	Elf64_Phdr ph;

	if (pread(fd, &e, sizeof(e), 0) != sizeof(e) ||
	    memcmp(e.e_ident, ELFMAG, SELFMAG) || e.e_phentsize != sizeof(ph))
		return false;
	for (unsigned i = 0; i < e.e_phnum; i++) {
		off_t at = (off_t)(e.e_phoff + i * sizeof(ph));

		if (pread(fd, &ph, sizeof(ph), at) != sizeof(ph))
			return false;
		if (ph.p_type != PT_LOAD || ph.p_offset >= PAGE)
			continue;
		*ret = start - (ph.p_vaddr & ~(PAGE - 1ULL));
		return true;
	}
	return false;
}

// libdwfl closes the descriptor.
static void report(struct symbolizer *s, const char *name, int fd, taddr_t start)
{
	uint64_t bias;

	if (!load_bias(fd, start, &bias) ||
	    !dwfl_report_elf(s->dwfl, name, name, fd, bias, true))
		close(fd);
	else
		s->modules++;
}

static void report_file(struct symbolizer *s, const json_t *map, taddr_t start)
{
	const json_t *file = json_object_get(map, "file");
	const char *key = json_string_value(json_object_get(file, "key"));
	_cleanup_free_ char *path = NULL;
	int fd = -1;
	struct err *e = NULL;

	if (!key || json_integer_value(json_object_get(map, "offset")) != 0)
		return;
	e = json_get_text(file, "path", PATH_MAX, &path);
	if (!e)
		e = store_module(s->store, key, &fd);
	if (!e)
		report(s, path, fd, start);
	err_free(e); // frames in it have no names then
}

static void report_vdso(struct symbolizer *s, taddr_t start, uint64_t len)
{
	_cleanup_free_ char *bytes = len <= VDSO_MAX ? malloc(len) : NULL;
	struct err *e = bytes ? core_read_memory(s->core, start, bytes, len) : NULL;
	int fd = bytes && !e ? memfd_create("vdso", MFD_CLOEXEC) : -1;

	err_free(e);
	if (fd < 0)
		return;
	if (pwrite(fd, bytes, len, 0) == (ssize_t)len)
		report(s, "[vdso]", fd, start);
	else
		close(fd);
}

static struct err *report_all(struct symbolizer *s)
{
	const json_t *maps, *map;
	size_t i;

	TRY(json_get_array(core_state(s->core), "maps", SIZE_MAX, &maps));
	json_array_foreach(maps, i, map)
	{
		const char *kind = json_string_value(json_object_get(map, "kind"));
		taddr_t start, end;

		if (!kind || strcmp(kind, "vsyscall") == 0)
			continue;
		TRY(json_get_addr(map, "start", &start));
		TRY(json_get_addr(map, "end", &end));
		if (strcmp(kind, "file") == 0)
			report_file(s, map, start);
		else if (strcmp(kind, "vdso") == 0)
			report_vdso(s, start, end - start);
	}
	return NULL;
}

struct err *symbolizer_create(const struct core *c, const struct store *store,
			      struct symbolizer **ret)
{
	_cleanup_(symbolizer_freep) struct symbolizer *s = calloc(1, sizeof(*s));

	if (!s)
		return err_nomem();
	s->core = c;
	s->store = store;
	if (!(s->dwfl = dwfl_begin(&callbacks)))
		return err_nomem();
	dwfl_report_begin(s->dwfl);
	TRY(report_all(s));
	dwfl_report_end(s->dwfl, NULL, NULL);
	*ret = take_ptr(s);
	return NULL;
}

void symbolizer_free(struct symbolizer *s)
{
	if (!s)
		return;
	if (s->dwfl)
		dwfl_end(s->dwfl);
	free(s);
}

void symbolizer_freep(struct symbolizer **s)
{
	symbolizer_free(*s);
}

static char *copy(const char *s)
{
	return s ? strdup(s) : NULL;
}

void symbolizer_find(const struct symbolizer *s, taddr_t pc, bool exact,
		     struct call_frame *ret)
{
	taddr_t at = exact ? pc : pc - 1; // a call may be the last instruction of its line
	Dwfl_Module *m = dwfl_addrmodule(s->dwfl, at);
	GElf_Off offset;
	GElf_Sym sym;

	*ret = (struct call_frame){.pc = pc};
	if (!m)
		return;
	const char *name = dwfl_module_info(m, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
	const char *function =
		dwfl_module_addrinfo(m, at, &offset, &sym, NULL, NULL, NULL);
	Dwfl_Line *line = dwfl_module_getsrc(m, at);
	ret->module = copy(name);
	ret->function = copy(function);
	ret->offset = function ? offset + (exact ? 0 : 1) : 0;
	if (line)
		ret->source =
			copy(dwfl_lineinfo(line, NULL, &ret->line, NULL, NULL, NULL));
}

void call_frame_deinit(struct call_frame *f)
{
	free(f->function);
	free(f->module);
	free(f->source);
}

struct walk {
	struct symbolizer *s;
	const json_t *threads;
	size_t next;
	struct call_path *path;
	struct err *failed;
};

struct reading {
	struct walk *walk;
	struct call_paths *ret;
};

static pid_t next_thread(Dwfl *dwfl, void *arg, void **thread_arg)
{
	struct walk *w = arg;
	pid_t tid;

	(void)dwfl;
	if (w->failed || w->next >= json_array_size(w->threads))
		return 0;
	json_t *thread = json_array_get(w->threads, w->next++);
	w->failed = json_get_pid(thread, "tid", &tid);
	if (w->failed)
		return -1;
	*thread_arg = thread;
	return tid;
}

static bool read_word(Dwfl *dwfl, Dwarf_Addr addr, Dwarf_Word *ret, void *arg)
{
	const struct walk *w = arg;
	struct err *e = core_read_memory(w->s->core, addr, ret, sizeof(*ret));
	bool good = !e;

	(void)dwfl;
	err_free(e);
	return good;
}

static bool set_registers(Dwfl_Thread *thread, void *thread_arg)
{
	struct user_regs_struct r;
	struct err *e = json_get_exact(thread_arg, "regs", &r, sizeof(r));

	if (e) {
		err_free(e);
		return false;
	}
	// psABI, figure 3.36: DWARF register number mapping
	Dwarf_Word by_number[] = {r.rax, r.rdx, r.rcx, r.rbx, r.rsi, r.rdi,
				  r.rbp, r.rsp, r.r8,  r.r9,  r.r10, r.r11,
				  r.r12, r.r13, r.r14, r.r15, r.rip};
	return dwfl_thread_state_registers(thread, 0, ARRAY_SIZE(by_number), by_number);
}

static int take_frame(Dwfl_Frame *frame, void *arg)
{
	struct walk *w = arg;
	struct call_frame f;
	Dwarf_Addr pc;
	bool exact;

	if (!dwfl_frame_pc(frame, &pc, &exact))
		return DWARF_CB_ABORT;
	symbolizer_find(w->s, pc, exact, &f);
	w->failed = vec_push(&w->path->v, f);
	if (w->failed)
		call_frame_deinit(&f);
	return w->failed || w->path->v.n == FRAMES_MAX ? DWARF_CB_ABORT : DWARF_CB_OK;
}

static int walk_thread(Dwfl_Thread *thread, void *arg)
{
	struct reading *r = arg;
	struct call_path path = {.tid = dwfl_thread_tid(thread)};

	r->walk->failed = vec_push(&r->ret->v, path);
	if (r->walk->failed)
		return DWARF_CB_ABORT;
	r->walk->path = &r->ret->v.v[r->ret->v.n - 1];
	// Whatever it was that ended the walk: an outermost frame makes it 0.
	if (dwfl_thread_getframes(thread, take_frame, r->walk) && !r->walk->failed) {
		const char *why = dwfl_errmsg(-1);

		r->walk->path->why = strdup(r->walk->path->v.n == FRAMES_MAX ? "too deep"
					    : why			     ? why
									     : "unknown");
	}
	return r->walk->failed ? DWARF_CB_ABORT : DWARF_CB_OK;
}

struct err *call_paths_read(struct symbolizer *s, struct call_paths *ret)
{
	static const Dwfl_Thread_Callbacks threads = {.next_thread = next_thread,
						      .memory_read = read_word,
						      .set_initial_registers =
							      set_registers};
	struct walk w = {.s = s};
	struct reading r = {&w, ret};
	int pid = (int)json_integer_value(json_object_get(core_state(s->core), "pid"));

	TRY(json_get_array(core_state(s->core), "threads", THREADS_MAX, &w.threads));
	if (!s->modules)
		return NULL; // nothing tells how to walk
	if (!dwfl_attach_state(s->dwfl, NULL, pid, &threads, &w))
		return err_new(ERR_SYSTEM, "cannot walk the stacks: %s", dwfl_errmsg(-1));
	dwfl_getthreads(s->dwfl, walk_thread, &r);
	if (w.failed)
		call_paths_deinit(ret);
	return w.failed;
}

void call_paths_deinit(struct call_paths *p)
{
	vec_for_each(path, &p->v) {
		vec_for_each(f, &path->v)
			call_frame_deinit(f);
		vec_free(&path->v);
		free(path->why);
	}
	vec_free(&p->v);
}
