// SPDX-License-Identifier: GPL-2.0-or-later
// The verbs, one line each; the table is in main.c.
#pragma once

#include "cmd/cmd.h"

extern const struct verb verb_checkpoint;
extern const struct verb verb_diff;
extern const struct verb verb_doctor;
extern const struct verb verb_explain;
extern const struct verb verb_list;
extern const struct verb verb_plan;
extern const struct verb verb_prune;
extern const struct verb verb_restore;
extern const struct verb verb_revert;
extern const struct verb verb_rm;
extern const struct verb verb_rollback;
extern const struct verb verb_show;
extern const struct verb verb_status;
extern const struct verb verb_symbols;
extern const struct verb verb_update;
extern const struct verb verb_verify;
