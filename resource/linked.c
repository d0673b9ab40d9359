// SPDX-License-Identifier: LGPL-2.1-or-later
// See linked.h.
#include "resource/linked.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "util/cleanup.h"

enum { MEM_MAJOR = 1 }; // null, zero, random ...
static const char DELETED[] = " (deleted)";

bool linked_is_called_deleted(const char *path)
{
	size_t n = strlen(path), m = strlen(DELETED);

	return n > m && !strcmp(path + n - m, DELETED);
}

static bool is_it(int dir, const struct dirent *d, dev_t dev, ino_t ino)
{
	struct stat st;

	return d->d_ino == ino && !fstatat(dir, d->d_name, &st, AT_SYMLINK_NOFOLLOW) &&
	       st.st_dev == dev && st.st_ino == ino;
}

static struct err *search(DIR *dir, const char *folder, dev_t dev, ino_t ino, char **ret)
{
	for (const struct dirent *d; (d = readdir(dir));)
		if (is_it(dirfd(dir), d, dev, ino))
			return asprintf(ret, "%s/%s", folder, d->d_name) < 0 ? err_nomem()
									     : NULL;
	return NULL;
}

struct err *linked_name(pid_t pid, const char *path, dev_t dev, ino_t ino, char **ret)
{
	_cleanup_free_ char *folder = strdup(path), *seen = NULL;
	char *slash = folder ? strrchr(folder, '/') : NULL;

	*ret = NULL;
	if (!folder)
		return err_nomem();
	if (*path != '/' || !slash || !linked_is_called_deleted(path))
		return NULL;
	*slash = '\0';
	if (asprintf(&seen, "/proc/%d/root%s/", pid, folder) < 0)
		return err_nomem();
	DIR *dir = opendir(seen);
	if (!dir)
		return NULL; // the folder has gone, too
	struct err *e = search(dir, folder, dev, ino, ret);
	closedir(dir);
	return e;
}

// A node is as good as any other of the same numbers where they mean one thing for ever.
static void find_node(const struct stat *st, char *path)
{
	struct stat now;
	char *tail = path + strlen(path) - strlen(DELETED);

	*tail = '\0';
	if (lstat(path, &now) || !S_ISCHR(now.st_mode) || now.st_rdev != st->st_rdev)
		*tail = DELETED[0];
}

struct err *linked_correct(pid_t pid, const struct stat *st, char *path, size_t size)
{
	_cleanup_free_ char *name = NULL;

	if (!linked_is_called_deleted(path))
		return NULL;
	if (S_ISCHR(st->st_mode) && major(st->st_rdev) == MEM_MAJOR)
		find_node(st, path);
	if (!S_ISREG(st->st_mode) || !st->st_nlink)
		return NULL;
	TRY(linked_name(pid, path, st->st_dev, st->st_ino, &name));
	if (name)
		snprintf(path, size, "%s", name);
	return NULL;
}
