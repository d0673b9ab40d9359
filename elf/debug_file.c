// SPDX-License-Identifier: LGPL-2.1-or-later
// Finds the separate debug file of a module: --debug DIR, build-id folders,
// .gnu_debuglink.
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "elf/image.h"
#include "util/cleanup.h"
#include "util/path.h"

static const char *const system_dir = "/usr/lib/debug";

// CRC-32 of .gnu_debuglink (GDB manual, "Separate Debug Files"; the polynomial of zlib).
static uint32_t crc32_of(const uint8_t *p, size_t n)
{
	uint32_t table[256], crc = UINT32_MAX;

	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;

		for (int k = 0; k < 8; k++)
			c = c & 1 ? 0xedb88320u ^ (c >> 1) : c >> 1;
		table[i] = c;
	}
	while (n--)
		crc = table[(crc ^ *p++) & 0xff] ^ (crc >> 8);
	return ~crc;
}

struct wanted {
	struct module *m;
	const char *link; // name in .gnu_debuglink, or NULL
	uint32_t crc;
};

static void reject(struct module *m, const char *path, const char *why)
{
	free(m->debug_rejected);
	if (asprintf(&m->debug_rejected, "%s: %s", path, why) < 0)
		m->debug_rejected = NULL;
}

// Takes the file if it exists and belongs to the module. A damaged or foreign one is no
// error: the module can do without, and debug_rejected tells.
static struct err *try_path(const struct wanted *w, const char *path, bool by_link)
{
	_cleanup_(image_closep) struct image *im = NULL;
	struct module *m = w->m;
	struct err *e;

	if (m->debug_image || access(path, R_OK))
		return NULL;
	e = image_open(path, &im);
	if (e) {
		if (e->kind == ERR_NOMEM)
			return e;
		reject(m, path, e->message);
		err_free(e);
		return NULL;
	}
	if (im->ino == m->image->ino && im->dev == m->image->dev)
		return NULL;
	if (*m->build_id && *im->build_id) {
		if (strcmp(m->build_id, im->build_id)) {
			reject(m, path, "it has another build-id");
			return NULL;
		}
	} else if (w->link && by_link) {
		if (crc32_of(im->map, im->size) != w->crc) {
			reject(m, path, "its checksum is not that of .gnu_debuglink");
			return NULL;
		}
	} else {
		reject(m, path, "it has no build-id to compare");
		return NULL;
	}
	m->debug_path = strdup(path);
	if (!m->debug_path)
		return err_nomem();
	m->debug_image = take_ptr(im);
	return NULL;
}

static struct err *try_format(const struct wanted *w, bool by_link, const char *fmt, ...)
	printf_like(3, 4);

static struct err *try_format(const struct wanted *w, bool by_link, const char *fmt, ...)
{
	_cleanup_free_ char *path = NULL;
	va_list ap;

	va_start(ap, fmt);
	int len = vasprintf(&path, fmt, ap);
	va_end(ap);
	if (len < 0) {
		path = NULL;
		return err_nomem();
	}
	return try_path(w, path, by_link);
}

static struct err *try_build_id(const struct wanted *w, const char *dir)
{
	const char *id = w->m->build_id;

	if (!id[0] || !id[1])
		return NULL;
	return try_format(w, false, "%s/.build-id/%.2s/%s.debug", dir, id, id + 2);
}

static struct err *try_user_dir(const struct wanted *w, const char *dir, const char *base)
{
	struct stat st;

	if (!stat(dir, &st) && S_ISREG(st.st_mode))
		return try_path(w, dir, true);
	TRY(try_build_id(w, dir));
	if (w->link)
		TRY(try_format(w, true, "%s/%s", dir, w->link));
	TRY(try_format(w, true, "%s/%s.debug", dir, base));
	return try_format(w, true, "%s/%s", dir, base);
}

static struct err *try_link(const struct wanted *w, const char *path, int dir_len)
{
	_cleanup_free_ char *real = NULL;

	if (!w->link)
		return NULL;
	TRY(try_format(w, true, "%.*s/%s", dir_len, path, w->link));
	TRY(try_format(w, true, "%.*s/.debug/%s", dir_len, path, w->link));
	real = realpath(path, NULL);
	const char *slash = real ? strrchr(real, '/') : NULL;
	if (!slash)
		return NULL;
	return try_format(w, true, "%s%.*s/%s", system_dir, (int)(slash - real), real,
			  w->link);
}

static void read_link(struct wanted *w)
{
	const struct section *s = image_section(w->m->image, ".gnu_debuglink");
	const uint8_t *p = section_bytes(w->m->image, s);

	if (!p)
		return;
	const char *name = table_string(p, s->size, 0);
	// A name with a folder in it would let a file point anywhere.
	if (!name || !*name || strchr(name, '/'))
		return;
	uint64_t at = (strlen(name) + 4) & ~3ULL;
	if (at + 4 > s->size)
		return;
	w->link = name;
	memcpy(&w->crc, p + at, 4);
}

static bool complete(const struct image *im)
{
	if (!image_debug_info(im))
		return false;
	vec_for_each(s, &im->sections) {
		if (s->type == SHT_SYMTAB)
			return true;
	}
	return false;
}

struct err *module_find_debug(struct module *m, const char *debug_dir)
{
	struct wanted w = {.m = m};
	const char *slash = strrchr(m->path, '/');
	_cleanup_free_ char *here = NULL;

	if (m->image->fd < 0 || complete(m->image))
		return NULL;
	read_link(&w);
	if (debug_dir)
		TRY(try_user_dir(&w, debug_dir, path_base(m->path)));
	if (slash) {
		TRY(try_link(&w, m->path, (int)(slash - m->path)));
	} else {
		if (asprintf(&here, "./%s", m->path) < 0) {
			here = NULL;
			return err_nomem();
		}
		TRY(try_link(&w, here, 1));
	}
	return try_build_id(&w, system_dir);
}
