// SPDX-License-Identifier: LGPL-2.1-or-later
// Hashing a file in blocks, by as many threads as there are processors (at most four), and reading and writing whole ranges.
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "image/impl.h"
#include "os/vm.h"
#include "util/cleanup.h"

enum { HASHERS_MAX = 4, CHUNK = 256 << 10 };

struct err *image_corrupt(const char *file, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0) {
		text = NULL;
		return err_nomem();
	}
	return err_with(err_new(ERR_CORRUPT, "%s: %s", file, text), "checkpoint-corrupt",
			file);
}

struct err *image_write_error(int errnum, const char *file)
{
	bool full = errnum == ENOSPC || errnum == EDQUOT || errnum == EFBIG;
	struct err *e = err_sys(errnum, "cannot write %s", file);

	return full ? err_with(e, "store-full", file) : e;
}

struct err *write_all(int fd, const char *name, const void *buf, size_t len, uint64_t at)
{
	const char *p = buf;

	while (len) {
		ssize_t n = os_pwrite(fd, p, len, at);

		if (n == -EINTR)
			continue;
		if (n <= 0)
			return image_write_error(n ? (int)-n : ENOSPC, name);
		p += n;
		at += (uint64_t)n;
		len -= (size_t)n;
	}
	return NULL;
}

struct err *read_all(int fd, const char *name, void *buf, size_t len, uint64_t at)
{
	char *p = buf;

	while (len) {
		ssize_t n = os_pread(fd, p, len, at);

		if (n == -EINTR)
			continue;
		if (n < 0)
			return err_sys((int)-n, "cannot read %s", name);
		if (n == 0)
			return image_corrupt(name, "it ends at byte %llu, too early",
					     (unsigned long long)at);
		p += n;
		at += (uint64_t)n;
		len -= (size_t)n;
	}
	return NULL;
}

static void hex_of(XXH128_hash_t h, char hex[CORE_HASH_LEN + 1])
{
	snprintf(hex, CORE_HASH_LEN + 1, "%016llx%016llx", (unsigned long long)h.high64,
		 (unsigned long long)h.low64);
}

void block_hash(const void *data, size_t len, char hex[CORE_HASH_LEN + 1])
{
	hex_of(XXH3_128bits(data, len), hex);
}

struct hashing {
	int fd;
	const char *name;
	uint64_t size;
	size_t n;
	atomic_size_t next;
	char (*hex)[CORE_HASH_LEN + 1];
	_Atomic(struct err *) failed;
};

static struct err *hash_one(const struct hashing *h, size_t i, XXH3_state_t *state,
			    uint8_t *buf)
{
	uint64_t at = (uint64_t)i * CORE_BLOCK;
	uint64_t len = h->size - at < CORE_BLOCK ? h->size - at : CORE_BLOCK;
	off_t data = lseek(h->fd, (off_t)at, SEEK_DATA);
	bool hole = data < 0 ? errno == ENXIO : (uint64_t)data >= at + len;

	if (XXH3_128bits_reset(state) != XXH_OK)
		return err_new(ERR_INTERNAL, "the hash cannot be started");
	if (hole)
		memset(buf, 0, CHUNK);
	while (len) {
		size_t part = len < CHUNK ? (size_t)len : CHUNK;

		if (!hole)
			TRY(read_all(h->fd, h->name, buf, part, at));
		XXH3_128bits_update(state, buf, part);
		at += part;
		len -= part;
	}
	hex_of(XXH3_128bits_digest(state), h->hex[i]);
	return NULL;
}

static void *hasher(void *arg)
{
	struct hashing *h = arg;
	XXH3_state_t *state = XXH3_createState();
	_cleanup_free_ uint8_t *buf = malloc(CHUNK);
	struct err *e = state && buf ? NULL : err_nomem(), *none = NULL;
	size_t i;

	while (!e && !atomic_load(&h->failed) && (i = atomic_fetch_add(&h->next, 1)) < h->n)
		e = hash_one(h, i, state, buf);
	if (e && !atomic_compare_exchange_strong(&h->failed, &none, e))
		err_free(e);
	XXH3_freeState(state);
	return NULL;
}

// Signals are for the thread that looks at them.
static size_t start_hashers(struct hashing *h, pthread_t *threads, size_t n)
{
	sigset_t all, old;
	size_t started = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	while (started < n && pthread_create(&threads[started], NULL, hasher, h) == 0)
		started++;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return started;
}

static void hash_all(struct hashing *h)
{
	pthread_t threads[HASHERS_MAX];
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	size_t want = cpus < 1 ? 1 : cpus > HASHERS_MAX ? HASHERS_MAX : (size_t)cpus;

	if (want > h->n)
		want = h->n;
	size_t started = want > 1 ? start_hashers(h, threads, want - 1) : 0;
	hasher(h);
	for (size_t i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
}

struct err *hash_blocks(int fd, const char *name, uint64_t size, json_t **ret)
{
	struct hashing h = {.fd = fd, .name = name, .size = size};
	_cleanup_free_ void *hex = NULL;
	json_t *array;

	h.n = (size_t)((size + CORE_BLOCK - 1) / CORE_BLOCK);
	hex = calloc(h.n + 1, sizeof(*h.hex));
	if (!hex || !(array = json_array()))
		return err_nomem();
	h.hex = hex;
	hash_all(&h);
	struct err *e = atomic_load(&h.failed);
	for (size_t i = 0; i < h.n && !e; i++)
		if (json_array_append_new(array, json_string(h.hex[i])))
			e = err_nomem();
	if (e)
		json_decref(array);
	else
		*ret = array;
	return e;
}
