// SPDX-License-Identifier: LGPL-2.1-or-later
// Brings the new image and the generation record into the target, while it runs.
#pragma once

#include "process/helper.h"
#include "update/plan.h"

struct installed {
	struct helper *helper;
	taddr_t image;
	uint64_t image_len;
	taddr_t record; // its state word is at record + record_state_offset
	uint64_t record_len;
};

// Maps the image, if the plan does not use one of before (filled by molt: the target may not be allowed to open NEW).
struct err *install_image(struct plan *p, struct helper *h, struct installed *ret)
	must_check;

// When the images of all modules are mapped: fills the slots of IFUNCs by calling their resolvers, maps the new
// record in state "prepared".
struct err *install_record(struct plan *p, struct helper *h, struct installed *ret)
	must_check;

// Gives up: unmaps both. The process must not have been committed.
struct err *uninstall(struct installed *in) must_check;

// Images and records of updates that never committed (a tool that died) are unmapped.
struct err *clear_leftovers(const struct target *t, struct helper *h) must_check;
