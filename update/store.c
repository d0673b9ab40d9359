// SPDX-License-Identifier: LGPL-2.1-or-later
// Copies of program files; see store.h.
#include "update/store.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "util/cleanup.h"
#include "util/hash.h"

enum {
	ID_MAX = 64,
	STALE_S = 3600, // an update that is under way is no older
};

static const uint64_t FILE_MAX = 1ull << 34;
static const char *const suffixes[] = {"", ".debug", ".sum"};

// What a copy must be to be believed.
struct sum {
	uint64_t size, hash;
};

static void cleanup_dir(DIR **d)
{
	if (*d)
		closedir(*d);
}

// Ids come from records in processes too: nothing that could lead elsewhere is a name.
static bool is_id(const char *id)
{
	size_t n = strlen(id);

	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)id[i]) && (id[i] != '-' || !i))
			return false;
	return n && n <= ID_MAX;
}

static char *store_dir(void)
{
	const char *state = secure_getenv("MOLT_STATE");
	const char *xdg = secure_getenv("XDG_STATE_HOME"), *home = secure_getenv("HOME");
	char *dir = NULL;
	int n = -1;

	if (state && *state == '/')
		n = asprintf(&dir, "%s/programs", state);
	else if (!geteuid())
		n = asprintf(&dir, "/var/lib/molt/programs");
	else if (xdg && *xdg == '/')
		n = asprintf(&dir, "%s/molt/programs", xdg);
	else if (home && *home == '/')
		n = asprintf(&dir, "%s/.local/state/molt/programs", home);
	return n < 0 ? NULL : dir;
}

static int make_folders(const char *dir)
{
	char path[PATH_MAX];
	size_t n = strlen(dir);

	if (n >= sizeof(path))
		return -ENAMETOOLONG;
	for (size_t i = 1; i <= n; i++) {
		if (dir[i] != '/' && dir[i])
			continue;
		memcpy(path, dir, i);
		path[i] = 0;
		if (mkdir(path, 0700) && errno != EEXIST)
			return -errno;
	}
	return 0;
}

// A descriptor of the folder, or -errno. What others may write to is not believed.
static int open_dir(bool make)
{
	_cleanup_free_ char *dir = store_dir();
	struct stat st;

	if (!dir)
		return -ENOENT;
	int r = make ? make_folders(dir) : 0;
	if (r)
		return r;
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (!fstat(fd, &st) && st.st_uid == geteuid() && !(st.st_mode & 022))
		return fd;
	close(fd);
	return -EPERM;
}

// Size and hash of a file of the store; false when it is none.
static bool sum_of(int dir, const char *name, struct sum *ret)
{
	uint8_t buf[8192];
	struct stat st;
	_cleanup_close_ int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	*ret = (struct sum){.hash = HASH_START};
	if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
	    (uint64_t)st.st_size > FILE_MAX)
		return false;
	for (ssize_t n; (n = read(fd, buf, sizeof(buf))) > 0;) {
		ret->hash = hash_bytes(ret->hash, buf, (size_t)n);
		ret->size += (uint64_t)n;
	}
	return ret->size == (uint64_t)st.st_size;
}

static int write_all(int fd, const uint8_t *p, size_t n)
{
	while (n) {
		ssize_t done = write(fd, p, n);

		if (done <= 0)
			return done < 0 ? -errno : -ENOSPC;
		p += done;
		n -= (size_t)done;
	}
	return 0;
}

// Under another name first: a name of the store is never half a file. Executable: /proc/PID/exe may name it.
static int put_file(int dir, const char *name, const uint8_t *p, size_t n)
{
	char temporary[ID_MAX + 32];

	snprintf(temporary, sizeof(temporary), ".tmp-%d-%.*s", (int)getpid(), ID_MAX,
		 name);
	int fd = openat(dir, temporary,
			O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0700);
	if (fd < 0)
		return -errno;
	int r = write_all(fd, p, n);
	if (close(fd) && !r)
		r = -errno;
	if (!r && renameat(dir, temporary, dir, name))
		r = -errno;
	if (r)
		unlinkat(dir, temporary, 0);
	return r;
}

static void file_name(char *buf, size_t size, const char *id, size_t suffix)
{
	snprintf(buf, size, "%.*s%s", ID_MAX, id, suffixes[suffix]);
}

// The sums as they were written: that of the program, and of the debug file (size 0: none).
static bool read_sums(int dir, const char *id, struct sum ret[2])
{
	char name[ID_MAX + 16], text[256];

	file_name(name, sizeof(name), id, 2);
	_cleanup_close_ int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return false;
	ssize_t n = read(fd, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = 0;
	return sscanf(text, "%lu %lx\n%lu %lx\n", &ret[0].size, &ret[0].hash,
		      &ret[1].size, &ret[1].hash) == 4;
}

static bool is_whole(int dir, const char *id)
{
	struct sum want[2], got;
	char name[ID_MAX + 16];

	if (!read_sums(dir, id, want))
		return false;
	for (size_t i = 0; i < 2; i++) {
		file_name(name, sizeof(name), id, i);
		if (i && !want[i].size)
			continue;
		if (!sum_of(dir, name, &got) || got.size != want[i].size ||
		    got.hash != want[i].hash)
			return false;
	}
	return true;
}

// Somebody needs it: young again. The sum comes last, so a copy with one is whole.
static void touch(int dir, const char *id)
{
	char name[ID_MAX + 16];

	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		file_name(name, sizeof(name), id, i);
		utimensat(dir, name, NULL, AT_SYMLINK_NOFOLLOW);
	}
}

