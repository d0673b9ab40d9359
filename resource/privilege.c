// SPDX-License-Identifier: LGPL-2.1-or-later
// Before anything is made: a restored process gets no user, group, capability, limit or root that the caller does not have.
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "os/proc.h"
#include "resource/credentials.h"
#include "resource/json.h"
#include "resource/process.h"
#include "resource/rights.h"
#include "resource/signals.h"
#include "resource/threads.h"
#include "util/cleanup.h"

#include <linux/securebits.h>

struct caller {
	struct thread_status status;
	uint32_t securebits;
};

static bool may(const struct caller *c, int cap)
{
	return c->status.caps[CAPS_EFFECTIVE] >> cap & 1;
}

// Ids that the caller's user namespace does not have cannot be had by any right.
static bool is_mapped(const char *file, uint32_t id)
{
	_cleanup_free_ char *text = NULL;
	uint64_t inside, outside, count;
	char *rest = NULL;
	size_t len;

	if (os_proc_read(getpid(), 0, file, &text, &len) < 0)
		return true;
	for (char *line = strtok_r(text, "\n", &rest); line;
	     line = strtok_r(NULL, "\n", &rest))
		if (sscanf(line, "%" SCNu64 " %" SCNu64 " %" SCNu64, &inside, &outside,
			   &count) == 3 &&
		    id >= inside && id - inside < count)
			return true;
	return false;
}

static bool is_own(const uint32_t *own, uint32_t id)
{
	for (size_t i = 0; i < ID_KINDS; i++)
		if (own[i] == id)
			return true;
	return false;
}

static struct err *refuse_id(const char *kind, uint32_t id, const char *why)
{
	char object[32];

	snprintf(object, sizeof(object), "%s %" PRIu32, kind, id);
	return err_refuse("privilege", object, "the saved process has %s, %s", object,
			  why);
}

static struct err *check_ids(const struct caller *c, const struct credentials *w)
{
	for (size_t i = 0; i < ID_KINDS; i++) {
		if (!is_own(c->status.uid, w->uid[i])) {
			if (!may(c, CAP_SETUID))
				return refuse_id("uid", w->uid[i],
						 "which molt's caller may not take");
			if (!is_mapped("uid_map", w->uid[i]))
				return refuse_id("uid", w->uid[i],
						 "which is not in this user namespace");
		}
		if (!is_own(c->status.gid, w->gid[i])) {
			if (!may(c, CAP_SETGID))
				return refuse_id("gid", w->gid[i],
						 "which molt's caller may not take");
			if (!is_mapped("gid_map", w->gid[i]))
				return refuse_id("gid", w->gid[i],
						 "which is not in this user namespace");
		}
	}
	return NULL;
}

static bool in_groups(const struct thread_status *s, uint32_t gid)
{
	vec_for_each(g, &s->groups)
		if (*g == gid)
			return true;
	return false;
}

static struct err *check_groups(const struct caller *c, const struct credentials *w)
{
	size_t same = 0;

	vec_for_each(g, &w->groups) {
		bool own = in_groups(&c->status, *g);

		same += own;
		if (own)
			continue;
		if (!may(c, CAP_SETGID))
			return refuse_id("group", *g, "which molt's caller is not in");
		if (!is_mapped("gid_map", *g))
			return refuse_id("group", *g,
					 "which is not in this user namespace");
	}
	if (same == c->status.groups.n && same == w->groups.n)
		return NULL;
	return may(c, CAP_SETGID)
		       ? NULL
		       : err_refuse("privilege", "CAP_SETGID",
				    "the saved process is in fewer groups than molt's "
				    "caller, and leaving them needs CAP_SETGID");
}

static struct err *refuse_cap(uint64_t missing, const char *set)
{
	char name[32];

	cap_name(__builtin_ctzll(missing), name);
	return err_refuse("privilege", name,
			  "the saved process has %s in its %s set, which molt's caller "
			  "has not",
			  name, set);
}

static struct err *check_caps(const struct caller *c, const struct credentials *w)
{
	const uint64_t *own = c->status.caps;
	const uint64_t has = own[CAPS_PERMITTED];
	const uint64_t allowed[CAPS_SETS] = {
		[CAPS_INHERITABLE] = has | own[CAPS_INHERITABLE],
		[CAPS_PERMITTED] = has,
		[CAPS_EFFECTIVE] = has,
		[CAPS_BOUNDING] = own[CAPS_BOUNDING],
		[CAPS_AMBIENT] = has,
	};

	for (size_t i = 0; i < CAPS_SETS; i++)
		if (w->caps[i] & ~allowed[i])
			return refuse_cap(w->caps[i] & ~allowed[i], caps_names[i]);
	bool fewer = own[CAPS_BOUNDING] & ~w->caps[CAPS_BOUNDING];
	bool bits = (w->securebits ^ c->securebits) & ~(uint32_t)SECBIT_KEEP_CAPS;
	if ((fewer || bits) && !may(c, CAP_SETPCAP))
		return err_refuse(
			"privilege", "CAP_SETPCAP",
			"the saved process has a smaller bounding set or other "
			"securebits than molt's caller, which needs CAP_SETPCAP");
	return NULL;
}

static struct err *check_filters(const struct caller *c, const struct credentials *w)
{
	if (!w->strict && !json_array_size(w->seccomp))
		return NULL;
	if (!may(c, CAP_SYS_ADMIN))
		return err_refuse(
			"privilege", "CAP_SYS_ADMIN",
			"the saved process has seccomp filters, and bringing them "
			"back needs CAP_SYS_ADMIN");
	return check_seccomp(w);
}

static struct err *check_one(const struct caller *c, const json_t *state, size_t i)
{
	_cleanup_(credentials_deinit) struct credentials w;

	struct err *e = credentials_read(state, i, &w);
	if (!e)
		e = check_ids(c, &w);
	if (!e)
		e = check_groups(c, &w);
	if (!e)
		e = check_caps(c, &w);
	return e ? e : check_filters(c, &w);
}

struct err *check_credentials(struct restoring *all, const json_t *state)
{
	struct caller c = {.securebits = (uint32_t)prctl(PR_GET_SECUREBITS)};
	struct err *e = thread_status_read(getpid(), 0, &c.status);
	size_t n = 0;

	if (!e)
		e = threads_count(state, &n);
	for (size_t i = 0; i < n && !e; i++) {
		const json_t *thread;
		pid_t tid;

		e = thread_at(state, i, &thread, &tid);
		if (!e && (!i || json_has(thread, "credentials")))
			e = json_at(check_one(&c, state, i), "threads", i);
	}
	if (!e && c.status.seccomp)
		e = restoring_note(all, "molt runs under seccomp filters, which the "
					"restored process inherits");
	thread_status_deinit(&c.status);
	return e;
}

static struct err *check_threads(const json_t *state)
{
	const json_t *thread;
	pid_t tid;
	size_t n;

	TRY(threads_count(state, &n));
	for (size_t i = 0; i < n; i++) {
		TRY(thread_at(state, i, &thread, &tid));
		TRY(json_at(check_thread(thread), "threads", i));
	}
	return NULL;
}

struct err *restore_check(struct restoring *all, const json_t *state)
{
	TRY(check_process(state));
	TRY(check_threads(state));
	TRY(check_signals(state));
	TRY(check_timers(state));
	TRY(check_credentials(all, state));
	TRY(check_limits(state));
	return check_folders(state);
}
