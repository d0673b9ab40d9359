// SPDX-License-Identifier: LGPL-2.1-or-later
// The bytes of deleted files; see content.h.
#include "resource/content.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/param.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/vm.h"
#include "util/cleanup.h"

enum {
	CONTENT_MAX = 64 << 20, // in all; the document is kept in memory
	PIECE = 1 << 20,
	PIECES_MAX = 1 << 20,
};

static struct err *read_piece(const struct open_file *f, int fd, uint64_t at, size_t len,
			      json_t *list)
{
	_cleanup_free_ uint8_t *buf = malloc(len);
	json_t *piece;
	size_t got = 0;

	if (!buf)
		return err_nomem();
	while (got < len) {
		ssize_t r = os_pread(fd, buf + got, len - got, at + got);
		if (r == -EINTR)
			continue;
		if (r < 0)
			return err_sys((int)r, "cannot read %s", f->path);
		if (r == 0)
			break;
		got += (size_t)r;
	}
	TRY(json_add_object(list, &piece));
	TRY(json_put_int(piece, "offset", (json_int_t)at));
	return json_put_bytes(piece, "bytes", buf, got);
}

// Ranges of the file that other notes have, ascending.
struct range {
	off_t from, to;
};
struct covered {
	VEC(struct range) v;
};

static void covered_deinit(struct covered *c)
{
	vec_free(&c->v);
}

static int by_from(const void *a, const void *b)
{
	const struct range *x = a, *y = b;

	return (x->from > y->from) - (x->from < y->from);
}

static struct err *find_covered(const json_t *memory, struct covered *ret)
{
	const json_t *list = json_object_get(memory, "pages_in");

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *o = json_array_get(list, i);
		off_t from = json_integer_value(json_object_get(o, "offset"));
		off_t len = json_integer_value(json_object_get(o, "len"));

		TRY(vec_push(&ret->v, (struct range){from, from + len}));
	}
	if (ret->v.n)
		qsort(ret->v.v, ret->v.n, sizeof(*ret->v.v), by_from);
	return NULL;
}

struct writer {
	const struct open_file *f;
	int fd;
	json_t *list;
	uint64_t total;
};

static struct err *save_range(struct writer *w, off_t from, off_t to)
{
	w->total += (uint64_t)(to - from);
	if (w->total > CONTENT_MAX)
		return open_file_refuse(
			w->f, "unsaved-descriptor",
			"no path leads to it, and it has more than %d MiB of data",
			CONTENT_MAX >> 20);
	for (off_t at = from; at < to; at += PIECE)
		TRY(read_piece(w->f, w->fd, (uint64_t)at, (size_t)MIN(to - at, PIECE),
			       w->list));
	return NULL;
}

static struct err *save_uncovered(struct writer *w, const struct covered *c, off_t from,
				  off_t to)
{
	vec_for_each(r, &c->v) {
		if (r->from > from && from < to)
			TRY(save_range(w, from, MIN(r->from, to)));
		from = MAX(from, r->to);
	}
	return from < to ? save_range(w, from, to) : NULL;
}

struct err *content_save(const struct open_file *f, int fd, const json_t *memory,
			 json_t *object)
{
	_cleanup_(covered_deinit) struct covered covered = {0};
	struct writer w = {.f = f, .fd = fd};
	struct stat st;
	off_t at = 0;

	if (fstat(fd, &st))
		return err_sys(errno, "cannot look at %s", f->path);
	TRY(find_covered(memory, &covered));
	TRY(json_put_int(object, "size", st.st_size));
	TRY(json_put_array(object, "content", &w.list));
	while (at < st.st_size) {
		off_t data = lseek(fd, at, SEEK_DATA);
		if (data < 0 && errno == ENXIO)
			break;
		if (data < 0 && errno != EINVAL)
			return err_sys(errno, "cannot find the data of %s", f->path);
		data = MAX(data, at);
		off_t end = lseek(fd, data, SEEK_HOLE);
		end = end < 0 ? st.st_size : MIN(end, st.st_size);
		TRY(save_uncovered(&w, &covered, data, end));
		at = end;
	}
	return NULL;
}

static struct err *write_piece(int fd, const json_t *piece, uint64_t size)
{
	_cleanup_free_ uint8_t *bytes = NULL;
	uint64_t at;
	size_t len;

	TRY(json_get_u64(piece, "offset", size, &at));
	TRY(json_get_bytes(piece, "bytes", PIECE, &bytes, &len));
	if (len > size - at)
		return err_new(ERR_CORRUPT, "bytes behind the end of the file");
	for (size_t done = 0; done < len;) {
		ssize_t r = os_pwrite(fd, bytes + done, len - done, at + done);
		if (r == -EINTR)
			continue;
		if (r < 0)
			return err_sys((int)r, "cannot write the content");
		done += (size_t)r;
	}
	return NULL;
}

struct err *content_fill(int fd, const json_t *object)
{
	const json_t *list, *piece;
	uint64_t size;

	TRY(json_get_u64(object, "size", INT64_MAX, &size));
	TRY(json_get_array(object, "content", PIECES_MAX, &list));
	if (ftruncate(fd, (off_t)size))
		return err_sys(errno, "cannot make a file of %" PRIu64 " bytes", size);
	for (size_t i = 0; i < json_array_size(list); i++) {
		TRY(json_item_object(list, i, &piece));
		TRY(json_at(write_piece(fd, piece, size), "content", i));
	}
	return NULL;
}
