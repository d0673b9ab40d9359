// SPDX-License-Identifier: LGPL-2.1-or-later
// manifest.json; see docs/checkpoint-format.md.
#include <sys/utsname.h>
#include <time.h>

#include "checkpoint/run.h"
#include "image/json.h"
#include "os/boot.h"

static struct err *put_host(json_t *m)
{
	char boot[BOOT_ID_SIZE];
	struct utsname u;

	if (!uname(&u))
		TRY(json_put(m, "kernel", json_string(u.release)));
	if (!os_boot_id(boot))
		TRY(json_put(m, "boot_id", json_string(boot)));
	return json_put(m, "molt", json_string(MOLT_VERSION));
}

struct err *run_manifest(const struct run *r, json_t *processes, json_t *m)
{
	const struct task *root = r->tasks.v[0];
	const int64_t second = 1000000000, ns_per_us = 1000, ns_per_ms = 1000000;
	const char *trigger = r->opt->trigger ? r->opt->trigger : "command";
	struct timespec now;
	const char *id = json_string_value(
		json_object_get(json_object_get(root->state, "exe"), "build_id"));

	clock_gettime(CLOCK_REALTIME, &now);
	TRY(json_put_int(m, "time", now.tv_sec * second + now.tv_nsec));
	TRY(json_put_text(m, "program", root->process->exe));
	if (id)
		TRY(json_put(m, "build_id", json_string(id)));
	TRY(json_put_text(m, "comm", root->process->comm));
	TRY(json_put_int(m, "pid", root->process->pid));
	TRY(json_put_int(m, "generation", (int64_t)r->opt->generation));
	TRY(json_put(m, "trigger", json_string(trigger)));
	TRY(json_put(m, "parent",
		     r->parent.path ? json_string(r->parent.id) : json_null()));
	TRY(json_put(m, "processes", json_incref(processes)));
	TRY(json_put_int(m, "bytes", (int64_t)r->ret->bytes));
	TRY(json_put_int(m, "stop_us", (int64_t)r->ret->stop_ns / ns_per_us));
	TRY(json_put_int(m, "total_ms", (int64_t)(monotonic_ns() - r->start) / ns_per_ms));
	return put_host(m);
}
