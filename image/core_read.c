// SPDX-License-Identifier: LGPL-2.1-or-later
// Reading a core. Everything in the file is hostile: each number is checked before it is used.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "image/impl.h"
#include "image/json.h"
#include "util/cleanup.h"

enum { NOTES_MAX = 1 << 30, PHDRS_MAX = 1 << 24 };

struct core {
	int fd;
	char *name;
	uint64_t size;
	json_t *state, *objects, *blocks;
	struct core_runs runs;
	struct core_maps maps;
	bool has_pages;
	struct core *parent;
};

static bool inside(const struct core *c, uint64_t at, uint64_t len)
{
	return at <= c->size && len <= c->size - at;
}

static struct err *load_json(const struct core *c, const char *what, const uint8_t *text,
			     size_t len, json_t **ret)
{
	json_error_t why;

	if (*ret)
		return image_corrupt(c->name, "it has two notes %s", what);
	*ret = json_loadb((const char *)text, len, JSON_REJECT_DUPLICATES, &why);
	if (!*ret)
		return json_error_code(&why) == json_error_out_of_memory
			       ? err_nomem()
			       : image_corrupt(c->name, "note %s, byte %d: %s", what,
					       why.position, why.text);
	if (!json_is_object(*ret))
		return image_corrupt(c->name, "note %s is no object", what);
	return NULL;
}

static struct err *check_run(const struct core *c, const struct pages_record *r,
			     taddr_t above, size_t i)
{
	const char *wrong = NULL;

	if ((r->addr | r->len | r->offset) & (CORE_PAGE - 1) || !r->len)
		wrong = "is no range of pages";
	else if (r->addr > (uint64_t)JSON_ADDR_MAX ||
		 r->len > (uint64_t)JSON_ADDR_MAX - r->addr)
		wrong = "leaves the address space";
	else if (r->addr < above)
		wrong = "does not lie above the one before";
	else if (r->kind > PAGES_PARENT)
		wrong = "has an unknown kind";
	else if (r->kind == PAGES_DATA &&
		 (r->offset < CORE_PAGE || !inside(c, r->offset, r->len)))
		wrong = "lies outside of the file";
	return wrong ? image_corrupt(c->name, "record %zu of note PAGES (%#llx) %s", i,
				     (unsigned long long)r->addr, wrong)
		     : NULL;
}

static struct err *load_pages(struct core *c, const uint8_t *data, size_t len)
{
	taddr_t above = 0;

	if (c->has_pages)
		return image_corrupt(c->name, "it has two notes PAGES");
	c->has_pages = true;
	if (len % sizeof(struct pages_record))
		return image_corrupt(c->name, "note PAGES has a broken length");
	TRY(vec_reserve(&c->runs.v, len / sizeof(struct pages_record)));
	for (size_t i = 0; i < len / sizeof(struct pages_record); i++) {
		struct pages_record r;

		memcpy(&r, data + i * sizeof(r), sizeof(r));
		TRY(check_run(c, &r, above, i));
		above = r.addr + r.len;
		TRY(vec_push(&c->runs.v, (struct page_run){r.addr, r.len, r.offset,
							   (enum page_kind)r.kind}));
	}
	return NULL;
}

static struct err *take_note(struct core *c, uint32_t type, const uint8_t *desc,
			     size_t len)
{
	switch (type) {
	case NOTE_STATE:
		return load_json(c, "STATE", desc, len, &c->state);
	case NOTE_OBJECTS:
		return load_json(c, "OBJECTS", desc, len, &c->objects);
	case NOTE_PAGES:
		return load_pages(c, desc, len);
	default:
		return NULL; // of a later version
	}
}

static struct err *walk_notes(struct core *c, const uint8_t *p, size_t len)
{
	while (len) {
		Elf64_Nhdr h;

		if (len < sizeof(h))
			return image_corrupt(c->name, "its notes end inside of one");
		memcpy(&h, p, sizeof(h));
		p += sizeof(h);
		len -= sizeof(h);
		size_t name = ((size_t)h.n_namesz + 3) & ~(size_t)3;
		size_t desc = ((size_t)h.n_descsz + 3) & ~(size_t)3;
		if (name > len || desc > len - name)
			return image_corrupt(c->name, "a note leaves its segment");
		if (h.n_namesz == sizeof("molt") && memcmp(p, "molt", sizeof("molt")) == 0)
			TRY(take_note(c, h.n_type, p + name, h.n_descsz));
		p += name + desc;
		len -= name + desc;
	}
	return NULL;
}

static struct err *read_notes(struct core *c, const Elf64_Phdr *ph)
{
	_cleanup_free_ uint8_t *notes = NULL;

	if (ph->p_filesz > NOTES_MAX || !inside(c, ph->p_offset, ph->p_filesz))
		return image_corrupt(c->name, "its notes lie outside of the file");
	if (!(notes = malloc(ph->p_filesz + 1)))
		return err_nomem();
	TRY(read_all(c->fd, c->name, notes, ph->p_filesz, ph->p_offset));
	return walk_notes(c, notes, ph->p_filesz);
}

static struct err *read_header(const struct core *c, Elf64_Ehdr *e, uint64_t *phnum)
{
	static const uint8_t ident[] = {ELFMAG0,    ELFMAG1,	 ELFMAG2,   ELFMAG3,
					ELFCLASS64, ELFDATA2LSB, EV_CURRENT};

