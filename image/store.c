// SPDX-License-Identifier: LGPL-2.1-or-later
// The folder of checkpoints: opening it, whose it is, ids, the lock.
#include "image/store_impl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

#include "util/cleanup.h"

static char *default_path(void)
{
	const char *set = getenv("MOLT_STORE"), *state = getenv("XDG_STATE_HOME"),
		   *home = getenv("HOME");
	char *ret = NULL;

	if (set && *set)
		return strdup(set);
	if (geteuid() == 0)
		return strdup("/var/lib/molt/checkpoints");
	if (state && *state == '/')
		return asprintf(&ret, "%s/molt/checkpoints", state) < 0 ? NULL : ret;
	if (!home || *home != '/')
		home = "/";
	return asprintf(&ret, "%s/.local/state/molt/checkpoints", home) < 0 ? NULL : ret;
}

struct err *store_error(const struct store *s, int errnum, const char *doing)
{
	struct err *e = err_sys(errnum, "cannot %s the store %s", doing, s->path);

	if (errnum == ENOSPC || errnum == EDQUOT || errnum == EFBIG)
		return err_with(e, "store-full", s->path);
	if (errnum == EROFS || errnum == EACCES || errnum == EPERM) {
		e->kind = ERR_PERM;
		return err_with(e, "store-denied", s->path);
	}
	return e;
}

// Parents that are missing are made, too.
static int make_folders(const char *path)
{
	_cleanup_free_ char *copy = strdup(path);

	if (!copy)
		return -ENOMEM;
	for (char *p = copy + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(copy, 0700) && errno != EEXIST)
			return -errno;
		*p = '/';
	}
	return mkdir(copy, 0700) && errno != EEXIST ? -errno : 0;
}

struct err *store_check_owner(const struct store *s, int fd, const char *name, mode_t type)
{
	struct stat st;

	if (fstat(fd, &st))
		return err_sys(errno, "cannot look at %s", name);
	if ((st.st_mode & S_IFMT) != type)
		return image_corrupt(name, "it is no %s",
				     type == S_IFDIR ? "folder" : "regular file");
	if (st.st_uid != geteuid() && st.st_uid != 0 && st.st_uid != s->owner)
		return err_with(err_new(ERR_PERM, "%s belongs to another user (%u)", name,
					st.st_uid),
				"store-owner", name);
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		return err_with(err_new(ERR_PERM, "others may write to %s (mode %04o)",
					name, st.st_mode & 07777),
				"store-unsafe", name);
	return NULL;
}

struct err *store_open(const char *path, bool create, struct store **ret)
{
	_cleanup_(store_closep) struct store *s = calloc(1, sizeof(*s));

	if (!s)
		return err_nomem();
	s->fd = s->modules = -1;
	s->owner = geteuid();
	if (!(s->path = path ? strdup(path) : default_path()))
		return err_nomem();
	if (!*s->path)
		return err_new(ERR_USAGE, "the name of the store is empty");
	int r = create ? make_folders(s->path) : 0;
	if (r)
		return store_error(s, -r, "make");
	s->fd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return err_with(err_new(ERR_USAGE, "there is no store %s", s->path),
				"no-store", s->path);
	if (s->fd < 0)
		return store_error(s, errno, "open");
	TRY(store_check_owner(s, s->fd, s->path, S_IFDIR));
	*ret = take_ptr(s);
	return NULL;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	vec_for_each(k, &s->kept)
		free(k->key);
	vec_free(&s->kept);
	if (s->modules >= 0)
		close(s->modules);
	if (s->fd >= 0)
		close(s->fd);
	free(s->path);
	free(s);
}

void store_closep(struct store **s)
{
	store_close(*s);
}

const char *store_path(const struct store *s)
{
	return s->path;
}

struct err *store_lock(const struct store *s, int *ret)
{
	_cleanup_close_ int fd = openat(s->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return store_error(s, errno, "open");
	while (flock(fd, LOCK_EX))
		if (errno != EINTR)
			return store_error(s, errno, "lock");
	*ret = take_fd(&fd);
	return NULL;
}

void store_unlock(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

struct err *store_open_at(const struct store *s, int dir, const char *name,
			  const char *label, mode_t type, int *ret)
{
	_cleanup_close_ int fd = openat(dir, name,
					O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK |
						(type == S_IFDIR ? O_DIRECTORY : 0));

	if (fd < 0 && errno == ENOENT)
		return image_corrupt(label, "it is missing");
	if (fd < 0 && (errno == ELOOP || errno == ENOTDIR || errno == ENXIO))
		return image_corrupt(label, "it is no %s",
				     type == S_IFDIR ? "folder" : "regular file");
	if (fd < 0)
		return err_sys(errno, "cannot open %s/%s", s->path, label);
	TRY(store_check_owner(s, fd, label, type));
	*ret = take_fd(&fd);
	return NULL;
}

bool store_parse_id(const char *text, uint64_t *ret)
{
	size_t n = strspn(text, "0123456789");

	if (!n || n > 12 || text[n])
		return false;
	*ret = strtoull(text, NULL, 10);
	return *ret > 0;
}

void store_format_id(uint64_t id, char text[STORE_ID_SIZE])
{
	snprintf(text, STORE_ID_SIZE, "%06" PRIu64, id);
}

static int ascending(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void close_folder(DIR **d)
{
	if (*d)
		closedir(*d);
}

struct err *store_ids(const struct store *s, struct ids *ret)
{
	int fd = openat(s->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(close_folder) DIR *d = fd < 0 ? NULL : fdopendir(fd);
	char text[STORE_ID_SIZE];
	uint64_t id;

	if (!d) {
		struct err *e = store_error(s, errno, "read");

		if (fd >= 0)
			close(fd);
		return e;
	}
	for (;;) {
		errno = 0;
		const struct dirent *entry = readdir(d);

		if (!entry && errno)
			return store_error(s, errno, "read");
		if (!entry)
			break;
		if (!store_parse_id(entry->d_name, &id))
			continue;
		store_format_id(id, text); // 17 is not the folder 000017
		if (strcmp(text, entry->d_name) == 0)
			TRY(vec_push(&ret->v, id));
	}
	if (ret->v.n)
		qsort(ret->v.v, ret->v.n, sizeof(*ret->v.v), ascending);
	return NULL;
}

void ids_deinit(struct ids *ids)
{
	vec_free(&ids->v);
}
