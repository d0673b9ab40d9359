// SPDX-License-Identifier: LGPL-2.1-or-later
// The files behind the mappings of a process that is rebuilt: the present file where it is the same, the kept copy where
// it is not.
#pragma once

#include "restore/space.h"

// Opens all; what changed since and is not kept is refused (mapped-file-changed). Sets `source` of the mappings.
struct err *sources_open(struct build *b, const struct store *store,
			 const struct restoring *all, struct sources *ret) must_check;
void sources_deinit(struct sources *s);
struct err *sources_give(struct build *b, struct sources *s) must_check;
struct err *sources_take_back(struct build *b, struct sources *s)
	must_check; // closes them there
