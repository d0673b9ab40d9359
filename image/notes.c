// SPDX-License-Identifier: LGPL-2.1-or-later
// The notes of a core: those that debuggers know, made from the state, in the kernel's order, then molt's own.
#include <signal.h>
#include <string.h>
#include <sys/procfs.h>
#include <sys/user.h>

#include "image/impl.h"
#include "image/json.h"
#include "util/cleanup.h"

enum {
	XSTATE_MAX = 1 << 16,
	XCR0_AT = 464, // in the legacy area, as the kernel and debuggers agree
	THREADS_MAX = 1 << 22,
};

static struct err *append(struct note_buffer *b, const void *data, size_t len)
{
	TRY(vec_reserve(&b->v, len));
	if (len)
		memcpy(b->v.v + b->v.n, data, len);
	b->v.n += len;
	return NULL;
}

static struct err *pad(struct note_buffer *b)
{
	static const char zeros[4];

	return append(b, zeros, -b->v.n & 3);
}

static struct err *add_note(struct note_buffer *b, const char *owner, uint32_t type,
			    const void *desc, size_t len)
{
	Elf64_Nhdr h = {.n_namesz = (uint32_t)strlen(owner) + 1,
			.n_descsz = (uint32_t)len,
			.n_type = type};

	if (len > UINT32_MAX)
		return err_new(ERR_UNSUPPORTED, "a note of %zu bytes is too large", len);
	TRY(append(b, &h, sizeof(h)));
	TRY(append(b, owner, h.n_namesz));
	TRY(pad(b));
	TRY(append(b, desc, len));
	return pad(b);
}

static struct err *add_json(struct note_buffer *b, uint32_t type, const json_t *json)
{
	_cleanup_free_ char *text = json_dumps(json, JSON_COMPACT);

	return text ? add_note(b, "molt", type, text, strlen(text)) : err_nomem();
}

// What only debuggers look at may be missing or of another form: then it is 0.
static int int_of(const json_t *object, const char *name)
{
	return (int)json_integer_value(json_object_get(object, name));
}

static uint64_t mask_of(const json_t *object, const char *name)
{
	uint64_t ret = 0;

	err_free(json_get_mask(object, name, &ret));
	return ret;
}

static unsigned id_of(const json_t *credentials, const char *name)
{
	return (unsigned)int_of(json_object_get(credentials, name), "real");
}

static struct err *add_prpsinfo(struct note_buffer *b, const json_t *state)
{
	const char *comm = json_string_value(json_object_get(state, "comm"));
	const char *args = json_string_value(json_object_get(state, "args"));
	const json_t *first = json_array_get(json_object_get(state, "threads"), 0);
	const json_t *ids = json_object_get(first, "credentials");
	struct elf_prpsinfo p = {.pr_sname = 'R',
				 .pr_pid = int_of(state, "pid"),
				 .pr_ppid = int_of(state, "ppid"),
				 .pr_pgrp = int_of(state, "pgid"),
				 .pr_sid = int_of(state, "sid"),
				 .pr_uid = id_of(ids, "uid"),
				 .pr_gid = id_of(ids, "gid")};

	if (comm)
		memcpy(p.pr_fname, comm, strnlen(comm, sizeof(p.pr_fname) - 1));
	if (args || comm)
		memcpy(p.pr_psargs, args ? args : comm,
		       strnlen(args ? args : comm, sizeof(p.pr_psargs) - 1));
	return add_note(b, "CORE", NT_PRPSINFO, &p, sizeof(p));
}

static struct err *add_prstatus(struct note_buffer *b, const json_t *state,
				const json_t *thread)
{
	struct elf_prstatus p = {.pr_pid = int_of(thread, "tid"),
				 .pr_ppid = int_of(state, "ppid"),
				 .pr_pgrp = int_of(state, "pgid"),
				 .pr_sid = int_of(state, "sid"),
				 .pr_sighold = mask_of(thread, "sigmask"),
				 .pr_fpvalid = 1};

	_Static_assert(sizeof(p.pr_reg) == sizeof(struct user_regs_struct), "registers");
	TRY(json_get_exact(thread, "regs", &p.pr_reg, sizeof(p.pr_reg)));
	return add_note(b, "CORE", NT_PRSTATUS, &p, sizeof(p));
}

