// SPDX-License-Identifier: LGPL-2.1-or-later
// Making the saved mappings in a process that has none, and the words the kernel keeps about its memory.
#include "restore/mappings.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/prctl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "resource/json.h"

typedef VEC(struct syscall_req) req_list;

static int map_flags(const struct saved_map *m)
{
	int flags = MAP_FIXED_NOREPLACE;

	flags |= map_is_private(m) ? MAP_PRIVATE : MAP_SHARED;
	if (m->flags & MF_NORESERVE)
		flags |= MAP_NORESERVE;
	if (m->kind != SPACE_ANON)
		return flags;
	flags |= MAP_ANONYMOUS;
	if (m->flags & MF_HUGETLB)
		flags |= MAP_HUGETLB;
	if (m->flags & MF_GROWSDOWN)
		flags |= MAP_GROWSDOWN;
	return flags;
}

static struct err *add_map(const struct mapping_files *files, const struct saved_map *m,
			   req_list *list)
{
	struct syscall_req call;
	int fd = -1;

	if (m->kind == SPACE_VDSO || m->kind == SPACE_VVAR)
		return NULL;
	if (m->kind == SPACE_FILE)
		fd = files->sources->v.v[m->source].number;
	if (m->kind == SPACE_MEMORY) {
		TRY(memories_call(files->memories, m, map_flags(m),
				  files->numbers[m->memory], &call));
		return vec_push(list, call);
	}
	return vec_push(list,
			(struct syscall_req){
				.nr = SYS_mmap,
				.args = {m->start, m->end - m->start, (uint64_t)m->prot,
					 (uint64_t)map_flags(m), (uint64_t)fd,
					 m->kind == SPACE_ANON ? 0 : m->offset}});
}

static struct err *mapping_failed(const struct build *b, const struct syscall_req *r)
{
	return err_sys((int)r->ret, "cannot map 0x%" PRIx64 "-0x%" PRIx64 " in process %d",
		       (uint64_t)r->args[0], (uint64_t)(r->args[0] + r->args[1]),
		       b->remote.pid);
}

static struct err *run_maps(struct build *b, req_list *list)
{
	size_t done;

	TRY(b->remote.calls(&b->remote, b->remote.tid, list->v, list->n, false, &done));
	for (size_t i = 0; i < done; i++)
		if (list->v[i].ret < 0)
			return mapping_failed(b, &list->v[i]);
	return done == list->n ? NULL : err_new(ERR_INTERNAL, "mappings are missing");
}

struct err *mappings_make(struct build *b, const struct mapping_files *files)
{
	req_list list = {};
	struct err *e = NULL;

	vec_for_each(m, &b->space->maps)
		if (!e)
			e = add_map(files, m, &list);
	if (!e)
		e = run_maps(b, &list);
	vec_free(&list);
	return e;
}

static struct err *add_advice(const struct saved_map *m, req_list *list)
{
	static const struct {
		unsigned flag;
		int advice;
	} table[] = {
		{MF_HUGEPAGE, MADV_HUGEPAGE},	  {MF_NOHUGEPAGE, MADV_NOHUGEPAGE},
		{MF_DONTFORK, MADV_DONTFORK},	  {MF_DONTDUMP, MADV_DONTDUMP},
		{MF_WIPEONFORK, MADV_WIPEONFORK}, {MF_SEQUENTIAL, MADV_SEQUENTIAL},
		{MF_RANDOM, MADV_RANDOM},
	};
	uint64_t len = m->end - m->start;

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		// The kernel sets these itself for huge pages of its own.
		if (!(m->flags & table[i].flag) || m->flags & MF_HUGETLB)
			continue;
		TRY(vec_push(list,
			     (struct syscall_req){.nr = SYS_madvise,
						  .args = {m->start, len,
							   (uint64_t)table[i].advice}}));
	}
	// On fault: what is there is locked now, what is filled in later then.
	if (m->flags & MF_LOCKED)
		TRY(vec_push(list, (struct syscall_req){
					   .nr = SYS_mlock2,
					   .args = {m->start, len, MLOCK_ONFAULT}}));
	return NULL;
}

struct err *mappings_advise(struct build *b)
{
	req_list list = {};
	struct err *e = NULL;

	vec_for_each(m, &b->space->maps)
		if (!e && m->kind != SPACE_VDSO && m->kind != SPACE_VVAR)
			e = add_advice(m, &list);
	if (!e)
		e = remote_must(&b->remote, list.v, list.n,
				"cannot give memory its properties");
	vec_free(&list);
	return e;
}

static struct err *fill_mm_map(const struct build *b, struct prctl_mm_map *map)
{
	const struct {
		const char *name;
		__u64 *word;
	} words[] = {
		{"start_code", &map->start_code},   {"end_code", &map->end_code},
		{"start_data", &map->start_data},   {"end_data", &map->end_data},
		{"start_brk", &map->start_brk},	    {"brk", &map->brk},
		{"start_stack", &map->start_stack}, {"arg_start", &map->arg_start},
		{"arg_end", &map->arg_end},	    {"env_start", &map->env_start},
		{"env_end", &map->env_end},
	};
	const json_t *mm;

	TRY(json_get_object(b->state, "mm", &mm));
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		taddr_t value;

		TRY(json_get_addr(mm, words[i].name, &value));
		*words[i].word = value;
	}
	return NULL;
}

struct err *mappings_describe(struct build *b, const struct mapping_files *files)
{
	enum { AUXV_MAX = 1024 }; // the kernel takes less
	struct remote *r = &b->remote;
	size_t mark = r->used, len;
	struct prctl_mm_map *map = remote_take(r, sizeof(*map));
	uint8_t *auxv = NULL, *there = NULL;
	const struct sources *s = files->sources;

	if (!map)
		return err_new(ERR_INTERNAL, "no room in the restore area");
	TRY(fill_mm_map(b, map));
	TRY(json_get_bytes(b->state, "auxv", AUXV_MAX, &auxv, &len));
	there = remote_take(r, len + 1);
	if (there) {
		memcpy(there, auxv, len);
		map->auxv = (void *)(uintptr_t)remote_at(r, there);
		map->auxv_size = (uint32_t)len;
	}
	free(auxv);
	map->exe_fd = s->exe == SIZE_MAX ? (uint32_t)-1 : (uint32_t)s->v.v[s->exe].number;
	struct syscall_req req = {
		.nr = SYS_prctl,
		.args = {PR_SET_MM, PR_SET_MM_MAP, remote_at(r, map), sizeof(*map)}};
	struct err *e = remote_must(r, &req, 1, "cannot describe the memory");
	if (req.ret == -EPERM && map->exe_fd != (uint32_t)-1) {
		err_free(e);
		map->exe_fd = (uint32_t)-1;
		e = remote_must(r, &req, 1, "cannot describe the memory");
		if (!e)
			e = restoring_note(
				b->restorer.all,
				"/proc/%d/exe is molt's own program: to set it "
				"takes CAP_CHECKPOINT_RESTORE or root",
				r->pid);
	}
	remote_release(r, mark);
	return e;
}
