// SPDX-License-Identifier: LGPL-2.1-or-later
// The member "tcp" of a saved connection.
#pragma once

#include <linux/types.h>
#include <netinet/tcp.h>

#include "resource/socket.h"

enum { TCP_QUEUE_MAX = 1 << 30 };

struct tcp_image_queue {
	uint32_t seq; // behind its last byte
	uint8_t *data;
	size_t len;
};

struct tcp_image {
	int state; // TCP_ESTABLISHED ...
	uint32_t mss, timestamp;
	bool sack, wscale, has_timestamp, has_window;
	int snd_wscale, rcv_wscale;
	bool no_more_in; // the program reads the end behind what is queued
	struct tcp_image_queue in, out;
	size_t unsent; // of out, at its end
	struct tcp_repair_window window;
};

struct err *tcp_image_get(const json_t *object, struct tcp_image *ret) must_check;
void tcp_image_deinit(struct tcp_image *t);
// 1 when the program has said that it sends no more (the FIN has a sequence number), else 0.
uint32_t tcp_fin_sent(const struct tcp_image *t);
// Whether the other end of the connection is saved in the same checkpoint.
struct err *tcp_other_end(struct restoring *all, size_t index, const json_t *object,
			  bool *ret) must_check;
// Finds out what connections with the outside are worth, and lets all live; once for a restoring, before any descriptor is passed on.
struct err *tcp_settle(struct restoring *all) must_check;
