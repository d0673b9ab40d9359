// SPDX-License-Identifier: GPL-2.0-or-later
// Exit codes and the words for them in --json.
#include "cmd/cmd.h"
#include "lib/report.h"

int exit_code_of(enum err_kind kind)
{
	return (int)report_verdict(kind);
}

const char *verdict_of(int exit_code)
{
	static const char *const words[] = {
		[DONE] = "done",
		[FAILED_INTERNAL] = "internal",
		[FAILED_USAGE] = "usage",
		[REFUSED] = "refused",
		[FAILED_BUSY] = "busy",
		[FAILED_PERMISSION] = "permission",
		[ROLLED_BACK] = "rolled-back",
		[TARGET_LOST] = "lost",
		[INPUT_CORRUPT] = "corrupt",
		[UNSUPPORTED] = "unsupported",
	};

	if (exit_code < DONE || exit_code > UNSUPPORTED)
		return words[FAILED_INTERNAL];
	return words[exit_code];
}
