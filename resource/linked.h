// SPDX-License-Identifier: LGPL-2.1-or-later
// Files that the kernel calls deleted, and that have another name: glibc makes each named semaphore under a name of its
// own, links it to the one that was asked for, and removes the first.
#pragma once

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "util/error.h"

// `path` is what the kernel says, with " (deleted)" at its end. *ret is another name of the file in the same folder, NULL when
// there is none.
struct err *linked_name(pid_t pid, const char *path, dev_t dev, ino_t ino, char **ret)
	must_check;
bool linked_is_called_deleted(const char *path);

// The same for an open file, also for the node of /dev/null and its like that was made anew: `path` is put right.
struct err *linked_correct(pid_t pid, const struct stat *st, char *path, size_t size)
	must_check;
