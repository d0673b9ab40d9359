// SPDX-License-Identifier: LGPL-2.1-or-later
// eventfd: its count, and whether it is a semaphore.
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "resource/kinds.h"

static bool recognises(const struct open_file *f)
{
	return !strcmp(f->path, "anon_inode:[eventfd]");
}

static struct err *save(const struct open_file *f, json_t *object)
{
	uint64_t count, semaphore = 0;

	if (!fdinfo_u64(f->info, "eventfd-count", 16, &count))
		return open_file_refuse(f, "unsaved-descriptor",
					"the kernel does not tell its count");
	// Linux 6.10 tells it; before that, semaphores look like other eventfds.
	fdinfo_u64(f->info, "eventfd-semaphore", 10, &semaphore);
	TRY(json_put_mask(object, "count", count));
	return json_put_bool(object, "semaphore", semaphore != 0);
}

static struct err *make(struct restoring *all, size_t index, const json_t *object)
{
	uint64_t count;
	bool semaphore;

	TRY(json_get_mask(object, "count", &count));
	TRY(json_get_bool(object, "semaphore", &semaphore));
	if (count == UINT64_MAX)
		return restoring_bad(index, object, "the count is out of range");
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | (semaphore ? EFD_SEMAPHORE : 0));
	if (fd < 0)
		return err_sys(errno, "cannot make an eventfd");
	all->files[index] = fd;
	if (count && write(fd, &count, sizeof(count)) != sizeof(count))
		return err_sys(errno, "cannot set the count of an eventfd");
	return NULL;
}

const struct file_kind kind_eventfd = {
	.name = "eventfd", .recognises = recognises, .save = save, .make = make};
