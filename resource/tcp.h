// SPDX-License-Identifier: LGPL-2.1-or-later
// TCP connections. Everything the kernel knows of one can be read and set in *repair mode* (TCP_REPAIR, CAP_NET_ADMIN):
// sequence numbers, options, windows, both queues.
//
// What becomes of a saved connection, in this order:
// 1. --replace: the living process has it still: handed over, untouched.
// 2. Both ends are in the checkpoint: brought back, queues and all.
// 3. The other end is outside: brought back with repair mode and asked with a window probe where it is. Only if it answers
//    from the very place that was saved does the connection go on. It does after a crash of the machine or of its
//    network, where nobody told the peer; not after the process was killed, for the kernel has ended the connection then, and
//    a connection out of step would neither work nor end.
// 4. Else, or without CAP_NET_ADMIN, or with --tcp-close: the program finds it reset, and drops it as it does every day.
#pragma once

#include "resource/socket.h"

// Adds "tcp": see docs/checkpoint-format.md; nothing without the right to read it. At the latest with tcp_save_waiting.
struct err *tcp_save_connection(const struct open_file *f, int fd, json_t *object)
	must_check;
struct err *tcp_save_waiting(struct saving *all) must_check;
struct err *tcp_make_connection(struct restoring *all, size_t index, const json_t *object,
				const struct socket_type *t) must_check;
struct err *tcp_make_closed(struct restoring *all, size_t index, const json_t *object,
			    const struct socket_type *t) must_check;
struct err *tcp_join(struct restoring *all, size_t index, const json_t *object) must_check;
