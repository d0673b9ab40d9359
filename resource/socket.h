// SPDX-License-Identifier: LGPL-2.1-or-later
// What the kinds of socket have in common: what they are, addresses, options. The kinds themselves: tcp.c, udp.c, unix.c,
// netlink.c and socket.c for all others.
#pragma once

#include <sys/socket.h>

#include "resource/json.h"
#include "resource/kinds.h"
#include "util/cleanup.h"

struct socket_type { // as socket(2) takes them
	int domain, type, protocol;
};

struct socket_addr {
	struct sockaddr_storage sa;
	socklen_t len; // 0: none
};

// False when it is no socket, or one that cannot be asked.
bool socket_type_of(const struct open_file *f, struct socket_type *ret);

// Adds "domain", "type", "protocol", "inode", "cookie", "local", "remote" (where it has them) and "options".
struct err *socket_save_common(const struct open_file *f, int fd, json_t *object)
	must_check;

// The same members back, with checks: type and protocol must be of the kind that asks (`fits`).
struct err *socket_get_type(const json_t *object, size_t index,
			    bool (*fits)(const struct socket_type *t),
			    struct socket_type *ret) must_check;
// A socket of that type in the tool, close-on-exec.
struct err *socket_create(size_t index, const json_t *object, const struct socket_type *t,
			  int *fd) must_check;

// Addresses: {"text": for people, "bytes": the struct sockaddr}.
struct err *socket_put_addr(json_t *object, const char *name, const struct socket_addr *a)
	must_check;
// `len` 0 when the member is not there; the family must be `domain`.
struct err *socket_get_addr(const json_t *object, const char *name, int domain,
			    struct socket_addr *ret) must_check;
struct err *socket_bind(size_t index, const json_t *object, int fd,
			const struct socket_addr *a) must_check;
void socket_addr_text(const struct socket_addr *a, char *buf, size_t size);
bool socket_addr_equal(const struct socket_addr *a, const struct socket_addr *b);
// getsockname, getpeername; len 0: none.
void socket_local(int fd, struct socket_addr *ret);
void socket_remote(int fd, struct socket_addr *ret);

// Options (socket_options.c). Only those are saved that a new socket of the type does not have.
struct err *socket_save_options(const struct open_file *f, const struct socket_type *t,
				int fd, json_t *object) must_check;
enum option_phase {
	OPTIONS_FIRST, // before bind(2) and connect(2)
	OPTIONS_LAST,  // when the socket is what it was
};
// An option that this host or its rights do not allow is a note. `fd` may be handed over from a living process only
// after this: such a socket has its options.
struct err *socket_set_options(struct restoring *all, size_t index, const json_t *object,
			       const struct socket_type *t, int fd,
			       enum option_phase phase) must_check;
int socket_int(int fd, int level, int option, int otherwise); // getsockopt
