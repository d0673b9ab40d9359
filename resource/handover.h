// SPDX-License-Identifier: LGPL-2.1-or-later
// Descriptors of a living process (restore --replace PID) that take the place of saved ones: sockets, and what no file
// can bring back. The living process keeps its own; nothing of them is changed before it ends.
#pragma once

#include "resource/kinds.h"

// Saving: notes which boot of the machine this is; cookies and inodes of sockets mean something within it.
struct err *handover_save_boot(struct saving *all) must_check;

// Restoring, in this order, each without effect when all->handover is NULL.
// Takes what the process has.
struct err *handover_read(struct restoring *all) must_check;
// Sets all->files[index] when the process has the same thing; leaves -1 when not, or when the object is better made from the
// checkpoint (what stands in files, and what connects processes of the checkpoint with each other).
struct err *handover_take(struct restoring *all, size_t index, const json_t *object)
	must_check;
// Whether that object came from the living process.
bool handover_is(const struct restoring *all, size_t index);
// Notes what is closed with the old process: connections that the checkpoint does not know.
struct err *handover_note_rest(struct restoring *all) must_check;

struct handover_fds;
void handover_free(struct handover_fds *h); // restoring_deinit