// The size gdb 13 asks for: Intel's layout of the highest component, whatever the processor's own is. The exact bytes are
// in molt's note.
static size_t padded_size(const uint8_t *x)
{
	enum { AVX = 1 << 2, MPX = 3 << 3, AVX512 = 7 << 5, PKRU = 1 << 9 };
	uint64_t xcr0;

	memcpy(&xcr0, x + XCR0_AT, sizeof(xcr0));
	return xcr0 & PKRU		   ? 2696
	       : (xcr0 & AVX512) == AVX512 ? 2688
	       : (xcr0 & MPX) == MPX	   ? 1088
	       : xcr0 & AVX		   ? 832
					   : 576;
}

static struct err *add_xstate(struct note_buffer *b, const json_t *thread)
{
	_cleanup_free_ uint8_t *x = NULL;
	size_t len, want;

	if (!json_has(thread, "xstate"))
		return NULL;
	TRY(json_get_bytes(thread, "xstate", XSTATE_MAX, &x, &len));
	if (len < sizeof(struct user_fpregs_struct))
		return err_new(ERR_CORRUPT, "member 'xstate' is too short");
	TRY(add_note(b, "CORE", NT_FPREGSET, x, sizeof(struct user_fpregs_struct)));
	want = padded_size(x);
	if (len < want) {
		uint8_t *grown = realloc(x, want);

		if (!grown)
			return err_nomem();
		memset(grown + len, 0, want - len);
		x = grown;
		len = want;
	}
	return add_note(b, "LINUX", NT_X86_XSTATE, x, len);
}

static struct err *add_auxv(struct note_buffer *b, const json_t *state)
{
	enum { AUXV_MAX = 1 << 16 };
	_cleanup_free_ uint8_t *auxv = NULL;
	size_t len;

	if (!json_has(state, "auxv"))
		return NULL;
	TRY(json_get_bytes(state, "auxv", AUXV_MAX, &auxv, &len));
	return add_note(b, "CORE", NT_AUXV, auxv, len);
}

static void buffer_free(struct note_buffer *b)
{
	vec_free(&b->v);
}

// Count, page size, (start, end, offset in pages) of each, then the names.
static struct err *add_files(struct note_buffer *b, const struct core_maps *maps)
{
	_cleanup_(buffer_free) struct note_buffer files = {};
	uint64_t head[2] = {0, CORE_PAGE};

	vec_for_each(m, &maps->v)
		head[0] += m->path != NULL;
	TRY(append(&files, head, sizeof(head)));
	vec_for_each(m, &maps->v) {
		uint64_t row[3] = {m->start, m->end, m->offset / CORE_PAGE};

		if (m->path)
			TRY(append(&files, row, sizeof(row)));
	}
	vec_for_each(m, &maps->v)
		if (m->path)
			TRY(append(&files, m->path, strlen(m->path) + 1));
	return add_note(b, "CORE", NT_FILE, files.v.v, files.v.n);
}

static struct err *add_pages(struct note_buffer *b, const struct core_runs *runs)
{
	_cleanup_free_ struct pages_record *r = calloc(runs->v.n + 1, sizeof(*r));

	if (!r)
		return err_nomem();
	for (size_t i = 0; i < runs->v.n; i++) {
		const struct page_run *run = &runs->v.v[i];

		r[i] = (struct pages_record){run->addr, run->len,
					     run->kind == PAGES_DATA ? run->offset : 0,
					     run->kind};
	}
	return add_note(b, "molt", NOTE_PAGES, r, runs->v.n * sizeof(*r));
}

static struct err *add_first(struct note_buffer *b, const json_t *state,
			     const struct core_maps *maps)
{
	siginfo_t none = {};

	TRY(add_prpsinfo(b, state));
	TRY(add_note(b, "CORE", NT_SIGINFO, &none, sizeof(none)));
	TRY(add_auxv(b, state));
	return add_files(b, maps);
}

struct err *notes_build(const json_t *state, const json_t *objects,
			const struct core_maps *maps, const struct core_runs *runs,
			struct note_buffer *ret)
{
	const json_t *threads, *thread;
	size_t i;

	TRY(json_get_array(state, "threads", THREADS_MAX, &threads));
	json_array_foreach(threads, i, thread)
	{
		TRY(json_at(add_prstatus(ret, state, thread), "threads", i));
		if (i == 0)
			TRY(add_first(ret, state, maps));
		TRY(json_at(add_xstate(ret, thread), "threads", i));
	}
	TRY(add_json(ret, NOTE_STATE, state));
	if (objects)
		TRY(add_json(ret, NOTE_OBJECTS, objects));
	return add_pages(ret, runs);
}
