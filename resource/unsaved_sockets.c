// SPDX-License-Identifier: LGPL-2.1-or-later
// Sockets of kinds that have no file of their own yet.
#include "resource/kinds.h"

static bool never(const struct open_file *f)
{
	(void)f;
	return false;
}

static bool is_socket(const struct open_file *f)
{
	return S_ISSOCK(f->st.st_mode);
}

static struct err *save(const struct open_file *f, json_t *o)
{
	(void)o;
	return open_file_refuse(f, "unsaved-descriptor",
				"molt does not know how to bring such a socket back");
}

const struct file_kind kind_tcp = {.name = "tcp", .recognises = never, .save = save};
const struct file_kind kind_udp = {.name = "udp", .recognises = never, .save = save};
const struct file_kind kind_unix = {.name = "unix", .recognises = never, .save = save};
const struct file_kind kind_netlink = {
	.name = "netlink", .recognises = never, .save = save};
const struct file_kind kind_other_socket = {
	.name = "socket", .recognises = is_socket, .save = save};
