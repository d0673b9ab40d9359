// SPDX-License-Identifier: LGPL-2.1-or-later
// Rebuilding the processes of a checkpoint: the order of operations; see restore.h.
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/proc.h"
#include "os/ptrace.h"
#include "process/process.h"
#include "process/wait.h"
#include "resource/kinds.h"
#include "restore/contents.h"
#include "restore/lazy.h"
#include "restore/mappings.h"
#include "restore/rebuilt.h"
#include "util/cleanup.h"

static struct err *calls(struct remote *r, pid_t tid, struct syscall_req *reqs, size_t n,
			 bool all, size_t *done)
{
	struct build *b = (struct build *)(void *)r;
	struct build_thread *t = build_thread(b, tid);

	*done = 0;
	if (!t || !t->slot)
		return err_new(ERR_INTERNAL, "process %d has no thread %d", r->pid, tid);
	return slot_run(t->slot, tid, reqs, n, all, done);
}

static pid_t tid_of(const struct restorer *r, pid_t saved)
{
	const struct rebuilt *all = ((const struct build *)r->arg)->whole;

	vec_for_each(b, &all->builds)
		vec_for_each(t, &(*b)->threads)
			if (t->saved == saved)
				return t->tid;
	return 0;
}

static struct err *add_build(struct rebuilt *r, const struct core *core)
{
	struct build *b = calloc(1, sizeof(*b));
	struct err *e = b ? vec_push(&r->builds, b) : err_nomem();

	if (e) {
		free(b);
		return e;
	}
	b->whole = r;
	b->core = core;
	b->state = core_state(core);
	b->channel = b->mem = b->uffd = b->remote.channel = -1;
	b->remote.calls = calls;
	b->restorer = (struct restorer){.all = r->all,
					.core = core,
					.state = b->state,
					.remote = &b->remote,
					.tid_of = tid_of,
					.arg = b};
	TRY(json_get_pid(b->state, "pid", &b->saved));
	TRY(json_opt_i32(b->state, "pgid", 0, INT32_MAX, 0, &b->pgid));
	TRY(threads_plan(b));
	TRY(space_parse(b));
	vec_for_each(m, &b->space->maps)
		if (m->kind == SPACE_MEMORY && m->memory >= r->all->n_memory)
			return err_new(ERR_CORRUPT, "no memory object %zu", m->memory);
	TRY(space_check_vdso(b));
	return sources_open(b, r->checkpoint->store, r->all, &b->sources);
}

static struct err *plan_area(struct rebuilt *r)
{
	struct taken taken = {};
	size_t threads = 0;
	struct err *e = NULL;

	vec_for_each(p, &r->builds) {
		threads += (*p)->threads.n +
			   json_array_size(json_object_get((*p)->state, "zombies"));
		vec_for_each(m, &(*p)->space->maps)
			if (!e)
				e = vec_push(&taken.v,
					     (struct taken_range){m->start, m->end});
	}
	if (!e)
		e = site_create(&taken, threads, r->builds.n, &r->site);
	vec_free(&taken.v);
	return e;
}

static struct err *plan_place(struct rebuilt *r, struct build *b)
{
	b->site = r->site;
	b->remote.map = site_data(r->site);
	b->threads.v[0].slot = site_slot(r->site);
	if (!b->remote.map || !b->threads.v[0].slot)
		return err_new(ERR_INTERNAL, "the restore area is too small");
	b->remote.addr = site_at(r->site, b->remote.map);
	b->remote.size = SITE_DATA;
	return NULL;
}

static struct err *plan_objects(struct rebuilt *r)
{
	vec_for_each(p, &r->builds)
		TRY(restore_check(r->all, (*p)->state));
	TRY(restore_objects(r->all));
	r->plan_notes = r->all->notes.n;
	vec_for_each(p, &r->builds)
		TRY(memories_fill(&r->memories, *p));
	return NULL;
}

// Everything that can be refused.
static struct err *plan(struct rebuilt *r)
{
	const struct checkpoint *c = r->checkpoint;

