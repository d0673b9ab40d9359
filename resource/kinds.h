// SPDX-License-Identifier: LGPL-2.1-or-later
// Kinds of open file description. A kind is one file of this folder with a const struct file_kind, and a line in the table
// of resource/files.c; what is common to all (sharing, file status flags, offset's owner, --skip) is done there and in
// descriptors.c.
#pragma once

#include <sys/stat.h>

#include "resource/json.h"

// An open file description of a process that stands still, seen through one of its descriptors.
struct open_file {
	struct saver *s; // of the first process that has it
	pid_t pid; // who has it at the number fd: that process, or the tool (only in transit in a UNIX socket)
	int fd;
	size_t index; // the object's, in objects["files"]
	const char *path; // the link /proc/PID/fd/N: "/x (deleted)", "socket:[123]", "anon_inode:[eventpoll]"
	struct stat st;
	int flags; // F_GETFL; never O_CLOEXEC
	uint64_t pos;
	const char *info; // the text of /proc/PID/fdinfo/N
};

struct file_kind {
	const char *name; // the member "kind", and what --skip takes
	bool skips_itself; // save and save_late ask saving_skips: they go without a part only
	// The first kind of the table that says yes has it.
	bool (*recognises)(const struct open_file *f);
	// Adds the kind's members to the object, which has "kind", "flags", "offset" and "path" already. ERR_REFUSED (open_file_refuse) when
	// it cannot be brought back.
	struct err *(*save)(const struct open_file *f, json_t *object);
	// Optional, called once all descriptors of all processes are known: what leads to other objects.
	struct err *(*save_late)(const struct open_file *f, json_t *object);
	// Makes it in the tool, before any process exists: sets all->files[index], and those of others that come into
	// being with it (the other end of a pair); called in the order of the objects for those not there yet. File status flags that F_SETFL can
	// set are set afterwards by the caller. Every member of the object is hostile.
	struct err *(*make)(struct restoring *all, size_t index, const json_t *object);
	// Optional, for what make left at -1 because it is about a process of the tree (a pidfd): called for the first process
	// that has it, before its descriptors are given to it.
	struct err *(*make_late)(struct restorer *r, size_t index, const json_t *object);
	// Optional, called in the tool when all objects are made: what leads from one to others (descriptors in transit).
	struct err *(*join)(struct restoring *all, size_t index, const json_t *object);
	// Optional: what only a process can do (epoll registrations, which remember numbers). Called for each process that has it,
	// every descriptor being at its number; fd is the lowest it has for it.
	struct err *(*finish)(struct restorer *r, size_t index, const json_t *object,
			      int fd);
	// Optional: called in the tool just before the processes go on, or NULL.
	struct err *(*start)(struct restoring *all, size_t index, const json_t *object);
};

// Saving.

// The tool's own descriptor of it (pidfd_getfd), close-on-exec. Offsets and flags are shared with the process: look, do not touch.
struct err *open_file_here(const struct open_file *f, int *fd) must_check;
// ERR_REFUSED that names descriptor, kind and path: "descriptor 7 (tcp, 1.2.3.4:80) of process 5: WHY". Codes: "unsaved-descriptor" or one of
// the kind's own.
struct err *open_file_refuse(const struct open_file *f, const char *code, const char *fmt,
			     ...) must_check printf_like(3, 4);
// A number of fdinfo, "eventfd-count: " with base 16; false when there is none or it is none.
bool fdinfo_u64(const char *info, const char *key, int base, uint64_t *ret);

bool saving_skips(const struct saving *all, const char *kind); // --skip KIND
// The object of a descriptor that the tool has (received from a queue): finds or makes it. Takes the descriptor over.
struct err *saving_add_here(struct saver *s, int fd, size_t *index) must_check;
// Objects that live on this inode, the first from *at on, which becomes the one behind; false: no more.
bool saving_next_on_inode(const struct saving *all, dev_t dev, ino_t ino, size_t *at,
			  size_t *index);
// An open file description of a known object, as it was seen when it was saved.
const struct open_file *saving_open_file(const struct saving *all, size_t index);

// Restoring.

const json_t *restoring_object(const struct restoring *all, size_t index); // NULL: none
// A descriptor of the tool's that stays open until restoring_deinit. Taken over.
struct err *restoring_keep(struct restoring *all, int fd) must_check;
// ERR_CORRUPT for a member that is missing or makes no sense: "object 5 (pipe) of the image: capacity: out of range".
struct err *restoring_bad(size_t index, const json_t *object, const char *fmt, ...)
	must_check printf_like(3, 4);

// The kinds; sockets are made by resource/socket.c.
extern const struct file_kind kind_path, kind_regular, kind_directory, kind_device,
	kind_proc, kind_pipe, kind_eventfd, kind_epoll, kind_timerfd, kind_signalfd,
	kind_inotify, kind_memfd, kind_pidfd, kind_terminal;
extern const struct file_kind kind_tcp, kind_udp, kind_unix, kind_netlink,
	kind_other_socket;
// Never saved: resource/unsaved.c.
extern const struct file_kind kind_io_uring, kind_userfaultfd, kind_perf_event, kind_bpf,
	kind_kvm, kind_fanotify, kind_other;
