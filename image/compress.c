// SPDX-License-Identifier: LGPL-2.1-or-later
// Compressing and unpacking cores with zstd.
#include "image/compress.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <zstd.h>

#include "image/json.h"
#include "image/store_impl.h"
#include "util/cleanup.h"

enum { LEVEL = 1, WORKERS = 2, IN_SIZE = 1 << 20 };

static void free_cctx(ZSTD_CCtx **c)
{
	ZSTD_freeCCtx(*c);
}

static void free_dctx(ZSTD_DCtx **d)
{
	ZSTD_freeDCtx(*d);
}

static struct err *compress_all(ZSTD_CCtx *z, int from, int to, const char *name,
				uint64_t size, uint64_t *packed)
{
	size_t room = ZSTD_CStreamOutSize();
	_cleanup_free_ char *in = malloc(IN_SIZE), *out = malloc(room);
	uint64_t at = 0;

	if (!in || !out)
		return err_nomem();
	*packed = 0;
	for (bool done = false; !done;) {
		size_t part = size - at < IN_SIZE ? (size_t)(size - at) : IN_SIZE;
		ZSTD_inBuffer i = {in, part, 0};
		bool last = part == size - at;

		TRY(read_all(from, name, in, part, at));
		at += part;
		for (bool more = true; more;) {
			ZSTD_outBuffer o = {out, room, 0};
			size_t left = ZSTD_compressStream2(
				z, &o, &i, last ? ZSTD_e_end : ZSTD_e_continue);

			if (ZSTD_isError(left))
				return err_new(ERR_INTERNAL, "cannot compress %s: %s",
					       name, ZSTD_getErrorName(left));
			TRY(write_all(to, name, out, o.pos, *packed));
			*packed += o.pos;
			more = last ? left != 0 : i.pos < i.size;
		}
		done = last;
	}
	return NULL;
}

