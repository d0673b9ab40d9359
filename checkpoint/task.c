// SPDX-License-Identifier: LGPL-2.1-or-later
// See task.h.
#include "checkpoint/task.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "checkpoint/family.h"
#include "image/json.h"
#include "os/proc.h"
#include "process/area.h"
#include "process/commit.h"
#include "process/rest.h"
#include "util/cleanup.h"

enum { ASK_ROOM = 1 << 20 };

// How long a moment is waited for at which it does not work on anything.
static const uint64_t PATIENCE_NS = 60000000;

static struct err *lock(struct task *t, pid_t pid)
{
	t->lock = os_proc_lock(pid);
	if (t->lock == -EWOULDBLOCK)
		return err_with(err_new(ERR_BUSY, "another molt works on process %d", pid),
				"busy", NULL);
	return NULL; // a process that is gone is told of by process_open
}

// Starts the helper, takes away what a tool that died left, and makes the file.
static struct err *enter(struct task *t, int dir, const struct core *parent)
{
	struct commit_leftover leftover = {0};
	char name[32];

	TRY(helper_start(t->process, 0, &t->helper));
	TRY(commit_recover(t->process, t->helper, &leftover));
	TRY(ask_create(t->process, t->helper, ASK_ROOM, &t->ask));
	snprintf(name, sizeof(name), "core.%d", t->process->pid);
	TRY(core_create(dir, name, &t->core));
	TRY(memory_init(&t->memory, t->process->pid, t->helper, t->core, parent));
	return pagemap_open(t->process->pid, &t->pagemap);
}

struct err *task_open(pid_t pid, const struct checkpoint_options *opt, int dir,
		      const struct core *parent, struct task **ret)
{
	struct task *t = calloc(1, sizeof(*t));

	if (!t)
		return err_nomem();
	t->opt = opt;
	t->lock = t->pidfd = t->pagemap.fd = t->memory.box = -1;
	t->state = json_object();
	struct err *e = t->state ? lock(t, pid) : err_nomem();
	if (!e)
		e = process_open(pid, &t->process);
	if (!e) {
		t->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
		e = t->pidfd < 0 ? err_sys(errno, "cannot open process %d", pid)
				 : enter(t, dir, parent);
	}
	if (e) {
		task_free(t);
		return e;
	}
	*ret = t;
	return NULL;
}

struct err *task_freeze(struct task *t, uint64_t deadline)
{
	bool rests;

	TRY(process_freeze_at_rest(t->process, deadline, PATIENCE_NS, &t->first_stop,
				   &rests));
	t->frozen = true;
	return NULL;
}

struct err *task_thaw(struct task *t, uint64_t *last)
{
	t->frozen = false;
	return process_thaw(t->process, last);
}

struct err *task_save_state(struct task *t, struct saving *all)
{
	struct saver *s = &t->saver;

	*s = (struct saver){.all = all,
			    .process = t->process,
			    .helper = t->helper,
			    .ask = t->ask,
			    .pidfd = t->pidfd,
			    .maps = &t->vmas.maps,
			    .state = t->state};

	TRY(json_put_int(t->state, "start_time",
			 (int64_t)process_start_time(t->process->pid)));
	TRY(save_process(s));
	TRY(family_put_zombies(t->process->pid, t->state));
	TRY(save_threads(s));
	TRY(save_credentials(s));
	TRY(save_signals(s));
	return save_descriptors(s);
}

struct err *task_leave(struct task *t)
{
	tracker_free(t->tracker);
	t->tracker = NULL;
	struct err *e = t->ask ? ask_free(t->ask) : NULL;

	t->ask = NULL;
	helper_stop(t->helper);
	t->helper = t->memory.helper = NULL;
	return e;
}

// Whether any page of the mapping is in the core.
static bool has_pages(const struct task *t, const struct vma *v, size_t *at)
{
	const struct page_ranges *p = &t->present;

	while (*at < p->v.n && p->v.v[*at].addr + p->v.v[*at].len <= v->m->start)
		++*at;
	return *at < p->v.n && p->v.v[*at].addr < v->m->end;
}

static struct err *put_maps(struct task *t)
{
	json_t *list, *o;
	size_t at = 0;

	TRY(json_put_array(t->state, "maps", &list));
	vec_for_each(v, &t->vmas.v) {
		TRY(json_add_object(list, &o));
		TRY(vma_json(v, t->process->pid, has_pages(t, v, &at), o));
	}
	return NULL;
}

static struct err *put_exe(struct task *t, const struct modules *modules)
{
	char link[32];
	struct stat st;
	json_t *exe;

	TRY(json_put_object(t->state, "exe", &exe));
	TRY(json_put_text(exe, "path", t->process->exe));
	snprintf(link, sizeof(link), "/proc/%d/exe", t->process->pid);
	const struct module_key *k =
		stat(link, &st) ? NULL : modules_find(modules, st.st_dev, st.st_ino);
	if (k && k->build_id[0])
		TRY(json_put(exe, "build_id", json_string(k->build_id)));
	return k && k->key[0] ? json_put(exe, "key", json_string(k->key)) : NULL;
}

struct err *task_finish(struct task *t, struct modules *modules, struct store *store,
			const json_t *objects, json_t **entry)
{
	TRY(memory_empty_box(&t->memory));
	TRY(modules_keep(modules, store, t->process->pid, &t->vmas));
	TRY(put_exe(t, modules));
	TRY(put_maps(t));
	TRY(memory_add_runs(&t->memory, &t->present));
	TRY(task_add_headers(t, store));
	return core_finish(t->core, t->state, objects, entry);
}

void task_free(struct task *t)
{
	if (!t)
		return;
	task_search_deinit(t);
	if (t->frozen)
		err_free(task_thaw(t, NULL));
	err_free(task_leave(t));
	process_close(t->process);
	core_writer_free(t->core);
	memory_deinit(&t->memory);
	pagemap_close(&t->pagemap);
	vmas_deinit(&t->vmas);
	ranges_deinit(&t->present);
	json_decref(t->state);
	if (t->pidfd >= 0)
		close(t->pidfd);
	if (t->lock >= 0)
		close(t->lock);
	free(t);
}
