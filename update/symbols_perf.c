// SPDX-License-Identifier: LGPL-2.1-or-later
// /tmp/perf-PID.map: START SIZE NAME in hexadecimal, one function a line (tools/perf/Documentation/jit-interface.txt).
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "elf/rebind.h"
#include "update/symbols_internal.h"
#include "util/cleanup.h"

static uint64_t function_size(const struct module *m, const struct symbol *s)
{
	const struct fde *f = s->size ? NULL : module_fde_at(m, s->addr);

	return f ? f->addr + f->size - s->addr : s->size;
}

static struct err *list_functions(void *arg, const struct record *r,
				  const struct record_image *im, const struct module *m,
				  bool runs)
{
	FILE *f = arg;
	char suffix[24] = "";

	(void)r;
	vec_for_each(s, &m->symbols) {
		uint64_t size = function_size(m, s);

		if (!runs)
			rebind_old_suffix(s->name, im->generation, suffix);
		if (s->region == REGION_TEXT && size &&
		    (s->type == STT_FUNC || s->type == STT_GNU_IFUNC))
			fprintf(f, "%lx %lx %s%s\n", im->base + s->addr, size, s->name,
				suffix);
	}
	return NULL;
}

static struct err *skip_missing(void *arg, struct err *why)
{
	(void)arg;
	err_free(why);
	return NULL;
}

// perf reads only a file that is the user's own or root's; what somebody else put there is left alone.
static struct err *create(const char *path, int *ret)
{
	struct stat st;
	_cleanup_close_ int fd =
		open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644);

	if (fd < 0)
		return err_sys(errno, "cannot create %s", path);
	if (fstat(fd, &st))
		return err_sys(errno, "cannot look at %s", path);
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || st.st_nlink != 1)
		return err_refuse("symbols-dir", path, "%s is not yours", path);
	if (ftruncate(fd, 0))
		return err_sys(errno, "cannot write %s", path);
	*ret = take_fd(&fd);
	return NULL;
}

struct err *symbols_perf_map(const struct symbols_source *s, const char *debug_dir,
			     char **path)
{
	_cleanup_free_ char *name = NULL;
	int fd = -1;

	if (asprintf(&name, "/tmp/perf-%d.map", (int)s->pid) < 0) {
		name = NULL;
		return err_nomem();
	}
	TRY(create(name, &fd));
	FILE *f = fdopen(fd, "w");
	if (!f) {
		close(fd);
		return err_nomem();
	}
	const struct symbols_visit visit = {
		.image = list_functions, .missing = skip_missing, .arg = f};
	struct err *e = symbols_visit(s, debug_dir, &visit);
	bool failed = ferror(f);
	failed |= fclose(f) != 0;
	if (!e && failed)
		e = err_sys(errno ? errno : EIO, "cannot write %s", name);
	if (!e)
		*path = take_ptr(name);
	return e;
}
