// SPDX-License-Identifier: LGPL-2.1-or-later
// Writes what debuggers and profilers read; see symbols.h.
#include "update/symbols.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "elf/rebind.h"
#include "update/symbols_internal.h"
#include "util/cleanup.h"
#include "util/path.h"

void symbols_deinit(struct symbols *s)
{
	vec_for_each(f, &s->files) {
		free(f->path);
		free(f->program);
		free(f->module);
	}
	vec_free(&s->files);
	vec_for_each(n, &s->notes)
		free(*n);
	vec_free(&s->notes);
	free(s->script);
	s->script = NULL;
}

// gdb carries out the script: nobody else may be able to put another one there.
static struct err *make_dir(const char *dir)
{
	struct stat st;

	if (mkdir(dir, 0700) && errno != EEXIST)
		return err_refuse("symbols-dir", dir, "cannot make %s: %s", dir,
				  strerror(errno));
	if (lstat(dir, &st))
		return err_sys(errno, "cannot look at %s", dir);
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() ||
	    (st.st_mode & (S_IWGRP | S_IWOTH)))
		return err_refuse(
			"symbols-dir", dir,
			"%s is no folder that only its owner, you, can write to", dir);
	return NULL;
}

static struct err *write_file(const char *path, const uint8_t *bytes, size_t size)
{
	// A new file: a debugger may still have the one that was there.
	if (unlink(path) && errno != ENOENT)
		return err_sys(errno, "cannot replace %s", path);
	_cleanup_close_ int fd =
		open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_sys(errno, "cannot create %s", path);
	while (size) {
		ssize_t done = write(fd, bytes, size);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return err_sys(done < 0 ? errno : ENOSPC, "cannot write %s", path);
		bytes += done;
		size -= (size_t)done;
	}
	return NULL;
}

static vaddr_t data_value(void *arg, vaddr_t addr)
{
	const struct layout *l = arg;

	return layout_data(l, addr) - l->base;
}

static vaddr_t function_value(void *arg, vaddr_t addr)
{
	const struct layout *l = arg;

	return layout_function(l, addr) - l->base;
}

struct writing {
	const char *dir;
	struct symbols *ret;
};

static bool name_taken(const struct symbols *s, const char *path)
{
	vec_for_each(f, &s->files)
		if (!strcmp(f->path, path))
			return true;
	return false;
}

// The name comes from the record and so from the process: gdb must not find a command in it.
static void make_plain(char *name)
{
	for (; *name; name++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			    "0123456789._+-",
			    *name))
			*name = '_';
}

// DIR/NAME[.oldN]; with a number in front when two modules have one name.
static struct err *choose_path(const struct writing *w, const struct record_image *im,
			       bool runs, char **ret)
{
	const char *name = path_base(im->path);
	char suffix[32] = "", front[16] = "";

	if (!runs)
		snprintf(suffix, sizeof(suffix), ".old%u", im->generation);
	for (unsigned i = 2;; i++) {
		_cleanup_free_ char *path = NULL;

		if (asprintf(&path, "%s/%s%s%s", w->dir, front, name, suffix) < 0) {
			path = NULL;
			return err_nomem();
		}
		make_plain(path + strlen(w->dir) + 1);
		if (!name_taken(w->ret, path)) {
			*ret = take_ptr(path);
			return NULL;
		}
		snprintf(front, sizeof(front), "%u-", i);
	}
}

