// SPDX-License-Identifier: LGPL-2.1-or-later
// Who gets a signal when something happens on a descriptor (F_SETOWN, F_SETSIG, O_ASYNC).
#pragma once

#include "resource/kinds.h"

struct err *owner_save(const struct open_file *f, json_t *object) must_check;
// In its process, where it has the number fd: signals tell it. An owner that is not saved is left out, with a note.
struct err *owner_make(struct restorer *r, size_t index, const json_t *object, int fd)
	must_check;
