// SPDX-License-Identifier: LGPL-2.1-or-later
// Regular files and their like: offsets, flags, deleted and unnamed files with holes, directories half read, devices,
// files of /proc, O_PATH.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "tests/victims/self.h"

enum { HOLE = 1 << 20 };

static int plain, appended, read_only, write_only, deleted, deleted2, unnamed, direct, sparse;
static int folder, null, urandom, zero, status, path, link_path, limits;
static char folder_rest[4096];
static long folder_len;

static int make(const char *name, const char *text, int flags)
{
	int fd = must(open(name, O_CREAT | O_TRUNC | O_WRONLY, 0640));

	must(write(fd, text, strlen(text)));
	close(fd);
	return must(open(name, flags));
}

static void expect_flags(int fd, int flags, const char *what)
{
	int now = fcntl(fd, F_GETFL) & ~0100000; // O_LARGEFILE

	expect(now == flags, "%s: flags %#o, not %#o", what, now, flags);
}

static void expect_offset(int fd, off_t at, const char *what)
{
	off_t now = lseek(fd, 0, SEEK_CUR);

	expect(now == at, "%s: offset %ld, not %ld", what, (long)now, (long)at);
}

static void expect_text(int fd, off_t at, const char *text, const char *what)
{
	char buf[64] = {0};
	ssize_t n = pread(fd, buf, strlen(text), at);

	expect(n == (ssize_t)strlen(text) && !strcmp(buf, text), "%s: reads '%s' (%zd)", what,
	       buf, n);
}

static void check_files(void)
{
	expect_offset(plain, 7, "plain");
	expect_text(plain, 7, "lain", "plain");
	expect_flags(plain, O_RDWR | O_NONBLOCK, "plain");
	expect_flags(appended, O_WRONLY | O_APPEND, "appended");
	expect_flags(read_only, O_RDONLY | O_NOATIME, "read_only");
	expect(write(read_only, "x", 1) < 0 && errno == EBADF, "read_only can be written");
	expect_flags(write_only, O_WRONLY | O_SYNC, "write_only");
	expect_offset(write_only, 100, "write_only");
	expect_flags(direct, O_RDWR | O_DIRECT, "direct");
	expect(fcntl(plain, F_GETFD) == FD_CLOEXEC, "plain: not close-on-exec");
	expect(fcntl(appended, F_GETFD) == 0, "appended: close-on-exec");
}

static void check_deleted(void)
{
	struct stat a, b;

	expect_text(deleted, 0, "nobody sees me", "deleted");
	expect_offset(deleted, 3, "deleted");
	expect_offset(deleted2, 6, "deleted, opened twice");
	must(fstat(deleted, &a));
	must(fstat(deleted2, &b));
	expect(a.st_ino == b.st_ino && a.st_dev == b.st_dev, "deleted: two files now");
	expect(a.st_nlink == 0, "deleted: it has a name");
	expect((a.st_mode & 0777) == 0640, "deleted: mode %o", a.st_mode);
	expect_text(unnamed, 0, "unnamed", "unnamed");
	must(fstat(sparse, &a));
	expect(a.st_size == 3 * HOLE, "sparse: size %ld", (long)a.st_size);
	expect(a.st_blocks * 512 < HOLE, "sparse: no hole any more");
	expect_text(sparse, 2 * HOLE, "in the middle", "sparse");
	// What one writes the other reads.
	must(pwrite(deleted, "N", 1, 0));
	expect_text(deleted2, 0, "Nobody", "deleted, written by the other");
	must(pwrite(deleted, "n", 1, 0));
}

static void check_folder(void)
{
	char buf[sizeof(folder_rest)] = {0}; // padding of entries stays as it is
	off_t at = lseek(folder, 0, SEEK_CUR);
	long n = syscall(SYS_getdents64, folder, buf, sizeof(buf));

	expect(n == folder_len, "folder: %ld bytes, not %ld", n, folder_len);
	expect(n < 0 || !memcmp(buf, folder_rest, (size_t)n), "folder: other entries");
	must(lseek(folder, at, SEEK_SET));
}

static void check_others(void)
{
	char buf[4096] = {0}, name[64];
	struct stat st;

	expect(write(null, "x", 1) == 1, "null");
	expect(read(zero, buf, 1) == 1 && !buf[0], "zero");
	expect(read(urandom, buf, 8) == 8, "urandom");
	expect(pread(status, buf, sizeof(buf) - 1, 0) > 0, "status: %m");
	snprintf(name, sizeof(name), "\nPid:\t%d\n", getpid());
	expect(strstr(buf, name), "status is another process's");
	must(lseek(limits, 0, SEEK_SET));
	expect(read(limits, buf, 10) == 10 && !memcmp(buf, "Limit", 5), "limits");
	expect(!fstat(path, &st) && S_ISREG(st.st_mode), "path: mode %o", st.st_mode);
	expect(read(path, buf, 1) < 0 && errno == EBADF, "path can be read");
	expect(!fstat(link_path, &st) && S_ISLNK(st.st_mode), "link: mode %o", st.st_mode);
}

static void check(void)
{
	check_files();
	check_deleted();
	check_folder();
	check_others();
}

static void set_up_folder(void)
{
	char buf[80];

	must(mkdir("folder", 0700));
	for (int i = 0; i < 40; i++) {
		snprintf(buf, sizeof(buf), "folder/a rather long name of a file %d", i);
		close(must(open(buf, O_CREAT | O_WRONLY, 0600)));
	}
	folder = must(open("folder", O_RDONLY | O_DIRECTORY));
	must(syscall(SYS_getdents64, folder, folder_rest, 600));
	off_t at = lseek(folder, 0, SEEK_CUR);
	memset(folder_rest, 0, sizeof(folder_rest));
	folder_len = must(syscall(SYS_getdents64, folder, folder_rest, sizeof(folder_rest)));
	must(lseek(folder, at, SEEK_SET));
}

int main(void)
{
	self_block();
	plain = make("plain", "I am plain", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	must(lseek(plain, 7, SEEK_SET));
	must(pwrite(plain, "lain", 4, 7));
	appended = make("appended", "more", O_WRONLY | O_APPEND);
	read_only = make("read_only", "look", O_RDONLY | O_NOATIME);
	write_only = make("write_only", "", O_WRONLY | O_SYNC);
	must(lseek(write_only, 100, SEEK_SET));
	direct = make("direct", "d", O_RDWR | O_DIRECT);
	deleted = make("deleted", "nobody sees me", O_RDWR);
	deleted2 = must(open("deleted", O_RDONLY));
	must(lseek(deleted, 3, SEEK_SET));
	must(lseek(deleted2, 6, SEEK_SET));
	must(unlink("deleted"));
	unnamed = must(open(".", O_TMPFILE | O_RDWR, 0600));
	must(write(unnamed, "unnamed", 7));
	sparse = make("sparse", "", O_RDWR);
	must(ftruncate(sparse, 3 * HOLE));
	must(pwrite(sparse, "in the middle", 13, 2 * HOLE));
	must(unlink("sparse"));
	set_up_folder();
	null = must(open("/dev/null", O_WRONLY));
	zero = must(open("/dev/zero", O_RDONLY));
	urandom = must(open("/dev/urandom", O_RDONLY));
	status = must(open("/proc/self/status", O_RDONLY));
	limits = must(open("/proc/thread-self/limits", O_RDONLY));
	path = must(open("plain", O_PATH));
	must(symlink("plain", "link"));
	link_path = must(open("link", O_PATH | O_NOFOLLOW));
	self_run(check);
}
