// SPDX-License-Identifier: LGPL-2.1-or-later
// The shared decision of several commits; see decision.h.
#include "process/decision.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "arch/x86_64/payload.h"
#include "process/maps.h"
#include "util/cleanup.h"

static struct err *map_here(struct decision *d)
{
	d->fd = memfd_create(DECISION_NAME, MFD_CLOEXEC);
	if (d->fd < 0 || ftruncate(d->fd, PAYLOAD_PAGE) < 0)
		return err_sys(errno, "cannot make a memory file");
	void *at = mmap(NULL, PAYLOAD_PAGE, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_POPULATE, d->fd, 0);
	if (at == MAP_FAILED)
		return err_sys(errno, "cannot map a memory file");
	d->word = at;
	*d->word = COMMIT_UNDECIDED;
	return NULL;
}

struct err *decision_create(struct decision **ret)
{
	_cleanup_(decision_freep) struct decision *d = calloc(1, sizeof(*d));

	if (!d)
		return err_nomem();
	d->fd = -1;
	TRY(map_here(d));
	*ret = take_ptr(d);
	return NULL;
}

struct err *decision_map(const struct decision *d, struct helper *h, taddr_t *ret)
{
	int64_t ignored;
	int rfd;

	TRY(helper_give_fd(h, d->fd, &rfd));
	struct err *e = helper_mmap(h, 0, PAYLOAD_PAGE, PROT_READ | PROT_WRITE,
				    MAP_SHARED, rfd, 0, ret);
	// Only spares a page fault later.
	if (!e)
		e = helper_syscall(h, SYS_madvise,
				   (uint64_t[6]){*ret, PAYLOAD_PAGE, MADV_POPULATE_WRITE},
				   &ignored);
	return err_first(e, helper_close(h, rfd));
}

struct err *decision_unmap(const struct process *p, struct helper *h)
{
	static const char name[] = "/memfd:" DECISION_NAME;
	_cleanup_(maps_deinit) struct maps maps = {0};

	TRY(maps_read(p->pid, &maps));
	vec_for_each(m, &maps.v)
		if (m->shared && !strncmp(m->path, name, sizeof(name) - 1))
			TRY(helper_munmap(h, m->start, m->end - m->start));
	return NULL;
}

void decision_free(struct decision *d)
{
	if (!d)
		return;
	if (d->word)
		munmap(d->word, PAYLOAD_PAGE);
	if (d->fd >= 0)
		close(d->fd);
	free(d);
}

void decision_freep(struct decision **d)
{
	decision_free(*d);
}
