// SPDX-License-Identifier: LGPL-2.1-or-later
// Scheduling of a thread: policy, nice, priority, processors, I/O priority. Read and set from outside, by thread id.
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/kernel.h"
#include "os/sched.h"
#include "resource/json.h"
#include "resource/status.h"
#include "resource/threads.h"
#include "util/cleanup.h"

enum { CPUS_MAX = 8192, IOPRIO_MAX = 0xffff, POLICY_MAX = 31 };

// What the kernel says of a thread that never set one (ioprio.c, get_task_ioprio).
static int derived_ioprio(int policy, int nice)
{
	int class = policy == SCHED_IDLE			 ? UAPI_IOPRIO_IDLE
		    : policy == SCHED_FIFO || policy == SCHED_RR ? UAPI_IOPRIO_RT
								 : UAPI_IOPRIO_BE;

	return class << UAPI_IOPRIO_CLASS_SHIFT | (nice + 20) / 5;
}

static int get_nice(pid_t tid)
{
	errno = 0;
	return getpriority(PRIO_PROCESS, (id_t)tid);
}

static int get_ioprio(pid_t tid)
{
	return (int)syscall(SYS_ioprio_get, UAPI_IOPRIO_WHO_PROCESS, tid);
}

static struct err *save_cpus(const struct thread *t, json_t *sched)
{
	size_t size = CPU_ALLOC_SIZE(CPUS_MAX);
	_cleanup_free_ cpu_set_t *set = CPU_ALLOC(CPUS_MAX);
	json_t *list;

	if (!set)
		return err_nomem();
	CPU_ZERO_S(size, set);
	if (sched_getaffinity(t->tid, size, set) < 0)
		return err_sys(errno, "cannot read the processors of thread %d", t->tid);
	TRY(json_put_array(sched, "cpus", &list));
	for (int cpu = 0; cpu < CPUS_MAX; cpu++)
		if (CPU_ISSET_S((size_t)cpu, size, set))
			TRY(json_add(list, json_integer(cpu)));
	return NULL;
}

struct err *save_scheduling(const struct thread *t, json_t *out)
{
	struct uapi_sched_attr attr;
	json_t *sched;
	int r = os_sched_get(t->tid, &attr);

	if (r < 0)
		return err_sys(r, "cannot read the scheduling of thread %d", t->tid);
	if (attr.policy == SCHED_DEADLINE)
		return err_refuse("sched-deadline", t->comm,
				  "thread %d (%s) runs under SCHED_DEADLINE, which "
				  "cannot be brought back",
				  t->tid, t->comm);
	int nice = get_nice(t->tid), ioprio = get_ioprio(t->tid);
	if (nice == -1 && errno)
		return err_sys(errno, "cannot read the nice value of thread %d", t->tid);
	TRY(json_put_object(out, "sched", &sched));
	TRY(json_put_int(sched, "policy", attr.policy));
	TRY(json_put_bool(sched, "reset_on_fork",
			  attr.flags & UAPI_SCHED_FLAG_RESET_ON_FORK));
	TRY(json_put_int(sched, "nice", nice));
	TRY(json_put_int(sched, "priority", attr.priority));
	if (ioprio > 0 && ioprio != derived_ioprio((int)attr.policy, nice))
		TRY(json_put_int(sched, "ioprio", ioprio));
	return save_cpus(t, sched);
}

struct saved_sched {
	int policy, nice, priority, ioprio; // ioprio -1: never set
	bool reset_on_fork;
	cpu_set_t cpus[CPUS_MAX / CPU_SETSIZE];
};

static struct err *parse_sched(const json_t *thread, struct saved_sched *ret)
{
	const json_t *sched, *list;
	int64_t cpu;