static struct err *compress_file(int dir, const char *name, const char *packed_name,
				 uint64_t size, uint64_t *packed)
{
	_cleanup_(free_cctx) ZSTD_CCtx *z = ZSTD_createCCtx();
	_cleanup_close_ int from = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	if (!z)
		return err_nomem();
	if (from < 0)
		return err_sys(errno, "cannot open %s", name);
	_cleanup_close_ int to =
		openat(dir, packed_name,
		       O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (to < 0)
		return image_write_error(errno, packed_name);
	ZSTD_CCtx_setParameter(z, ZSTD_c_compressionLevel, LEVEL);
	ZSTD_CCtx_setParameter(z, ZSTD_c_checksumFlag, 1);
	// A library without threads does it in this one.
	ZSTD_CCtx_setParameter(z, ZSTD_c_nbWorkers, WORKERS);
	return compress_all(z, from, to, packed_name, size, packed);
}

struct err *core_compress(int dir, json_t *manifest_entry)
{
	const char *name = json_string_value(json_object_get(manifest_entry, "core"));
	_cleanup_free_ char *packed_name = NULL;
	uint64_t size, packed = 0;

	TRY(json_get_u64(manifest_entry, "size", INT64_MAX, &size));
	if (!name || asprintf(&packed_name, "%s.zst", name) < 0) {
		packed_name = NULL;
		return err_nomem();
	}
	TRY(compress_file(dir, name, packed_name, size, &packed));
	if (unlinkat(dir, name, 0))
		return err_sys(errno, "cannot remove %s", name);
	TRY(json_put_int(manifest_entry, "packed", (int64_t)packed));
	return json_put(manifest_entry, "core", json_string(packed_name));
}

// Unpacks a file, giving it in pieces to `take`; never more than `size` bytes.
struct unpacking {
	int fd;
	const char *label;
	uint64_t size;
	struct err *(*take)(void *arg, const char *data, size_t len);
	void *arg;
};

static struct err *unpack_all(const struct unpacking *u)
{
	_cleanup_(free_dctx) ZSTD_DCtx *z = ZSTD_createDCtx();
	size_t room = ZSTD_DStreamOutSize(), left = 1;
	_cleanup_free_ char *in = malloc(IN_SIZE), *out = malloc(room);
	uint64_t at = 0, made = 0;
	struct stat st;

	if (!z || !in || !out)
		return err_nomem();
	if (fstat(u->fd, &st))
		return err_sys(errno, "cannot look at %s", u->label);
	while (at < (uint64_t)st.st_size && left) {
		uint64_t rest = (uint64_t)st.st_size - at;
		ZSTD_inBuffer i = {in, rest < IN_SIZE ? (size_t)rest : IN_SIZE, 0};
		bool full = true;

		TRY(read_all(u->fd, u->label, in, i.size, at));
		while (left && (i.pos < i.size || full)) {
			ZSTD_outBuffer o = {out, room, 0};

			left = ZSTD_decompressStream(z, &o, &i);
			if (ZSTD_isError(left))
				return image_corrupt(u->label, "byte %llu: %s",
						     (unsigned long long)(at + i.pos),
						     ZSTD_getErrorName(left));
			if (o.pos > u->size - made)
				return image_corrupt(u->label,
						     "it unpacks to more than %llu bytes",
						     (unsigned long long)u->size);
			TRY(u->take(u->arg, out, o.pos));
			made += o.pos;
			full = o.pos == o.size;
		}
		at += i.pos;
		if (!left && at != (uint64_t)st.st_size)
			return image_corrupt(u->label, "bytes follow it at %llu",
					     (unsigned long long)at);
	}
	return left || made != u->size
		       ? image_corrupt(u->label, "it ends too early: %llu of %llu bytes",
				       (unsigned long long)made,
				       (unsigned long long)u->size)
		       : NULL;
}

struct block_hasher {
	uint8_t *block;
	size_t fill;
	json_t *hashes;
};

static struct err *end_block(struct block_hasher *b)
{
	char hex[CORE_HASH_LEN + 1];

	block_hash(b->block, b->fill, hex);
	b->fill = 0;
	return json_add(b->hashes, json_string(hex));
}

static struct err *take_to_hash(void *arg, const char *data, size_t len)
{
	struct block_hasher *b = arg;

	while (len) {
		size_t part = CORE_BLOCK - b->fill < len ? CORE_BLOCK - b->fill : len;

		memcpy(b->block + b->fill, data, part);
		b->fill += part;
		data += part;
		len -= part;
		if (b->fill == CORE_BLOCK)
			TRY(end_block(b));
	}
	return NULL;
}

struct err *hash_compressed(int fd, const char *label, uint64_t size, json_t **ret)
{
	_cleanup_free_ uint8_t *block = malloc(CORE_BLOCK);
	struct block_hasher b = {.block = block, .hashes = json_array()};
	struct unpacking u = {fd, label, size, take_to_hash, &b};
	struct err *e = block && b.hashes ? unpack_all(&u) : err_nomem();

	if (!e && b.fill)
		e = end_block(&b);
	if (e)
		json_decref(b.hashes);
	else
		*ret = b.hashes;
	return e;
}

struct unpacked_file {
	int fd;
	const char *label;
	uint64_t at;
};

// Pages of zeros stay holes.
static struct err *take_to_file(void *arg, const char *data, size_t len)
{
	static const char zeros[CORE_PAGE];
	struct unpacked_file *f = arg;

	while (len) {
		size_t part = CORE_PAGE - (f->at & (CORE_PAGE - 1));

		if (part > len)
			part = len;
		if (memcmp(data, zeros, part))
			TRY(write_all(f->fd, f->label, data, part, f->at));
		f->at += part;
		data += part;
		len -= part;
	}
	return NULL;
}

struct err *core_unpack(const struct store *s, int fd, const char *label, uint64_t size,
			int *ret)
{
	_cleanup_close_ int to =
		openat(s->fd, ".", O_TMPFILE | O_RDWR | O_EXCL | O_CLOEXEC, 0600);
	struct unpacked_file f = {.label = label};
	struct unpacking u = {fd, label, size, take_to_file, &f};

	// A store that one may only read, or on a file system without such files.
	if (to < 0)
		to = memfd_create("molt-core", MFD_CLOEXEC);
	if (to < 0)
		return err_sys(errno, "cannot unpack %s", label);
	f.fd = to;
	if (ftruncate(to, (off_t)size))
		return image_write_error(errno, label);
	TRY(unpack_all(&u));
	*ret = take_fd(&to);
	return NULL;
}

bool core_is_compressed(const char *name)
{
	size_t n = strlen(name);

	return n > 4 && strcmp(name + n - 4, ".zst") == 0;
}
