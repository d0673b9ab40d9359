// SPDX-License-Identifier: LGPL-2.1-or-later
// UDP datagrams with a sender's address that is not ours.
#pragma once

#include "resource/socket.h"

// Puts a datagram on the way from one address to another, which is local. Both are AF_INET or both AF_INET6 (mapped IPv4
// included). Needs CAP_NET_RAW. 0 or -errno.
int datagram_send(const struct socket_addr *from, const struct socket_addr *to,
		  const void *data, size_t len);
