// SPDX-License-Identifier: LGPL-2.1-or-later
// What the kinds ask of an open file description that is saved; see kinds.h.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "os/fds.h"
#include "resource/files.h"
#include "resource/json.h"
#include "util/cleanup.h"

struct err *open_file_here(const struct open_file *f, int *fd)
{
	*fd = f->pid == getpid() ? fcntl(f->fd, F_DUPFD_CLOEXEC, 3)
				 : os_pidfd_getfd(f->s->pidfd, f->fd);
	if (*fd == -1)
		*fd = -errno;
	return *fd >= 0 ? NULL
			: err_sys(*fd, "cannot take descriptor %d of process %d", f->fd,
				  f->pid);
}

struct err *open_file_refuse(const struct open_file *f, const char *code, const char *fmt,
			     ...)
{
	const char *kind = json_string_value(
		json_object_get(index_at(f->s->all->index, f->index)->object, "kind"));
	_cleanup_free_ char *why = NULL, *object = NULL;
	va_list ap;

	va_start(ap, fmt);
	int n = vasprintf(&why, fmt, ap);
	va_end(ap);
	if (n < 0) {
		why = NULL;
		return err_nomem();
	}
	if (asprintf(&object, "descriptor %d (%s, %s) of process %d", f->fd, kind,
		     f->path, f->s->process->pid) < 0) {
		object = NULL;
		return err_nomem();
	}
	return err_with(err_new(ERR_REFUSED, "%s: %s", object, why), code, object);
}

// The value behind "KEY:" at the start of a line.
static const char *value_of(const char *info, const char *key)
{
	size_t n = strlen(key);

	for (const char *line = info; line && *line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, key, n) && line[n] == ':')
			return line + n + 1 + strspn(line + n + 1, " \t");
	}
	return NULL;
}

bool fdinfo_u64(const char *info, const char *key, int base, uint64_t *ret)
{
	const char *value = value_of(info, key);
	char *end;

	if (!value)
		return false;
	errno = 0;
	unsigned long long v = strtoull(value, &end, base);
	if (errno || end == value)
		return false;
	*ret = v;
	return true;
}
