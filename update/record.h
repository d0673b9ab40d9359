// SPDX-License-Identifier: LGPL-2.1-or-later
// The generation record: what a process has become, kept in the process itself.
//
// A private mapping of a closed memfd named "molt:record". The newest mapping whose state is "live" is the
// truth; one in state "prepared" belongs to an update that never committed. docs/design.md has the format.
#pragma once

#include "process/maps.h"
#include "update/layout.h"

#define RECORD_NAME "molt:record"

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
	uint32_t generation;
	VEC(struct record_image) images; // ascending by generation; the last one is live
	uint64_t text_hash; // of the live image's executable segments as molt wrote them
	struct layout layout; // of the live image
};

void record_deinit(struct record *r);

// Serialises into a malloc'ed block; the state word is RECORD_PREPARED. *size is page-aligned up.
struct err *record_pack(const struct record *r, void **ret, size_t *size) must_check;
// Where the state word stands in the block: 4 bytes, changed by the commit.
extern const size_t record_state_offset;

// Reads a packed record; every length is taken as hostile (ERR_CORRUPT).
struct err *record_unpack(const void *block, size_t size, struct record *ret,
			  enum record_state *state) must_check;

// Finds the live record of a process; *found false when it was never updated. *addr, *len: its mapping.
struct err *record_find(pid_t pid, const struct maps *maps, struct record *ret,
			taddr_t *addr, uint64_t *len, bool *found) must_check;
