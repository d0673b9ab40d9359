// SPDX-License-Identifier: LGPL-2.1-or-later
// Putting into a queue again what waited in it; see socket_queue.h.
#include <errno.h>
#include <string.h>

#include "resource/socket_queue.h"

enum {
	CONTROL = 4096,
	RIGHTS_MAX = 253, // SCM_MAX_FD
};

static struct err *get_files(const struct restoring *all, const json_t *entry,
			     struct queued *ret)
{
	const json_t *files;

	TRY(json_opt_array(entry, "files", RIGHTS_MAX, &files));
	size_t n = json_array_size(files);
	if (!n)
		return NULL;
	ret->fds = calloc(n, sizeof(*ret->fds));
	if (!ret->fds)
		return err_nomem();
	for (size_t i = 0; i < n; i++) {
		int64_t index;

		TRY(json_item_int(files, i, 0, (int64_t)all->n_files - 1, &index));
		if (all->files[index] < 0)
			return err_new(
				ERR_CORRUPT,
				"object %lld, which waits in a queue, is not there",
				(long long)index);
		ret->fds[ret->n_fds++] = all->files[index];
	}
	return NULL;
}

static struct err *get_one(const struct restoring *all, const json_t *entry, int domain,
			   struct queued *ret)
{
	int64_t pid, uid, gid;

	TRY(json_get_bytes(entry, "data", QUEUE_MESSAGE_MAX, &ret->data, &ret->len));
	TRY(socket_get_addr(entry, "from", domain, &ret->from));
	TRY(socket_get_addr(entry, "to", domain, &ret->to));
	TRY(json_opt_int(entry, "pid", 0, 4194304, -1, &pid));
	TRY(json_opt_int(entry, "uid", 0, UINT32_MAX, 0, &uid));
	TRY(json_opt_int(entry, "gid", 0, UINT32_MAX, 0, &gid));
	ret->has_credentials = pid >= 0;
	ret->pid = (pid_t)pid;
	ret->uid = (uid_t)uid;
	ret->gid = (gid_t)gid;
	return get_files(all, entry, ret);
}

struct err *socket_get_queued(const struct restoring *all, const json_t *queue, size_t i,
			      int domain, struct queued *ret)
{
	const json_t *entry;

	*ret = (struct queued){0};
	TRY(json_item_object(queue, i, &entry));
	return json_at(get_one(all, entry, domain, ret), "queue", i);
}

void queued_deinit(struct queued *q)
{
	free(q->data);
	free(q->fds);
}

static void add_control(struct msghdr *h, int type, const void *data, size_t len)
{
	struct cmsghdr *c = (void *)((uint8_t *)h->msg_control + h->msg_controllen);

	*c = (struct cmsghdr){
		.cmsg_level = SOL_SOCKET, .cmsg_type = type, .cmsg_len = CMSG_LEN(len)};
	memcpy(CMSG_DATA(c), data, len);
	h->msg_controllen += CMSG_SPACE(len);
}

static int send_part(int fd, const struct queued *q, size_t from,
		     const struct socket_addr *to, bool credentials, size_t *sent)
{
	_Alignas(struct cmsghdr) uint8_t control[CONTROL] = {0};
	struct iovec iov = {q->data + from, q->len - from};
	struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control};
	struct ucred u = {q->pid, q->uid, q->gid};

	if (to->len) {
		h.msg_name = (void *)(uintptr_t)&to->sa;
		h.msg_namelen = to->len;
	}
	if (q->n_fds && !from)
		add_control(&h, SCM_RIGHTS, q->fds, q->n_fds * sizeof(int));
	if (credentials)
		add_control(&h, SCM_CREDENTIALS, &u, sizeof(u));
	ssize_t r = sendmsg(fd, &h, MSG_DONTWAIT | MSG_NOSIGNAL);
	*sent = r < 0 ? 0 : (size_t)r;
	return r < 0 ? -errno : 0;
}

int socket_send_queued(int fd, const struct queued *q, const struct socket_addr *to,
		       bool *weaker)
{
	bool credentials = q->has_credentials;
	size_t at = 0, sent;
	int r;

	for (;;) { // a stream takes a part at a time
		r = send_part(fd, q, at, to, credentials, &sent);
		if (credentials && (r == -ESRCH || r == -EPERM)) {
			credentials =
				false; // that process is gone, or not ours to speak for
			*weaker = true;
			continue;
		}
		at += sent;
		if (r < 0 || !sent || at >= q->len)
			break;
	}
	return r;
}
