// SPDX-License-Identifier: LGPL-2.1-or-later
// Until resource/, process/ask.c and process/tracker.c have these: whoever lands one takes its line away here.
#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#include "image/json.h"
#include "os/proc.h"
#include "process/ask.h"
#include "process/tracker.h"
#include "resource/resource.h"
#include "util/cleanup.h"

#define WEAK __attribute__((weak))

WEAK struct err *ask_create(struct process *p, struct helper *h, size_t size,
			    struct remote **ret)
{
	(void)p, (void)h, (void)size;
	*ret = NULL;
	return NULL;
}
WEAK struct err *ask_free(struct remote *r)
{
	(void)r;
	return NULL;
}
WEAK void tracker_free(struct tracker *t)
{
	(void)t;
}
WEAK struct err *save_process(struct saver *s)
{
	_cleanup_free_ char *auxv = NULL;
	struct os_status st = {0};
	size_t len = 0;

	if (os_proc_read(s->process->pid, 0, "auxv", &auxv, &len) < 0 ||
	    os_proc_status(s->process->pid, 0, &st) < 0)
		return err_new(ERR_LOST, "process %d is gone", s->process->pid);
	TRY(json_put_int(s->state, "pid", s->process->pid));
	TRY(json_put_int(s->state, "ppid", st.ppid));
	TRY(json_put_text(s->state, "comm", s->process->comm));
	return json_put_bytes(s->state, "auxv", auxv, len);
}
WEAK struct err *save_threads(struct saver *s)
{
	json_t *list, *o;

	TRY(json_put_array(s->state, "threads", &list));
	vec_for_each(t, &s->process->threads) {
		uint8_t xstate[16384];
		struct iovec iov = {xstate, sizeof(xstate)};
		long (*trace)(enum __ptrace_request, ...) = ptrace;

		if (t->state == THREAD_GONE)
			continue;
		if (trace(PTRACE_GETREGSET, t->tid, (void *)NT_X86_XSTATE, &iov) < 0)
			return err_sys(errno, "cannot read the registers of %d", t->tid);
		TRY(json_add_object(list, &o));
		TRY(json_put_int(o, "tid", t->tid));
		TRY(json_put_text(o, "comm", t->comm));
		TRY(json_put_bytes(o, "regs", &t->regs, sizeof(t->regs)));
		TRY(json_put_bytes(o, "xstate", xstate, iov.iov_len));
		TRY(json_put_mask(o, "sigmask", t->sigmask));
	}
	return NULL;
}
WEAK struct err *save_credentials(struct saver *s)
{
	(void)s;
	return NULL;
}
WEAK struct err *save_signals(struct saver *s)
{
	(void)s;
	return NULL;
}
WEAK struct err *save_descriptors(struct saver *s)
{
	(void)s;
	return NULL;
}
