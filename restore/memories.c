// SPDX-License-Identifier: LGPL-2.1-or-later
// Shared memory: new memory files (memfd and what the kernel treats like it), System V segments; see memories.h.
#include "restore/memories.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/param.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/vm.h"

enum { PAGE = 4096, MEMORIES_MAX = 1 << 20, COPY = 4 << 20 };
static const uint64_t SIZE_LIMIT = 1ULL << 46;

static bool is_kind(const json_t *o, const char *kind)
{
	const char *k = json_string_value(json_object_get(o, "kind"));

	return k && !strcmp(k, kind);
}

// Shared anonymous memory is a file that only its mapping leads to; where that way is closed a memfd does as well.
static int make_anon(uint64_t size)
{
	char path[80];
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return -1;
	snprintf(path, sizeof(path), "/proc/self/map_files/%" PRIxPTR "-%" PRIxPTR,
		 (uintptr_t)p, (uintptr_t)p + size);
	int fd = open(path, O_RDWR | O_CLOEXEC);
	munmap(p, size);
	return fd;
}

static struct err *make_file(const json_t *o, uint64_t size, int *ret)
{
	_cleanup_free_ char *name = NULL;
	_cleanup_close_ int fd = is_kind(o, "anon") ? make_anon(size) : -1;
	bool huge;

	TRY(json_opt_bool(o, "hugetlb", false, &huge));
	if (fd < 0) {
		if (json_has(o, "name"))
			TRY(json_get_text(o, "name", NAME_MAX, &name));
		fd = memfd_create(name ? name : "", MFD_CLOEXEC | MFD_ALLOW_SEALING |
							    (huge ? MFD_HUGETLB : 0));
		if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
			return err_sys(errno,
				       "cannot make %" PRIu64 " bytes of shared memory",
				       size);
	}
	*ret = take_fd(&fd);
	return NULL;
}

static struct err *make_one(struct memories *m, size_t i)
{
	const json_t *o;
	uint64_t size;

	TRY(json_item_object(m->list, i, &o));
	TRY(json_get_u64(o, "size", SIZE_LIMIT, &size));
	if (is_kind(o, "sysv"))
		return segment_make(m->all, o, size, &m->segments[i], &m->all->memory[i]);
	return make_file(o, size, &m->all->memory[i]);
}

struct err *memories_make(struct memories *m)
{
	struct restoring *all = m->all;

	m->list = NULL;
	if (!all->objects || !json_has(all->objects, "memory"))
		return NULL;
	TRY(json_get_array(all->objects, "memory", MEMORIES_MAX, &m->list));
	all->n_memory = json_array_size(m->list);
	all->memory = malloc((all->n_memory + 1) * sizeof(*all->memory));
	m->segments = calloc(all->n_memory + 1, sizeof(*m->segments));
	if (!all->memory || !m->segments) {
		all->n_memory = 0;
		return err_nomem();
	}
	for (size_t i = 0; i < all->n_memory; i++)
		all->memory[i] = m->segments[i].id = -1;
	for (size_t i = 0; i < all->n_memory; i++)
		TRY(json_at(make_one(m, i), "memory", i));
	return NULL;
}

static struct err *copy_run(const struct build *b, int fd, taddr_t addr, uint64_t len,
			    uint64_t offset, uint8_t *buf)
{
	while (len) {
		size_t n = MIN(len, COPY);

		TRY(core_read_memory(b->core, addr, buf, n));
		ssize_t r = os_pwrite(fd, buf, n, offset);
		if (r <= 0)
			return err_sys(r ? (int)r : EIO, "cannot fill shared memory");
		addr += (uint64_t)r;
		offset += (uint64_t)r;
		len -= (uint64_t)r;
	}
	return NULL;
}

static struct err *fill_from(const struct memories *m, const struct build *b,
			     const struct saved_map *map, uint8_t *buf)
{
	int fd = m->all->memory[map->memory];
	taddr_t at = map->start;
	struct page_run run;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(errno, "cannot look at shared memory");
	// A semaphore's 32 bytes are mapped as a page; written as one they would get longer.
	uint64_t size = (uint64_t)st.st_size, whole = roundup(size, PAGE);
	while (at < map->end) {
		const struct core *c = core_find(b->core, at, &run);
		uint64_t offset = map->offset + (at - map->start);

		if (!c || !run.len) {
			at += PAGE;
			continue;
		}
		uint64_t len = MIN(run.len, map->end - at);
		if (offset > whole || len > whole - offset)
			return err_new(ERR_CORRUPT,
				       "memory beyond the end of a shared object at "
				       "0x%" PRIx64,
				       at);
		if (run.kind == PAGES_DATA && offset < size)
			TRY(copy_run(b, fd, at, MIN(len, size - offset), offset, buf));
		at += len;
	}
	return NULL;
}

struct err *memories_fill(const struct memories *m, const struct build *b)
{
	_cleanup_free_ uint8_t *buf = malloc(COPY);

	if (!buf)
		return err_nomem();
	vec_for_each(map, &b->space->maps)
		if (map->kind == SPACE_MEMORY && !map_is_private(map) && map->stored &&
		    !m->segments[map->memory].in_use)
			TRY(fill_from(m, b, map, buf));
	return NULL;
}

struct err *memories_call(const struct memories *m, const struct saved_map *map,
			  int flags, int fd, struct syscall_req *ret)
{
	const struct segment *s = &m->segments[map->memory];
	uint64_t size;

	TRY(json_get_u64(json_array_get(m->list, map->memory), "size", SIZE_LIMIT, &size));
	if (s->id >= 0 && segment_call(s, size, map, ret))
		return NULL;
	*ret = (struct syscall_req){.nr = SYS_mmap,
				    .args = {map->start, map->end - map->start,
					     (uint64_t)map->prot, (uint64_t)flags,
					     (uint64_t)fd, map->offset}};
	return NULL;
}

struct err *memories_give(const struct memories *m, struct build *b, int *numbers)
{
	for (size_t i = 0; i < m->all->n_memory; i++)
		numbers[i] = -1;
	vec_for_each(map, &b->space->maps)
		if (map->kind == SPACE_MEMORY && numbers[map->memory] < 0)
			TRY(remote_give(&b->remote, &m->all->memory[map->memory], 1,
					&numbers[map->memory]));
	return NULL;
}

void memories_deinit(struct memories *m, bool kept)
{
	struct restoring *all = m->all;

	for (size_t i = 0; i < all->n_memory; i++) {
		segment_finish(&m->segments[i], kept);
		if (all->memory[i] >= 0)
			close(all->memory[i]);
	}
	free(m->segments);
	free(all->memory);
	m->segments = NULL;
	all->memory = NULL;
	all->n_memory = 0;
}
