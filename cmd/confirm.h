// SPDX-License-Identifier: GPL-2.0-or-later
// molt update --confirm: the new program has to prove itself, else it is taken back.
#pragma once

#include "cmd/cmd.h"

struct confirmation {
	double seconds;	    // 0: none is asked for
	const char *health; // for sh -c
};

// After an update that was done: runs the health command until it succeeds. If it does not in time, or a signal
// comes, reverts with the options of the update and turns `r` into the report of that. Says on stderr what
// takes long.
void confirm_or_revert(const struct confirmation *c,
		       const struct molt_update_options *opt, struct molt_report *r);
