// SPDX-License-Identifier: LGPL-2.1-or-later
// The memory of a new image in the target: anonymous, behind a first page that tells what it is.
#pragma once

#include "process/helper.h"
#include "process/maps.h"
#include "update/plan.h"

// Maps the plan's image at its base, filled, without any permission yet. Anonymous memory, because that is what
// a core carries whole and what perf looks up in /tmp/perf-PID.map. Its first page, which holds the ELF header,
// is a memfd named after the program: it comes when the rest is mapped, so that a later molt that finds it knows
// the whole to be molt's.
struct err *map_image(struct plan *p, struct helper *h) must_check;

struct named_content {
	const char *name; // of the memfd
	const void *bytes;
	uint64_t size; // whole pages
};

// A private mapping of a memfd, in place of what is at `at`, or anywhere (0). The descriptor lives in the helper's table
// only as long as this takes.
struct err *map_named(struct helper *h, const struct named_content *c, taddr_t at,
		      int prot, taddr_t *ret) must_check;

// Whether a mapping is the first page of an image, and how long that image is.
bool is_image_head(const struct mapping *m);
struct err *image_extent(pid_t pid, const struct maps *maps, const struct mapping *head,
			 uint64_t *ret) must_check;