	if (c->size < sizeof(*e))
		return image_corrupt(c->name, "it is too short for a core");
	TRY(read_all(c->fd, c->name, e, sizeof(*e), 0));
	if (memcmp(e->e_ident, ident, sizeof(ident)) || e->e_type != ET_CORE ||
	    e->e_machine != EM_X86_64 || e->e_phentsize != sizeof(Elf64_Phdr))
		return image_corrupt(c->name, "it is no core of an x86-64 process");
	*phnum = e->e_phnum;
	if (e->e_phnum == PN_XNUM) {
		Elf64_Shdr s;

		if (e->e_shentsize != sizeof(s) || !inside(c, e->e_shoff, sizeof(s)))
			return image_corrupt(c->name, "its section header is missing");
		TRY(read_all(c->fd, c->name, &s, sizeof(s), e->e_shoff));
		*phnum = s.sh_info;
	}
	if (!*phnum || *phnum > PHDRS_MAX ||
	    !inside(c, e->e_phoff, *phnum * sizeof(Elf64_Phdr)))
		return image_corrupt(c->name,
				     "its program headers lie outside of the file");
	return NULL;
}

static struct err *read_phdrs(struct core *c)
{
	_cleanup_free_ Elf64_Phdr *ph = NULL;
	Elf64_Ehdr e;
	uint64_t n = 0;

	TRY(read_header(c, &e, &n));
	if (!(ph = malloc(n * sizeof(*ph))))
		return err_nomem();
	TRY(read_all(c->fd, c->name, ph, n * sizeof(*ph), e.e_phoff));
	for (uint64_t i = 0; i < n; i++) {
		if (ph[i].p_type == PT_NOTE)
			TRY(read_notes(c, &ph[i]));
		else if (ph[i].p_type == PT_LOAD &&
			 !inside(c, ph[i].p_offset, ph[i].p_filesz))
			return image_corrupt(c->name,
					     "program header %llu leaves the file",
					     (unsigned long long)i);
	}
	return NULL;
}

static struct err *check_state(struct core *c)
{
	struct err *e;
	int format;

	if (!c->state || !c->has_pages)
		return image_corrupt(c->name, "molt's notes are missing");
	e = json_get_i32(c->state, "format", 0, INT32_MAX, &format);
	if (!e && format != IMAGE_FORMAT)
		return err_with(err_new(ERR_UNSUPPORTED,
					"%s has format %d, this molt reads %d", c->name,
					format, IMAGE_FORMAT),
				"checkpoint-format", c->name);
	if (!e)
		e = core_maps_parse(c->state, &c->maps);
	return e && e->kind == ERR_CORRUPT
		       ? err_with(err_wrap(e, "%s: note STATE", c->name),
				  "checkpoint-corrupt", c->name)
		       : e;
}

struct err *core_open_fd(int fd, const char *name, struct core **ret)
{
	_cleanup_close_ int owned = fd;
	_cleanup_(core_closep) struct core *c = calloc(1, sizeof(*c));
	struct stat st;

	if (!c)
		return err_nomem();
	c->fd = take_fd(&owned);
	if (!(c->name = strdup(name)))
		return err_nomem();
	if (fstat(c->fd, &st))
		return err_sys(errno, "cannot look at %s", name);
	if (!S_ISREG(st.st_mode))
		return image_corrupt(name, "it is no regular file");
	c->size = (uint64_t)st.st_size;
	TRY(read_phdrs(c));
	TRY(check_state(c));
	*ret = take_ptr(c);
	return NULL;
}

struct err *core_open(int dir, const char *name, struct core **ret)
{
	int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return errno == ENOENT || errno == ELOOP
			       ? image_corrupt(name, "%s",
					       errno == ENOENT ? "it is missing"
							       : "it is a symbolic link")
			       : err_sys(errno, "cannot open %s", name);
	return core_open_fd(fd, name, ret);
}

void core_close(struct core *c)
{
	while (c) {
		struct core *parent = c->parent;

		if (c->fd >= 0)
			close(c->fd);
		json_decref(c->state);
		json_decref(c->objects);
		json_decref(c->blocks);
		vec_free(&c->runs.v);
		core_maps_deinit(&c->maps);
		free(c->name);
		free(c);
		c = parent;
	}
}

void core_closep(struct core **c)
{
	core_close(*c);
}

void core_set_blocks(struct core *c, const json_t *blocks)
{
	json_decref(c->blocks);
	c->blocks = json_incref((json_t *)(uintptr_t)blocks);
}

const char *core_block_hash(const struct core *c, uint64_t index)
{
	return json_string_value(json_array_get(c->blocks, index));
}

uint64_t core_size(const struct core *c)
{
	return c->size;
}

int core_fd(const struct core *c)
{
	return c->fd;
}

const json_t *core_state(const struct core *c)
{
	return c->state;
}

const json_t *core_objects(const struct core *c)
{
	return c->objects;
}

const struct page_run *core_runs(const struct core *c, size_t *n)
{
	*n = c->runs.v.n;
	return c->runs.v.v;
}

const struct core_maps *core_maps(const struct core *c)
{
	return &c->maps;
}

const char *core_name(const struct core *c)
{
	return c->name;
}

void core_set_parent(struct core *c, struct core *parent)
{
	core_close(c->parent);
	c->parent = parent;
}

struct core *core_parent(const struct core *c)
{
	return c->parent;
}