static int copy_files(int dir, const struct module *m, const char *id)
{
	char name[ID_MAX + 16], text[256];
	size_t debug_size = 0;
	const uint8_t *debug = module_debug_file(m, &debug_size);
	int r;

	file_name(name, sizeof(name), id, 2);
	unlinkat(dir, name, 0);
	file_name(name, sizeof(name), id, 0);
	r = put_file(dir, name, m->map, m->map_size);
	file_name(name, sizeof(name), id, 1);
	if (!r && debug)
		r = put_file(dir, name, debug, debug_size);
	if (r)
		return r;
	int n = snprintf(text, sizeof(text), "%zu %lx\n%zu %lx\n", m->map_size,
			 hash_bytes(HASH_START, m->map, m->map_size), debug_size,
			 hash_bytes(HASH_START, debug, debug_size));
	file_name(name, sizeof(name), id, 2);
	return put_file(dir, name, (const uint8_t *)text, (size_t)n);
}

static const char disputed[] = "disputed\n";

static bool is_disputed(int dir, const char *id)
{
	char name[ID_MAX + 16], text[sizeof(disputed)] = "";

	file_name(name, sizeof(name), id, 2);
	_cleanup_close_ int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	return fd >= 0 && read(fd, text, sizeof(text) - 1) == sizeof(text) - 1 &&
	       !strcmp(text, disputed);
}

static bool same_segment(const struct module *a, const struct module *b,
			 const struct segment *seg)
{
	// The file's own header says where its sections are: not the same in a stripped one.
	vaddr_t from = seg->addr + (seg->offset ? 0 : sizeof(Elf64_Ehdr));

	if (seg->type != PT_LOAD || from >= seg->addr + seg->filesz)
		return true;
	uint64_t n = seg->addr + seg->filesz - from;
	const uint8_t *x = module_bytes(a, from, n), *y = module_bytes(b, from, n);

	return x && y && !memcmp(x, y, n);
}

// A build-id is what a file says of itself. Whether the copy is this program.
static bool is_copy_of(const struct module *m, const char *id)
{
	_cleanup_(module_closep) struct module *kept = NULL;
	_cleanup_free_ char *in = store_dir(), *path = NULL;

	if (!in || asprintf(&path, "%s/%s", in, id) < 0)
		return false;
	struct err *e = module_open_bare(path, &kept);
	err_free(e);
	if (e || kept->segments.n != m->segments.n)
		return false;
	vec_for_each(seg, &m->segments)
		if (!same_segment(m, kept, seg))
			return false;
	return true;
}

// Two programs say that they are the same one: from now on neither is kept, or a process would go back into the other.
static struct err *dispute(int dir, const struct module *m, const char *id)
{
	char name[ID_MAX + 16];

	file_name(name, sizeof(name), id, 2);
	int r = put_file(dir, name, (const uint8_t *)disputed, strlen(disputed));
	if (r)
		unlinkat(dir, name, 0);
	return err_new(ERR_UNSUPPORTED, "another program than %s has its build-id %s",
		       m->path, id);
}

struct err *store_keep(const struct module *m, const char *id)
{
	_cleanup_close_ int dir = open_dir(true);
	int r = dir;

	if (dir >= 0 && is_id(id)) {
		touch(dir, id); // before the look: from now on nobody prunes it
		bool whole = is_whole(dir, id);

		if (is_disputed(dir, id) || (whole && !is_copy_of(m, id)))
			return dispute(dir, m, id);
		r = whole ? 0 : copy_files(dir, m, id);
	}
	if (r >= 0)
		return NULL;
	_cleanup_free_ char *path = store_dir();
	return err_sys(r, "cannot keep a copy of %s in %s", m->path, path ? path : "?");
}

bool store_find(const char *id, char **path)
{
	_cleanup_free_ char *in = store_dir();
	_cleanup_close_ int dir = open_dir(false);

	*path = NULL;
	if (dir < 0 || !in || !is_id(id) || !is_whole(dir, id))
		return false;
	if (asprintf(path, "%s/%s", in, id) < 0)
		*path = NULL;
	return *path;
}

char *store_debug_dir(const char *path)
{
	_cleanup_free_ char *dir = store_dir();
	const char *slash = strrchr(path, '/');
	size_t n = slash ? (size_t)(slash - path) : 0;

	return dir && n && strlen(dir) == n && !strncmp(dir, path, n) ? take_ptr(dir)
								      : NULL;
}

void store_names_deinit(struct store_names *n)
{
	vec_for_each(s, &n->v)
		free(*s);
	vec_free(&n->v);
}

static bool is_used(const struct store_names *used, const char *file)
{
	size_t n = strcspn(file, ".");

	vec_for_each(s, &used->v)
		if (strlen(*s) == n && !strncmp(*s, file, n))
			return true;
	return false;
}

// Visits what is stale: removes what is not used, or (used NULL) says whether there is any.
static bool visit_stale(const struct store_names *used)
{
	int fd = open_dir(false);
	_cleanup_(cleanup_dir) DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct stat st;
	bool any = false;

	if (!dir && fd >= 0)
		close(fd);
	for (const struct dirent *e; dir && (e = readdir(dir));) {
		if (fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) ||
		    !S_ISREG(st.st_mode) || time(NULL) - st.st_mtime < STALE_S)
			continue;
		any = true;
		if (used && is_used(used, e->d_name))
			utimensat(fd, e->d_name, NULL, AT_SYMLINK_NOFOLLOW);
		else if (used)
			unlinkat(fd, e->d_name, 0);
	}
	return any;
}

bool store_has_stale(void)
{
	return visit_stale(NULL);
}

void store_prune(const struct store_names *used)
{
	visit_stale(used);
}
