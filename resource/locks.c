// SPDX-License-Identifier: LGPL-2.1-or-later
// Locks on files; see locks.h.
#include "resource/locks.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>

#include "resource/files.h"

enum { LOCKS_MAX = 1 << 16 };

struct lock {
	char type[16], access[16];
	int64_t start, end; // end inclusive, -1: to the end of the file
	pid_t pid;
};

// "lock:\t1: POSIX  ADVISORY  WRITE 359 00:13:11691 0 EOF"
static bool parse(const char *line, struct lock *l)
{
	char end[32];

	if (sscanf(line, "lock: %*d: %15s %*s %15s %d %*s %" SCNd64 " %31s", l->type,
		   l->access, &l->pid, &l->start, end) != 5)
		return false;
	l->end = -1;
	return !strcmp(end, "EOF") || sscanf(end, "%" SCNd64, &l->end) == 1;
}

static struct err *put(json_t *holder, const struct lock *l, size_t file)
{
	json_t *list = json_object_get(holder, "locks"), *o;

	if (!list)
		TRY(json_put_array(holder, "locks", &list));
	TRY(json_add_object(list, &o));
	TRY(json_put(o, "type", json_string(l->type)));
	TRY(json_put_bool(o, "write", !strcmp(l->access, "WRITE")));
	TRY(json_put_bool(o, "unlocked", !strcmp(l->access, "UNLCK")));
	TRY(json_put_int(o, "start", l->start));
	TRY(json_put_int(o, "end", l->end));
	return json_put_int(o, "file", (json_int_t)file);
}

// Whether the process's locks on this inode are known by another descriptor.
static bool are_known(const struct open_file *f, size_t index)
{
	const json_t *list = json_object_get(f->s->state, "locks");

	for (size_t i = 0; i < json_array_size(list); i++) {
		size_t file = (size_t)json_integer_value(
			json_object_get(json_array_get(list, i), "file"));
		const struct open_file *other = saving_open_file(f->s->all, file);

		if (file == index ||
		    (other->st.st_dev == f->st.st_dev && other->st.st_ino == f->st.st_ino))
			return true;
	}
	return false;
}

struct err *locks_save(const struct open_file *f, size_t index, json_t *object)
{
	bool known = are_known(f, index);
	struct lock l;

	for (const char *line = strstr(f->info, "\nlock:"); line;
	     line = strstr(line + 1, "\nlock:")) {
		if (!parse(line + 1, &l))
			return err_new(ERR_UNSUPPORTED,
				       "the kernel tells locks in an unknown form");
		if (!strcmp(l.type, "POSIX")) {
			if (!known)
				TRY(put(f->s->state, &l, index));
		} else if (object) {
			TRY(put(object, &l, index));
		}
	}
	return NULL;
}

static struct err *read_lock(const json_t *o, const char **type, struct flock *l)
{
	bool write;
	int64_t start, end;

	TRY(json_get_string(o, "type", type));
	TRY(json_get_bool(o, "write", &write));
	TRY(json_get_int(o, "start", 0, INT64_MAX, &start));
	TRY(json_get_int(o, "end", -1, INT64_MAX - 1, &end));
	if (end >= 0 && end < start)
		return err_new(ERR_CORRUPT, "a lock ends before it begins");
	*l = (struct flock){.l_type = write ? F_WRLCK : F_RDLCK,
			    .l_whence = SEEK_SET,
			    .l_start = start,
			    .l_len = end < 0 ? 0 : end - start + 1};
	return NULL;
}

static struct err *taken(const json_t *object)
{
	const char *path = json_string_value(json_object_get(object, "path"));

	return err_refuse("lock-taken", path, "another process has a lock on %s", path);
}

static struct err *make_lock(int fd, const json_t *object, const json_t *o, bool late)
{
	const char *type;
	struct flock l;
	int r = 0;

	TRY(read_lock(o, &type, &l));
	if (!strcmp(type, "FLOCK"))
		r = flock(fd, (l.l_type == F_WRLCK ? LOCK_EX : LOCK_SH) | LOCK_NB);
	else if (!strcmp(type, "OFDLCK"))
		r = fcntl(fd, F_OFD_SETLK, &l);
	else if (!strcmp(type, "LEASE"))
		r = late ? fcntl(fd, F_SETLEASE, l.l_type) : 0;
	else
		return err_new(ERR_CORRUPT, "there is no lock of type '%s'", type);
	if (!r)
		return NULL;
	return errno == EAGAIN ? taken(object) : err_sys(errno, "cannot make a lock");
}

struct err *locks_make(struct restoring *all, size_t index, const json_t *object,
		       bool late)
{
	const json_t *list, *o;

	TRY(json_opt_array(object, "locks", LOCKS_MAX, &list));
	// The replaced process still has its locks at first.
	if (all->handover && !late)
		return NULL;
	for (size_t i = 0; i < json_array_size(list); i++) {
		TRY(json_item_object(list, i, &o));
		TRY(json_at(make_lock(all->files[index], object, o, late), "locks", i));
	}
	return NULL;
}

// The lowest number of a file in the process.
static struct err *number_of(const struct restorer *r, uint64_t file, int *ret)
{
	const json_t *list = json_object_get(r->state, "descriptors");

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *entry = json_array_get(list, i);

		if ((uint64_t)json_integer_value(json_object_get(entry, "file")) == file) {
			*ret = (int)json_integer_value(json_object_get(entry, "fd"));
			return NULL;
		}
	}
	return err_new(ERR_CORRUPT, "a lock is on a file that is not open");
}

static struct err *make_record_lock(struct restorer *r, const json_t *o)
{
	const char *type;
	uint64_t file;
	int64_t ret;
	int fd = -1;

	TRY(json_get_u64(o, "file", r->all->n_files, &file));
	TRY(number_of(r, file, &fd));
	if (json_is_true(json_object_get(restoring_object(r->all, file), "skipped")))
		return NULL;
	size_t mark = r->remote->used;
	struct flock *l = remote_take(r->remote, sizeof(*l));
	if (!l)
		return err_new(ERR_INTERNAL, "no room for a lock");
	struct err *e = read_lock(o, &type, l);
	if (!e)
		e = remote_call(
			r->remote, SYS_fcntl,
			(uint64_t[6]){(uint64_t)fd, F_SETLK, remote_at(r->remote, l)},
			&ret);
	remote_release(r->remote, mark);
	TRY(e);
	if ((ret == -EAGAIN || ret == -EACCES) && r->all->handover)
		return restoring_note(r->all, "the record lock on %s cannot be taken over",
				      json_string_value(json_object_get(
					      restoring_object(r->all, file), "path")));
	if (ret == -EAGAIN || ret == -EACCES)
		return taken(restoring_object(r->all, file));
	return ret < 0 ? err_sys((int)ret, "cannot make a lock") : NULL;
}

struct err *restore_locks(struct restorer *r)
{
	const json_t *list, *o;

	TRY(json_opt_array(r->state, "locks", LOCKS_MAX, &list));
	for (size_t i = 0; i < json_array_size(list); i++) {
		TRY(json_item_object(list, i, &o));
		TRY(json_at(make_record_lock(r, o), "locks", i));
	}
	return NULL;
}
