// SPDX-License-Identifier: LGPL-2.1-or-later
// Bringing back credentials, in the one order that works: groups and gids while the right to set them is there, the
// bounding set, uids with the capabilities kept, ambient set and securebits while there is CAP_SETPCAP, then the capabilities
// themselves, no_new_privs, and seccomp filters, the oldest first. What is as wanted already is left alone, so that an
// unprivileged caller's own processes need no privilege.
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "resource/calls.h"
#include "resource/credentials.h"
#include "resource/json.h"
#include "resource/process.h"
#include "resource/rights.h"
#include "resource/threads.h"
#include "util/cleanup.h"

struct change { // of one thread
	struct restorer *r;
	pid_t tid;
	struct credentials want;
	struct thread_status now;
	uint32_t securebits; // as they are
	struct call_list calls;
};

static void change_deinit(struct change *c)
{
	credentials_deinit(&c->want);
	thread_status_deinit(&c->now);
	call_list_deinit(&c->calls);
}

static struct err *run(struct change *c)
{
	return call_list_run(&c->calls, c->r->remote, c->tid);
}

static struct err *set_caps(struct change *c, uint64_t effective, uint64_t permitted,
			    uint64_t inheritable)
{
	const struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
	taddr_t at, data_at;

	for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
		data[i] = (struct __user_cap_data_struct){
			.effective = (uint32_t)(effective >> 32 * i),
			.permitted = (uint32_t)(permitted >> 32 * i),
			.inheritable = (uint32_t)(inheritable >> 32 * i)};
	TRY(remote_put(c->r->remote, &head, sizeof(head), &at));
	TRY(remote_put(c->r->remote, data, sizeof(data), &data_at));
	c->now.caps[CAPS_EFFECTIVE] = effective;
	c->now.caps[CAPS_PERMITTED] = permitted;
	c->now.caps[CAPS_INHERITABLE] = inheritable;
	return CALL(&c->calls, "set the capabilities", SYS_capset, at, data_at);
}

static bool same_groups(const struct change *c)
{
	return c->now.groups.n == c->want.groups.n &&
	       (!c->now.groups.n || !memcmp(c->now.groups.v, c->want.groups.v,
					    c->now.groups.n * sizeof(uint32_t)));
}

static struct err *set_groups(struct change *c)
{
	const uint32_t *gid = c->want.gid;
	taddr_t at;

	if (!same_groups(c)) {
		TRY(remote_put(c->r->remote, c->want.groups.v,
			       c->want.groups.n * sizeof(uint32_t), &at));
		TRY(CALL(&c->calls, "set the groups", SYS_setgroups, c->want.groups.n, at));
	}
	if (!memcmp(gid, c->now.gid, sizeof(c->now.gid)))
		return NULL;
	TRY(CALL(&c->calls, "set the gids", SYS_setresgid, gid[ID_REAL],
		 gid[ID_EFFECTIVE], gid[ID_SAVED]));
	return gid[ID_FS] == gid[ID_EFFECTIVE] ? NULL
					       : CALL(&c->calls, "set the filesystem gid",
						      SYS_setfsgid, gid[ID_FS]);
}

static struct err *set_bounding(struct change *c)
{
	const uint64_t *want = c->want.caps, *now = c->now.caps;
	uint64_t drop = now[CAPS_BOUNDING] & ~want[CAPS_BOUNDING];

	// What is to be inheritable must not leave the bounding set before.
	if (want[CAPS_INHERITABLE] != now[CAPS_INHERITABLE])
		TRY(set_caps(c, now[CAPS_EFFECTIVE], now[CAPS_PERMITTED],
			     want[CAPS_INHERITABLE]));
	for (uint64_t cap = 0; cap < CAPS_KNOWN; cap++)
		if (drop >> cap & 1)
			TRY(CALL(&c->calls, "drop a capability", SYS_prctl,
				 PR_CAPBSET_DROP, cap));
	return NULL;
}

static struct err *set_uids(struct change *c)
{
	const uint32_t *uid = c->want.uid;
	const uint64_t *now = c->now.caps;

	if (!memcmp(uid, c->now.uid, sizeof(c->now.uid)))
		return NULL;
	TRY(CALL(&c->calls, "keep the capabilities", SYS_prctl, PR_SET_KEEPCAPS, 1));
	c->securebits |= SECBIT_KEEP_CAPS;
	TRY(CALL(&c->calls, "set the uids", SYS_setresuid, uid[ID_REAL],
		 uid[ID_EFFECTIVE], uid[ID_SAVED]));
	// Leaving uid 0 took them out of force.
	TRY(set_caps(c, now[CAPS_PERMITTED], now[CAPS_PERMITTED], now[CAPS_INHERITABLE]));
	return uid[ID_FS] == uid[ID_EFFECTIVE] ? NULL
					       : CALL(&c->calls, "set the filesystem uid",
						      SYS_setfsuid, uid[ID_FS]);
}

