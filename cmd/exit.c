// SPDX-License-Identifier: GPL-2.0-or-later
// The one place where errors become exit codes and words.
#include "cmd/cmd.h"

int exit_code_of(enum err_kind kind)
{
	switch (kind) {
	case ERR_USAGE:
		return FAILED_USAGE;
	case ERR_REFUSED:
		return REFUSED;
	case ERR_BUSY:
		return FAILED_BUSY;
	case ERR_PERM:
		return FAILED_PERMISSION;
	case ERR_ROLLED_BACK:
		return ROLLED_BACK;
	case ERR_LOST:
		return TARGET_LOST;
	case ERR_CORRUPT:
		return INPUT_CORRUPT;
	case ERR_UNSUPPORTED:
		return UNSUPPORTED;
	case ERR_INTERNAL:
	case ERR_SYSTEM:
	case ERR_NOMEM:
		break;
	}
	return FAILED_INTERNAL;
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
