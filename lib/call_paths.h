// SPDX-License-Identifier: LGPL-2.1-or-later
// The call paths of a saved process, from its core and the kept programs and libraries; no process is needed.
#pragma once

#include "image/store.h"

struct call_frame {
	taddr_t pc;
	char *function;	 // NULL: not known
	uint64_t offset; // into the function
	char *module;	 // name of the file, NULL: none
	char *source;	 // NULL: no line
	int line;
};

struct call_path {
	pid_t tid;
	VEC(struct call_frame) v; // innermost first
	char *why;		  // it ends before the outermost frame; NULL: complete
};

struct call_paths {
	VEC(struct call_path) v;
};

struct symbolizer; // names of addresses in the saved process

struct err *symbolizer_create(const struct core *c, const struct store *s,
			      struct symbolizer **ret) must_check;
void symbolizer_free(struct symbolizer *s);
void symbolizer_freep(struct symbolizer **s);
// What is at a code address. For the caller to deinit; members are NULL where nothing is known.
void symbolizer_find(const struct symbolizer *s, taddr_t pc, bool exact,
		     struct call_frame *ret);
void call_frame_deinit(struct call_frame *f);

// Of all threads, in the order of the state.
struct err *call_paths_read(struct symbolizer *s, struct call_paths *ret) must_check;
void call_paths_deinit(struct call_paths *p);
