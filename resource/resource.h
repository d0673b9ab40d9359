// SPDX-License-Identifier: LGPL-2.1-or-later
// The kernel resources of a process, one kind a file: each is read from a process that stands still into JSON (save) and
// made again from it (restore).
//
// Open file descriptions are *objects*: they are shared by descriptors of one process and of several, so they stand once in
// the objects document and each process lists {descriptor, flags, object}. An object is made *in the tool* (open the file,
// fill the pipe, bind the socket), passed to each process, and put at its number there; what only the process itself can do
// (record locks, epoll registrations, which remember numbers) is done afterwards through the remote.
#pragma once

#include <jansson.h>

#include "image/store.h"
#include "process/maps.h"
#include "process/process.h"
#include "process/remote.h"

// Saving: one for a tree.
struct save_options {
	const char *const *skip; // kinds of descriptor the user goes without: "device", "tcp", "netlink", ...
	size_t n_skip;
};

struct saving {
	const struct save_options *opt;
	json_t *objects;	  // {"files": [...], "memory": [...], ...}
	struct file_index *index; // which open file description is which object (kcmp); files.c
	struct socket_saving *sockets; // NULL: no UNIX socket seen yet; socket_state.h
	VEC(char *) notes;	       // remarks for the user
};

struct saver { // one process, every thread at PTRACE_EVENT_STOP
	struct saving *all;
	struct process *process;
	struct helper *helper; // makes system calls in it; its threads, mappings and descriptors are not the process's
	struct remote *ask; // calls in the threads themselves
	int pidfd;
	const struct maps *maps;
	json_t *state;
};

// Each adds its members to s->state and s->all->objects. Refuses (ERR_REFUSED) what cannot be saved, naming it.
struct err *save_process(struct saver *s)
	must_check; // ids, comm, cwd, root, umask, limits, mm, auxv, dumpable ...
struct err *save_threads(struct saver *s)
	must_check; // registers, xstate, altstack, rseq, robust list, scheduling ...
struct err *save_credentials(struct saver *s)
	must_check; // per thread; groups, capabilities, securebits, seccomp
struct err *save_signals(struct saver *s)
	must_check; // handlers, masks, pending, itimers, POSIX timers
struct err *save_descriptors(struct saver *s) must_check; // and what they lead to
// When all processes of the tree are saved, still standing, process, pidfd and state of each saver still there: what leads from one object to others.
struct err *saving_finish(struct saving *all) must_check;
void saving_deinit(struct saving *all); // the index; objects and notes stay with the caller

// Restoring: one for a tree.
enum files_policy { FILES_EXACT, FILES_APPEND_OK, FILES_ANY };

struct restore_options {
	enum files_policy files;
	bool tcp_close; // connections of the past are not brought back: the program sees them closed
};

// --replace: descriptors of a living process. It was stopped by process_freeze_at_rest (process/rest.h), for what it took from a
// connection and did not answer is lost with it. Set before restore_objects, until it has ended; more than one
// process may be built from the objects.
struct handover {
	pid_t pid;
	int pidfd;
	const struct handover *next; // of a tree
};

struct made_pipe {    // an anonymous pipe, both ends of which the tool holds
	size_t first; // the lowest object of it
	int read, write;
};

struct restoring {
	const struct restore_options *opt;
	const json_t *objects;
	const struct handover *handover; // NULL: none
	bool started;			 // restoring_start was called
	bool again; // processes were made from these objects before, which will not run
	int *files; // for each of objects["files"], the tool's descriptor, -1: not made yet
	size_t n_files;
	int *memory; // for each of objects["memory"], the tool's descriptor (of a memfd, /dev/shm file ...), -1: has none; by restore/
	size_t n_memory;
	struct socket_restoring *sockets; // socket_state.h
	struct handover_fds *handed;	  // what the living process has; handover.h
	VEC(struct made_pipe) pipes;	  // ascending; their descriptors are in kept
	VEC(size_t) callers; // objects that molt's own standard input or output took the place of
	VEC(int) kept;	   // descriptors that are closed with the rest
	VEC(char *) notes; // the caller's
};

struct restorer { // one process
	struct restoring *all;
	const struct core *core;
	const json_t *state;
	struct remote *remote; // r.tid is its first thread
	// The thread that has this saved id now (they differ with --pid-any).
	pid_t (*tid_of)(const struct restorer *r, pid_t saved);
	void *arg;
};

// What a saved process asks for, before any process is made: members that make no sense (ERR_CORRUPT), and rights that the
// caller does not have (refused, privilege).
struct err *restore_check(struct restoring *all, const json_t *state) must_check;
// Whether a thread of it has seccomp filters: whoever traces the new threads then sets PTRACE_O_SUSPEND_SECCOMP, so that
// nothing of the rebuilding meets them.
bool state_has_seccomp(const json_t *state);
// Before any process is made: opens, makes and connects every object; all that can be refused is refused here.
struct err *restore_objects(struct restoring *all) must_check;
void restoring_deinit(struct restoring *all);
// As soon as a process of a tree is there, before its children are: they inherit the session. restore_process does it, too.
struct err *restore_session(struct restorer *r) must_check;
// In the process: in this order, each with all threads of the process there, all signals blocked in them.
// Whatever else the process has open is closed but for the remote's channel, which may get another number; its owner closes it.
struct err *restore_descriptors(struct restorer *r) must_check;
// When all processes have their descriptors: what could disturb others before (terminals' foreground groups, owners).
struct err *restoring_start(struct restoring *all) must_check;
struct err *restore_process(struct restorer *r)
	must_check; // cwd, root, umask, limits, comm, personality ...
struct err *restore_signals(struct restorer *r)
	must_check; // handlers, pending, timers not started yet
struct err *restore_threads(struct restorer *r)
	must_check; // names, altstack, rseq, robust list, scheduling, affinity
struct err *restore_credentials(struct restorer *r)
	must_check; // last: nothing needs privilege afterwards
struct err *restore_timers(struct restorer *r)
	must_check; // just before it goes on: arms itimers and POSIX timers
