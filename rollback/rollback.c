// SPDX-License-Identifier: LGPL-2.1-or-later
// The order of a rollback.
//
// All or nothing: in the stop every thread stands in the area of process/ask.h. All that is new is staged beside: bytes in
// memory that the process shares with molt, mappings at free places, descriptors at free numbers, threads that wait; whatever
// ends the tool until then, the process's own first thread takes these steps back, and all go on as they were. Then one word
// decides, and the first thread executes the list of all changes, without the tool if need be; no step of it asks the system
// for anything that it may refuse a process which had it before. There is no moment at which a mixture could go on.
#include "rollback/rollback.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/proc.h"
#include "process/commit.h"
#include "rollback/impl.h"

static const uint64_t FREEZE_NS = 5000000000;
enum {
	ROOM = 1 << 20,
	SPARE_THREADS = 64,
	STAGE_FIRST = 4 << 20,
	STAGE_STOP = 2 << 20, // for lists, and pages written while memory was compared
};

void rollback_result_deinit(struct rollback_result *r)
{
	vec_for_each(n, &r->notes)
		free(*n);
	vec_free(&r->notes);
}

static void say(const struct rollback *rb, const char *text)
{
	if (rb->opt->progress)
		rb->opt->progress(rb->opt->arg, text);
}

static struct err *interrupted(const struct rollback *rb)
{
	if (!rb->opt->interrupted || !rb->opt->interrupted(rb->opt->arg))
		return NULL;
	return err_with(err_new(ERR_BUSY, "interrupted; the process goes on"),
			"interrupted", NULL);
}

static struct err *find_core(struct rollback *rb, pid_t pid)
{
	vec_for_each(c, &rb->checkpoint->cores) {
		pid_t saved;

		TRY(json_get_pid(core_state(*c), "pid", &saved));
		if (saved == pid)
			rb->core = *c;
	}
	if (!rb->core)
		return err_refuse("other-process", NULL, "checkpoint %s has no process %d",
				  rb->checkpoint->id, pid);
	rb->state = core_state(rb->core);
	rb->objects = core_objects(rb->checkpoint->cores.v[0]);
	rb->build.core = rb->core;
	rb->build.state = rb->state;
	return NULL;
}

static struct err *lock_process(struct rollback *rb, pid_t pid)
{
	rb->lock = os_proc_lock(pid);
	if (rb->lock == -EWOULDBLOCK)
		return err_with(err_new(ERR_BUSY, "another molt works on process %d", pid),
				"busy", NULL);
	return NULL; // a process that is gone is told of by process_open
}

// What can be refused without touching the process.
static struct err *look(struct rollback *rb, pid_t pid)
{
	TRY(find_core(rb, pid));
	TRY(lock_process(rb, pid));
	TRY(process_open(pid, &rb->p));
	memcpy(rb->ret->comm, rb->p->comm, sizeof(rb->ret->comm));
	TRY(check_same_process(rb, pid));
	TRY(space_parse(&rb->build));
	rb->mem = os_proc_open(pid, 0, "mem", O_RDWR);
	if (rb->mem < 0)
		return err_sys(rb->mem, "cannot open the memory of process %d", pid);
	return pagemap_open(pid, &rb->pagemap);
}

static struct err *enter(struct rollback *rb)
{
	struct commit_leftover leftover = {0};
	_cleanup_free_ pid_t *tids = NULL;
	taddr_t base;
	const json_t *saved;
	size_t n = 0;

	TRY(hole_base(rb, &base));
	TRY(helper_start(rb->p, base, &rb->h));
	TRY(commit_recover(rb->p, rb->h, &leftover));
	TRY(json_get_array(rb->state, "threads", 1 << 16, &saved));
	int r = os_proc_tasks(rb->p->pid, &tids, &n);
	if (r < 0)
		return err_sys(r, "cannot list the threads of process %d", rb->p->pid);
	TRY(ask_create_journal(rb->p, rb->h, ROOM,
			       n + json_array_size(saved) + SPARE_THREADS, &rb->r));
	say(rb, "comparing memory");
	TRY(stage_reserve(rb, STAGE_FIRST));
	TRY(pages_compare_early(rb));
	return stage_reserve(rb, STAGE_STOP);
}

