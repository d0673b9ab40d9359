// SPDX-License-Identifier: LGPL-2.1-or-later
// libmolt: moves a running, unmodified Linux process into a new build of its program.
//
// Every function returns a report, or NULL only when there is no memory. The report says
// how it ended (verdict), why (code, reason, object) and the figures; the caller frees it
// with molt_report_free(). The library prints nothing, never ends the process and keeps
// no global state; different processes may be updated from different threads at the same
// time.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MOLT_API __attribute__((visibility("default")))

// How a call ended; the values are the exit codes of molt(1).
enum molt_verdict {
	MOLT_DONE = 0,
	MOLT_INTERNAL =
		1, // a bug of molt, no memory, or a system call that failed unexpectedly
	MOLT_USAGE = 2,	  // an argument makes no sense
	MOLT_REFUSED = 3, // molt will not do it; the target was not touched
	MOLT_BUSY = 4,	  // not quiescent in time; the target was not touched, try again
	MOLT_PERMISSION = 5, // a permission or capability is missing
	MOLT_ROLLED_BACK =
		6, // it failed inside the stop, all was put back; the target is healthy
	MOLT_LOST = 7,	      // the target died
	MOLT_CORRUPT = 8,     // an input file is damaged
	MOLT_UNSUPPORTED = 9, // kernel or host lacks something
};

// Functions of NEW by what changed. `imm_only`: only immediates such as __LINE__;
// `ref_only`: only what they refer to, such as a string.
struct molt_functions {
	size_t same, imm_only, ref_only, code, added, removed;
};

struct molt_report {
	enum molt_verdict verdict;
	// For every verdict but MOLT_DONE: a stable code (molt_explain) or NULL, one line
	// in lower case without full stop, and the function, type, file or thread it is
	// about, or NULL.
	const char *code;
	char *reason, *object;

	pid_t pid;
	char comm[16];
	unsigned generation; // the program it runs now: 0 is the one it started with
	bool already;	     // it ran these very files before: nothing was done
	char old_build_id[65], new_build_id[65]; // hex, empty when the file has none
	unsigned threads;
	struct molt_functions functions;
	double stop_us; // critical stop: first thread stopped to last thread released
	// Its shares: until the last thread had stopped, judging the stacks, the commit, letting go.
	double freeze_us, judge_us, commit_us, thaw_us;
	double stop2_us;   // stops of single threads before and after it, summed
	double total_ms;   // the whole call
	unsigned attempts; // how often it stopped the process until it was quiescent

	// Remarks for the user, one line each: variables that keep a conflicting value,
	// members renamed, functions that go on in their old body, the call path that was
	// in the way (MOLT_BUSY).
	char **notes;
	size_t n_notes;

	// Of molt_restore: from the call until the process ran, and until all of its memory was there (-1: not
	// waited for).
	double running_ms, resident_ms;
	int memory_fd;	     // -1, or what molt_restore_memory waits for
	uint64_t started_ns; // of CLOCK_MONOTONIC

	// With molt_update_options.tree: a report for each process, the named one first; what stands above is
	// then of the whole (threads: all; the figures: of the named one).
	struct molt_report **processes;
	size_t n_processes;

	// Of molt_checkpoint: its id and its folder, the bytes of memory in it, how many processes were saved.
	char *checkpoint_id, *checkpoint_path;
	uint64_t bytes;
	unsigned saved_processes;

	// Of molt_rollback: of the stop, comparing memory; threads and descriptors that were ended or closed, or made again.
	double compare_us;
	unsigned threads_ended, threads_made, descriptors_closed, descriptors_made;
};

// A shared library to be updated: which, by its path, its file name or its soname as the process has it
// loaded, and its new file.
struct molt_module {
	const char *old, *new_path;
};

// All zero is the default for every field; leave out what you do not need:
//   struct molt_update_options opt = { .wait_seconds = 10 };
struct molt_update_options {
	double wait_seconds; // how long to wait for quiescence; 0: 5 seconds
	const char *at; // update when this function returns, or NULL for the first quiet
			// moment
	const char *const *keep_old; // functions whose active frames may go on in their old body
	size_t n_keep_old;
	const char *debug_dir; // looked into first for separate debug files, or NULL
	bool allow_holes; // take new structure members that fill a hole or tail padding
	bool allow_lost; // let variables that the new program lacks go, with what they hold
	const struct molt_module *modules; // updated in the same stop
	size_t n_modules;
	bool named_only; // libraries that lie beside the new program stay as they are
	// Update the process and all its descendants that run the same program, in one stop: all or none.
	// Descendants that run another program are named in a note and left alone. Not with `at`.
	bool tree;
	bool dry_run; // check everything on the running process and stop nothing
	// Not NULL: give up with MOLT_BUSY and code "generation-changed" when the process is in another one.
	const unsigned *expected_generation;
	// Told in one line each time the work enters another phase; may be NULL.
	void (*progress)(void *arg, const char *text);
	// Asked now and then, at least each 100 ms while it waits for quiescence; true: give up, unless
	// the process runs the new program already. The report has MOLT_BUSY and code "interrupted". May
	// be NULL.
	bool (*interrupted)(void *arg);
	void *arg; // of both
};

