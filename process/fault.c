// SPDX-License-Identifier: LGPL-2.1-or-later
// Named fault points; see fault.h. A new point is one row here and one call where it
// belongs.
#include "process/fault.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/vec.h"

static const struct fault_info table[] = {
	{"update-start", "the plan is made, the process is untouched"},
	{"helper-stub", "the stub that makes the helper stands behind a module's text, a "
			"thread is stopped"},
	{"helper-entered", "a stopped thread is sent to the stub"},
	{"helper-cloned", "a thread is inside the clone that makes the helper"},
	{"helper-made", "the helper stands in the stub, all others run"},
	{"helper-mapped", "the helper's own area is mapped, it stands in the stub"},
	{"helper-ready", "the helper stands in its area, the stub is gone"},
	{"helper-left", "tidied up; the helper is in a stub again and has only to end"},
	{"update-installed", "the new image and the record are mapped"},
	{"update-prepared", "all is ready for the critical stop"},
	{"update-before-commit", "stopped; all frames may move, nothing is written"},
	{"update-after-commit", "stopped; committed, no thread is released"},
	{"update-before-tidy", "running in the new program; nothing is tidied up"},
	{"commit-mapped", "the control area is mapped, nothing uses it yet"},
	{"family-shared", "the decision that several processes share is mapped"},
	{"prepare-intent", "pages to make writable are recorded, none is changed"},
	{"prepare-done", "pages are writable and private"},
	{"before-verify", "stopped; the log is written, no old byte is verified yet"},
	{"in-gates", "stopped; the first thread is sent to its gate, the others are not"},
	{"family-one-gated",
	 "several stopped; the threads of the first are at their gates, the others' not"},
	{"after-gates-set", "stopped; all threads are at their gates, undecided"},
	{"after-decision", "stopped; decided, no byte is written yet"},
	{"family-one-redone",
	 "several stopped; the first log is executed, the others not"},
	{"after-redo", "stopped; the log is executed, registers are not restored"},
	{"before-undo", "stopped; committed, about to take it back"},
	{"after-undo-decision",
	 "stopped; taking back is decided, no byte is written yet"},
	{"after-undo", "stopped; everything is taken back, registers are not restored"},
	{"family-one-undone",
	 "several stopped; the first log is taken back, the others not"},
	{"family-one-released",
	 "the first of several runs again, the others are stopped"},
	{"before-finish", "running again; protections are those of the update"},
	{"after-protections", "running again; protections are back, the area is mapped"},
	{"ask-mapped",
	 "the area for calls in the threads is mapped, nothing uses it yet"},
	{"ask-sent", "stopped; a thread is sent to its calls, it does not run"},
	{"ask-running", "stopped; threads make calls"},
	{"ask-channel",
	 "stopped; a pair of sockets is made in the target, a thread waits "
	 "with it"},
	{"rollback-first",
	 "stopped; the first thread is sent into the area, the others are not"},
	{"rollback-gathered", "stopped; all threads are in the area, nothing is changed"},
	{"rollback-prepared", "stopped; all that can be taken back is done"},
	{"rollback-decided", "stopped; the rollback is decided, nothing is executed"},
	{"rollback-done", "stopped; the rollback is executed, no thread is released"},
	{"rollback-undone", "stopped; all is taken back, no thread is released"},
	{"gates-mapped", "the return gates are mapped, none is planted"},
	{"gate-planted", "a return gate is planted, its thread is stopped"},
	{"gates-reached", "a thread is held in a return gate"},
	{"in-withdraw", "stopped; one return gate is withdrawn, the others are not"},
	{"after-withdraw", "stopped; all return gates are withdrawn"},
	{"before-gates-free",
	 "running again; the gate area is mapped, no gate is planted"},
};

const struct fault_info *fault_list(size_t *n)
{
	*n = ARRAY_SIZE(table);
	return table;
}

static bool known(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (!strcmp(table[i].name, name))
			return true;
	return false;
}

// How a point is armed in MOLT_FAULT, a list "name,kill:name".
enum arming { NOT_ARMED, TO_FAIL, TO_KILL };

static enum arming arming(const char *name)
{
	static const char prefix[] = "kill:";
	const char *at = secure_getenv("MOLT_FAULT");

	while (at && *at) {
		size_t len = strcspn(at, ",");
		bool is_kill = !strncmp(at, prefix, sizeof(prefix) - 1);
		size_t skip = is_kill ? sizeof(prefix) - 1 : 0;

		if (len >= skip && len - skip == strlen(name) &&
		    !strncmp(at + skip, name, len - skip))
			return is_kill ? TO_KILL : TO_FAIL;
		at += len + (at[len] == ',');
	}
	return NOT_ARMED;
}

bool fault_armed(const char *name)
{
	return arming(name) != NOT_ARMED;
}

struct err *fault_point(const char *name)
{
	if (!known(name))
		return err_new(ERR_INTERNAL, "fault point %s is not in the table", name);
	switch (arming(name)) {
	case NOT_ARMED:
		return NULL;
	case TO_KILL:
		kill(getpid(), SIGKILL);
		break;
	case TO_FAIL:
		break;
	}
	return err_with(err_new(ERR_INTERNAL, "fault point %s", name), "fault", name);
}
