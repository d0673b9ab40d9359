// SPDX-License-Identifier: LGPL-2.1-or-later
// Mapping and recognising the memory of an image; see map_image.h.
#include "update/map_image.h"

#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "process/memory.h"
#include "util/cleanup.h"

enum { PAGE = 4096 };

static const uint64_t max_span = (uint64_t)1 << 31; // relative addresses reach no further

static struct err *write_content(int fd, const struct named_content *c)
{
	for (uint64_t at = 0; at < c->size;) {
		ssize_t done = pwrite(fd, (const uint8_t *)c->bytes + at, c->size - at,
				      (off_t)at);

		if (done <= 0)
			return err_sys(done < 0 ? errno : ENOSPC, "cannot write %s",
				       c->name);
		at += (uint64_t)done;
	}
	return NULL;
}

struct err *map_named(struct helper *h, const struct named_content *c, taddr_t at,
		      int prot, taddr_t *ret)
{
	_cleanup_close_ int fd = -1;
	int rfd = -1;

	TRY(helper_memfd(h, c->name, &rfd, &fd));
	struct err *e = write_content(fd, c);
	if (!e)
		e = helper_mmap(h, at, c->size, prot, MAP_PRIVATE | (at ? MAP_FIXED : 0),
				rfd, 0, ret);
	return err_first(e, helper_close(h, rfd));
}

static struct err *map_head(struct plan *p, struct helper *h)
{
	char name[64];
	taddr_t at;

	snprintf(name, sizeof(name), IMAGE_NAME ":%s", p->subject->process->comm);
	return map_named(h, &(struct named_content){name, p->image, PAGE}, p->layout.base,
			 PROT_READ | PROT_WRITE, &at);
}

static struct err *fill(struct plan *p, struct helper *h)
{
	pid_t pid = p->subject->process->pid;
	taddr_t base = p->layout.base;

	TRY(map_head(p, h));
	vec_for_each(seg, &p->new->segments) {
		if (seg->type != PT_LOAD || !seg->filesz)
			continue;
		TRY(mem_write(pid, base + seg->addr, p->image + seg->addr, seg->filesz));
	}
	return helper_mprotect(h, base, p->new->span, PROT_NONE);
}

struct err *map_image(struct plan *p, struct helper *h)
{
	taddr_t base = p->layout.base, at;

	TRY(helper_mmap(h, base, p->new->span, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0, &at));
	struct err *e = fill(p, h);
	if (e)
		err_free(helper_munmap(h, base, p->new->span));
	return e;
}

bool is_image_head(const struct mapping *m)
{
	static const char path[] = "/memfd:" IMAGE_NAME;

	return !strncmp(m->path, path, strlen(path));
}

// The end of the last PT_LOAD as the header in the page says it; 0 when it makes no sense.
static uint64_t span_of(const uint8_t *page)
{
	Elf64_Ehdr h;
	uint64_t span = 0;

	memcpy(&h, page, sizeof(h));
	if (memcmp(h.e_ident, ELFMAG, SELFMAG) || h.e_phentsize != sizeof(Elf64_Phdr) ||
	    h.e_phoff > PAGE || h.e_phnum * sizeof(Elf64_Phdr) > PAGE - h.e_phoff)
		return 0;
	for (unsigned i = 0; i < h.e_phnum; i++) {
		Elf64_Phdr p;
		uint64_t end;

		memcpy(&p, page + h.e_phoff + i * sizeof(p), sizeof(p));
		if (p.p_type != PT_LOAD)
			continue;
		if (__builtin_add_overflow(p.p_vaddr, p.p_memsz, &end) || end > max_span)
			return 0;
		if (end > span)
			span = end;
	}
	return (span + PAGE - 1) & ~(uint64_t)(PAGE - 1);
}

struct err *image_extent(pid_t pid, const struct maps *maps, const struct mapping *head,
			 uint64_t *ret)
{
	uint8_t page[PAGE];

	*ret = head->end - head->start;
	if (*ret != PAGE)
		return NULL;
	TRY(mem_read(pid, head->start, page, PAGE));
	taddr_t end = head->start + span_of(page);
	// What the target made of the header does not count: only anonymous memory right behind it is taken. Such
	// memory of others may follow in the same mapping.
	for (const struct mapping *m = head + 1; m < maps->v.v + maps->v.n; m++) {
		taddr_t known = head->start + *ret;

		if (known >= end || m->start != known || *m->path || m->shared)
			break;
		*ret = (m->end < end ? m->end : end) - head->start;
	}
	return NULL;
}