static struct err *plan(struct rollback *rb)
{
	uint64_t start;

	TRY(ask_gather(rb->r, rb->p->pid));
	TRY(threads_plan_all(rb));
	TRY(limits_plan(rb, true));
	start = monotonic_ns();
	TRY(space_plan(rb));
	rb->ret->compare_ns = monotonic_ns() - start;
	TRY(descriptors_plan(rb));
	TRY(general_plan(rb));
	TRY(timers_plan(rb));
	TRY(limits_plan(rb, false));
	return threads_finish(rb);
}

static struct err *stop(struct rollback *rb, bool *decided)
{
	uint64_t first = 0, last = 0;

	process_boost(rb->p);
	TRY(process_freeze(rb->p, monotonic_ns() + FREEZE_NS, &first));
	struct err *e = plan(rb);
	if (!e)
		e = ask_decide(rb->r, decided);
	if (!*decided)
		e = err_first(e, ask_scatter(rb->r));
	e = err_first(e, process_thaw(rb->p, &last));
	process_unboost(rb->p);
	rb->ret->stop_ns = last - first;
	return e;
}

static struct err *judge(struct rollback *rb)
{
	size_t failed = 0;

	TRY(calls_judge(rb, &rb->calls, "process", &failed));
	for (size_t i = 1; i < rb->threads.n; i++)
		TRY(calls_judge(rb, &rb->threads.v[i].calls, "thread", &failed));
	return failed ? err_with(err_new(ERR_INTERNAL,
					 "process %d (%s) was put back, but %zu steps "
					 "failed; the notes name them",
					 rb->p->pid, rb->p->comm, failed),
				 "rolled-back-in-part", rb->p->comm)
		      : NULL;
}

// The process running again.
static struct err *leave(struct rollback *rb)
{
	struct err *e = NULL;

	tracker_free(rb->tracker);
	rb->tracker = NULL;
	if (rb->h) {
		e = stage_unmap(rb);
		e = err_first(e, ask_free(rb->r));
		rb->r = NULL;
	}
	helper_stop(rb->h);
	rb->h = NULL;
	return e;
}

static void deinit(struct rollback *rb)
{
	err_free(leave(rb));
	stage_deinit(rb);
	process_close(rb->p);
	pagemap_close(&rb->pagemap);
	vmas_deinit(&rb->vmas);
	ranges_deinit(&rb->equal);
	vec_for_each(r, &rb->present)
		ranges_deinit(r);
	vec_free(&rb->present);
	vec_free(&rb->staged);
	space_free(rb->build.space);
	vec_for_each(t, &rb->threads)
		calls_deinit(&t->calls);
	vec_free(&rb->threads);
	calls_deinit(&rb->calls);
	restoring_deinit(&rb->restoring);
	vec_for_each(n, &rb->restoring.notes)
		free(*n);
	vec_free(&rb->restoring.notes);
	json_decref(rb->wanted);
	if (rb->mem >= 0)
		close(rb->mem);
	if (rb->lock >= 0)
		close(rb->lock);
}

static struct err *run(struct rollback *rb, pid_t pid)
{
	bool decided = false;

	TRY(look(rb, pid));
	TRY(interrupted(rb));
	TRY(enter(rb));
	TRY(interrupted(rb));
	struct err *e = stop(rb, &decided);
	if (decided)
		e = err_first(e, judge(rb));
	if (decided && rb->wanted && rb->restoring.files)
		e = err_first(e, restoring_start(&rb->restoring));
	return err_first(e, leave(rb));
}

struct err *rollback_run(pid_t pid, const struct checkpoint *c,
			 const struct rollback_options *opt, struct rollback_result *ret)
{
	struct rollback rb = {
		.opt = opt, .ret = ret, .checkpoint = c, .mem = -1, .lock = -1};
	uint64_t start = monotonic_ns();

	rb.pagemap.fd = -1;
	struct err *e = run(&rb, pid);
	deinit(&rb);
	ret->total_ns = monotonic_ns() - start;
	return e;
}
