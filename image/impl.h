// SPDX-License-Identifier: LGPL-2.1-or-later
// What the files of image/ share about the form of a core.
#pragma once

#include <elf.h>

#include "image/image.h"

enum {
	CORE_PAGE = 4096,
	NOTE_STATE = 0x6d6f0001,
	NOTE_OBJECTS = 0x6d6f0002,
	NOTE_PAGES = 0x6d6f0003,
	CORE_HASH_LEN = 32, // hex digits of XXH3-128
};

struct pages_record { // of the note PAGES, little endian
	uint64_t addr, len, offset, kind;
};

struct core_map { // a mapping as state["maps"] has it, without vsyscall
	taddr_t start, end;
	int prot;
	bool file;	  // untouched pages are the file's
	const char *path; // of a file mapping, or NULL; borrowed
	uint64_t offset;
};

struct core_maps {
	VEC(struct core_map) v; // ascending, checked
};

struct err *core_maps_parse(const json_t *state, struct core_maps *ret) must_check;
void core_maps_deinit(struct core_maps *m);

struct core_runs {
	VEC(struct page_run) v;
};

struct core_phdrs {
	VEC(Elf64_Phdr) v;
};

// PT_LOADs for all mappings; runs ascending. `end`: the file's end, moved on where a hole is needed for zero pages.
struct err *core_plan_phdrs(const struct core_maps *maps, const struct core_runs *runs,
			    uint64_t *end, struct core_phdrs *ret) must_check;

// The bytes of the PT_NOTE segment.
struct note_buffer {
	VEC(uint8_t) v;
};
struct err *notes_build(const json_t *state, const json_t *objects,
			const struct core_maps *maps, const struct core_runs *runs,
			struct note_buffer *ret) must_check;

// ERR_CORRUPT with its code and the file as object.
struct err *image_corrupt(const char *file, const char *fmt, ...)
	must_check printf_like(2, 3);
// An errno of writing to a file of the store: full and read-only ones get their codes.
struct err *image_write_error(int errnum, const char *file) must_check;

// Hash of one block as the manifest has it, NUL-terminated.
void block_hash(const void *data, size_t len, char hex[CORE_HASH_LEN + 1]);
// Blocks of the first `size` bytes of a file, as strings. By several threads; holes are not read.
struct err *hash_blocks(int fd, const char *name, uint64_t size, json_t **ret) must_check;

struct err *write_all(int fd, const char *name, const void *buf, size_t len, uint64_t at)
	must_check;
// ERR_CORRUPT when the file ends before.
struct err *read_all(int fd, const char *name, void *buf, size_t len, uint64_t at)
	must_check;

// As core_open, of a file that is open (taken over, also on error).
struct err *core_open_fd(int fd, const char *name, struct core **ret) must_check;
const struct core_maps *core_maps(const struct core *c);
const char *core_name(const struct core *c);
uint64_t core_size(const struct core *c);			   // of the file
const char *core_block_hash(const struct core *c, uint64_t index); // NULL: none is known