	TRY(json_get_object(thread, "sched", &sched));
	TRY(json_get_i32(sched, "policy", 0, POLICY_MAX, &ret->policy));
	TRY(json_get_i32(sched, "nice", -20, 19, &ret->nice));
	TRY(json_get_i32(sched, "priority", 0, 99, &ret->priority));
	TRY(json_get_bool(sched, "reset_on_fork", &ret->reset_on_fork));
	TRY(json_opt_i32(sched, "ioprio", 0, IOPRIO_MAX, -1, &ret->ioprio));
	TRY(json_get_array(sched, "cpus", CPUS_MAX, &list));
	CPU_ZERO_S(sizeof(ret->cpus), ret->cpus);
	for (size_t i = 0; i < json_array_size(list); i++) {
		TRY(json_at(json_item_int(list, i, 0, CPUS_MAX - 1, &cpu), "cpus", i));
		CPU_SET_S((size_t)cpu, sizeof(ret->cpus), ret->cpus);
	}
	return NULL;
}

struct err *check_scheduling(const json_t *thread)
{
	struct saved_sched s;

	return parse_sched(thread, &s);
}

static struct err *restore_cpus(struct restorer *r, pid_t tid, const struct saved_sched *s)
{
	const size_t size = sizeof(s->cpus);
	cpu_set_t now[ARRAY_SIZE(s->cpus)];
	int wanted = CPU_COUNT_S(size, s->cpus), given = 0;

	CPU_ZERO_S(size, now);
	if (!sched_getaffinity(tid, size, now) && CPU_EQUAL_S(size, s->cpus, now))
		return NULL;
	if (!sched_setaffinity(tid, size, s->cpus) && !sched_getaffinity(tid, size, now)) {
		CPU_AND_S(size, now, now, s->cpus);
		given = CPU_COUNT_S(size, now);
	}
	if (given == wanted)
		return NULL;
	return restoring_note(r->all,
			      "thread %d ran on %d processors, of which %d are here or "
			      "allowed",
			      tid, wanted, given);
}

static struct err *refused_value(struct restorer *r, pid_t tid, int error,
				 const char *what)
{
	if (error != EPERM && error != EACCES && error != EINVAL)
		return err_sys(error, "cannot set the %s of thread %d", what, tid);
	return restoring_note(r->all, "thread %d keeps another %s than it had: %s", tid,
			      what, strerror(error));
}

static struct err *restore_policy(struct restorer *r, pid_t tid,
				  const struct saved_sched *s)
{
	struct uapi_sched_attr now,
		attr = {
			.size = sizeof(attr),
			.policy = (uint32_t)s->policy,
			.nice = s->nice,
			.priority = (uint32_t)s->priority,
			.flags = s->reset_on_fork ? UAPI_SCHED_FLAG_RESET_ON_FORK : 0,
		};

	// Under a real-time policy the nice value is kept for later, and only setpriority reaches it.
	if (get_nice(tid) != s->nice && setpriority(PRIO_PROCESS, (id_t)tid, s->nice) < 0)
		TRY(refused_value(r, tid, errno, "nice value"));
	int error = os_sched_get(tid, &now);
	if (!error && now.policy == attr.policy && now.priority == attr.priority &&
	    (now.flags & UAPI_SCHED_FLAG_RESET_ON_FORK) == attr.flags)
		return NULL;
	error = os_sched_set(tid, &attr);
	return error < 0 ? refused_value(r, tid, -error, "scheduling policy") : NULL;
}

struct err *restore_scheduling(struct restorer *r, pid_t tid, const json_t *thread)
{
	struct saved_sched s;

	TRY(parse_sched(thread, &s));
	TRY(restore_cpus(r, tid, &s));
	TRY(restore_policy(r, tid, &s));
	if (s.ioprio >= 0 && get_ioprio(tid) != s.ioprio &&
	    syscall(SYS_ioprio_set, UAPI_IOPRIO_WHO_PROCESS, tid, s.ioprio) < 0)
		TRY(refused_value(r, tid, errno, "I/O priority"));
	return NULL;
}
