// SPDX-License-Identifier: LGPL-2.1-or-later
// Room behind a module's text; see slack.h.
#include "process/slack.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/param.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/proc.h"
#include "os/vm.h"
#include "util/cleanup.h"

enum { PAGE = 4096, ALIGN = 16, PHDRS_MAX = 64 };

// The file as it is mapped, whatever its path names by now; -errno when that is not allowed.
static int open_mapped(pid_t pid, const struct mapping *m)
{
	char name[PATH_MAX];
	struct stat st;

	snprintf(name, sizeof(name), "map_files/%" PRIx64 "-%" PRIx64, m->start, m->end);
	int fd = os_proc_open(pid, 0, name, O_RDONLY);
	if (fd != -EPERM && fd != -EACCES)
		return fd;
	// Without CAP_CHECKPOINT_RESTORE the link is closed even for one's own process: the path will do, if
	// it names the same file still.
	if ((size_t)snprintf(name, sizeof(name), "root%s", m->path) >= sizeof(name))
		return -ENAMETOOLONG;
	fd = os_proc_open(pid, 0, name, O_RDONLY);
	if (fd >= 0 && (fstat(fd, &st) || st.st_ino != m->ino)) {
		close(fd);
		return -ESTALE;
	}
	return fd;
}

static bool read_phdrs(int fd, Elf64_Phdr *ph, size_t *n)
{
	Elf64_Ehdr h;

	if (os_pread(fd, &h, sizeof(h), 0) != sizeof(h) ||
	    memcmp(h.e_ident, ELFMAG, SELFMAG) || h.e_ident[EI_CLASS] != ELFCLASS64 ||
	    h.e_machine != EM_X86_64 || h.e_phentsize != sizeof(*ph) ||
	    h.e_phnum > PHDRS_MAX || h.e_phoff > INT64_MAX)
		return false;
	*n = h.e_phnum;
	ssize_t bytes = (ssize_t)(*n * sizeof(*ph));
	return os_pread(fd, ph, (size_t)bytes, h.e_phoff) == bytes;
}

// The run-time end of the text that the mapping shows, or 0.
static taddr_t text_end(pid_t pid, const struct mapping *m)
{
	_cleanup_close_ int fd = open_mapped(pid, m);
	Elf64_Phdr ph[PHDRS_MAX];
	size_t n;

	if (fd < 0 || !read_phdrs(fd, ph, &n))
		return 0;
	for (size_t i = 0; i < n; i++) {
		uint64_t file_end;

		if (ph[i].p_type != PT_LOAD || !(ph[i].p_flags & PF_X) ||
		    ph[i].p_filesz != ph[i].p_memsz ||
		    __builtin_add_overflow(ph[i].p_offset, ph[i].p_filesz, &file_end) ||
		    ph[i].p_offset / PAGE * PAGE != m->offset || file_end < m->offset)
			continue;
		uint64_t into = file_end - m->offset;
		return into < m->end - m->start ? m->start + into : 0;
	}
	return 0;
}

struct err *slack_list(pid_t pid, const struct maps *maps, size_t size,
		       struct slack_slots *ret)
{
	size_t step = roundup(size, ALIGN);

	memset(ret, 0, sizeof(*ret));
	// From the top: libraries first, so that the program's own text stays as its file has it.
	for (size_t i = maps->v.n; i-- > 0;) {
		const struct mapping *m = &maps->v.v[i];

		if (m->shared || !m->ino ||
		    (m->prot & (PROT_EXEC | PROT_WRITE)) != PROT_EXEC)
			continue;
		taddr_t at = roundup(text_end(pid, m), ALIGN);
		// The rest of one page: a mapping that is longer shows something else there.
		if (!at || at / PAGE != (m->end - 1) / PAGE)
			continue;
		for (; at < m->end && m->end - at >= step; at += step)
			TRY(vec_push(&ret->v, at));
	}
	return NULL;
}
