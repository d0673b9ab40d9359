// SPDX-License-Identifier: GPL-2.0-or-later
// Finding the processes that the command line means; see targets.h.
#include "cmd/targets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "os/command.h"
#include "update/select.h"
#include "util/cleanup.h"

enum { SYSTEMCTL_MS = 10000 };

bool targets_option(struct targets *t, int option, const char *argument)
{
	if (option == OPT_EXE)
		t->exe = argument;
	else if (option == OPT_UNIT)
		t->unit = argument;
	else
		return false;
	return true;
}

void targets_deinit(struct targets *t)
{
	vec_free(&t->pids);
}

static struct err *ask_systemctl(const char *unit, char *answer, size_t size)
{
	const char *const argv[] = {"systemctl", "show", "-p", "MainPID",
				    "--value",	 "--",	 unit, NULL};
	int status = os_run(&(struct os_command){
		.argv = argv, .timeout_ms = SYSTEMCTL_MS, .out = answer, .size = size});

	if (status == -ETIMEDOUT)
		return err_with(err_new(ERR_BUSY, "systemctl does not answer"),
				"no-systemd", unit);
	if (status < 0)
		return err_with(err_new(ERR_UNSUPPORTED, "cannot run systemctl: %s",
					strerror(-status)),
				"no-systemd", unit);
	return status ? err_refuse("unit-not-running", unit,
				   "systemctl does not know the unit %s", unit)
		      : NULL;
}

static struct err *find_unit(struct targets *t)
{
	struct stat st;
	char answer[64];
	int pid = 0;

	// As sd_booted(3) has it.
	if (lstat("/run/systemd/system", &st) || !S_ISDIR(st.st_mode))
		return err_with(err_new(ERR_UNSUPPORTED,
					"systemd does not run here, so that --unit has "
					"nothing to ask"),
				"no-systemd", t->unit);
	TRY(ask_systemctl(t->unit, answer, sizeof(answer)));
	answer[strcspn(answer, "\n")] = 0;
	char *end;
	long n = strtol(answer, &end, 10);
	if (end != answer && !*end && n > 0 && n <= INT32_MAX)
		pid = (int)n;
	if (!pid)
		return err_refuse("unit-not-running", t->unit,
				  "the unit %s has no main process", t->unit);
	return vec_push(&t->pids, pid);
}

static struct err *find_exe(struct targets *t, bool tree)
{
	_cleanup_(selection_deinit) struct selection s = {0};

	TRY(select_file(t->exe, &s));
	t->library = s.library;
	if (tree)
		TRY(selection_roots(&s));
	vec_for_each(pid, &s.pids)
		TRY(vec_push(&t->pids, *pid));
	return NULL;
}

struct err *targets_find(struct targets *t, const char *argument, bool tree)
{
	int pid;

	if (t->exe && t->unit)
		return err_new(ERR_USAGE, "--exe and --unit cannot be used together");
	if (t->exe)
		return find_exe(t, tree);
	if (t->unit)
		return find_unit(t);
	if (!argument)
		return err_new(ERR_USAGE, "a pid, --exe or --unit is needed");
	TRY(parse_pid(argument, &pid));
	return vec_push(&t->pids, pid);
}
