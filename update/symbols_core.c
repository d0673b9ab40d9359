// SPDX-License-Identifier: LGPL-2.1-or-later
// The generation records in an ELF core, found by their magic: not every core names its mappings.
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "update/symbols_internal.h"
#include "util/cleanup.h"

struct core {
	const char *path;
	int fd;
	uint64_t size;
	Elf64_Ehdr header;
	VEC(Elf64_Phdr) segments; // PT_LOAD alone
};

static struct err *read_at(const struct core *c, void *buf, size_t n, uint64_t at)
{
	size_t done = 0;

	while (done < n) {
		ssize_t got =
			pread(c->fd, (char *)buf + done, n - done, (off_t)(at + done));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_sys(errno, "cannot read %s", c->path);
		if (!got)
			return err_with(err_new(ERR_CORRUPT, "%s is cut off", c->path),
					"corrupt-elf", c->path);
		done += (size_t)got;
	}
	return NULL;
}

static bool in_file(const struct core *c, uint64_t offset, uint64_t n)
{
	return offset <= c->size && n <= c->size - offset;
}

// How many program headers: more than 65534 are counted in the first section header.
static struct err *count_segments(const struct core *c, uint64_t *ret)
{
	Elf64_Shdr first;

	*ret = c->header.e_phnum;
	if (c->header.e_phnum != PN_XNUM)
		return NULL;
	TRY(read_at(c, &first, sizeof(first), c->header.e_shoff));
	*ret = first.sh_info;
	return NULL;
}

static struct err *read_segments(struct core *c)
{
	uint64_t n;

	TRY(count_segments(c, &n));
	if (c->header.e_phentsize != sizeof(Elf64_Phdr) ||
	    !in_file(c, c->header.e_phoff, n * sizeof(Elf64_Phdr)))
		return err_with(err_new(ERR_CORRUPT,
					"%s: the program headers lie outside the file",
					c->path),
				"corrupt-elf", c->path);
	for (uint64_t i = 0; i < n; i++) {
		Elf64_Phdr p;

		TRY(read_at(c, &p, sizeof(p), c->header.e_phoff + i * sizeof(p)));
		if (p.p_type == PT_LOAD)
			TRY(vec_push(&c->segments, p));
	}
	return NULL;
}

static struct err *open_core(struct core *c)
{
	struct stat st;

	c->fd = open(c->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (c->fd < 0)
		return errno == ENOENT || errno == ENOTDIR
			       ? err_new(ERR_USAGE, "cannot open %s: %s", c->path,
					 strerror(errno))
			       : err_sys(errno, "cannot open %s", c->path);
	if (fstat(c->fd, &st))
		return err_sys(errno, "cannot look at %s", c->path);
	c->size = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
	if (c->size < sizeof(c->header))
		return err_refuse("not-elf", c->path, "%s is no ELF file", c->path);
	TRY(read_at(c, &c->header, sizeof(c->header), 0));
	const unsigned char *id = c->header.e_ident;
	if (memcmp(id, ELFMAG, SELFMAG))
		return err_refuse("not-elf", c->path, "%s is no ELF file", c->path);
	if (id[EI_CLASS] != ELFCLASS64 || id[EI_DATA] != ELFDATA2LSB ||
	    c->header.e_machine != EM_X86_64 || c->header.e_type != ET_CORE)
		return err_refuse("no-core", c->path,
				  "%s is no core of an x86-64 process", c->path);
	return read_segments(c);
}

// The record that begins with segment i: its pages may be several segments, one behind the other.
static struct err *read_record(const struct core *c, size_t i, struct record_list *ret)
{
	const Elf64_Phdr *first = &c->segments.v[i];
	uint64_t size = 0;

	for (const Elf64_Phdr *p = first; p < c->segments.v + c->segments.n; p++) {
		if (p->p_vaddr != first->p_vaddr + size || !p->p_filesz ||
		    p->p_filesz != p->p_memsz || p->p_filesz > RECORD_MAX - size ||
		    !in_file(c, p->p_offset, p->p_filesz))
			break;
		size += p->p_filesz;
	}
	_cleanup_free_ uint8_t *block = malloc(size ? size : 1);
	if (!block)
		return err_nomem();
	uint64_t at = 0;
	for (const Elf64_Phdr *p = first; at < size; p++) {
		TRY(read_at(c, block + at, p->p_filesz, p->p_offset));
		at += p->p_filesz;
	}
	return record_list_add(ret, block, size, first->p_vaddr);
}

static struct err *read_records(const struct core *c, struct symbols_source *ret)
{
	for (size_t i = 0; i < c->segments.n; i++) {
		const Elf64_Phdr *p = &c->segments.v[i];
		const struct address_range range = {p->p_vaddr, p->p_vaddr + p->p_memsz};
		char magic[sizeof(record_magic)];

		TRY(vec_push(&ret->mapped, range));
		if (p->p_filesz < sizeof(magic) || !in_file(c, p->p_offset, sizeof(magic)))
			continue;
		TRY(read_at(c, magic, sizeof(magic), p->p_offset));
		if (!memcmp(magic, record_magic, sizeof(magic)))
			TRY(read_record(c, i, &ret->records));
	}
	if (!ret->records.v.n)
		return err_refuse("never-updated", c->path,
				  "%s is the core of a process that was never updated, "
				  "or it lacks the memory with molt's record",
				  c->path);
	record_list_sort(&ret->records);
	return NULL;
}

struct err *symbols_open_core(const char *path, struct symbols_source *ret)
{
	struct core c = {.path = path, .fd = -1};

	*ret = (struct symbols_source){.core = strdup(path)};
	struct err *e = ret->core ? open_core(&c) : err_nomem();
	if (!e)
		e = read_records(&c, ret);
	if (c.fd >= 0)
		close(c.fd);
	vec_free(&c.segments);
	if (e)
		symbols_source_deinit(ret);
	return e;
}
