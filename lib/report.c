// SPDX-License-Identifier: LGPL-2.1-or-later
// Making and freeing reports; see report.h and molt.h.
#include "lib/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum molt_verdict report_verdict(enum err_kind kind)
{
	switch (kind) {
	case ERR_USAGE:
		return MOLT_USAGE;
	case ERR_REFUSED:
		return MOLT_REFUSED;
	case ERR_BUSY:
		return MOLT_BUSY;
	case ERR_PERM:
		return MOLT_PERMISSION;
	case ERR_ROLLED_BACK:
		return MOLT_ROLLED_BACK;
	case ERR_LOST:
		return MOLT_LOST;
	case ERR_CORRUPT:
		return MOLT_CORRUPT;
	case ERR_UNSUPPORTED:
		return MOLT_UNSUPPORTED;
	case ERR_INTERNAL:
	case ERR_SYSTEM:
	case ERR_NOMEM:
		break;
	}
	return MOLT_INTERNAL;
}

struct molt_report *report_new(pid_t pid)
{
	struct molt_report *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->pid = pid;
	r->memory_fd = -1;
	return r;
}

void report_fail(struct molt_report *r, struct err *e)
{
	if (!e)
		return;
	free(r->reason);
	free(r->object);
	r->verdict = report_verdict(e->kind);
	r->code = e->code;
	r->reason = strdup(e->message);
	r->object = e->object ? strdup(e->object) : NULL;
	err_free(e);
}

struct err *report_note(struct molt_report *r, const char *fmt, ...)
{
	va_list ap;
	char *text;
	char **grown = reallocarray(r->notes, r->n_notes + 1, sizeof(*r->notes));

	if (!grown)
		return err_nomem();
	r->notes = grown;
	va_start(ap, fmt);
	int len = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (len < 0)
		return err_nomem();
	r->notes[r->n_notes++] = text;
	return NULL;
}

static enum err_kind kind_of(enum molt_verdict verdict)
{
	static const enum err_kind kinds[] = {
		[MOLT_DONE] = ERR_INTERNAL,
		[MOLT_INTERNAL] = ERR_INTERNAL,
		[MOLT_USAGE] = ERR_USAGE,
		[MOLT_REFUSED] = ERR_REFUSED,
		[MOLT_BUSY] = ERR_BUSY,
		[MOLT_PERMISSION] = ERR_PERM,
		[MOLT_ROLLED_BACK] = ERR_ROLLED_BACK,
		[MOLT_LOST] = ERR_LOST,
		[MOLT_CORRUPT] = ERR_CORRUPT,
		[MOLT_UNSUPPORTED] = ERR_UNSUPPORTED,
	};

	return kinds[verdict];
}

struct err *report_take(struct molt_report *r, struct molt_report *part)
{
	struct err *e = NULL;

	r->generation = part->generation;
	memcpy(r->old_build_id, part->old_build_id, sizeof(r->old_build_id));
	memcpy(r->new_build_id, part->new_build_id, sizeof(r->new_build_id));
	r->functions = part->functions;
	for (size_t i = 0; i < part->n_notes; i++)
		e = err_first(e, report_note(r, "%s", part->notes[i]));
	if (part->verdict != MOLT_DONE) {
		err_free(e); // a note less is better than no reason
		e = err_with(err_new(kind_of(part->verdict), "%s",
				     part->reason ? part->reason : "?"),
			     part->code, part->object);
	}
	molt_report_free(part);
	return e;
}

struct molt_functions report_functions(const size_t count[FUNC_REMOVED + 1])
{
	return (struct molt_functions){
		.same = count[FUNC_SAME],
		.imm_only = count[FUNC_IMM],
		.ref_only = count[FUNC_REF],
		.code = count[FUNC_CODE],
		.added = count[FUNC_ADDED],
		.removed = count[FUNC_REMOVED],
	};
}

void molt_report_free(struct molt_report *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n_notes; i++)
		free(r->notes[i]);
	for (size_t i = 0; i < r->n_processes; i++)
		molt_report_free(r->processes[i]);
	if (r->memory_fd >= 0)
		close(r->memory_fd);
	free(r->processes);
	free(r->checkpoint_id);
	free(r->checkpoint_path);
	free(r->notes);
	free(r->reason);
	free(r->object);
	free(r);
}
