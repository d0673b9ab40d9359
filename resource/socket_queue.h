// SPDX-License-Identifier: LGPL-2.1-or-later
// What waits in the receive queue of a UNIX or UDP socket: looked at without taking it out, and put into a queue again.
#pragma once

#include "resource/socket.h"

// Adds "queue": [{"data", "from", "files", "pid", "uid", "gid", "to"}]; nothing when it is empty.
struct err *socket_save_queue(const struct open_file *f, const struct socket_type *t,
			      int fd, json_t *object) must_check;

enum { QUEUE_MESSAGES_MAX = 1 << 20, QUEUE_MESSAGE_MAX = 256 << 20 };

struct queued {
	uint8_t *data;
	size_t len;
	struct socket_addr from, to; // len 0: not known
	int *fds;		     // of the tool's, not owned
	size_t n_fds;
	bool has_credentials;
	pid_t pid;
	uid_t uid;
	gid_t gid;
};

// The message `i` of object["queue"]; its files are all->files, which are all made.
struct err *socket_get_queued(const struct restoring *all, const json_t *queue, size_t i,
			      int domain, struct queued *ret) must_check;
void queued_deinit(struct queued *q);
// Sends it from fd to the address (len 0: the one it is connected to). 0 or -errno; *weaker: without the credentials
// it had.
int socket_send_queued(int fd, const struct queued *q, const struct socket_addr *to,
		       bool *weaker);
