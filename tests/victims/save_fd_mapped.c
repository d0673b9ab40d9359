// SPDX-License-Identifier: LGPL-2.1-or-later
// Descriptors and mappings of the same memory: memfds (sealed, too), a deleted file, one of /dev/shm.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "tests/victims/self.h"

enum { SIZE = 1 << 20 };

static struct {
	const char *what;
	int fd;
	char *map;
} m[4];

static int later;
static char round_;

static void check(void)
{
	char buf[8] = {0};
	struct stat st;

	for (int i = 0; i < 4; i++) {
		expect(pread(m[i].fd, buf, 4, 4096) == 4 && !memcmp(buf, "text", 4), "%s: '%s'",
		       m[i].what, buf);
		expect(!memcmp(m[i].map + 4096, "text", 4), "%s: its mapping", m[i].what);
		must(fstat(m[i].fd, &st));
		expect(st.st_size == SIZE, "%s: size %ld", m[i].what, (long)st.st_size);
		m[i].map[100] = ++round_;
		expect(pread(m[i].fd, buf, 1, 100) == 1 && buf[0] == round_,
		       "%s: what is written to the mapping is not in the file", m[i].what);
		buf[0] = ++round_;
		must(pwrite(m[i].fd, buf, 1, 101));
		expect(m[i].map[101] == round_, "%s: what is written to the file is not mapped",
		       m[i].what);
	}
	expect(fcntl(m[1].fd, F_GET_SEALS) == (F_SEAL_GROW | F_SEAL_SHRINK), "seals %#x",
	       fcntl(m[1].fd, F_GET_SEALS));
	expect(pread(later, buf, 4, SIZE / 2) == 4 && !memcmp(buf, "half", 4), "half: '%s'", buf);
}

static void add(int i, const char *what, int fd)
{
	m[i].what = what;
	m[i].fd = fd;
	must(ftruncate(fd, SIZE));
	m[i].map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must(m[i].map == MAP_FAILED ? -1 : 0);
	memcpy(m[i].map + 4096, "text", 4);
}

int main(void)
{
	char name[64];

	self_block();
	add(0, "memfd", must(memfd_create("mapped", 0)));
	add(1, "sealed", must(memfd_create("sealed", MFD_ALLOW_SEALING)));
	must(fcntl(m[1].fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK));
	add(2, "deleted file", must(open("gone", O_CREAT | O_RDWR, 0600)));
	must(unlink("gone"));
	snprintf(name, sizeof(name), "/molt-victim-%d", getpid());
	add(3, "shared memory", must(shm_open(name, O_CREAT | O_RDWR, 0600)));
	must(shm_unlink(name));
	// Only its first page is mapped.
	later = must(memfd_create("half", 0));
	must(ftruncate(later, SIZE));
	must(pwrite(later, "half", 4, SIZE / 2));
	must(mmap(NULL, 4096, PROT_READ, MAP_SHARED, later, 0) == MAP_FAILED ? -1 : 0);
	self_run(check);
}
