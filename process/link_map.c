// SPDX-License-Identifier: LGPL-2.1-or-later
// The modules of a target as ld.so lists them; see link_map.h.
#include "process/link_map.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "process/link_impl.h"
#include "process/process.h"
#include "util/cleanup.h"

enum { ENTRIES_MAX = 8192, DYNAMIC_MAX = 1024 };
static const uint64_t LOADING_NS = 200000000; // how long ld.so may be at work on its list
static const long LOADING_NAP_NS = 1000000;

static struct err *no_link_map(pid_t pid, const char *why)
{
	return err_with(err_new(ERR_UNSUPPORTED,
				"process %d has no usable list of modules: %s", pid, why),
			"no-link-map", NULL);
}

static struct err *find_r_debug(struct link_list *l, taddr_t dynamic)
{
	for (size_t i = 0; i < DYNAMIC_MAX; i++) {
		Elf64_Dyn d;

		TRY(mem_read(l->pid, dynamic + i * sizeof(d), &d, sizeof(d)));
		if (d.d_tag == DT_NULL)
			break;
		if (d.d_tag == DT_DEBUG && d.d_un.d_ptr) {
			l->r_debug = d.d_un.d_ptr;
			return NULL;
		}
	}
	return no_link_map(l->pid, "DT_DEBUG is not set");
}

static struct err *read_entry(struct link_list *l, const struct maps *maps, taddr_t at,
			      taddr_t *prev, taddr_t *next)
{
	struct link_map lm;
	char name[PATH_MAX];

	TRY(mem_read(l->pid, at, &lm, sizeof(lm)));
	if ((taddr_t)lm.l_prev != *prev)
		return no_link_map(l->pid, "it is damaged");
	TRY(mem_read_string(l->pid, (taddr_t)lm.l_name, name, sizeof(name)));
	struct link_entry e = {.addr = at, .base = lm.l_addr, .dynamic = (taddr_t)lm.l_ld};
	const struct mapping *m = maps_at(maps, e.dynamic);
	if (m && m->ino) {
		e.map_start = m->start;
		e.map_end = m->end;
	}
	e.name = strdup(name);
	struct err *err = e.name ? vec_push(&l->v, e) : err_nomem();
	if (err)
		free(e.name);
	*prev = at;
	*next = (taddr_t)lm.l_next;
	return err;
}

static struct err *walk(struct link_list *l, taddr_t first)
{
	_cleanup_(maps_deinit) struct maps maps = {0};
	taddr_t prev = 0;

	TRY(maps_read(l->pid, &maps));
	for (taddr_t at = first; at;) {
		if (l->v.n == ENTRIES_MAX)
			return no_link_map(l->pid, "it does not end");
		TRY(read_entry(l, &maps, at, &prev, &at));
	}
	return l->v.n ? NULL : no_link_map(l->pid, "it is empty");
}

// The list is linked anew only while r_state says so.
static struct err *read_consistent(struct link_list *l, bool *done)
{
	struct r_debug before, after;

	*done = false;
	TRY(mem_read(l->pid, l->r_debug, &before, sizeof(before)));
	if (before.r_state != RT_CONSISTENT)
		return NULL;
	struct err *e = walk(l, (taddr_t)before.r_map);
	struct err *again = mem_read(l->pid, l->r_debug, &after, sizeof(after));
	if (again) {
		err_free(e);
		return again;
	}
	*done = after.r_state == RT_CONSISTENT;
	if (*done)
		return e;
	err_free(e);
	return NULL;
}

static void forget_entries(struct link_list *l)
{
	vec_for_each(e, &l->v) {
		free(e->name);
		module_close(e->file);
		vec_free(&e->by_name);
		vec_free(&e->searchlist);
	}
	vec_free(&l->v);
}

static struct err *read_list(struct link_list *l, taddr_t dynamic)
{
	uint64_t deadline = monotonic_ns() + LOADING_NS;
	bool done;

	TRY(find_r_debug(l, dynamic));
	for (;;) {
		TRY(read_consistent(l, &done));
		if (done)
			return NULL;
		forget_entries(l);
		if (monotonic_ns() >= deadline)
			return err_with(
				err_new(ERR_BUSY,
					"process %d is loading or unloading a library",
					l->pid),
				"link-map-changing", NULL);
		nanosleep(&(struct timespec){0, LOADING_NAP_NS}, NULL);
	}
}

struct err *link_list_read(pid_t pid, taddr_t dynamic, struct link_list *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->pid = pid;
	struct err *e = read_list(ret, dynamic);
	if (!e)
		e = link_list_read_searchlists(ret);
	if (e)
		link_list_deinit(ret);
	return e;
}

struct link_entry *link_list_rtld(const struct link_list *l)
{
	struct link_entry *best = NULL;

	vec_for_each(it, &l->v)
		if (it->base <= l->r_debug && (!best || it->base > best->base))
			best = it;
	return best;
}

void link_list_deinit(struct link_list *l)
{
	forget_entries(l);
}

// The path stays right as long as nobody replaced the file; the mapping always is.
static struct err *open_file(const struct link_list *l, struct link_entry *e)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "/proc/%d/map_files/%" PRIx64 "-%" PRIx64, l->pid,
		 e->map_start, e->map_end);
	struct err *err = module_open_bare(path, &e->file);
	if (!err || !*e->name)
		return err;
	err_free(err);
	if ((size_t)snprintf(path, sizeof(path), "/proc/%d/root%s", l->pid, e->name) >=
	    sizeof(path))
		return err_sys(ENAMETOOLONG, "cannot open module %s", e->name);
	err = module_open_bare(path, &e->file);
	return err_wrap(err, "module %s", e->name);
}

