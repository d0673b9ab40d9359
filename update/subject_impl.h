// SPDX-License-Identifier: LGPL-2.1-or-later
// Shared by subject.c and subject_library.c.
#pragma once

#include "update/subject.h"

// The record of a module that was never updated: one image of s->old at `base`, nothing displaced.
struct err *subject_make_up(struct subject *s, const char *name, const char *path,
			    taddr_t base) must_check;
void subject_take_record(struct subject *s, const struct found_record *found);

// Generation 0: read-only segments must be the file's, byte by byte.
struct err *subject_check_text_of_file(const struct subject *s) must_check;
// Later generations: the executable segments must hash to what molt wrote.
struct err *subject_check_text_of_record(const struct subject *s) must_check;
