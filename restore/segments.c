// SPDX-License-Identifier: LGPL-2.1-or-later
// System V shared memory: the segment that is still there, or one with the saved id and key again; see memories.h.
#include "restore/segments.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "resource/kinds.h"

struct wanted {
	int id, key, mode;
	int64_t uid, gid;
	bool removed; // it lived as long as its mappings
};

static struct err *parse(const json_t *o, struct wanted *w)
{
	const int rights = 0777;

	TRY(json_get_i32(o, "shmid", 0, INT32_MAX, &w->id));
	// Without them it could not be looked at any more.
	w->removed = !json_has(o, "ipc_key");
	TRY(json_opt_i32(o, "ipc_key", INT32_MIN, INT32_MAX, IPC_PRIVATE, &w->key));
	TRY(json_opt_i32(o, "mode", 0, rights, S_IRUSR | S_IWUSR, &w->mode));
	TRY(json_opt_int(o, "uid", 0, UINT32_MAX, geteuid(), &w->uid));
	TRY(json_opt_int(o, "gid", 0, UINT32_MAX, getegid(), &w->gid));
	if (json_has(o, "removed"))
		TRY(json_get_bool(o, "removed", &w->removed));
	return NULL;
}

static bool find_living(const struct wanted *w, uint64_t size, struct segment *s)
{
	struct shmid_ds ds;

	if (w->removed || shmctl(w->id, IPC_STAT, &ds) < 0 || ds.shm_segsz != size ||
	    ds.shm_perm.__key != w->key || ds.shm_perm.uid != (uid_t)w->uid)
		return false;
	s->id = w->id;
	s->in_use = ds.shm_nattch > 0;
	return true;
}

// The next segment gets this id, if the caller may say so and it is free.
static void ask_for_id(int id)
{
	int fd = open("/proc/sys/kernel/shm_next_id", O_WRONLY | O_CLOEXEC);
	char text[16];
	int n = snprintf(text, sizeof(text), "%d", id);

	if (fd < 0)
		return;
	if (write(fd, text, (size_t)n) != n)
		n = 0; // it gets another
	close(fd);
}

static struct err *make(const struct wanted *w, uint64_t size, struct segment *s)
{
	struct shmid_ds ds;

	ask_for_id(w->id);
	s->id = shmget(w->key, size, IPC_CREAT | IPC_EXCL | w->mode);
	if (s->id < 0 && errno == EEXIST)
		return err_refuse(
			"shm-taken", NULL,
			"the key %#x of shared memory belongs to another segment "
			"now",
			(unsigned)w->key);
	if (s->id < 0)
		return err_sys(errno, "cannot make %" PRIu64 " bytes of shared memory",
			       size);
	s->made = true;
	s->remove = w->removed;
	if (shmctl(s->id, IPC_STAT, &ds) < 0)
		return err_sys(errno, "cannot look at shared memory");
	ds.shm_perm.uid = (uid_t)w->uid;
	ds.shm_perm.gid = (gid_t)w->gid;
	if ((w->uid != geteuid() || w->gid != getegid()) && shmctl(s->id, IPC_SET, &ds) < 0)
		return err_sys(errno, "cannot give shared memory its owner");
	return NULL;
}

// Its file, for what it held.
static struct err *open_file(const struct segment *s, uint64_t size, int *fd)
{
	char path[80];
	void *p = shmat(s->id, NULL, 0);

	if (p == (void *)-1)
		return err_sys(errno, "cannot attach shared memory %d", s->id);
	uintptr_t end = (uintptr_t)p + (size + 4095) / 4096 * 4096;
	snprintf(path, sizeof(path), "/proc/self/map_files/%" PRIxPTR "-%" PRIxPTR,
		 (uintptr_t)p, end);
	*fd = open(path, O_RDWR | O_CLOEXEC);
	int errnum = errno;
	shmdt(p);
	return *fd < 0 ? err_sys(errnum, "cannot open shared memory %d", s->id) : NULL;
}

struct err *segment_make(struct restoring *all, const json_t *o, uint64_t size,
			 struct segment *s, int *fd)
{
	struct wanted w;

	TRY(parse(o, &w));
	if (!find_living(&w, size, s))
		TRY(make(&w, size, s));
	if (s->in_use)
		TRY(restoring_note(all,
				   "shared memory %d is in use by others: it stays as it "
				   "is",
				   s->id));
	if (s->id != w.id && !w.removed)
		TRY(restoring_note(all, "shared memory %d has the id %d now", w.id, s->id));
	return open_file(s, size, fd);
}

bool segment_call(const struct segment *s, uint64_t size, const struct saved_map *map,
		  struct syscall_req *ret)
{
	int flags = (map->prot & PROT_WRITE ? 0 : SHM_RDONLY) |
		    (map->prot & PROT_EXEC ? SHM_EXEC : 0);

	// A part that was left by munmap is a mapping of its file.
	if (map->offset || map->end - map->start < size || !(map->prot & PROT_READ))
		return false;
	*ret = (struct syscall_req){
		.nr = SYS_shmat, .args = {(uint64_t)s->id, map->start, (uint64_t)flags}};
	return true;
}

void segment_finish(const struct segment *s, bool kept)
{
	if (s->made && (s->remove || !kept))
		shmctl(s->id, IPC_RMID, NULL);
}
