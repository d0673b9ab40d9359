// SPDX-License-Identifier: LGPL-2.1-or-later
// The index of open file descriptions: which descriptors, of one process or of several, are one object.
#pragma once

#include "resource/kinds.h"

// One that is known. Stays where it is as long as the index.
struct known_file {
	struct open_file f;
	char *path, *info;	      // f's, owned
	const struct file_kind *kind; // NULL: left out (--skip)
	json_t *object;		      // borrowed
	bool owned;		      // f.fd is a descriptor of the tool, owned
};

struct file_index;

// Finds the open file description or makes it known and saves it. `dir` is /proc/PID/fd, `infos` /proc/PID/fdinfo of f->pid; f
// has s, pid and fd, the rest is filled in here. *cloexec is the descriptor's.
struct err *index_add(struct file_index *x, struct open_file *f, int dir, int infos,
		      size_t *index, bool *cloexec) must_check;
// Makes the index unless it is there, and says that this process is saved. *ret is a copy that lasts as long as the index.
struct err *index_open(struct saver *s, struct saver **ret) must_check;
bool index_has_process(const struct file_index *x, pid_t pid);
const struct known_file *index_at(const struct file_index *x, size_t i);
// The kind of this name; NULL: unknown.
const struct file_kind *file_kind_named(const char *name);
const struct file_kind *file_kind_of(const struct open_file *f);
// ERR_USAGE for a kind to skip that does not exist.
struct err *file_kinds_check_skipped(const struct save_options *opt) must_check;