static struct err *write_image(void *arg, const struct record *r,
			       const struct record_image *im, const struct module *m,
			       bool runs)
{
	struct writing *w = arg;
	const struct rebind_rules rules = {.data = data_value,
					   .function = function_value,
					   .arg = (void *)(uintptr_t)&r->layout};
	_cleanup_free_ uint8_t *bytes = NULL;
	_cleanup_free_ char *path = NULL, *program = strdup(im->path),
			    *module = strdup(r->name);
	size_t size;

	if (!program || !module)
		return err_nomem();
	TRY(choose_path(w, im, runs, &path));
	TRY(err_wrap(runs ? rebind_file(m, &rules, &bytes, &size)
			  : rebind_old_file(m, im->generation, &bytes, &size),
		     "symbols of %s", im->path));
	TRY(write_file(path, bytes, size));
	const struct symbol_file f = {.path = path,
				      .program = program,
				      .module = module,
				      .generation = im->generation,
				      .base = im->base,
				      .runs = runs};
	TRY(vec_push(&w->ret->files, f));
	path = program = module = NULL; // taken over
	return NULL;
}

static struct err *note_missing(void *arg, struct err *why)
{
	struct writing *w = arg;
	_cleanup_free_ char *text = strdup(why->message);

	err_free(why);
	if (!text)
		return err_nomem();
	TRY(vec_push(&w->ret->notes, text));
	text = NULL; // taken over
	return NULL;
}

// The executable's symbols take the place of those that gdb found by itself; an address given with -o is
// right also where /proc/PID/exe could not be changed.
static void script_line(FILE *f, const struct symbol_file *file)
{
	fputs(file->runs && !*file->module ? "symbol-file " : "add-symbol-file ", f);
	// The folder's name is the user's; gdb undoes the backslashes.
	for (const char *c = file->path; *c; c++) {
		if (strchr(" \t'\"\\", *c))
			fputc('\\', f);
		fputc(*c, f);
	}
	fprintf(f, " -o 0x%lx\n", file->base);
}

// gdb has read the libraries' files by the names in ld.so's list, for addresses where other builds run now. It can
// only forget all of them; those that were not updated are read again.
static void script_libraries(FILE *f, const struct symbols *y)
{
	bool any = false;

	vec_for_each(file, &y->files) {
		if (!file->runs || !*file->module)
			continue;
		fputs(any ? ", '" : "python\nimport gdb, os\nmolt = {'", f);
		for (const char *c = path_base(file->module); *c; c++)
			fprintf(f, "\\x%02x", (unsigned char)*c);
		fputc('\'', f);
		any = true;
	}
	if (!any)
		return;
	fputs("}\n"
	      "names = {os.path.basename(o.filename) for o in gdb.objfiles() "
	      "if o.filename and o.owner is None}\n"
	      "gdb.execute('nosharedlibrary')\n"
	      "for name in sorted(names - molt):\n"
	      "    gdb.execute('sharedlibrary /' + ''.join(c if c.isalnum() or c in '_-' "
	      "else '[' + c + ']' for c in name) + '$')\n"
	      "end\n",
	      f);
}

static struct err *write_script(const char *dir, struct symbols *ret)
{
	_cleanup_free_ char *text = NULL;
	size_t size = 0;

	if (asprintf(&ret->script, "%s/gdb", dir) < 0) {
		ret->script = NULL;
		return err_nomem();
	}
	FILE *f = open_memstream(&text, &size);
	if (!f)
		return err_nomem();
	script_libraries(f, ret);
	vec_for_each(file, &ret->files)
		script_line(f, file);
	if (fclose(f))
		return err_nomem();
	return write_file(ret->script, (const uint8_t *)text, size);
}

struct err *symbols_write(const struct symbols_source *s, const char *dir,
			  const char *debug_dir, struct symbols *ret)
{
	struct writing w = {.dir = dir, .ret = ret};
	const struct symbols_visit visit = {
		.image = write_image, .missing = note_missing, .arg = &w};

	*ret = (struct symbols){};
	if (strchr(dir, '\n'))
		return err_refuse("symbols-dir", dir,
				  "a line of gdb's script cannot name "
				  "a folder with a line end");
	TRY(make_dir(dir));
	struct err *e = symbols_visit(s, debug_dir, &visit);
	if (!e)
		e = write_script(dir, ret);
	if (e)
		symbols_deinit(ret);
	return e;
}