	if (!c->cores.n)
		return err_new(ERR_CORRUPT, "the checkpoint has no processes");
	r->all->objects = core_objects(c->cores.v[0]);
	if (!r->before)
		TRY(memories_make(&r->memories));
	vec_for_each(core, &c->cores)
		TRY(err_wrap(add_build(r, *core), "core of process %zu",
			     (size_t)(core - c->cores.v)));
	if (!r->before && !r->opt.hollow)
		TRY(plan_objects(r));
	vec_for_each(p, &r->builds)
		vec_for_each(t, &(*p)->threads)
			if (!r->opt.pid_any)
				TRY(birth_check(t->saved));
	TRY(tree_plan(r));
	TRY(plan_area(r));
	vec_for_each(p, &r->builds)
		TRY(plan_place(r, *p));
	return NULL;
}

static struct err *open_memory(struct build *b)
{
	b->mem = os_proc_open(b->remote.pid, 0, "mem", O_RDWR);
	return b->mem < 0 ? err_sys(b->mem, "cannot open the memory of process %d",
				    b->remote.pid)
			  : NULL;
}

// Memory that may come later; without userfaultfd it is written now.
static struct err *watch(struct rebuilt *r, struct build *b)
{
	struct filler_space space = {.pid = b->remote.pid, .uffd = -1, .pidfd = -1};
	struct err *e = lazy_register(b, &space.pending, &space.moves);

	if (!e && b->uffd < 0)
		e = contents_write_lazy(b);
	else if (!e)
		e = vec_push(&r->spaces.v, space);
	if (e || b->uffd < 0) {
		pending_deinit(&space.pending);
		moves_deinit(&space.moves);
		return e;
	}
	struct filler_space *s = &r->spaces.v.v[r->spaces.v.n - 1];
	s->uffd = take_fd(&b->uffd);
	s->pidfd = (int)syscall(SYS_pidfd_open, b->remote.pid, 0);
	return s->pidfd < 0 ? err_sys(errno, "cannot open process %d", b->remote.pid)
			    : NULL;
}

static struct err *make_space(struct rebuilt *r, struct build *b)
{
	_cleanup_free_ int *numbers = malloc((r->all->n_memory + 1) * sizeof(*numbers));
	struct mapping_files files = {
		.sources = &b->sources, .memories = &r->memories, .numbers = numbers};

	if (!numbers)
		return err_nomem();
	TRY(space_place_vdso(b));
	TRY(sources_give(b, &b->sources));
	TRY(memories_give(&r->memories, b, numbers));
	TRY(mappings_make(b, &files));
	TRY(mappings_describe(b, &files));
	TRY(sources_take_back(b, &b->sources));
	TRY(open_memory(b));
	TRY(contents_write(b));
	TRY(mappings_advise(b));
	return watch(r, b);
}

static struct err *make_state(struct build *b)
{
	struct restorer *r = &b->restorer;

	TRY(restore_signals(r));
	TRY(restore_threads(r));
	return restore_credentials(r);
}

static struct err *close_channel(struct build *b)
{
	int64_t ret;

	return remote_call(&b->remote, SYS_close,
			   (uint64_t[6]){(uint64_t)b->remote.remote_channel}, &ret);
}

static struct err *start_filler(struct rebuilt *r)
{
	bool any = false;

	vec_for_each(s, &r->spaces.v)
		any |= !pending_empty(&s->pending);
	if (any)
		TRY(filler_start(&r->spaces, &r->report));
	filler_spaces_deinit(&r->spaces); // the tool's own
	if (r->opt.lazy && any)
		return NULL;
	uint64_t when;
	return rebuilt_wait_resident(r, &when);
}

// Group leaders first: the others join their groups.
static struct err *make_processes(struct rebuilt *r)
{
	for (int leaders = 1; leaders >= 0; leaders--)
		vec_for_each(p, &r->builds)
			if (((*p)->saved == (*p)->pgid) == leaders)
				TRY(restore_process(&(*p)->restorer));
	return NULL;
}

// What others could notice, and what the replaced process still holds: not before that one has ended.
static struct err *make_visible(struct rebuilt *r)
{
	return r->all->handover ? NULL : restoring_start(r->all);
}

