// SPDX-License-Identifier: LGPL-2.1-or-later
// The images of all generations of a process's modules, for frames that go on in them. The unwinder must be told of
// them: their mappings have no file.
#pragma once

#include "update/judge.h"

struct images {
	struct unwinder *u;
	VEC(struct module *) opened; // must outlive the unwinder
};

struct err *images_add(struct images *im, struct unwinder *u, const struct judge *j,
		       const struct target *t) must_check;
void images_deinit(struct images *im);
