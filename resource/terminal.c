// SPDX-License-Identifier: LGPL-2.1-or-later
// Terminals: a pair of which the tree has the master is made anew; a slave whose master lives outside is the same terminal
// if that is still there, else the caller's.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <termios.h>
#include <unistd.h>

#include "resource/outside.h"
#include "resource/reopen.h"
#include "util/cleanup.h"

enum {
	TTYAUX_MAJOR = 5,
	PTMX_MINOR = 2,
	TTY_MAJOR = 4,
	SLAVE_MAJOR_FIRST = 136,
	SLAVE_MAJOR_LAST = 143,
	MINORS = 256,
};

static bool is_slave(dev_t d)
{
	return major(d) >= SLAVE_MAJOR_FIRST && major(d) <= SLAVE_MAJOR_LAST;
}

static bool is_master(dev_t d)
{
	return major(d) == TTYAUX_MAJOR && minor(d) == PTMX_MINOR;
}

static bool recognises(const struct open_file *f)
{
	dev_t d = f->st.st_rdev;

	return S_ISCHR(f->st.st_mode) &&
	       (is_slave(d) || major(d) == TTYAUX_MAJOR || major(d) == TTY_MAJOR);
}

// As TCGETS gives it; struct termios of the C library is another.
struct kernel_termios {
	uint32_t iflag, oflag, cflag, lflag;
	uint8_t line, cc[19];
};

static struct err *save_settings(const struct open_file *f, int fd, json_t *object)
{
	struct kernel_termios t;
	struct winsize w;
	int unread = 0;

	if (ioctl(fd, TCGETS, &t) || ioctl(fd, TIOCGWINSZ, &w))
		return err_sys(errno, "cannot see the settings of %s", f->path);
	TRY(json_put_bytes(object, "termios", &t, sizeof(t)));
	TRY(json_put_bytes(object, "winsize", &w, sizeof(w)));
	if (!ioctl(fd, FIONREAD, &unread) && unread)
		return saving_note(f->s->all,
				   "what is typed ahead in %s (%d bytes) is not saved",
				   f->path, unread);
	return NULL;
}

static struct err *save(const struct open_file *f, json_t *object)
{
	_cleanup_close_ int here = -1;
	uint64_t index;
	int locked;

	TRY(open_file_here(f, &here));
	if (!is_master(f->st.st_rdev)) {
		if (!isatty(here))
			return open_file_refuse(f, "unsaved-descriptor",
						"the terminal has hung up");
		return save_settings(f, here, object);
	}
	if (!fdinfo_u64(f->info, "tty-index", 10, &index) ||
	    ioctl(here, TIOCGPTLCK, &locked))
		return open_file_refuse(f, "unsaved-descriptor",
					"the kernel does not tell which terminal it is");
	TRY(json_put_int(object, "master", (json_int_t)index));
	TRY(json_put_bool(object, "locked", locked));
	return save_settings(f, here, object);
}

// The master of a slave, when the tree has it.
static bool find_master(const struct open_file *f, size_t *index)
{
	uint64_t number = (major(f->st.st_rdev) - SLAVE_MAJOR_FIRST) * MINORS +
			  minor(f->st.st_rdev);
	const json_t *files = json_object_get(f->s->all->objects, "files");

	for (size_t i = 0; i < json_array_size(files); i++) {
		const json_t *o = json_array_get(files, i);
		const json_t *kind = json_object_get(o, "kind");

		if (json_has(o, "master") && kind &&
		    !strcmp(json_string_value(kind), kind_terminal.name) &&
		    (uint64_t)json_integer_value(json_object_get(o, "master")) == number) {
			*index = i;
			return true;
		}
	}
	return false;
}

static struct err *save_late(const struct open_file *f, json_t *object)
{
	size_t master;

	if (is_master(f->st.st_rdev))
		return NULL;
	if (is_slave(f->st.st_rdev) && find_master(f, &master))
		return json_put_int(object, "slave_of", (json_int_t)master);
	return outside_save(f, object);
}

static struct err *set(int fd, const json_t *object)
{
	struct kernel_termios t;
	struct winsize w;

	TRY(json_get_exact(object, "termios", &t, sizeof(t)));
	TRY(json_get_exact(object, "winsize", &w, sizeof(w)));
	if (ioctl(fd, TCSETS, &t) || ioctl(fd, TIOCSWINSZ, &w))
		return err_sys(errno, "cannot set up a terminal");
	return NULL;
}

static struct err *make_master(struct restoring *all, size_t index, const json_t *object)
{
	bool locked;
	int lock;

	TRY(json_get_bool(object, "locked", &locked));
	lock = locked;
	int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return err_sys(errno, "cannot make a terminal");
	all->files[index] = fd;
	if (ioctl(fd, TIOCSPTLCK, &lock))
		return err_sys(errno, "cannot unlock a terminal");
	return set(fd, object);
}

static struct err *make_slave(struct restoring *all, size_t index, const json_t *object)
{
	const json_t *of;
	uint64_t master;
	int flags;

	TRY(json_get_u64(object, "slave_of", all->n_files - 1, &master));
	of = restoring_object(all, master);
	if (!json_has(of, "master") || json_has(of, "slave_of") ||
	    json_is_true(json_object_get(of, "skipped")))
		return restoring_bad(index, object,
				     "object %" PRIu64 " is no master of a terminal",
				     master);
	if (all->files[master] < 0)
		TRY(make_master(all, master, of));
	TRY(reopen_flags(object, &flags));
	all->files[index] = ioctl(all->files[master], TIOCGPTPEER, flags | O_NONBLOCK);
	return all->files[index] < 0
		       ? err_sys(errno, "cannot open the slave of a terminal")
		       : NULL;
}

static struct err *make(struct restoring *all, size_t index, const json_t *object)
{
	const char *path;
	int flags;

	if (json_has(object, "master"))
		return make_master(all, index, object);
	if (json_has(object, "slave_of"))
		return make_slave(all, index, object);
	TRY(json_get_string(object, "path", &path));
	TRY(reopen_flags(object, &flags));
	TRY(outside_make(all, index, object));
	for (int i = 0; i <= STDERR_FILENO && all->files[index] < 0; i++)
		if (isatty(i))
			all->files[index] = outside_callers(i, flags);
	return all->files[index] >= 0
		       ? NULL
		       : err_refuse("terminal-gone", path,
				    "terminal %s is not there any more, and molt's own "
				    "standard input and output are none that can take "
				    "its place",
				    path);
}

const struct file_kind kind_terminal = {.name = "terminal",
					.recognises = recognises,
					.save = save,
					.save_late = save_late,
					.make = make};