static struct err *furnish(struct rebuilt *r)
{
	vec_for_each(p, &r->builds)
		TRY(restore_descriptors(&(*p)->restorer));
	TRY(make_processes(r));
	vec_for_each(p, &r->builds)
		TRY(make_state(*p));
	return make_visible(r);
}

static struct err *make(struct rebuilt *r)
{
	TRY(tree_make(r));
	vec_for_each(p, &r->builds) {
		TRY(make_space(r, *p));
		TRY(threads_make(*p, r->opt.pid_any));
	}
	// From here on the processes touch their memory, and no id is chosen by us any more.
	TRY(start_filler(r));
	vec_for_each(p, &r->builds)
		TRY(threads_rename(*p));
	if (!r->opt.hollow)
		TRY(furnish(r));
	vec_for_each(p, &r->builds) {
		TRY(close_channel(*p));
		if (!r->opt.hollow)
			TRY(restore_timers(&(*p)->restorer));
		if (r->opt.park)
			TRY(threads_follow_tool(*p));
		TRY(threads_settle(*p));
	}
	return NULL;
}

static struct err *run(struct rebuilt *r, struct rebuilt **ret)
{
	struct err *e = plan(r);

	if (!e)
		e = make(r);
	if (e) {
		rebuilt_abort(r);
		rebuilt_free(r);
		return e;
	}
	*ret = r;
	return NULL;
}

struct err *rebuild(const struct checkpoint *c, const struct rebuild_options *opt,
		    struct rebuilt **ret)
{
	struct rebuilt *r = calloc(1, sizeof(*r));

	if (!r)
		return err_nomem();
	*r = (struct rebuilt){.checkpoint = c, .opt = *opt, .all = &r->own, .report = -1};
	r->own.opt = &r->opt.restore;
	r->memories.all = r->all;
	if (opt->replace) {
		struct err *e = replaced_take(opt->replace, c->cores.n > 1, &r->replaced);

		if (!e)
			e = replaced_check(r->replaced, c->manifest);
		if (e) {
			if (r->replaced)
				replaced_free(r->replaced);
			free(r);
			return e;
		}
		r->own.handover = &r->replaced->v.v[0]->handover;
		e = r->replaced->rests ? NULL
				       : restoring_note(&r->own,
							"process %d was at work when it "
							"was stopped: what it had taken "
							"from a connection and not "
							"answered yet is lost",
							opt->replace);
		err_free(e);	       // a remark less
		r->opt.pid_any = true; // the saved ids may be its
	}
	return run(r, ret);
}

struct err *rebuild_again(struct rebuilt *first, bool pid_any, struct rebuilt **ret)
{
	struct rebuilt *r = calloc(1, sizeof(*r));

	if (!r)
		return err_nomem();
	*r = (struct rebuilt){.checkpoint = first->checkpoint,
			      .opt = first->opt,
			      .all = first->all,
			      .memories = first->memories,
			      .before = first,
			      .report = -1};
	r->opt.pid_any = pid_any;
	// What is remarked of the processes themselves is remarked again.
	while (r->all->notes.n > first->plan_notes)
		free(r->all->notes.v[--r->all->notes.n]);
	return run(r, ret);
}

static int kill_replaced(void *arg)
{
	return replaced_kill(arg);
}

struct err *rebuilt_end_replaced(struct rebuilt *r)
{
	return rebuilt_succeed(r, kill_replaced, r->replaced);
}

void rebuilt_collect_replaced(struct rebuilt *r, bool *ids_free)
{
	replaced_collect(r->replaced);
	r->own.handover = NULL;
	r->own.again = true;
	*ids_free = true;
	vec_for_each(p, &r->builds)
		vec_for_each(t, &(*p)->threads)
			*ids_free &= replaced_wait_id(t->saved);
}

struct err *rebuilt_make_visible(struct rebuilt *r)
{
	return restoring_start(r->all);
}

char *const *rebuilt_notes(const struct rebuilt *r, size_t *n)
{
	*n = r->all->notes.n;
	return r->all->notes.v;
}