static int by_name(const void *a, const void *b, void *arg)
{
	const struct module *m = arg;
	uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
	int order = strcmp(m->dynsyms.v[i].name, m->dynsyms.v[j].name);

	return order ? order : i < j ? -1 : i > j;
}

static bool may_define(const struct symbol *s)
{
	if (!s->defined || s->bind == STB_LOCAL || !s->name)
		return false;
	switch (s->type) {
	case STT_NOTYPE:
	case STT_OBJECT:
	case STT_FUNC:
	case STT_COMMON:
	case STT_GNU_IFUNC:
		return true;
	default:
		return false;
	}
}

static struct err *index_file(struct link_entry *e)
{
	for (size_t i = 1; i < e->file->dynsyms.n && i < UINT32_MAX; i++) {
		if (may_define(&e->file->dynsyms.v[i]))
			TRY(vec_push(&e->by_name, (uint32_t)i));
	}
	qsort_r(e->by_name.v, e->by_name.n, sizeof(*e->by_name.v), by_name, e->file);
	return NULL;
}

struct err *link_entry_open(const struct link_list *l, struct link_entry *e)
{
	if (!e->file && e->map_start)
		TRY(open_file(l, e));
	return e->file && !e->by_name.n ? index_file(e) : NULL;
}

// Index in by_name of the first symbol of this name or of what would follow it.
static size_t lower_bound(const struct link_entry *e, const char *name)
{
	size_t lo = 0, hi = e->by_name.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (strcmp(e->file->dynsyms.v[e->by_name.v[mid]].name, name) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

enum { VERSION_HIDDEN = 0x8000, VERSION_INDEX = 0x7fff, FIRST_NAMED_VERSION = 2 };

// The entry of .gnu.version; false when the module has no versions.
static bool version_entry(const struct module *m, uint32_t index, uint16_t *ret)
{
	uint64_t table;

	if (!module_dynamic(m, DT_VERSYM, &table))
		return false;
	const uint8_t *p = module_bytes(m, table + index * sizeof(*ret), sizeof(*ret));
	if (p)
		memcpy(ret, p, sizeof(*ret));
	return p;
}

// glibc's check_match (elf/dl-lookup.c). A name without version takes the base version or the default one; a
// name with version takes that one, or the symbol without version of a module.
static bool version_matches(const struct module *m, uint32_t index, const char *version)
{
	const struct symbol *s = &m->dynsyms.v[index];
	uint16_t v;

	if (!version_entry(m, index, &v))
		return true;
	bool named = (v & VERSION_INDEX) >= FIRST_NAMED_VERSION;
	if (!version)
		return !named || !(v & VERSION_HIDDEN);
	if (named)
		return s->version && !strcmp(s->version, version);
	return !(v & VERSION_HIDDEN);
}

static const struct symbol *find_in(const struct link_entry *e, const char *name,
				    const char *version)
{
	for (size_t i = lower_bound(e, name); i < e->by_name.n; i++) {
		uint32_t index = e->by_name.v[i];
		const struct symbol *s = &e->file->dynsyms.v[index];

		if (strcmp(s->name, name))
			break;
		if (version_matches(e->file, index, version))
			return s;
	}
	return NULL;
}

const struct symbol *module_definition(const struct module *m, const char *name,
				       const char *version)
{
	for (size_t i = 1; i < m->dynsyms.n && i < UINT32_MAX; i++)
		if (may_define(&m->dynsyms.v[i]) && !strcmp(m->dynsyms.v[i].name, name) &&
		    version_matches(m, (uint32_t)i, version))
			return &m->dynsyms.v[i];
	return NULL;
}

// The value in memory, which an update made what the process knows the symbol by.
static struct err *live_value(const struct link_list *l, const struct link_entry *e,
			      const struct symbol *s, uint64_t *ret)
{
	uint64_t table;

	if (!module_dynamic(e->file, DT_SYMTAB, &table))
		return no_link_map(l->pid, "a module has no symbol table");
	return mem_read(l->pid,
			e->base + table +
				(size_t)(s - e->file->dynsyms.v) * sizeof(Elf64_Sym) +
				offsetof(Elf64_Sym, st_value),
			ret, sizeof(*ret));
}

struct err *link_find(struct link_list *l, size_t entry, const char *name,
		      const char *version, taddr_t *ret, bool *is_ifunc, bool *found)
{
	struct link_entry *e = &l->v.v[entry];

	*found = *is_ifunc = false;
	*ret = 0;
	TRY(link_entry_open(l, e));
	const struct symbol *s = e->file ? find_in(e, name, version) : NULL;
	if (!s)
		return NULL;
	uint64_t value = s->addr;
	if (e->rewritten)
		TRY(live_value(l, e, s, &value));
	*ret = e->base + value;
	*is_ifunc = s->type == STT_GNU_IFUNC;
	*found = true;
	return NULL;
}

struct err *link_lookup(struct link_list *l, const char *name, const char *version,
			bool skip_exe, taddr_t *ret, bool *is_ifunc, bool *found)
{
	*found = *is_ifunc = false;
	*ret = 0;
	for (size_t i = skip_exe ? 1 : 0; !*found && i < l->v.n; i++)
		TRY(link_find(l, i, name, version, ret, is_ifunc, found));
	return NULL;
}
