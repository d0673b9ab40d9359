// SPDX-License-Identifier: LGPL-2.1-or-later
// Every kind of memory: contents, protections, properties, and what is shared with what.
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/victims/self.h"

enum { PAGE = 4096, MB = 1 << 20 };

static uint32_t rounds; // of checks

static uint8_t pattern(size_t page, uint32_t seed)
{
	return (uint8_t)(page * 31 + seed * 7 + 1);
}

static void fill(uint8_t *p, size_t len, uint32_t seed)
{
	for (size_t i = 0; i < len; i += PAGE)
		memset(p + i, pattern(i / PAGE, seed), PAGE);
}

static void same(const char *what, const uint8_t *p, size_t len, uint32_t seed)
{
	for (size_t i = 0; i < len; i += 512)
		expect(p[i] == pattern(i / PAGE, seed), "%s: byte %zu is %u, not %u", what,
		       i, p[i], pattern(i / PAGE, seed));
}

static uint8_t *map(size_t len, int prot, int flags, int fd, off_t at)
{
	return must(mmap(NULL, len, prot, flags, fd, at));
}

enum { RW = PROT_READ | PROT_WRITE };
static uint8_t *anon, *big, *part_file, *shared_file, *shared_anon, *sysv, *shm_a, *shm_b,
	*memory_file, *none, *readonly, *locked, *thp, *dontfork, *dontdump, *wipe, *huge,
	*stack, *deleted, *program;
static int shm_id, memfd;
enum { BIG = 1 << 30 };

static int make_file(const char *name, uint32_t seed, size_t len)
{
	int fd = must(open(name, O_RDWR | O_CREAT | O_EXCL, 0600));
	uint8_t page[PAGE];

	for (size_t i = 0; i < len; i += PAGE) {
		memset(page, pattern(i / PAGE, seed), PAGE);
		must(write(fd, page, PAGE));
	}
	return fd;
}

static void set_up_files(void)
{
	int fd = make_file("private", 10, 16 * PAGE);

	part_file = map(16 * PAGE, RW, MAP_PRIVATE, fd, 0);
	memset(part_file + 3 * PAGE, 0, PAGE);
	memset(part_file + 5 * PAGE, 99, PAGE);
	close(fd);
	fd = make_file("shared", 11, 8 * PAGE);
	shared_file = map(8 * PAGE, RW, MAP_SHARED, fd, 0);
	memset(shared_file + PAGE, 55, PAGE);
	close(fd);
	fd = make_file("deleted", 12, 4 * PAGE);
	deleted = map(4 * PAGE, RW, MAP_PRIVATE, fd, 0);
	memset(deleted, 77, PAGE);
	close(fd);
	must(unlink("deleted"));
}

static void set_up_shared(void)
{
	char name[64];

	shared_anon = map(2 * MB, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	fill(shared_anon, MB, 20);
	shm_id = must(shmget(IPC_PRIVATE, MB, IPC_CREAT | 0600));
	sysv = must((uint8_t *)shmat(shm_id, NULL, 0));
	fill(sysv, MB, 21);
	must(shmctl(shm_id, IPC_RMID, NULL)); // it goes with its last user
	snprintf(name, sizeof(name), "/molt-victim-%d", getpid());
	int fd = must(shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600));
	must(ftruncate(fd, MB));
	shm_a = map(MB, RW, MAP_SHARED, fd, 0);
	shm_b = map(MB / 2, PROT_READ, MAP_SHARED, fd, MB / 2);
	must(shm_unlink(name));
	close(fd);
	fill(shm_a, MB, 22);
	memfd = must(memfd_create("victim", 0));
	must(ftruncate(memfd, MB));
	memory_file = map(MB, RW, MAP_SHARED, memfd, 0);
	fill(memory_file, MB, 23);
}

