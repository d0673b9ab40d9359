// SPDX-License-Identifier: LGPL-2.1-or-later
// What the files that make symbol files share; nobody else includes it.
#pragma once

#include "elf/module.h"
#include "update/symbols.h"

// Whether an image other than the running one is still mapped and has not been met before in the list.
bool symbols_is_older(const struct symbols_source *s, const struct record *r,
		      const struct record_image *im);
// Opens the file of an image and makes sure that it is that build.
struct err *symbols_open_file(const struct symbols_source *s,
			      const struct record_image *im, const char *debug_dir,
			      struct module **ret) must_check;
// Calls back for the images of all modules: running ones first. A running one that cannot be opened is an
// error, an older one is told to `missing`.
struct symbols_visit {
	struct err *(*image)(void *arg, const struct record *r,
			     const struct record_image *im, const struct module *m,
			     bool runs);
	struct err *(*missing)(void *arg, struct err *why); // takes it over
	void *arg;
};
struct err *symbols_visit(const struct symbols_source *s, const char *debug_dir,
			  const struct symbols_visit *v) must_check;
