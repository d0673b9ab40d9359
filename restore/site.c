// SPDX-License-Identifier: LGPL-2.1-or-later
// The restore area; see site.h.
#include "restore/site.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/param.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "os/proc.h"
#include "os/ptrace.h"
#include "process/maps.h"
#include "process/wait.h"
#include "util/cleanup.h"

static const long LOOK_NS = 20000000; // between two looks whether the thread still lives
static const taddr_t USER_END = 0x7ffffffff000, PAGE = 4096;
static const taddr_t LOWEST = 1 << 20; // of a place for the area

static int by_start(const void *a, const void *b)
{
	const struct taken_range *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

// The middle of the largest gap: far from whatever grows.
static taddr_t find_place(struct taken *t, size_t size)
{
	taddr_t end = LOWEST, best = 0, best_len = 0;

	qsort(t->v.v, t->v.n, sizeof(*t->v.v), by_start);
	for (size_t i = 0; i <= t->v.n; i++) {
		taddr_t start = i < t->v.n ? MIN(t->v.v[i].start, USER_END) : USER_END;

		if (start > end && start - end > best_len) {
			best = end;
			best_len = start - end;
		}
		if (i < t->v.n)
			end = MAX(end, t->v.v[i].end);
	}
	if (best_len < size + 2 * PAGE)
		return 0;
	return roundup(best + (best_len - size) / 2, PAGE);
}

static struct err *take_own(struct taken *t)
{
	struct maps own;
	struct err *e = maps_read(getpid(), &own);

	vec_for_each(m, &own.v)
		if (!e)
			e = vec_push(&t->v, (struct taken_range){m->start, m->end});
	maps_deinit(&own);
	return e;
}

static struct err *fill(struct site *a)
{
	size_t len = (size_t)(interpreter_end - interpreter_start);

	a->fd = memfd_create("molt:restore", MFD_CLOEXEC);
	if (a->fd < 0 || ftruncate(a->fd, (off_t)a->size) < 0)
		return err_sys(errno, "cannot make the restore area");
	void *map = mmap(NULL, a->size, PROT_READ | PROT_WRITE, MAP_SHARED, a->fd, 0);
	if (map == MAP_FAILED)
		return err_sys(errno, "cannot map the restore area");
	a->map = map;
	memcpy(a->map, interpreter_start, len);
	return NULL;
}

struct err *site_create(struct taken *taken, size_t threads, size_t processes,
			struct site **ret)
{
	_cleanup_(site_freep) struct site *a = calloc(1, sizeof(*a));

	if (!a)
		return err_nomem();
	a->fd = -1;
	a->n_slots = threads + processes;
	a->n_data = processes;
	a->size = SITE_CODE + a->n_slots * SLOT_SIZE + a->n_data * SITE_DATA;
	TRY(fill(a)); // mapped before the tool's mappings are looked at
	TRY(take_own(taken));
	a->addr = find_place(taken, a->size + SITE_SPARE);
	if (!a->addr)
		return err_refuse("no-room", NULL,
				  "no free addresses for the restore area");
	a->spare = a->addr + a->size;
	*ret = take_ptr(a);
	return NULL;
}

void site_free(struct site *a)
{
	if (!a)
		return;
	if (a->map)
		munmap(a->map, a->size);
	if (a->fd >= 0)
		close(a->fd);
	free(a);
}

void site_freep(struct site **a)
{
	site_free(*a);
}

struct slot *site_slot(struct site *a)
{
	if (a->slots_used == a->n_slots)
		return NULL;
	return (struct slot *)(void *)(a->map + SITE_CODE + a->slots_used++ * SLOT_SIZE);
}

uint8_t *site_data(struct site *a)
{
	if (a->data_used == a->n_data)
		return NULL;
	return a->map + SITE_CODE + a->n_slots * SLOT_SIZE + a->data_used++ * SITE_DATA;
}

taddr_t site_at(const struct site *a, const void *place)
{
	return a->addr + (taddr_t)((const uint8_t *)place - a->map);
}

static long futex(uint32_t *word, int op, uint32_t value, const struct timespec *timeout)
{
	return syscall(SYS_futex, word, op, value, timeout, NULL, 0);
}

// A thread that neither waits nor works: ended, or stopped by a signal that no mask holds back.
static struct err *look_after(pid_t tid)
{
	struct stop s = wait_stop(tid, 0);

	switch (s.kind) {
	case STOP_NONE:
		return NULL;
	case STOP_EXITED:
	case STOP_LOST:
		return err_new(ERR_LOST, "thread %d ended while it was rebuilt", tid);
	case STOP_SIGNAL:
		if (s.sig == SIGSEGV || s.sig == SIGBUS || s.sig == SIGSYS ||
		    s.sig == SIGILL)
			return err_new(ERR_INTERNAL,
				       "thread %d got signal %d while it was rebuilt",
				       tid, s.sig);
		break;
	case STOP_EVENT:
	case STOP_GROUP:
	case STOP_CLONE:
	case STOP_EXEC:
	case STOP_SYSCALL:
	case STOP_OTHER:
		break;
	}
	os_ptrace_cont(tid, 0);
	return NULL;
}

struct err *slot_wait(struct slot *s, pid_t tid)
{
	const struct timespec nap = {0, LOOK_NS};

	for (;;) {
		uint32_t done = __atomic_load_n(&s->done, __ATOMIC_ACQUIRE);

		if (done == s->ordered)
			return NULL;
		if (futex(&s->done, FUTEX_WAIT, done, &nap) < 0 && errno == ETIMEDOUT)
			TRY(look_after(tid));
	}
}

void slot_expect(struct slot *s)
{
	s->ordered = 1;
	s->done = 0;
	s->index = 0;
	s->count = 1;
	s->all = 1;
}

static struct err *run_portion(struct slot *s, pid_t tid, struct syscall_req *reqs,
			       size_t n, bool all, size_t *done)
{
	for (size_t i = 0; i < n; i++) {
		s->calls[i].nr = (uint64_t)reqs[i].nr;
		memcpy(s->calls[i].args, reqs[i].args, sizeof(reqs[i].args));
	}
	s->count = (uint32_t)n;
	s->all = all;
	__atomic_store_n(&s->ordered, s->ordered + 1, __ATOMIC_RELEASE);
	futex(&s->ordered, FUTEX_WAKE, INT_MAX, NULL);
	TRY(slot_wait(s, tid));
	*done = MIN(s->index, n); // the process can write there, too
	for (size_t i = 0; i < *done; i++)
		reqs[i].ret = s->calls[i].ret;
	return NULL;
}

struct err *slot_run(struct slot *s, pid_t tid, struct syscall_req *reqs, size_t n,
		     bool all, size_t *done)
{
	*done = 0;
	for (size_t i = 0; i < n; i += SLOT_MAX) {
		size_t portion = MIN(n - i, SLOT_MAX), ran = 0;

		TRY(run_portion(s, tid, reqs + i, portion, all, &ran));
		*done += ran;
		if (ran < portion || (!all && reqs[i + ran - 1].ret < 0))
			return NULL;
	}
	return NULL;
}
