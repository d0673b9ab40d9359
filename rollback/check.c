// SPDX-License-Identifier: LGPL-2.1-or-later
// Whether a process is the saved one, at another time: the same start of the same program. What it cannot be put back
// from is refused here.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "os/proc.h"
#include "process/area.h"
#include "rollback/impl.h"

static struct err *other(const struct rollback *rb, const char *why)
{
	return err_refuse("other-process", rb->p->comm,
			  "process %d (%s) is not the one that checkpoint %s is of: %s",
			  rb->p->pid, rb->p->comm, rb->checkpoint->id, why);
}

static struct err *check_boot(const struct rollback *rb)
{
	_cleanup_free_ char *boot = NULL;
	const char *saved;
	size_t len;

	TRY(json_get_string(rb->checkpoint->manifest, "boot_id", &saved));
	if (os_proc_read(0, 0, "../sys/kernel/random/boot_id", &boot, &len) < 0)
		return NULL;
	boot[strcspn(boot, "\n")] = '\0';
	return strcmp(boot, saved) ? other(rb, "the machine was started anew since")
				   : NULL;
}

// Each exec gives a program another stack, another base of the loader and other random bytes: the vector tells it.
static struct err *check_program(const struct rollback *rb)
{
	enum { AUXV_MAX = 8192 };
	_cleanup_free_ uint8_t *saved = NULL;
	_cleanup_free_ char *now = NULL;
	size_t len, n;

	TRY(json_get_bytes(rb->state, "auxv", AUXV_MAX, &saved, &len));
	int r = os_proc_read(rb->p->pid, 0, "auxv", &now, &n);
	if (r < 0)
		return err_sys(r, "cannot read /proc/%d/auxv", rb->p->pid);
	if (n != len || memcmp(saved, now, n) != 0)
		return other(rb, "it has started another program since");
	return NULL;
}

struct err *check_same_process(struct rollback *rb, pid_t pid)
{
	uint64_t start;
	pid_t saved;

	TRY(json_get_pid(rb->state, "pid", &saved));
	if (saved != pid)
		return other(rb, "it has another process id");
	TRY(check_boot(rb));
	TRY(json_get_u64(rb->state, "start_time", INT64_MAX, &start));
	if (process_start_time(pid) != start)
		return other(rb, "it was started at another time");
	return check_program(rb);
}