static void set_up_properties(void)
{
	none = map(4 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	fill(none, 4 * PAGE, 30);
	must(mprotect(none, 4 * PAGE, PROT_NONE));
	readonly = map(4 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	fill(readonly, 4 * PAGE, 31);
	must(mprotect(readonly, 4 * PAGE, PROT_READ));
	locked = map(8 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	fill(locked, 8 * PAGE, 32);
	must(mlock(locked, 8 * PAGE));
	thp = map(8 * MB, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	madvise(thp, 8 * MB, MADV_HUGEPAGE);
	fill(thp, 8 * MB, 33);
	dontfork = map(4 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	fill(dontfork, 4 * PAGE, 34);
	must(madvise(dontfork, 4 * PAGE, MADV_DONTFORK));
	dontdump = map(4 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	fill(dontdump, 4 * PAGE, 35);
	must(madvise(dontdump, 4 * PAGE, MADV_DONTDUMP));
	wipe = map(4 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	fill(wipe, 4 * PAGE, 36);
	must(madvise(wipe, 4 * PAGE, MADV_WIPEONFORK));
	stack = map(16 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN, -1, 0);
	fill(stack, 16 * PAGE, 37);
	huge = mmap(NULL, 2 * MB, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	if (huge == MAP_FAILED)
		huge = NULL; // no pages to be had
	else
		fill(huge, 2 * MB, 38);
	program = map(PAGE, RW | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memcpy(program, "\xb8\x2a\0\0\0\xc3", 6); // mov $42, %eax; ret
}

static size_t flag_count(const void *addr, const char *flag)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	char line[512], want[8];
	uintptr_t start, end;
	bool here = false, found = false;

	snprintf(want, sizeof(want), " %s", flag);
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			here = (uintptr_t)addr >= start && (uintptr_t)addr < end;
		if (here && !strncmp(line, "VmFlags:", 8) && strstr(line, want))
			found = true;
	}
	if (f)
		fclose(f);
	return found;
}

static bool readable(const void *p)
{
	int fd[2];

	must(pipe(fd));
	bool ok = write(fd[1], p, 1) == 1;
	close(fd[0]);
	close(fd[1]);
	return ok;
}

static bool writable(void *p) // by the kernel, which gives EFAULT
{
	int fd[2];

	must(pipe(fd));
	must(write(fd[1], p, 1) == 1 ? 0 : write(fd[1], "x", 1));
	bool ok = read(fd[0], p, 1) == 1;
	close(fd[0]);
	close(fd[1]);
	return ok;
}

static void check_files(void)
{
	uint8_t page[PAGE];

	same("private file", part_file, 3 * PAGE, 10);
	expect(part_file[3 * PAGE] == 0, "private file: zeros are gone");
	expect(part_file[5 * PAGE + 9] == 99, "private file: a written page is gone");
	expect(part_file[15 * PAGE] == pattern(15, 10), "private file: its end");
	expect(shared_file[PAGE] == 55, "shared file: what was written");
	shared_file[2 * PAGE] = (uint8_t)rounds;
	int fd = open("shared", O_RDONLY);
	expect(fd >= 0 && pread(fd, page, PAGE, 2 * PAGE) == PAGE &&
		       page[0] == (uint8_t)rounds,
	       "shared file: writes do not reach the file");
	close(fd);
	expect(deleted[0] == 77 && deleted[PAGE] == pattern(1, 12), "deleted file");
}

static void check_shared(void)
{
	uint8_t byte;

	same("shared anonymous", shared_anon, MB, 20);
	expect(shared_anon[MB + 5] == 0, "shared anonymous: untouched part");
	struct shmid_ds ds;

	same("System V", sysv, MB, 21);
	expect(!shmctl(shm_id, IPC_STAT, &ds) && ds.shm_nattch == 1,
	       "System V: segment %d is not attached", shm_id);
	same("shm", shm_a, MB / 2, 22);
	shm_a[MB / 2] = (uint8_t)rounds;
	expect(shm_b[0] == (uint8_t)rounds, "shm: two mappings of it are two things now");
	same("memfd", memory_file, MB - PAGE, 23);
	memory_file[MB - 1] = (uint8_t)rounds;
	expect(pread(memfd, &byte, 1, MB - 1) == 1 && byte == (uint8_t)rounds,
	       "memfd: mapping and descriptor are two things now");
	pid_t child = fork();
	if (!child) {
		shared_anon[MB + 9] = (uint8_t)(rounds + 3);
		_exit(0);
	}
	waitpid(child, NULL, 0);
	expect(shared_anon[MB + 9] == (uint8_t)(rounds + 3),
	       "shared anonymous: a child does not share it");
}

static void check_child(void)
{
	int status = 0;
	pid_t child = fork();

	if (!child) {
		if (wipe[0] || wipe[PAGE])
			_exit(2);
		if (readable(dontfork))
			_exit(3);
		if (anon[7 * PAGE] != pattern(7, 1))
			_exit(4);
		_exit(0);
	}
	waitpid(child, &status, 0);
	expect(WIFEXITED(status) && WEXITSTATUS(status) == 0,
	       "a child sees wrong memory (status %#x)", status);
}

static void check_properties(void)
{
	expect(!readable(none), "PROT_NONE can be read");
	expect(!writable(readonly), "PROT_READ can be written");
	same("PROT_READ", readonly, 4 * PAGE, 31);
	must(mprotect(none, 4 * PAGE, PROT_READ));
	same("PROT_NONE", none, 4 * PAGE, 30);
	must(mprotect(none, 4 * PAGE, PROT_NONE));
	same("locked", locked, 8 * PAGE, 32);
	expect(flag_count(locked, "lo"), "the lock of memory is gone");
	same("huge pages", thp, 8 * MB, 33);
	expect(flag_count(thp + MB, "hg"), "MADV_HUGEPAGE is gone");
	same("DONTFORK", dontfork, 4 * PAGE, 34);
	same("WIPEONFORK", wipe, 4 * PAGE, 36);
	expect(flag_count(dontdump, "dd"), "MADV_DONTDUMP is gone");
	same("GROWSDOWN", stack, 16 * PAGE, 37);
	expect(flag_count(stack + PAGE, "gd"), "MAP_GROWSDOWN is gone");
	if (huge)
		same("hugetlb", huge, 2 * MB, 38);
	expect(((int (*)(void))(void *)program)() == 42, "code that it made");
}

static void check(void)
{
	rounds++;
	same("anonymous", anon, 4 * MB, 1);
	for (size_t i = 0; i < BIG; i += BIG / 16)
		expect(big[i] == pattern(i / PAGE, 2) && big[i + 3 * PAGE] == 0,
		       "sparse memory at %zu", i);
	check_files();
	check_shared();
	check_child();
	check_properties();
}

int main(void)
{
	anon = map(4 * MB, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	fill(anon, 4 * MB, 1);
	big = map(BIG, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	for (size_t i = 0; i < BIG; i += BIG / 16)
		memset(big + i, pattern(i / PAGE, 2), PAGE);
	set_up_files();
	set_up_shared();
	set_up_properties();
	self_run(check);
}
