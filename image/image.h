// SPDX-License-Identifier: LGPL-2.1-or-later
// The checkpoint of one process: an ELF core that other tools open, with molt's own notes. docs/checkpoint-format.md has
// every byte.
//
// All that is no memory stands in two JSON documents, each a note: the *state* of this process, and, in the core of the
// first process of a tree only, the *objects* that processes share (open file descriptions, shared memory). Who writes a
// member documents it in docs/checkpoint-format.md; who reads one takes it as hostile. The standard notes are made from
// the state.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "util/error.h"
#include "util/types.h"
#include "util/vec.h"

enum { IMAGE_FORMAT = 1 };

enum page_kind {
	PAGES_DATA = 0,	  // bytes at `offset` of this core
	PAGES_ZERO = 1,	  // all zero; no bytes are kept
	PAGES_PARENT = 2, // as in the core of the same process in the parent checkpoint
};

// A page of a mapping that no run covers was never touched: zero in anonymous memory, the file's bytes in a file mapping.
struct page_run {
	taddr_t addr; // page-aligned, as len and offset
	uint64_t len;
	uint64_t offset;
	enum page_kind kind;
};

// Writing. Memory goes to the file while the process may still run, the rest when it is known; pages may be written again
// at the place they have.

struct core_writer;

// Makes the file NAME in a folder (O_EXCL, O_NOFOLLOW, 0600).
struct err *core_create(int dir, const char *name, struct core_writer **ret) must_check;
int core_writer_fd(const struct core_writer *w);
// Room in the file for `len` bytes of memory, page-aligned.
uint64_t core_reserve(struct core_writer *w, uint64_t len);
// Says where memory is; runs may be given in any order and must not overlap.
struct err *core_add_run(struct core_writer *w, const struct page_run *run) must_check;
// Writes headers, program headers and notes. state["maps"], ["threads"] and ["auxv"] become the standard ones. `objects`
// may be NULL. Neither is taken over. Hashes the whole file in blocks of CORE_BLOCK bytes into the manifest's list.
struct err *core_finish(struct core_writer *w, const json_t *state, const json_t *objects,
			json_t **manifest_entry) must_check;
void core_writer_free(struct core_writer *w); // closes; the file stays
void core_writer_freep(struct core_writer **w);

enum { CORE_BLOCK = 4 << 20 };

// Reading.

struct core;

// Opens and checks headers, program headers and notes, never reading memory. Everything in the file is hostile: ERR_CORRUPT
// names the file and what is wrong.
struct err *core_open(int dir, const char *name, struct core **ret) must_check;
void core_close(struct core *c); // its parents too
void core_closep(struct core **c);
int core_fd(const struct core *c);
const json_t *core_state(const struct core *c);
const json_t *core_objects(const struct core *c);		   // NULL: none
const struct page_run *core_runs(const struct core *c, size_t *n); // ascending
// The core that PAGES_PARENT means; set by store_open_checkpoint.
void core_set_parent(struct core *c, struct core *parent); // taken over
struct core *core_parent(const struct core *c);
// Finds where the memory at addr is: the core (this one or a parent) and a run cut to [addr, ...); NULL and a run of kind
// PAGES_ZERO with len 0 when the page was never touched.
const struct core *core_find(const struct core *c, taddr_t addr, struct page_run *ret);
// The hashes of its blocks, from the manifest (borrowed: its own reference is taken); set by checkpoint_open.
void core_set_blocks(struct core *c, const json_t *blocks);
// Reads a block of the file (CORE_BLOCK bytes from index * CORE_BLOCK on; the last one is shorter) and compares its hash.
struct err *core_read_block(const struct core *c, uint64_t index, void *buf, size_t *len)
	must_check;
// Reads memory of the saved process, through the parents; bytes of untouched pages of files are not there: ERR_CORRUPT.
struct err *core_read_memory(const struct core *c, taddr_t addr, void *buf, size_t len)
	must_check;
// Writes what the core and its parents have as one core that needs no other.
struct err *core_merge(const struct core *c, struct core_writer *w) must_check;