// Compares two program files. The report has build-ids, counts of functions, and as notes
// the names of those that changed. MOLT_REFUSED, MOLT_CORRUPT: a file is no program.
MOLT_API struct molt_report *molt_diff(const char *old_path, const char *new_path,
				       const char *debug_dir);

// What molt_update would do and refuse, looked at on the running process without stopping
// it.
MOLT_API struct molt_report *molt_plan(pid_t pid, const char *new_path,
				       const struct molt_update_options *opt);

// Moves the process into the program at new_path, or with NULL only the modules of `opt`. `opt` may be NULL.
MOLT_API struct molt_report *molt_update(pid_t pid, const char *new_path,
					 const struct molt_update_options *opt);

enum { MOLT_PREVIOUS = -1 };

// Moves the process back to what it ran in generation `to`, or with MOLT_PREVIOUS undoes the last update: all
// modules that changed, with the checks of an update and from the files of before or molt's copies of them. It is
// one more generation, and undone by another revert. `opt` as for molt_update, without `modules`.
// MOLT_REFUSED: also codes never-updated, no-generation, not-the-program.
MOLT_API struct molt_report *molt_revert(pid_t pid, int to,
					 const struct molt_update_options *opt);

// What becomes of a file that changed since the checkpoint: refused; taken when it only grew; taken.
enum molt_files { MOLT_FILES_EXACT, MOLT_FILES_APPEND_OK, MOLT_FILES_ANY };

struct molt_restore_options {
	const char *store; // NULL: the default
	const char *into;  // the new build of the program that it goes on in, or NULL
	const struct molt_update_options *update; // for `into`; may be NULL
	bool dry_run; // rebuild it, update it (`into`), look whether all that succeeds, and end it without having run
	bool program_only; // dry_run for `into` alone: not whether files, sockets and ids can be had
	pid_t replace; // a living process whose place it takes, with its connections; 0: none
	bool pid_any;	    // under other ids than the saved ones
	bool eager;	    // all memory is there before it runs
	bool wait_resident; // return only when all memory is there
	enum molt_files files;
	bool tcp_close; // the program sees its connections closed
	void (*progress)(void *arg, const char *text);
	void *arg;
};

// Brings back what `checkpoint` (an id, a name, a path; NULL: the newest of the store) holds: it runs when this
// returns, as a child of the caller. The report has its pid and generation. `opt` may be NULL.
MOLT_API struct molt_report *molt_restore(const char *checkpoint,
					  const struct molt_restore_options *opt);
// Waits until all memory of a process that molt_restore brought back is there (resident_ms), or it has ended. Where the
// memory could not be brought the process was ended: the report has MOLT_CORRUPT and the reason then.
MOLT_API void molt_restore_memory(struct molt_report *report);

struct molt_rollback_options {
	const char *store; // NULL: the default
	void (*progress)(void *arg, const char *text);
	bool (*interrupted)(void *arg);
	void *arg;
};

// Puts a living process back to where it was when `checkpoint` (as for molt_restore) of it was made. All or nothing. `opt` may be
// NULL. MOLT_REFUSED: also codes other-process, generation-differs, descriptor-gone, memory-gone, thread-id.
MOLT_API struct molt_report *molt_rollback(pid_t pid, const char *checkpoint,
					   const struct molt_rollback_options *opt);

// The generation of a process and the build-id of the program it runs now (new_build_id)
// and of the one it started with (old_build_id).
MOLT_API struct molt_report *molt_status(pid_t pid);

enum molt_after { // what becomes of a process that was saved
	MOLT_GO_ON,
	MOLT_STOP, // it is in a job-control stop (SIGCONT lets it go on)
	MOLT_KILL, // it stands from the moment it was saved and is ended once the checkpoint is on disk
};

// All zero is the default for every field.
struct molt_checkpoint_options {
	const char *store; // folder; NULL: as for molt(1)
	const char *name;  // of the user's for it, or NULL
	const char *parent; // id of an earlier checkpoint of the same process: only what changed since is stored
	enum molt_after after;
	bool tree; // with all descendants, which are all stopped before the first is saved
	bool compress;	  // zstd
	bool no_dontdump; // leave memory out that the program marked MADV_DONTDUMP
	const char *const *skip; // kinds of descriptor to go without ("device", "tcp", "netlink" ...)
	size_t n_skip;
	void (*progress)(void *arg, const char *text); // as for molt_update
	bool (*interrupted)(void *arg);
	void *arg;
};

// Saves the process as a checkpoint in the store. It goes on, whatever happens to the caller. `opt` may be NULL. The report
// has checkpoint_id, checkpoint_path, bytes, saved_processes, threads, generation, stop_us and total_ms.
MOLT_API struct molt_report *molt_checkpoint(pid_t pid,
					     const struct molt_checkpoint_options *opt);

MOLT_API void molt_report_free(struct molt_report *report);

// What a code means and what to do about it; false when the code is unknown. The strings
// are static.
MOLT_API bool molt_explain(const char *code, const char **title, const char **meaning,
			   const char **remedy);

// "0.1.0"
MOLT_API const char *molt_version(void);

#ifdef __cplusplus
}
#endif
