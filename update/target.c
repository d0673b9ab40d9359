// SPDX-License-Identifier: LGPL-2.1-or-later
// Opening a process as the target of an update; see target.h.
#include "update/target.h"

#include <stdlib.h>
#include <string.h>

#include "os/proc.h"
#include "util/cleanup.h"

void target_deinit(struct target *t)
{
	if (t->has_links)
		link_list_deinit(&t->links);
	record_list_deinit(&t->records);
	maps_deinit(&t->maps);
	process_closep(&t->process);
}

bool target_unwinds(const struct target *t)
{
	vec_for_each(l, &t->links.v)
		if (strstr(l->name, "libstdc++") || strstr(l->name, "libc++abi"))
			return true;
	return false;
}

bool target_in_images(const struct target *t, taddr_t addr)
{
	vec_for_each(f, &t->records.v)
		vec_for_each(im, &f->record.images)
			if (addr >= im->base && addr - im->base < im->span)
				return true;
	return false;
}

struct err *target_refresh_maps(struct target *t)
{
	struct maps now = {0};

	TRY(maps_read(t->process->pid, &now));
	maps_deinit(&t->maps);
	t->maps = now;
	return NULL;
}

// arch/x86: the kernel names a thread's features in its status, "x86_Thread_features: shstk wrss". Threads have
// what the first one had when it made them.
static struct err *check_shadow_stack(pid_t pid)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	int r = os_proc_read(pid, 0, "status", &text, &len);

	if (r < 0)
		return err_sys(r, "cannot read the status of process %d", pid);
	const char *line = strstr(text, "\nx86_Thread_features:");
	if (!line)
		return NULL;
	_cleanup_free_ char *features = strndup(line + 1, strcspn(line + 1, "\n"));
	if (!features)
		return err_nomem();
	if (strstr(features, "shstk"))
		return err_refuse(
			"shadow-stack", NULL,
			"process %d has a shadow stack: its return addresses cannot be "
			"moved",
			pid);
	return NULL;
}

struct err *target_open(pid_t pid, struct target *ret)
{
	memset(ret, 0, sizeof(*ret));
	TRY(process_open(pid, &ret->process));
	TRY(check_shadow_stack(pid));
	TRY(maps_read(pid, &ret->maps));
	return record_list_read(pid, &ret->maps, &ret->records);
}
