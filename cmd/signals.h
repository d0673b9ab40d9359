// SPDX-License-Identifier: GPL-2.0-or-later
// Signals and standard descriptors of the command.
#pragma once

#include <signal.h>
#include <stdbool.h>

// At the start: descriptors 0 to 2 are open (else a file of the target would get them and what is printed),
// and SIGCHLD is not ignored, whatever the parent left.
void signals_standard(void);

// For verbs that touch a process: SIGINT, SIGTERM and SIGHUP are noted once (a second one ends molt at once)
// unless they were ignored; SIGPIPE is ignored; a terminal cannot stop molt.
void signals_catch(void);
bool signals_came(void);
bool signals_interrupted(void *unused); // the same, as the library asks
// Ends by the signal that came, as the parent would see it without signals_catch. Returns when there was none.
void signals_pass_on(void);
