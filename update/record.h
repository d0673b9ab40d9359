// SPDX-License-Identifier: LGPL-2.1-or-later
// The generation record: what a module of a process has become, kept in the process itself.
//
// A private mapping of a closed memfd named "molt:record", one for each module that was ever updated. Those
// whose state is "live" are the truth; one in state "prepared" belongs to an update that never committed.
// Generations count the updates of the process, whichever modules they changed. docs/design.md has the format.
#pragma once

#include "process/maps.h"
#include "update/layout.h"

#define RECORD_NAME "molt:record"
#define IMAGE_NAME "molt:image"
extern const char record_magic[8]; // the first bytes of a packed one

enum {
	RECORD_HISTORY = 32,   // generations of which everything is kept
	RECORD_MAX = 64 << 20, // bytes of a packed one
};

enum record_state {
	RECORD_PREPARED = 1, // written, not committed
	RECORD_LIVE = 2,     // set by the commit
};

struct record_image { // a program that is or was mapped
	uint32_t generation;
	taddr_t base;
	uint64_t span;
	char *path;
	char *build_id;
	uint64_t time; // seconds since the epoch when it became live; 0 for generation 0
};

struct record {
	uint32_t generation; // of the process when this module was last updated
	char *name; // of the module in ld.so's list when it was first updated; "" for the executable
	VEC(struct record_image) images; // ascending by generation; the last one is live
	uint64_t text_hash; // of the live image's executable segments as molt wrote them
	struct layout layout; // of the live image
};

void record_deinit(struct record *r);

// The image that runs. A record that was read has one.
static inline const struct record_image *record_running(const struct record *r)
{
	return &r->images.v[r->images.n - 1];
}

// Serialises into a malloc'ed block; the state word is RECORD_PREPARED. *size is page-aligned up.
struct err *record_pack(const struct record *r, void **ret, size_t *size) must_check;
// Where the state word stands in the block: 4 bytes, changed by the commit.
extern const size_t record_state_offset;

// Reads a packed record; every length is taken as hostile (ERR_CORRUPT).
struct err *record_unpack(const void *block, size_t size, struct record *ret,
			  enum record_state *state) must_check;

struct found_record {
	struct record record;
	taddr_t addr; // of its mapping
	uint64_t len;
	bool gone; // the module was unloaded (dlclose): only good for clearing what it left
};

struct record_list {
	VEC(struct found_record) v; // live ones, ascending by generation
};

// Finds the live records of a process: none when it was never updated.
struct err *record_list_read(pid_t pid, const struct maps *maps, struct record_list *ret)
	must_check;
void record_list_deinit(struct record_list *l);
// For those who find records elsewhere than in a process: adds the packed one of `size` bytes that was at `addr` if it
// is live; sorts the list when all are there.
struct err *record_list_add(struct record_list *l, const void *block, size_t size,
			    taddr_t addr) must_check;
void record_list_sort(struct record_list *l);

// False when the module was closed since: ld.so unmaps the image that a library lives in.
bool record_is_mapped(const struct record *r, const struct maps *maps);
// That of the executable, or NULL.
struct found_record *record_of_exe(const struct record_list *l);
// The generation of the process: that of its newest record, 0 when there is none.
uint32_t record_list_generation(const struct record_list *l);
