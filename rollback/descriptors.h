// SPDX-License-Identifier: LGPL-2.1-or-later
// The descriptors of a process: as they are, and as they were saved.
#pragma once

#include "rollback/impl.h"

enum { DESCRIPTORS_MAX = 1 << 20 };

struct present { // a descriptor as it is
	int fd, flags;
	bool cloexec, kept, wanted;
	uint64_t pos;
	char *path, *info;
};

struct saved_fd {
	int fd;
	bool cloexec;
	size_t file;
	const json_t *object;
	const char *kind;
	char *path;
	struct present *now; // leads to the same; NULL: does not
	int given;	     // number where what was made again waits; -1: none
};

struct table {
	VEC(struct present) now;
	VEC(struct saved_fd) saved;
	int top; // highest number of both
	uint32_t *first; // of each object, the place of its first descriptor in `saved`, + 1; 0: none
	size_t n_files;
};

// Reads both and says which lead to the same.
struct err *table_read(const struct rollback *rb, struct table *t) must_check;
void table_deinit(struct table *t);
bool table_skipped(const struct saved_fd *s); // left out when it was saved
// The first descriptor before `s` that leads to its object; NULL: none.
struct saved_fd *table_leader(struct table *t, const struct saved_fd *s);

// Offsets, flags and the like of those that lead to the same.
struct err *states_plan(struct rollback *rb, struct table *t) must_check;
