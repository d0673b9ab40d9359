// SPDX-License-Identifier: LGPL-2.1-or-later
// Who gets a signal when something happens on a descriptor (F_SETOWN, F_SETSIG, O_ASYNC).
#pragma once

#include "resource/kinds.h"

struct err *owner_save(const struct open_file *f, json_t *object) must_check;
// With its process there; an owner that is not saved is left out, with a note.
struct err *owner_make(struct restorer *r, size_t index, const json_t *object) must_check;
// O_ASYNC, when the processes go on.
struct err *owner_start(struct restoring *all, size_t index, const json_t *object)
	must_check;
