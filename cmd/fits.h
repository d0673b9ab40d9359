// SPDX-License-Identifier: GPL-2.0-or-later
// Whether checkpoints can be restored into a program: `molt list --into`, `--changed`.
#pragma once

#include "cmd/stored.h"

struct fits {
	const char *store, *into; // into NULL: not asked
	const char *debug_dir;
	char *changed; // text of --changed, lines ended by NUL; NULL: not asked
	size_t changed_len;
};

// Reads a list of changed functions, one a line; "#" begins a remark.
struct err *fits_read_changed(struct fits *f, const char *path) must_check;
void fits_deinit(struct fits *f);
static inline bool fits_asked(const struct fits *f)
{
	return f->into || f->changed;
}

// NULL: it fits. Else why not; the kind is no matter.
struct err *fits_judge(const struct fits *f, const struct stored *one) must_check;
