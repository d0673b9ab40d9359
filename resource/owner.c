// SPDX-License-Identifier: LGPL-2.1-or-later
// Owners of descriptors; see owner.h.
#include "resource/owner.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>

#include "util/cleanup.h"

// Only these can have an owner that matters without O_ASYNC: SIGURG, and leases.
static bool may_have_owner(const struct open_file *f)
{
	return f->flags & O_ASYNC || S_ISSOCK(f->st.st_mode) ||
	       json_has(json_array_get(json_object_get(f->s->all->objects, "files"),
				       f->index),
			"locks");
}

struct err *owner_save(const struct open_file *f, json_t *object)
{
	_cleanup_close_ int here = -1;
	struct f_owner_ex owner;
	json_t *o;

	if (f->flags & O_PATH || !may_have_owner(f))
		return NULL;
	TRY(open_file_here(f, &here));
	int sig = fcntl(here, F_GETSIG);
	if (fcntl(here, F_GETOWN_EX, &owner) || sig < 0)
		return err_sys(errno, "cannot see the owner of %s", f->path);
	if (!owner.pid && !sig)
		return NULL;
	TRY(json_put_object(object, "owner", &o));
	TRY(json_put_int(o, "type", owner.type));
	TRY(json_put_int(o, "id", owner.pid));
	return json_put_int(o, "signal", sig);
}

static struct err *set_owner(struct restorer *r, size_t index, const json_t *o)
{
	int type, id, sig, fd = r->all->files[index];
	struct f_owner_ex owner;

	TRY(json_get_i32(o, "type", F_OWNER_TID, F_OWNER_PGRP, &type));
	TRY(json_get_i32(o, "id", 0, INT32_MAX, &id));
	TRY(json_get_i32(o, "signal", 0, SIGRTMAX, &sig));
	if (fcntl(fd, F_SETSIG, sig))
		return err_sys(errno, "cannot set the signal of a descriptor");
	if (!id)
		return NULL;
	owner.type = type;
	owner.pid = r->tid_of(r, id);
	if (owner.pid <= 0)
		return restoring_note(
			r->all,
			"signals for object %zu went to process %d, which is "
			"not saved: nobody gets them",
			index, id);
	return fcntl(fd, F_SETOWN_EX, &owner) ? err_sys(errno, "cannot set an owner")
					      : NULL;
}

struct err *owner_make(struct restorer *r, size_t index, const json_t *object, int fd)
{
	const json_t *o;
	int flags;

	TRY(json_opt_object(object, "owner", &o));
	if (o)
		TRY(set_owner(r, index, o));
	TRY(json_get_i32(object, "flags", 0, INT32_MAX, &flags));
	if (!(flags & O_ASYNC) || flags & O_PATH)
		return NULL;
	int now = fcntl(r->all->files[index], F_GETFL);
	if (now < 0)
		return err_sys(errno, "cannot see file status flags");
	struct syscall_req req = {
		.nr = SYS_fcntl,
		.args = {(uint64_t)fd, F_SETFL, (uint64_t)(now | O_ASYNC)}};
	return remote_must(r->remote, &req, 1, "cannot ask for signals");
}
