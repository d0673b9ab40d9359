// SPDX-License-Identifier: LGPL-2.1-or-later
// Reader of /proc/PID/task/TID/status; see status.h.
#include "resource/status.h"

#include <stdlib.h>
#include <string.h>

#include "os/proc.h"
#include "util/cleanup.h"

const char *const id_names[ID_KINDS] = {"real", "effective", "saved", "fs"};
const char *const caps_names[CAPS_SETS] = {"inheritable", "permitted", "effective",
					   "bounding", "ambient"};

static void read_ids(const char *value, uint32_t *ids)
{
	char *end = NULL;

	for (size_t i = 0; i < ID_KINDS; i++, value = end)
		ids[i] = (uint32_t)strtoul(value, &end, 10);
}

static struct err *read_groups(const char *value, struct thread_status *ret)
{
	for (;;) {
		char *end;
		unsigned long id = strtoul(value, &end, 10);

		if (end == value)
			return NULL;
		TRY(vec_push(&ret->groups, (uint32_t)id));
		value = end;
	}
}

static struct err *read_line(const char *key, const char *value, struct thread_status *ret)
{
	static const char *const caps[CAPS_SETS] = {"CapInh", "CapPrm", "CapEff",
						    "CapBnd", "CapAmb"};
	struct {
		const char *key;
		uint64_t *value;
	} masks[] = {{"SigPnd", &ret->pending},
		     {"ShdPnd", &ret->shared_pending},
		     {"SigIgn", &ret->ignored},
		     {"SigCgt", &ret->caught}};

	for (size_t i = 0; i < CAPS_SETS; i++)
		if (!strcmp(key, caps[i]))
			ret->caps[i] = strtoull(value, NULL, 16);
	for (size_t i = 0; i < ARRAY_SIZE(masks); i++)
		if (!strcmp(key, masks[i].key))
			*masks[i].value = strtoull(value, NULL, 16);
	if (!strcmp(key, "Uid"))
		read_ids(value, ret->uid);
	else if (!strcmp(key, "Gid"))
		read_ids(value, ret->gid);
	else if (!strcmp(key, "Groups"))
		return read_groups(value, ret);
	else if (!strcmp(key, "Umask"))
		ret->umask = (uint32_t)strtoul(value, NULL, 8);
	else if (!strcmp(key, "NoNewPrivs"))
		ret->no_new_privs = strtoul(value, NULL, 10);
	else if (!strcmp(key, "Seccomp"))
		ret->seccomp = (uint32_t)strtoul(value, NULL, 10);
	else if (!strcmp(key, "x86_Thread_features"))
		ret->shadow_stack = strstr(value, "shstk");
	else if (!strcmp(key, "Cpus_allowed_list") && !ret->cpus) {
		ret->cpus = strdup(value);
		return ret->cpus ? NULL : err_nomem();
	}
	return NULL;
}

struct err *thread_status_read(pid_t pid, pid_t tid, struct thread_status *ret)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	char *rest = NULL;

	memset(ret, 0, sizeof(*ret));
	int r = os_proc_read(pid, tid, "status", &text, &len);
	if (r < 0)
		return err_sys(os_proc_is_gone(r) ? -ESRCH : r,
			       "cannot read the status of thread %d", tid ? tid : pid);
	for (char *line = strtok_r(text, "\n", &rest); line;
	     line = strtok_r(NULL, "\n", &rest)) {
		char *colon = strchr(line, ':');

		if (!colon)
			continue;
		*colon = 0;
		TRY(read_line(line, colon + 1 + strspn(colon + 1, " \t"), ret));
	}
	if (ret->cpus)
		return NULL;
	return err_new(ERR_SYSTEM, "the status of thread %d is not complete",
		       tid ? tid : pid);
}

void thread_status_deinit(struct thread_status *s)
{
	vec_free(&s->groups);
	free(s->cpus);
	s->cpus = NULL;
}
