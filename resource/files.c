// SPDX-License-Identifier: LGPL-2.1-or-later
// The index of open file descriptions; see files.h. Two descriptors are compared (kcmp) only when they are of one
// inode; those of one inode are kept in the order that kcmp gives, so that 10,000 eventfds cost 13 calls each and not 10,000.
#include "resource/files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/param.h>

#include "os/fds.h"
#include "os/proc.h"
#include "resource/linked.h"
#include "resource/locks.h"
#include "resource/owner.h"
#include "resource/socket_state.h"
#include "util/cleanup.h"

// A group that has all files of its inode in the order of their index, and serves no comparison.
static const uint64_t ALL = UINT64_MAX;

// Files of one inode. Eventfds all live on one inode, but have an id of their own.
struct group {
	dev_t dev;
	ino_t ino;
	uint64_t id;
	VEC(size_t) files; // ascending as kcmp orders them
};

struct file_index {
	VEC(struct known_file *) files;
	VEC(struct group) groups;
	VEC(struct saver *) savers; // copies: the callers' own need not last
	char info[1 << 16];	    // of the descriptor being looked at
	uint32_t *slots; // hash table of groups, index + 1; n_slots is a power of 2
	size_t n_slots;
};

const struct known_file *index_at(const struct file_index *x, size_t i)
{
	return x->files.v[i];
}

static size_t hash(dev_t dev, ino_t ino, uint64_t id)
{
	uint64_t h = (uint64_t)dev * 0x9e3779b97f4a7c15 ^ ino;

	h = (h ^ h >> 29) * 0xbf58476d1ce4e5b9 + id;
	h = (h ^ h >> 32) * 0x94d049bb133111eb;
	return (size_t)(h ^ h >> 29);
}

static uint32_t *slot_of(const struct file_index *x, dev_t dev, ino_t ino, uint64_t id)
{
	for (size_t i = hash(dev, ino, id);; i++) {
		uint32_t *slot = &x->slots[i & (x->n_slots - 1)];
		const struct group *g = *slot ? &x->groups.v[*slot - 1] : NULL;

		if (!g || (g->dev == dev && g->ino == ino && g->id == id))
			return slot;
	}
}

static struct err *grow(struct file_index *x)
{
	enum { SLOTS_FIRST = 256 };
	uint32_t *old = x->slots;
	size_t n = x->n_slots ? x->n_slots * 2 : SLOTS_FIRST;

	if (x->groups.n * 2 < x->n_slots)
		return NULL;
	x->slots = calloc(n, sizeof(*x->slots));
	if (!x->slots) {
		x->slots = old;
		return err_nomem();
	}
	x->n_slots = n;
	for (size_t i = 0; i < x->groups.n; i++) {
		const struct group *g = &x->groups.v[i];
		*slot_of(x, g->dev, g->ino, g->id) = (uint32_t)i + 1;
	}
	free(old);
	return NULL;
}

static struct err *group_for(struct file_index *x, const struct open_file *f, uint64_t id,
			     struct group **ret)
{
	TRY(grow(x));
	uint32_t *slot = slot_of(x, f->st.st_dev, f->st.st_ino, id);
	if (!*slot) {
		TRY(vec_push(&x->groups, (struct group){.dev = f->st.st_dev,
							.ino = f->st.st_ino,
							.id = id}));
		*slot = (uint32_t)x->groups.n;
	}
	*ret = &x->groups.v[*slot - 1];
	return NULL;
}

// Where f stands in its group: at *at, or would stand there.
static struct err *find_in_group(const struct file_index *x, const struct group *g,
				 const struct open_file *f, size_t *at, bool *found)
{
	size_t lo = 0, hi = g->files.n;

	*found = false;
	while (lo < hi && !*found) {
		size_t mid = lo + (hi - lo) / 2;
		const struct open_file *other = &x->files.v[g->files.v[mid]]->f;
		int r = os_kcmp_file(f->pid, f->fd, other->pid, other->fd);

		if (r == 0) {
			*found = true;
			lo = mid;
		} else if (r == 1) {
			hi = mid;
		} else if (r == 2) {
			lo = mid + 1;
		} else {
			return err_sys(r < 0 ? -r : EINVAL,
				       "cannot compare descriptor %d of process %d",
				       f->fd, f->pid);
		}
	}
	*at = lo;
	return NULL;
}

