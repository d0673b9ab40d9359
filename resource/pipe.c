// SPDX-License-Identifier: LGPL-2.1-or-later
// Pipes and FIFOs. Each end is an object; the one with the lowest index of a pipe ("pipe" names it) keeps what is common:
// capacity and what was written and not read yet. The content is copied with tee(2), which takes nothing away.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "resource/outside.h"
#include "resource/reopen.h"
#include "util/cleanup.h"

enum {
	CAPACITY_MAX = 1 << 30,
	CHUNK = 4096, // one slot of a pipe: no packet is longer
	CHUNKS_MAX = 1 << 18,
	KERNEL_O_LARGEFILE =
		0100000, // O_LARGEFILE as the kernel has it; 0 in the C library
};

static bool recognises(const struct open_file *f)
{
	return S_ISFIFO(f->st.st_mode);
}

static bool reads(int flags)
{
	return (flags & O_ACCMODE) != O_WRONLY;
}

static bool writes(int flags)
{
	return (flags & O_ACCMODE) != O_RDONLY;
}

static struct err *save(const struct open_file *f, json_t *object)
{
	return json_put_bool(object, "fifo", f->path[0] == '/');
}

// The ends of one pipe that the tree has.
struct ends {
	size_t first, n;
	const struct open_file *reader; // NULL: none
	bool writer, packets;
};

static void find_ends(const struct open_file *f, struct ends *ret)
{
	size_t at = 0, i;

	*ret = (struct ends){.first = SIZE_MAX};
	while (saving_next_on_inode(f->s->all, f->st.st_dev, f->st.st_ino, &at, &i)) {
		const struct open_file *end = saving_open_file(f->s->all, i);

		if (!ret->n++)
			ret->first = i;
		if (reads(end->flags) && !ret->reader)
			ret->reader = end;
		ret->writer |= writes(end->flags);
		ret->packets |= writes(end->flags) && end->flags & O_DIRECT;
	}
}

static struct err *add_chunks(int fd, size_t left, json_t *list)
{
	uint8_t buf[CHUNK];

	while (left) {
		ssize_t n = read(fd, buf, sizeof(buf));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0 || (size_t)n > left)
			return err_new(ERR_INTERNAL, "the copy of a pipe is incomplete");
		_cleanup_free_ char *text = base64_encode(buf, (size_t)n);
		if (!text)
			return err_nomem();
		TRY(json_add(list, json_string_nocheck(text)));
		left -= (size_t)n;
	}
	return NULL;
}

static struct err *copy_content(const struct open_file *f, int reader, int capacity,
				json_t *object)
{
	_cleanup_close_ int r = -1;
	_cleanup_close_ int w = -1;
	int pair[2], len;
	json_t *list;

	if (ioctl(reader, FIONREAD, &len))
		return err_sys(errno, "cannot see how much is in %s", f->path);
	TRY(json_put_array(object, "content", &list));
	if (!len)
		return NULL;
	if (pipe2(pair, O_CLOEXEC | O_NONBLOCK))
		return err_sys(errno, "cannot make a pipe");
	r = pair[0];
	w = pair[1];
	if (fcntl(w, F_SETPIPE_SZ, capacity) < 0)
		return err_sys(errno, "cannot make a pipe of %d bytes", capacity);
	ssize_t n = tee(reader, w, (size_t)len, SPLICE_F_NONBLOCK);
	if (n != len)
		return n < 0 ? err_sys(errno, "cannot copy what is in %s", f->path)
			     : err_new(ERR_BUSY, "%s is read by another process", f->path);
	return add_chunks(r, (size_t)len, list);
}

// An end that the tree has not: held by another process, or by none (then poll says so).
static struct err *check_other_end(const struct open_file *f, const struct ends *ends,
				   int here, json_t *object)
{
	struct pollfd p = {.fd = here, .events = ends->reader ? POLLIN : POLLOUT};

	if (ends->reader && ends->writer)
		return NULL;
	if (poll(&p, 1, 0) < 0)
		return err_sys(errno, "cannot look at %s", f->path);
	if (p.revents & (ends->reader ? POLLHUP : POLLERR))
		return NULL;
	return outside_save(f, object);
}

static struct err *save_late(const struct open_file *f, json_t *object)
{
	_cleanup_close_ int here = -1;
	_cleanup_close_ int reader = -1;
	struct ends ends;
	bool fifo = json_is_true(json_object_get(object, "fifo"));

	find_ends(f, &ends);
	TRY(json_put_int(object, "pipe", (json_int_t)ends.first));
	if (f->flags & O_PATH)
		return NULL;
	TRY(open_file_here(f, &here));
	if (!fifo)
		TRY(check_other_end(f, &ends, here, object));
	if (ends.first != f->index)
		return NULL;
	int capacity = fcntl(here, F_GETPIPE_SZ);
	if (capacity < 0)
		return err_sys(errno, "cannot see the capacity of %s", f->path);
	TRY(json_put_int(object, "capacity", capacity));
	TRY(json_put_bool(object, "packets", ends.packets));
	// What is in a pipe that others read is theirs.
	if (!ends.reader)
		return NULL;
	TRY(open_file_here(ends.reader, &reader));
	return copy_content(f, reader, capacity, object);
}

