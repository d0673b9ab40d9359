// SPDX-License-Identifier: LGPL-2.1-or-later
// A tool's areas in a process by their names; see under_way.h.
#include "process/under_way.h"

#include <string.h>

#include "arch/x86_64/payload.h"
#include "process/area.h"
#include "process/helper_impl.h"
#include "process/memory.h"

static bool is_named(const struct mapping *m, const char *name)
{
	static const char prefix[] = "/memfd:";
	size_t n = sizeof(prefix) - 1, len = strlen(name);

	return !strncmp(m->path, prefix, n) && !strncmp(m->path + n, name, len) &&
	       (m->path[n + len] == ' ' || m->path[n + len] == '\0');
}

static struct err *read_commit(pid_t pid, taddr_t area, enum under_way *ret)
{
	struct commit_header h;
	struct err *e = mem_read(pid, area + PAYLOAD_PAGE, &h, sizeof(h));

	if (!e && h.magic == COMMIT_MAGIC && h.waiting)
		*ret = UNDER_WAY_WAITING;
	if (e && e->kind == ERR_PERM)
		return e;
	err_free(e); // unmapped meanwhile
	return NULL;
}

struct err *under_way_read(pid_t pid, const struct maps *maps, enum under_way *ret)
{
	*ret = UNDER_WAY_NOTHING;
	vec_for_each(m, &maps->v) {
		bool commit = is_named(m, COMMIT_AREA_NAME);

		if (!commit && !is_named(m, GATES_AREA_NAME) && !is_named(m, HELPER_NAME))
			continue;
		if (*ret == UNDER_WAY_NOTHING)
			*ret = UNDER_WAY_PREPARED;
		if (commit && !m->offset)
			TRY(read_commit(pid, m->start, ret));
	}
	return NULL;
}