static struct err *save_object(struct known_file *k)
{
	const struct open_file *f = &k->f;
	struct saving *all = f->s->all;
	const struct file_kind *kind = file_kind_of(f);

	TRY(json_put(k->object, "kind", json_string(kind->name)));
	TRY(json_put_int(k->object, "flags", f->flags));
	TRY(json_put_int(k->object, "offset", (int64_t)MIN(f->pos, (uint64_t)INT64_MAX)));
	TRY(json_put_text(k->object, "path", f->path));
	if (!kind->skips_itself && saving_skips(all, kind->name)) {
		TRY(json_put_bool(k->object, "skipped", true));
		return saving_note(all,
				   "descriptor %d (%s, %s) of process %d is left out: "
				   "closed after a restore",
				   f->fd, kind->name, f->path, f->pid);
	}
	k->kind = kind;
	TRY(locks_save(f, f->index, k->object));
	TRY(owner_save(f, k->object));
	return kind->save(f, k->object);
}

static void known_free(struct known_file *k)
{
	if (!k)
		return;
	if (k->owned)
		close(k->f.fd);
	free(k->path);
	free(k->info);
	free(k);
}

static struct err *make_known(struct file_index *x, const struct open_file *f,
			      size_t *index)
{
	struct json_t *list = json_object_get(f->s->all->objects, "files");
	struct known_file *k = calloc(1, sizeof(*k));

	if (!k)
		return err_nomem();
	k->f = *f;
	k->f.index = x->files.n;
	k->f.path = k->path = strdup(f->path);
	k->f.info = k->info = strdup(f->info);
	k->object = json_object();
	struct err *e = k->path && k->info ? NULL : err_nomem();
	if (!e)
		e = json_add(list, k->object);
	else
		json_decref(k->object);
	if (!e)
		e = vec_push(&x->files, k);
	if (e) {
		known_free(k);
		return e;
	}
	*index = k->f.index;
	return NULL;
}

// One read is enough but for epolls and inotifies with hundreds of entries.
static int read_info(struct file_index *x, int infos, const char *number, char **longer)
{
	_cleanup_close_ int fd = openat(infos, number, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, x->info, sizeof(x->info) - 1);
	size_t len;

	if (n < 0)
		return -errno;
	x->info[n] = '\0';
	if ((size_t)n < sizeof(x->info) / 2)
		return 0;
	return lseek(fd, 0, SEEK_SET) < 0 ? -errno : os_read_all(fd, longer, &len);
}

// One pass over what /proc says of a descriptor.
static struct err *look(struct file_index *x, struct open_file *f, int dir, int infos,
			char *path, size_t size, char **longer, bool *cloexec)
{
	char number[16];
	uint64_t flags = 0;

	snprintf(number, sizeof(number), "%d", f->fd);
	ssize_t n = readlinkat(dir, number, path, size - 1);
	if (n < 0 || fstatat(dir, number, &f->st, 0))
		return err_sys(errno, "cannot look at descriptor %d of process %d", f->fd,
			       f->pid);
	path[n] = 0;
	TRY(linked_correct(f->pid, &f->st, path, size));
	int r = read_info(x, infos, number, longer);
	if (r < 0)
		return err_sys(r,
			       "cannot read what is known of descriptor %d of process %d",
			       f->fd, f->pid);
	f->info = *longer ? *longer : x->info;
	if (!fdinfo_u64(f->info, "flags", 8, &flags) ||
	    !fdinfo_u64(f->info, "pos", 10, &f->pos))
		return err_new(ERR_INTERNAL, "/proc/%d/fdinfo/%d has no flags", f->pid,
			       f->fd);
	*cloexec = flags & O_CLOEXEC;
	f->flags = (int)(flags & ~(uint64_t)O_CLOEXEC);
	f->path = path;
	return NULL;
}

