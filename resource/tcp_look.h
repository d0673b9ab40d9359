// SPDX-License-Identifier: LGPL-2.1-or-later
// What the kernel knows of living TCP connections, many at a time.
#pragma once

#include <netinet/tcp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TCP_LOOKS = 256 };

struct tcp_side {
	uint32_t seq; // behind the last byte of the queue
	uint8_t *data;
	size_t len, size;
	int unsent; // bytes of data, at its end
};

struct tcp_look {
	int fd; // the tool's
	int reuse;
	struct tcp_info info;
	struct tcp_repair_window window;
	bool has_window, no_more_in, alone;
	uint32_t timestamp, mss;
	struct tcp_side in, out;
	int result; // 0 or -errno; -EPERM: without CAP_NET_ADMIN
};

struct tcp_looks {
	struct tcp_look v[TCP_LOOKS]; // fd is set by the caller
	size_t n;
	uint8_t *area;
	size_t size;
};

// Reads all; each has its result. -errno when nothing was looked at.
int tcp_look(struct tcp_looks *looks);
void tcp_looks_deinit(struct tcp_looks *looks); // closes the descriptors, too
