// SPDX-License-Identifier: LGPL-2.1-or-later
// Parts of save_process and restore_process that stand in files of their own.
#pragma once

#include "resource/resource.h"

// Places of the memory's bounds in the image's `mm`; the order of struct prctl_mm_map.
enum { MM_FIELDS = 11 };
extern const char *const mm_names[MM_FIELDS];

struct err *save_limits(struct saver *s) must_check;
struct err *restore_limits(struct restorer *r) must_check;
// Those of the image that are above molt's own, and may not be: refused (privilege).
struct err *check_limits(const json_t *state) must_check;

// The current folder and the root.
struct err *save_folders(struct saver *s) must_check;
struct err *restore_folders(struct restorer *r) must_check;
struct err *check_folders(const json_t *state) must_check;

// The controlling terminal; `number` as in /proc/PID/stat. Restored for the leader of a session, once it leads.
struct err *save_ctty(struct saver *s, uint64_t number, bool foreground) must_check;
struct err *restore_ctty(struct restorer *r) must_check;
struct err *restore_foreground(struct restorer *r) must_check;
struct err *check_ctty(const json_t *state) must_check;

// Before anything is made: ERR_CORRUPT when a member makes no sense.
struct err *check_process(const json_t *state) must_check;
