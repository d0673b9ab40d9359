// SPDX-License-Identifier: LGPL-2.1-or-later
// See tracker.h.
#include "process/tracker.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/uapi.h"
#include "util/cleanup.h"

struct tracker {
	int fd;
};

void tracker_free(struct tracker *t)
{
	if (!t)
		return;
	if (t->fd >= 0)
		close(t->fd);
	free(t);
}

static struct err *unsupported(int errnum)
{
	return err_with(err_sys(errnum, "writes cannot be tracked"), "no-write-tracking",
			NULL);
}

// The target's own descriptor of it is closed at once: only the tool has it then.
static struct err *make(struct helper *h, int *fd)
{
	int64_t r;

	TRY(helper_syscall(h, SYS_userfaultfd,
			   (uint64_t[6]){O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY},
			   &r));
	if (r < 0)
		return unsupported((int)r);
	struct err *e = helper_take_fd(h, (int)r, fd);
	return err_first(e, helper_close(h, (int)r));
}

struct err *tracker_create(struct process *p, struct helper *h, struct tracker **ret)
{
	struct uffdio_api api = {.api = UFFD_API,
				 .features = UFFD_FEATURE_WP_ASYNC |
					     UFFD_FEATURE_WP_UNPOPULATED};
	struct tracker *t = malloc(sizeof(*t));

	(void)p;
	if (!t)
		return err_nomem();
	t->fd = -1;
	struct err *e = make(h, &t->fd);
	if (!e && ioctl(t->fd, UFFDIO_API, &api) < 0)
		e = unsupported(errno);
	if (e)
		tracker_free(t);
	else
		*ret = t;
	return e;
}

bool tracker_register(struct tracker *t, const struct mapping *m)
{
	struct uffdio_register r = {.range = {m->start, m->end - m->start},
				    .mode = UFFDIO_REGISTER_MODE_WP};

	return !m->shared && ioctl(t->fd, UFFDIO_REGISTER, &r) == 0;
}

void tracker_leave(struct tracker *t, taddr_t addr, uint64_t len)
{
	struct uffdio_writeprotect w = {.range = {addr, len}};

	ioctl(t->fd, UFFDIO_WRITEPROTECT, &w); // else it costs the fault
}