static struct err *set_ambient(struct change *c)
{
	uint64_t want = c->want.caps[CAPS_AMBIENT], now = c->now.caps[CAPS_AMBIENT];

	if (want == now)
		return NULL;
	TRY(CALL(&c->calls, "clear the ambient capabilities", SYS_prctl, PR_CAP_AMBIENT,
		 PR_CAP_AMBIENT_CLEAR_ALL));
	for (uint64_t cap = 0; cap < CAPS_KNOWN; cap++)
		if (want >> cap & 1)
			TRY(CALL(&c->calls, "raise an ambient capability", SYS_prctl,
				 PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap));
	return NULL;
}

static struct err *set_securebits(struct change *c)
{
	uint32_t want = c->want.securebits;

	if (want == c->securebits)
		return NULL;
	if ((want ^ c->securebits) == SECBIT_KEEP_CAPS)
		return CALL(&c->calls, "set keepcaps", SYS_prctl, PR_SET_KEEPCAPS,
			    !!(want & SECBIT_KEEP_CAPS));
	return CALL(&c->calls, "set the securebits", SYS_prctl, PR_SET_SECUREBITS, want);
}

static bool same_caps(const struct change *c)
{
	static const int sets[] = {CAPS_EFFECTIVE, CAPS_PERMITTED, CAPS_INHERITABLE};

	for (size_t i = 0; i < ARRAY_SIZE(sets); i++)
		if (c->want.caps[sets[i]] != c->now.caps[sets[i]])
			return false;
	return true;
}

static struct err *set_final_caps(struct change *c)
{
	const uint64_t *want = c->want.caps;

	return same_caps(c) ? NULL
			    : set_caps(c, want[CAPS_EFFECTIVE], want[CAPS_PERMITTED],
				       want[CAPS_INHERITABLE]);
}

// Filters are installed with CAP_SYS_ADMIN or no_new_privs: where the thread has neither in the end, before it loses the
// first. They are not in force while the process is rebuilt (PTRACE_O_SUSPEND_SECCOMP).
static struct err *set_last(struct change *c)
{
	const struct credentials *w = &c->want;
	bool early = !w->no_new_privs && !(w->caps[CAPS_EFFECTIVE] >> CAP_SYS_ADMIN & 1);
	const bool filters = c->now.seccomp == SECCOMP_MODE_DISABLED;

	if (early && filters) {
		TRY(run(c));
		TRY(restore_seccomp(c->r, c->tid, w));
	}
	TRY(set_final_caps(c));
	if (w->no_new_privs && !c->now.no_new_privs)
		TRY(CALL(&c->calls, "set no_new_privs", SYS_prctl, PR_SET_NO_NEW_PRIVS, 1));
	TRY(run(c));
	return early || !filters ? NULL : restore_seccomp(c->r, c->tid, w);
}

static struct err *read_now(struct change *c)
{
	int64_t bits;

	TRY(thread_status_read(c->r->remote->pid, c->tid, &c->now));
	TRY(remote_call_in(c->r->remote, c->tid, SYS_prctl,
			   (uint64_t[6]){PR_GET_SECUREBITS}, &bits));
	c->securebits = bits < 0 ? 0 : (uint32_t)bits;
	return NULL;
}

static struct err *change_all(struct change *c, size_t i)
{
	TRY(credentials_read(c->r->state, i, &c->want));
	TRY(read_now(c));
	TRY(set_groups(c));
	TRY(set_bounding(c));
	TRY(set_uids(c));
	TRY(set_ambient(c));
	TRY(set_securebits(c));
	return set_last(c);
}

// Changed credentials reset it.
static struct err *set_death_signal(struct change *c, const json_t *thread)
{
	int sig;

	TRY(json_opt_i32(thread, "pdeathsig", 0, 64, 0, &sig));
	if (!sig)
		return NULL;
	TRY(CALL(&c->calls, "set the death signal", SYS_prctl, PR_SET_PDEATHSIG,
		 (uint64_t)sig));
	return run(c);
}

struct err *restore_credentials(struct restorer *r)
{
	const size_t mark = r->remote->used;
	size_t n;

	TRY(threads_count(r->state, &n));
	for (size_t i = 0; i < n; i++) {
		_cleanup_(change_deinit) struct change c = {.r = r};
		const json_t *thread;
		pid_t saved;

		TRY(thread_at(r->state, i, &thread, &saved));
		c.tid = r->tid_of(r, saved);
		struct err *e = change_all(&c, i);
		if (!e)
			e = set_death_signal(&c, thread);
		remote_release(r->remote, mark);
		TRY(json_at(e, "threads", i));
	}
	return restore_process_last(r);
}
