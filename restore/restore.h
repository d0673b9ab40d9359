// SPDX-License-Identifier: LGPL-2.1-or-later
// Rebuilding saved processes: order of operations (design 3). A rebuilt process stands still, exactly as it was saved, until
// restore_resume; lib/restore.c applies an update in between (--into).
#pragma once

#include "resource/resource.h"

struct rebuild_options {
	struct restore_options restore;
	bool pid_any; // other ids than the saved ones when those are taken
	pid_t replace; // 0: none; its descriptors are handed over, and it ends when all is ready
	// Only to be looked at and ended: without descriptors and attributes, under any ids. Needs no rights and
	// disturbs no living process.
	bool hollow;
	bool park; // rebuilt_park will be called
	bool lazy; // it runs before all of its memory is there
	void (*progress)(void *arg, const char *text);
	void *arg;
};

struct rebuilt;

// Rebuilds every process of the checkpoint, all threads stopped. Everything that can be refused is refused before the first
// is made; an error leaves nothing behind. The process to be replaced stands still from here on.
struct err *rebuild(const struct checkpoint *c, const struct rebuild_options *opt,
		    struct rebuilt **ret) must_check;
// With --replace the process is rebuilt under any ids first, and the other stands still. Ends that one: until then the
// rebuilt one ends should the tool die, from then on it goes on.
struct err *rebuilt_end_replaced(struct rebuilt *r) must_check;
// Waits until it is gone; whether the saved ids are free then.
void rebuilt_collect_replaced(struct rebuilt *r, bool *ids_free);
// The second one goes on and the first is ended.
struct err *rebuilt_supersede(struct rebuilt *first, struct rebuilt *second) must_check;
// The same processes once more, from the same objects; the first ones stay until rebuilt_abort. `first` is freed last.
struct err *rebuild_again(struct rebuilt *first, bool pid_any, struct rebuilt **ret)
	must_check;
// What waited for the end of the replaced process; once.
struct err *rebuilt_make_visible(struct rebuilt *first) must_check;
char *const *rebuilt_notes(const struct rebuilt *r, size_t *n); // remarks for the user
pid_t rebuilt_pid(const struct rebuilt *r);			// of the root
size_t rebuilt_processes(const struct rebuilt *r);
// Lets go of the tracing with the processes in a job-control stop at their saved instruction, so that another part of molt can
// work on them (update_run); rebuilt_regain takes them back.
struct err *rebuilt_park(struct rebuilt *r) must_check;
struct err *rebuilt_regain(struct rebuilt *r) must_check;
// Lets all go.
struct err *rebuilt_resume(struct rebuilt *r) must_check;
// Waits until all memory is there, *when (monotonic ns); ERR_CORRUPT when a block's hash is wrong (the processes are ended then).
struct err *rebuilt_wait_resident(struct rebuilt *r, uint64_t *when) must_check;
// A descriptor that can be read when rebuilt_wait_resident would not wait; the caller's then. -1: all memory is there.
int rebuilt_take_report(struct rebuilt *r);
// The same as rebuilt_wait_resident.
struct err *restore_hear_report(int report, uint64_t *when) must_check;
void rebuilt_abort(struct rebuilt *r); // ends what was made; the replaced process goes on
void rebuilt_free(struct rebuilt *r);
