// SPDX-License-Identifier: LGPL-2.1-or-later
// See modules.h.
#include "checkpoint/modules.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>

#include "elf/build_id.h"
#include "util/cleanup.h"

void modules_deinit(struct modules *m)
{
	vec_free(&m->v);
}

const struct module_key *modules_find(const struct modules *m, uint64_t dev, uint64_t ino)
{
	vec_for_each(k, &m->v)
		if (k->dev == dev && k->ino == ino)
			return k;
	return NULL;
}

// The very file that is mapped; by its name where map_files is forbidden.
static int open_mapped(const struct vma *v, pid_t pid)
{
	_cleanup_free_ char *path = NULL;
	char link[96];
	struct stat st;

	snprintf(link, sizeof(link), "/proc/%d/map_files/%" PRIx64 "-%" PRIx64, pid,
		 v->m->start, v->m->end);
	int fd = open(link, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd >= 0 || v->deleted ||
	    asprintf(&path, "/proc/%d/root%s", pid, v->m->path) < 0)
		return fd;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd >= 0 && (fstat(fd, &st) || st.st_ino != v->m->ino)) {
		close(fd);
		errno = ESTALE;
		return -1;
	}
	return fd;
}

static struct err *hash_key(int fd, char *key, size_t size)
{
	enum { CHUNK = 65536 };
	_cleanup_free_ uint8_t *buf = malloc(CHUNK);
	XXH3_state_t *state = XXH3_createState();
	off_t at = 0;
	ssize_t n = -1;

	if (buf && state && XXH3_128bits_reset(state) == XXH_OK)
		while ((n = pread(fd, buf, CHUNK, at)) > 0) {
			XXH3_128bits_update(state, buf, (size_t)n);
			at += n;
		}
	XXH128_hash_t h = state ? XXH3_128bits_digest(state) : (XXH128_hash_t){0};
	XXH3_freeState(state);
	snprintf(key, size, "xxh-%016" PRIx64 "%016" PRIx64, (uint64_t)h.high64,
		 (uint64_t)h.low64);
	return n ? err_sys(errno, "cannot read a mapped file") : NULL;
}

static struct err *add(struct modules *m, struct store *store, pid_t pid,
		       const struct vma *v)
{
	struct module_key k = {.dev = v->m->dev, .ino = v->m->ino};
	_cleanup_close_ int fd = open_mapped(v, pid);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode))
		return vec_push(&m->v,
				k); // its bytes are then those of the file by that name
	elf_build_id(fd, k.build_id);
	if (k.build_id[0])
		snprintf(k.key, sizeof(k.key), "%s", k.build_id);
	else
		TRY(hash_key(fd, k.key, sizeof(k.key)));
	TRY(err_wrap(store_keep_module(store, fd, k.key), "%s", v->m->path));
	return vec_push(&m->v, k);
}

struct err *modules_keep(struct modules *m, struct store *store, pid_t pid,
			 struct vmas *vmas)
{
	vec_for_each(v, &vmas->v) {
		if (v->kind == VMA_FILE && (v->m->prot & PROT_EXEC || v->deleted) &&
		    !modules_find(m, v->m->dev, v->m->ino))
			TRY(add(m, store, pid, v));
	}
	vec_for_each(v, &vmas->v) {
		const struct module_key *k =
			v->kind == VMA_FILE ? modules_find(m, v->m->dev, v->m->ino) : NULL;

		v->key = k && k->key[0] ? k->key : NULL;
	}
	return NULL;
}