struct err *index_add(struct file_index *x, struct open_file *f, int dir, int infos,
		      size_t *index, bool *cloexec)
{
	_cleanup_free_ char *longer = NULL;
	char path[PATH_MAX + 1];
	struct group *g;
	uint64_t id = 0;
	size_t at = 0;
	bool found;

	TRY(look(x, f, dir, infos, path, sizeof(path), &longer, cloexec));
	fdinfo_u64(f->info, "eventfd-id", 10, &id);
	TRY(group_for(x, f, id, &g));
	TRY(find_in_group(x, g, f, &at, &found));
	if (found) {
		*index = g->files.v[at];
		return locks_save(f, *index, NULL);
	}
	TRY(vec_reserve(&g->files, 1));
	TRY(make_known(x, f, index));
	memmove(g->files.v + at + 1, g->files.v + at,
		(g->files.n - at) * sizeof(*g->files.v));
	g->files.v[at] = *index;
	g->files.n++;
	TRY(group_for(x, f, ALL, &g));
	TRY(vec_push(&g->files, *index));
	return save_object(x->files.v[*index]);
}

struct err *saving_add_here(struct saver *s, int fd, size_t *index)
{
	_cleanup_close_ int here = fd;
	_cleanup_close_ int dir = os_proc_open(getpid(), 0, "fd", O_RDONLY | O_DIRECTORY);
	_cleanup_close_ int infos =
		os_proc_open(getpid(), 0, "fdinfo", O_RDONLY | O_DIRECTORY);
	struct file_index *x = s->all->index;
	struct open_file f = {.s = s, .pid = getpid(), .fd = fd};
	bool cloexec;

	if (dir < 0 || infos < 0)
		return err_sys(dir < 0 ? dir : infos, "cannot open /proc/self/fd");
	size_t before = x->files.n;
	struct err *e = index_add(x, &f, dir, infos, index, &cloexec);
	if (x->files.n > before && x->files.v[before]->f.fd == fd &&
	    x->files.v[before]->f.pid == f.pid) {
		x->files.v[before]->owned = true;
		take_fd(&here);
	}
	return e;
}

bool saving_next_on_inode(const struct saving *all, dev_t dev, ino_t ino, size_t *at,
			  size_t *index)
{
	const struct file_index *x = all->index;

	const uint32_t *slot = x->n_slots ? slot_of(x, dev, ino, ALL) : NULL;
	const struct group *g = slot && *slot ? &x->groups.v[*slot - 1] : NULL;

	if (!g || *at >= g->files.n)
		return false;
	*index = g->files.v[(*at)++];
	return true;
}

const struct open_file *saving_open_file(const struct saving *all, size_t index)
{
	return &all->index->files.v[index]->f;
}

struct err *index_open(struct saver *s, struct saver **ret)
{
	struct saving *all = s->all;
	json_t *list;

	if (!all->index) {
		TRY(file_kinds_check_skipped(all->opt));
		all->index = calloc(1, sizeof(*all->index));
	}
	if (!all->index)
		return err_nomem();
	if (!json_has(all->objects, "files"))
		TRY(json_put_array(all->objects, "files", &list));
	TRY(vec_reserve(&all->index->savers, 1));
	*ret = malloc(sizeof(**ret));
	if (!*ret)
		return err_nomem();
	**ret = *s;
	return vec_push(&all->index->savers, *ret);
}

bool index_has_process(const struct file_index *x, pid_t pid)
{
	vec_for_each(s, &x->savers)
		if ((*s)->process->pid == pid)
			return true;
	return false;
}

struct err *saving_finish(struct saving *all)
{
	const struct file_index *x = all->index;

	for (size_t i = 0; x && i < x->files.n; i++) {
		const struct known_file *k = x->files.v[i];

		if (k->kind && k->kind->save_late)
			TRY(k->kind->save_late(&k->f, k->object));
	}
	return NULL;
}

void saving_deinit(struct saving *all)
{
	struct file_index *x = all->index;

	socket_saving_free(all->sockets);
	all->sockets = NULL;
	if (!x)
		return;
	vec_for_each(k, &x->files)
		known_free(*k);
	vec_for_each(g, &x->groups)
		vec_free(&g->files);
	vec_free(&x->files);
	vec_free(&x->groups);
	vec_for_each(s, &x->savers)
		free(*s);
	vec_free(&x->savers);
	free(x->slots);
	free(x);
	all->index = NULL;
}
