// SPDX-License-Identifier: LGPL-2.1-or-later
// What becomes of memory that is still to come when the process moves and unmaps mappings.
//
// userfaultfd tells of each after it was done, in no certain order when several threads do it: where one has moved a mapping away
// (or unmapped it) and another has moved a second one to its place, the second move may be told first. What is known of the
// mappings shows it: the place is not free yet. What was there then is set aside, for the event that is still to come.
#pragma once

#include "restore/pending.h"

struct moves {
	struct pending_memory known; // registered mappings, as the events so far have them
	struct pending_memory late,
		late_known; // of mappings whose own event is still to come
};

struct err *moves_register(struct moves *m, taddr_t addr, uint64_t len)
	must_check; // above all others
struct err *moves_unmap(struct moves *m, struct pending_memory *pending, taddr_t addr,
			uint64_t len) must_check;
struct err *moves_remap(struct moves *m, struct pending_memory *pending, taddr_t from,
			taddr_t to, uint64_t len) must_check;
struct err *moves_copy(const struct moves *m, struct moves *ret) must_check;
void moves_deinit(struct moves *m);
