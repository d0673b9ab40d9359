// SPDX-License-Identifier: LGPL-2.1-or-later
// A store without safety, until image/store.c is there: weak, so that it gives way; to be deleted then.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image/json.h"
#include "image/store.h"
#define WEAK __attribute__((weak))
struct store {
	char *path;
	int fd;
};
struct pending {
	struct store *s;
	int fd;
	char id[16];
};
WEAK struct err *store_open(const char *path, bool create, struct store **ret)
{
	(void)create;
	*ret = calloc(1, sizeof(**ret));
	(*ret)->path = strdup(path ? path : "/tmp/save-store");
	mkdir((*ret)->path, 0700);
	(*ret)->fd = open((*ret)->path, O_RDONLY | O_DIRECTORY);
	mkdirat((*ret)->fd, "modules", 0700);
	return NULL;
}
WEAK void store_close(struct store *s)
{
	if (s)
		close(s->fd);
	free(s);
}
WEAK struct err *store_begin(struct store *s, const char *name, struct pending **ret)
{
	(void)name;
	struct pending *p = calloc(1, sizeof(*p));
	p->s = s;
	for (int i = 1;; i++) {
		snprintf(p->id, sizeof(p->id), "%06d", i);
		if (!mkdirat(s->fd, p->id, 0700))
			break;
	}
	p->fd = openat(s->fd, p->id, O_RDONLY | O_DIRECTORY);
	*ret = p;
	return NULL;
}
WEAK int pending_dir(const struct pending *p)
{
	return p->fd;
}
WEAK struct err *store_keep_module(struct store *s, int fd, const char *key)
{
	char name[256];
	snprintf(name, sizeof(name), "modules/%s", key);
	int to = openat(s->fd, name, O_WRONLY | O_CREAT | O_EXCL, 0600);
	off_t off = 0;
	if (to < 0)
		return NULL;
	while (sendfile(to, fd, &off, 1 << 20) > 0)
		;
	close(to);
	return NULL;
}
WEAK struct err *pending_commit(struct pending *p, json_t *manifest, char **id,
				char **path)
{
	*id = strdup(p->id);
	if (asprintf(path, "%s/%s", p->s->path, p->id) < 0)
		return err_nomem();
	char name[4096];
	snprintf(name, sizeof(name), "%s/manifest.json", *path);
	json_dump_file(manifest, name, JSON_INDENT(1));
	return NULL;
}
WEAK void pending_abort(struct pending *p)
{
	free(p);
}
