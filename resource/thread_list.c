// SPDX-License-Identifier: LGPL-2.1-or-later
// The threads of a saved process, as an image has them.
#include "resource/json.h"
#include "resource/threads.h"

struct err *threads_count(const json_t *state, size_t *ret)
{
	const json_t *list;

	TRY(json_get_array(state, "threads", THREADS_MAX, &list));
	*ret = json_array_size(list);
	return *ret ? NULL : err_new(ERR_CORRUPT, "member 'threads' is empty");
}

struct err *thread_at(const json_t *state, size_t i, const json_t **ret, pid_t *saved_tid)
{
	const json_t *list;

	TRY(json_get_array(state, "threads", THREADS_MAX, &list));
	TRY(json_at(json_item_object(list, i, ret), "threads", i));
	return json_at(json_get_pid(*ret, "tid", saved_tid), "threads", i);
}
