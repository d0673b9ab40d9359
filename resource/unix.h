// SPDX-License-Identifier: LGPL-2.1-or-later
// UNIX sockets. Which is connected with which says the kernel's list (os/sock_diag.h). Connections whose ends are both saved
// are made anew with all that waits in them; one with an end outside comes back only by a handover (--replace), and is refused
// when it is saved unless the user goes without it (--skip unix).
#pragma once

#include "resource/socket.h"

// Whether a saved UNIX socket leads out of the checkpoint: listening, not connected, connected with an end that is not saved.
struct err *unix_is_outside(struct restoring *all, size_t index, const json_t *object,
			    bool *ret) must_check;
// The object of the socket with this inode; false: it is not saved.
struct err *unix_find(struct restoring *all, int64_t inode, bool *found, size_t *index)
	must_check;

struct unix_image {
	struct socket_type type;
	const char *state; // "listening", "connected", "unconnected"
	struct socket_addr local, remote;
	int64_t inode, peer; // peer 0: closed; -1: not connected
	int backlog, shutdown;
	bool outside; // its peer is not saved, and is not found by its name
};
struct err *unix_image_get(const json_t *object, size_t index, struct unix_image *ret)
	must_check;

// Binds to the saved name; a socket file that nobody listens at any more is replaced (unix_bind.c).
struct err *unix_bind_saved(struct restoring *all, size_t index, const json_t *object,
			    int fd, const struct socket_addr *local) must_check;
// A name that is a relative path means something in one folder only: goes there. unix_leave is the cleanup.
struct err *unix_enter(const json_t *object, int *before) must_check;
void unix_leave(const int *before);
// Saves what the file of a bound socket is like: "file".
struct err *unix_save_file(const struct open_file *f, const struct socket_addr *local,
			   uint32_t dev, uint32_t ino, json_t *object) must_check;

struct err *unix_make(struct restoring *all, size_t index, const json_t *object)
	must_check;
struct err *unix_join(struct restoring *all, size_t index, const json_t *object)
	must_check;
struct err *unix_start(struct restoring *all, size_t index, const json_t *object)
	must_check;