static struct err *write_chunk(int fd, const json_t *item, bool *full)
{
	_cleanup_free_ uint8_t *bytes = NULL;
	size_t len;

	if (!json_is_string(item) ||
	    !base64_decode(json_string_value(item), json_string_length(item), CHUNK,
			   &bytes, &len))
		return err_new(ERR_CORRUPT, "the content of a pipe is no base64 of up to "
					    "4096 bytes");
	ssize_t n = write(fd, bytes, len);
	*full = n < 0 && errno == EAGAIN;
	if (n >= 0 ? (size_t)n != len : !*full)
		return err_sys(n < 0 ? errno : EIO, "cannot fill the pipe");
	return NULL;
}

static struct err *fill(int fd, size_t index, const json_t *object)
{
	const json_t *list;
	bool full = false;

	TRY(json_opt_array(object, "content", CHUNKS_MAX, &list));
	for (size_t i = 0; i < json_array_size(list); i++) {
		TRY(json_at(write_chunk(fd, json_array_get(list, i), &full), "content", i));
		if (full)
			return restoring_bad(index, object,
					     "there is more content than the pipe holds");
	}
	return NULL;
}

// Both ends stay until all is restored, so that no end has to wait for the other.
static struct err *make_pipe(struct restoring *all, size_t index, const json_t *object)
{
	_cleanup_close_ int r = -1;
	_cleanup_close_ int w = -1;
	int pair[2], capacity;
	bool packets;

	TRY(json_get_i32(object, "capacity", 1, CAPACITY_MAX, &capacity));
	TRY(json_get_bool(object, "packets", &packets));
	if (pipe2(pair, O_CLOEXEC | O_NONBLOCK | (packets ? O_DIRECT : 0)))
		return err_sys(errno, "cannot make a pipe");
	r = pair[0];
	w = pair[1];
	if (fcntl(w, F_GETPIPE_SZ) != capacity && fcntl(w, F_SETPIPE_SZ, capacity) < 0)
		return err_sys(errno, "cannot make a pipe of %d bytes", capacity);
	TRY(fill(w, index, object));
	TRY(vec_push(&all->pipes, (struct made_pipe){index, r, w}));
	TRY(restoring_keep(all, take_fd(&w)));
	return restoring_keep(all, take_fd(&r));
}

static const struct made_pipe *find_pipe(const struct restoring *all, size_t first)
{
	size_t lo = 0, hi = all->pipes.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (all->pipes.v[mid].first == first)
			return &all->pipes.v[mid];
		if (all->pipes.v[mid].first < first)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

// What pipe(2) gave the process lacks O_LARGEFILE and is at most one description for each end; others were opened by path.
static struct err *take_end(struct restoring *all, size_t index, const json_t *object,
			    const struct made_pipe *p)
{
	int flags, *fd = &all->files[index];

	TRY(json_get_i32(object, "flags", 0, INT32_MAX, &flags));
	if (flags & KERNEL_O_LARGEFILE || (flags & O_ACCMODE) == O_RDWR)
		return reopen_fd(p->read, object, fd);
	*fd = fcntl((flags & O_ACCMODE) == O_RDONLY ? p->read : p->write, F_DUPFD_CLOEXEC,
		    3);
	return *fd < 0 ? err_sys(errno, "cannot copy a descriptor") : NULL;
}

static struct err *open_fifo(struct restoring *all, size_t index, const json_t *object,
			     int *anchor)
{
	_cleanup_free_ char *path = NULL;
	struct stat st;
	int len;

	TRY(json_get_text(object, "path", PATH_MAX - 1, &path));
	int fd = open(path, O_RDWR | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return err_refuse("file-gone", path, "FIFO %s is not there any more",
				  path);
	if (fd < 0)
		return err_sys(errno, "cannot open FIFO %s", path);
	*anchor = fd;
	TRY(restoring_keep(all, fd));
	if (fstat(fd, &st) || !S_ISFIFO(st.st_mode))
		return err_refuse("file-changed", path, "%s is no FIFO any more", path);
	if (ioctl(fd, FIONREAD, &len) || len)
		return restoring_note(all,
				      "FIFO %s is not empty: what was in it when it was "
				      "saved is not put there",
				      path);
	return fill(fd, index, object);
}

static struct err *make(struct restoring *all, size_t index, const json_t *object)
{
	uint64_t first;
	bool fifo;
	int from = -1;

	if (json_has(object, "outside"))
		TRY(outside_make(all, index, object));
	if (all->files[index] >= 0)
		return NULL;
	// What was outside is gone: the pipe has no other end then, as when that process closed it.
	TRY(json_get_u64(object, "pipe", index, &first));
	TRY(json_get_bool(object, "fifo", &fifo));
	if (fifo && first == index)
		TRY(open_fifo(all, index, object, &from));
	else if (fifo)
		from = all->files[first];
	else if (first == index)
		TRY(make_pipe(all, index, object));
	const struct made_pipe *p = fifo ? NULL : find_pipe(all, first);
	if (p)
		return take_end(all, index, object, p);
	if (from < 0)
		return restoring_bad(index, object, "its pipe was not made");
	return reopen_fd(from, object, &all->files[index]);
}

const struct file_kind kind_pipe = {.name = "pipe",
				    .recognises = recognises,
				    .save = save,
				    .save_late = save_late,
				    .make = make};
